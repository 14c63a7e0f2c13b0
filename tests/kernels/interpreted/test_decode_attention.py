"""One query over a long cache, whole and in pages, in the interpreter against float64."""

import pytest
import torch
from against import DTYPES, same
from hypothesis import given, settings
from hypothesis import strategies as st

from minimodels.device import triton_mode
from minimodels.kernels import decode_attention as decode
from minimodels.kernels.decode_attention import decode_attention
from minimodels.kernels.paged_attention import paged_attention


def wide_attention(q, k, v, window=None, softcap=None, scale=None):
    """The formula in float64, apart from the kernels' own reference."""
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    if window is not None:
        k, v = k[:, :, -window:], v[:, :, -window:]
    s = torch.einsum("bhtd,bhsd->bhts", q, k) * (q.shape[3] ** -0.5 if scale is None else scale)
    s = s if softcap is None else softcap * torch.tanh(s / softcap)
    return s.softmax(-1) @ v


def inputs(B, H, K, S, d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return {"q": draw(B, H, 1, d), "k": draw(B, K, S, d), "v": draw(B, K, S, d)}


def compare(function, given, dtype=torch.float32, tolerance=2, **told):
    """By default twice a single rounding: sums of some products, and of some parts."""
    same(lambda **t: function(**t, **told), lambda **t: wide_attention(**t, **told), given, dtype,
         scale=tolerance, gradients=False)  # fmt: skip


def in_pages(size, lengths=None, spare=3):
    """decode_attention's arguments cut into pages, shuffled into a pool with `spare` others."""

    def attention(q, k, v, **told):
        B, K, S, d = k.shape
        M = -(-S // size)
        table = torch.randperm(B * M + spare, generator=torch.Generator().manual_seed(3))
        table = table[: B * M].view(B, M)
        pools = []
        for x in (k, v):
            pool = torch.full((B * M + spare, size, K, d), float("nan"), dtype=x.dtype)
            for b in range(B):
                for t in range(S):
                    pool[table[b, t // size], t % size] = x[b, :, t]
            pools.append(pool)
        return paged_attention(q, *pools, table, torch.tensor(lengths or [S] * B), **told)

    return attention


# (B, H, K, S, d): MHA, GQA of three, MQA; a single key; one part and three; S no block divides
CASES = {
    "one key": ((1, 1, 1, 1, 8), {}),
    "grouped": ((2, 6, 2, 61, 20), {}),
    "one key head": ((1, 17, 1, 40, 16), {"scale": 0.3}),
    "window": ((1, 2, 2, 300, 8), {"window": 150}),
    "wide window": ((1, 2, 1, 20, 8), {"window": 99}),
    "capped": ((1, 2, 1, 37, 80), {"softcap": 1.5, "window": 20}),
    "largest head": ((1, 3, 1, 20, 256), {}),
    "long": ((1, 2, 1, 3000, 8), {}),
}


def test_interpreter():
    assert triton_mode() == "interpreter"


@pytest.mark.parametrize("paged", [False, True], ids=["whole", "paged"])
@pytest.mark.parametrize("case", CASES)
def test_equals_float64(case, paged):
    """What pages hold beyond the keys is NaN: none of it may get into the result."""
    shape, told = CASES[case]
    compare(in_pages(7) if paged else decode_attention, inputs(*shape), **told)


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize("paged", [False, True], ids=["whole", "paged"])
def test_equals_float64_in_half_precision(paged, dtype):
    shape, told = CASES["grouped"]
    compare(in_pages(16) if paged else decode_attention, inputs(*shape), dtype, 1, **told)


@given(st.data())
@settings(max_examples=12, deadline=None)
def test_random_shapes(data):
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    K, S = draw(1, 2), draw(1, 300)
    told = {"window": draw(1, S + 2)} if draw(0, 1) else {}
    given = inputs(draw(1, 2), K * draw(1, 4), K, S, draw(1, 40), seed=draw(0, 99))
    function = in_pages(draw(1, 20)) if draw(0, 1) else decode_attention
    compare(function, given, tolerance=3, **told)


def test_each_sequence_has_its_own_length():
    """Equal to each alone; a sequence without keys gets 0."""
    given = {name: x.float() for name, x in inputs(3, 4, 2, 40, 8).items()}
    lengths = [40, 0, 13]
    for window in (None, 9):
        out = in_pages(8, lengths)(**given, window=window)
        assert (out[1] == 0).all()
        for b in (0, 2):
            q, k, v = (x[b : b + 1] for x in given.values())
            alone = wide_attention(q.double(), k[:, :, : lengths[b]].double(),
                                   v[:, :, : lengths[b]].double(), window)  # fmt: skip
            assert (out[b : b + 1] - alone).abs().max() < 4e-6


def test_padding_is_seen_by_nobody():
    """Rows of 40, 23 and no real tokens behind padding, some of it wider than a block of keys."""
    given = {name: x.float() for name, x in inputs(3, 4, 2, 40, 8).items()}
    segments = torch.tensor([[0] * 40, [-1] * 17 + [0] * 23, [-1] * 40])
    for told in ({}, {"window": 30}, {"softcap": 2.0}):
        out = decode_attention(**given, **told, segments=segments)
        assert (out[2] == 0).all()
        for b, real in ((0, 40), (1, 23)):
            alone = {name: x[b : b + 1, :, -real:].double() for name, x in given.items()}
            assert (out[b : b + 1] - wide_attention(**alone, **told)).abs().max() < 4e-6
        assert (out[1] - decode_attention(**given, **told)[1]).abs().max() > 0.1  # control
    documents = torch.tensor([[5] * 30 + [2] * 10] * 3)  # the last one's document is its own
    last = {name: x[:, :, -10:].double() for name, x in given.items()}
    out = decode_attention(**given, segments=documents)
    assert (out - wide_attention(**last)).abs().max() < 4e-6


@pytest.mark.parametrize("parts", [1, 2, 5, 40])
def test_any_number_of_parts(parts, monkeypatch):
    """Also more than there are blocks of keys: the rest sees none and has no weight."""
    monkeypatch.setattr(decode, "parts_for", lambda *_: parts)
    compare(decode_attention, inputs(1, 2, 1, 300, 8))


@pytest.mark.parametrize("size", [0.0, 40.0])
def test_edges(size):
    """All scores equal; scores of some thousands, whose exponential overflows without a maximum,
    in a part and in the merge. There a score's own rounding is up to 2e-4 of a weight.
    """
    given = {name: size * x for name, x in inputs(1, 2, 1, 300, 8).items()}
    compare(decode_attention, given, tolerance=400 if size else 1, scale=1.0)


def test_strange_strides():
    """The filled part of a longer cache, laid out (B, S, K, d)."""
    cache = torch.randn(2, 50, 2, 12).transpose(1, 2)[:, :, :33]
    q = torch.randn(2, 1, 4, 12).transpose(1, 2)
    wanted = decode_attention(q.contiguous(), cache.contiguous(), cache.contiguous())
    assert torch.equal(decode_attention(q, cache, cache), wanted)


def test_empty():
    q, k = torch.randn(0, 2, 1, 8), torch.randn(0, 1, 5, 8)
    assert decode_attention(q, k, k).shape == (0, 2, 1, 8)
    assert (decode_attention(torch.randn(1, 2, 1, 8), *torch.randn(2, 1, 1, 0, 8)) == 0).all()


@pytest.mark.parametrize("wrong", [{"window": 19}, {"window": 21}, {"scale": 0.36}], ids=str)
@pytest.mark.parametrize("paged", [False, True], ids=["whole", "paged"])
def test_controls(paged, wrong):
    """A key more or less in the window, or another scale, is far outside of the tolerance."""
    function = in_pages(7) if paged else decode_attention
    right = {"window": 20, "scale": 0.35}
    with pytest.raises(AssertionError, match="value"):
        same(lambda **t: function(**t, **(right | wrong)), lambda **t: wide_attention(**t, **right),
             inputs(1, 1, 1, 40, 8), torch.float32, scale=3, gradients=False)  # fmt: skip


def test_control_of_the_table():
    """Two pages in each other's place give another answer only if positions matter: a length."""
    given = {name: x.float() for name, x in inputs(1, 1, 1, 14, 8).items()}
    swapped = {name: x if name == "q" else x.roll(7, dims=2) for name, x in given.items()}
    whole = in_pages(7)(**given) - in_pages(7)(**swapped)
    short = in_pages(7, [7])(**given) - in_pages(7, [7])(**swapped)
    assert whole.abs().max() < 1e-6 and short.abs().max() > 0.1
