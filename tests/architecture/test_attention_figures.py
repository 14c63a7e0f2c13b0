"""The pictures of the attention lab say what the code does."""

import matplotlib.colors as colors
import torch

from minimodels.architecture import attention_figures as figures
from minimodels.architecture.attention import visible


def words(axes):
    return [text.get_text() for text in axes.texts]


def test_dots_stand_where_a_query_may_look():
    for axes, (past, present) in zip(figures.masks().axes, [(0, 4), (3, 2)], strict=True):
        dots = torch.tensor([word == "●" for word in words(axes)]).view(present, past + present)
        causal = torch.ones(present, present, dtype=torch.bool).tril()
        expected = causal if past == 0 else visible(past, present)[0, 0]
        assert torch.equal(dots, expected)


def test_a_query_head_has_the_color_of_its_key_head():
    for axes, K in zip(figures.sharing().axes, (4, 2, 1), strict=True):
        edges = [colors.to_hex(box.get_edgecolor()).upper() for box in axes.patches[:4]]
        read = torch.arange(K).repeat_interleave(4 // K).tolist()
        assert edges == [figures.HEADS[key] for key in read]
        assert f"K={K}" in axes.get_title()


def test_slots_count_up():
    (axes,) = figures.slots((3, 1, 2), room=8).axes
    said = words(axes)
    assert [word for word in said if "length" in word] == ["length 3", "length 4", "length 6"]
    assert sum(word.startswith("k") for word in said) == 3 + 4 + 6


def test_shapes_and_flow_name_every_step():
    (axes,) = figures.shapes().axes
    assert [word for word in words(axes) if "," in word] == [
        "(T, d)", "(d, S)", "(T, S)", "(T, S)", "(S, d)", "(T, d)"
    ]  # fmt: skip
    (axes,) = figures.flow().axes
    assert sum("rotate" in word for word in words(axes)) == 2
    assert sum("cache" in word for word in words(axes)) == 2


def test_weights_stand_where_the_mask_allows():
    table = torch.ones(3, 3).tril() / torch.tensor([[1], [2], [3]])
    (axes,) = figures.weights(table, ["a", "b", "c"], "title").axes
    assert words(axes) == ["100", "50", "50", "33", "33", "33"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
