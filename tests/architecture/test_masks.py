"""Each mask against a rule written out for one query and one key; GLM's texts against the paper."""

import pytest
import torch

from minimodels.architecture import masks
from minimodels.architecture.attention import attention_by_hand, visible
from minimodels.architecture.blanks import (
    NO_TARGET,
    Marks,
    blank,
    check,
    collate,
    draw_spans,
)
from minimodels.errors import UserError

MARKS = Marks(mask=90, start=91, end=92)
RULES = {
    "causal": (lambda T: masks.causal(T), lambda q, k: k <= q),
    "window 3": (lambda T: masks.window(T, 3), lambda q, k: 0 <= q - k < 3),
    "prefix 4": (lambda T: masks.prefix(T, 4), lambda q, k: k <= q or (q < 4 and k < 4) or k < 4),
    "everything": (lambda T: masks.everything(T), lambda q, k: True),
    "blanks 4": (
        lambda T: masks.blank_infilling(min(4, T), T - min(4, T)),
        lambda q, k: k < 4 or k <= q,
    ),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("T", [1, 4, 9])
def test_rule(name, T):
    mask, rule = RULES[name]
    wanted = torch.tensor([[rule(query, key) for key in range(T)] for query in range(T)])
    assert mask(T).dtype == torch.bool and torch.equal(mask(T), wanted)


@pytest.mark.parametrize("past, present", [(0, 5), (3, 4), (7, 1)])
def test_with_a_past(past, present):
    """Queries stand at the end of the keys, as with a cache: what the decoder's mask says too."""
    S = past + present
    assert torch.equal(masks.causal(present, S), masks.causal(S)[past:])
    assert torch.equal(masks.window(present, 3, S), masks.window(S, 3)[past:])
    theirs = visible(past, present, torch.ones(1, S, dtype=torch.bool))[0, 0]
    assert torch.equal(masks.causal(present, S), theirs)


def test_windows_meet_transformers():
    """A window counts the token itself: the last 3 are itself and two before."""
    from transformers import MistralConfig
    from transformers.masking_utils import create_sliding_window_causal_mask

    config = MistralConfig(sliding_window=3, hidden_size=8, num_attention_heads=1)
    config._attn_implementation = "sdpa"
    theirs = create_sliding_window_causal_mask(
        config=config, inputs_embeds=torch.zeros(1, 9, 8), attention_mask=None, past_key_values=None
    )
    assert torch.equal(masks.window(9, 3), theirs[0, 0])
    assert not torch.equal(masks.window(9, 4), theirs[0, 0])  # control


def test_padding_is_seen_by_nobody_but_itself():
    real = torch.tensor([[True, True, False], [False, True, True]])
    mask = masks.padded(real)
    assert mask.shape == (2, 1, 3, 3)
    assert mask[0, 0].int().tolist() == [[1, 1, 0], [1, 1, 0], [1, 1, 1]]
    assert mask[1, 0].int().tolist() == [[1, 1, 1], [0, 1, 1], [0, 1, 1]]
    assert mask.any(-1).all()  # no softmax over nothing


def test_documents_in_one_row_do_not_meet():
    """Packed attention equals each document by itself."""
    ids = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2, 2]])
    mask = masks.documents(ids) & masks.causal(9)
    q, k, v = (torch.randn(1, 2, 9, 5) for _ in range(3))
    packed = attention_by_hand(q, k, v, mask)
    for start, end in ((0, 3), (3, 5), (5, 9)):
        alone = attention_by_hand(*(x[:, :, start:end] for x in (q, k, v)))
        assert (packed[:, :, start:end] - alone).abs().max() < 1e-6
    assert (packed - attention_by_hand(q, k, v)).abs().max() > 0.1  # control: the mask forgotten


def test_masks_combine():
    """A window within a document; padding under a causal mask."""
    ids = torch.tensor([[0, 0, 0, 1, 1]])
    both = masks.documents(ids) & masks.window(5, 2)
    assert both[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 1]
    ]  # fmt: skip


