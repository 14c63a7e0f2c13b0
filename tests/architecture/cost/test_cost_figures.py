"""The pictures and widgets of costs say what the formulas say."""

import dataclasses

import pytest

from minimodels.architecture import cost_demo, cost_figures
from minimodels.architecture.configs import get
from minimodels.architecture.cost.activations import activations
from minimodels.architecture.cost.devices import BOXES, MODELS
from minimodels.architecture.count import count


def words(figure) -> str:
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_the_block_draws_each_tensor_by_its_bytes():
    figure = cost_figures.block(get("gemma-mini"), "gemma-mini", 64)
    bars = figure.axes[0].patches
    assert len(bars) == 8 + 7
    stream, scores = bars[0].get_height(), bars[5].get_height()
    assert scores / stream == pytest.approx(4 * 64 * 64 / (64 * 128))
    assert "would be 2 times the stream" in figure.axes[0].get_title()
    assert (
        "is 2,048 times"
        in cost_figures.block(dataclasses.replace(get("gemma-2-2b"), num_heads=8), "x", 256 * 2304)
        .axes[0]
        .get_title()
    )
    assert len(cost_figures.block(get("nemotron-mini"), "n", 64).axes[0].patches) == 8 + 5


def test_the_budget_tells_the_published_size():
    figure = cost_figures.budget(get("gemma-7b"), "gemma-7b", 8192)
    title = figure.axes[0].get_title()
    assert "8.54 B parameters" in title and "17.1 GB in bf16" in title and "3.76 GB" in title
    shown = words(figure)
    assert shown.count("tokens/s") + shown.count("does not") == len(BOXES)
    for axes in figure.axes[:2]:
        assert sum(bar.get_width() for bar in axes.patches) == pytest.approx(100)


def test_the_table_has_a_tile_for_each_pair():
    figure = cost_figures.fits()
    assert len(figure.axes[0].patches) == len(MODELS) * len(BOXES)
    assert "nemotron-4-340b  341 B" in words(figure)


def test_kept_bytes_fill_their_bars():
    row = activations(get("gemma-mini"), 64)
    (axes,) = cost_figures.kept({"one": row}, "title").axes
    assert sum(bar.get_width() for bar in axes.patches) == pytest.approx(sum(row.values()) / 1e6)


def test_a_table_of_words():
    figure = cost_figures.trainable({"a box": {"full": "–", "LoRA": "gemma-2b"}}, "title")
    assert "gemma-2b" in words(figure) and len(figure.axes[0].patches) == 2


def test_curves_have_a_line_each():
    (axes,) = cost_figures.curves({"a": ([1, 2], [1, 4]), "b": ([1, 2], [2, 3])}, "t", "y",
                                  marks={"level": 2}).axes  # fmt: skip
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--", ":"]


def test_a_variant_keeps_key_heads_that_divide():
    base = get("gemma-2b")
    assert cost_demo.variant(base, num_heads=8, num_kv_heads=6).num_kv_heads == 4
    assert cost_demo.variant(base, num_heads=8, num_kv_heads=1) == base


@pytest.mark.parametrize("widget, slider, option, new", [
    (cost_demo.block_sliders, "tokens", 64, "64 tokens"),
    (cost_demo.budget_sliders, "vocabulary", 2048, "1.99 B parameters"),
])  # fmt: skip
def test_sliders_draw_again(widget, slider, option, new, monkeypatch):
    pytest.importorskip("ipywidgets")
    display = pytest.importorskip("IPython.display")
    titles = []

    class Handle:
        def update(self, figure):
            titles.append(figure.axes[0].get_title())

    def show(thing, display_id=False):
        if display_id:
            titles.append(thing.axes[0].get_title())
        return Handle()

    monkeypatch.setattr(display, "display", show)
    widget()[slider].value = option
    assert len(titles) == 2 and new in titles[1] and new not in titles[0]


def test_the_explorer_starts_as_the_published_model(monkeypatch):
    drawn = []
    monkeypatch.setattr(cost_demo, "sliders", lambda draw, choices, first: drawn.append(
        draw(**first).axes[0].get_title()
    ))  # fmt: skip
    cost_demo.budget_sliders("nemotron-4-340b")
    size = count(get("nemotron-4-340b")).total
    assert drawn[0].startswith(f"nemotron-4-340b: {size / 1e9:.3g} B")