def test_the_figure_of_the_paper():
    """arXiv 2103.10360, figure 2: x3 and x5 x6 cut out of six tokens, the second written first."""
    text = blank([1, 2, 3, 4, 5, 6], [(2, 3), (4, 6)], MARKS, order=(1, 0))
    assert text.context == 5
    assert text.tokens.tolist() == [1, 2, 90, 4, 90, 91, 5, 6, 91, 3]
    assert text.targets.tolist() == [NO_TARGET] * 5 + [5, 6, 92, 3, 92]
    assert (text.positions + 1).tolist() == [
        1,
        2,
        3,
        4,
        5,
        5,
        5,
        5,
        3,
        3,
    ]  # the paper counts from 1
    assert text.inside.tolist() == [0, 0, 0, 0, 0, 1, 2, 3, 1, 2]
    assert torch.equal(text.mask, masks.blank_infilling(5, 5))


@pytest.mark.parametrize("seed", range(20))
def test_no_token_of_a_blank_sees_what_it_must_write(seed):
    seeded = torch.Generator().manual_seed(seed)
    length = int(torch.randint(8, 60, (1,), generator=seeded))
    spans = draw_spans(length, 0.3, generator=seeded)
    order = torch.randperm(len(spans), generator=seeded).tolist()
    text = blank(list(range(length)), spans, MARKS, order)
    A, T = text.context, len(text.tokens)
    assert text.mask[:A, :A].all() and not text.mask[:A, A:].any()  # A sees all of A, none of B
    written = []  # what part B has said, in order
    for index in order:
        written += [(index, place) for place in range(spans[index][1] - spans[index][0] + 1)]
    assert len(written) == T - A
    for row, (index, place) in enumerate(written):
        assert text.mask[A + row, :A].all()
        for column, (other, there) in enumerate(written):
            earlier = order.index(other) < order.index(index) or (other == index and there <= place)
            assert text.mask[A + row, A + column] == earlier
    # and nothing is lost: the spans put back give the text
    read, said = text.tokens[:A].tolist(), text.targets[A:].tolist()
    spoken = {}
    for (index, _), token in zip(written, said, strict=True):
        spoken.setdefault(index, []).append(token)
    whole = []
    for token in read:
        if token == MARKS.mask:
            words = spoken.pop(min(spoken))
            assert words[-1] == MARKS.end
            whole += words[:-1]
        else:
            whole.append(token)
    assert whole == list(range(length))


def test_spans_cover_the_share_and_do_not_touch():
    lengths = []
    for seed in range(200):
        spans = draw_spans(100, 0.15, 3.0, torch.Generator().manual_seed(seed))
        covered = sum(end - start for start, end in spans)
        assert 15 <= covered <= 30
        assert all(b[0] > a[1] for a, b in zip(spans, spans[1:], strict=False))
        lengths += [end - start for start, end in spans]
    assert abs(sum(lengths) / len(lengths) - 3.05) < 0.15  # Poisson(3), with its zeros made 1
    assert draw_spans(3, 1.0, 1.0, torch.Generator().manual_seed(0))  # ends on a full text


@pytest.mark.parametrize("spans", [[(3, 3)], [(0, 4), (3, 5)], [(4, 7)], [(-1, 2)]], ids=str)
def test_impossible_spans_are_refused(spans):
    with pytest.raises(UserError, match="give spans as"):
        check(spans, 6)


def test_a_batch_of_unequal_texts():
    texts = [blank(list(range(n)), [(1, 3)], MARKS) for n in (5, 9)]
    batch = collate(texts, pad=99)
    assert batch["tokens"].shape == batch["targets"].shape == (2, 11)
    assert batch["tokens"][0, 7:].tolist() == [99] * 4
    assert batch["targets"][0, 7:].tolist() == [NO_TARGET] * 4
    assert batch["mask"].shape == (2, 1, 11, 11)
    assert torch.equal(batch["mask"][0, 0, :7, :7], texts[0].mask)
    assert not batch["mask"][0, 0, :7, 7:].any()
    assert batch["mask"].any(-1).all()
