"""FlashAttention's kernels in the interpreter against float64: values, lse and all gradients."""

import pytest
import torch
from against import DTYPES, same
from hypothesis import given, settings
from hypothesis import strategies as st

from minimodels.device import triton_mode
from minimodels.kernels import attention_tiles
from minimodels.kernels.flash_attention import flash_attention

INF = float("inf")


def wide_attention(q, k, v, causal=True, window=None, softcap=None, segments=None, scale=None):
    """The formula in float64, a query and a key at a time for the mask: apart from the kernels'
    own reference. Queries that see nothing give 0, and 0 in place of their lse of −∞."""
    T, S, group = q.shape[2], k.shape[2], q.shape[1] // k.shape[1]
    seen = torch.zeros(q.shape[0], 1, T, S, dtype=torch.bool)
    for b in range(q.shape[0]):
        for i in range(T):
            place = S - T + i
            first = 0 if window is None else max(0, place - window + 1)
            for j in range(first, place + 1 if causal else S):
                alike = segments is None or segments[b, place] == segments[b, j] >= 0
                seen[b, 0, i, j] = alike
    s = torch.einsum("bhtd,bhsd->bhts", q, k.repeat_interleave(group, 1))
    s = s * (q.shape[3] ** -0.5 if scale is None else scale)
    s = s if softcap is None else softcap * torch.tanh(s / softcap)
    e = torch.where(seen, s, 0.0).exp() * seen
    total = e.sum(-1, keepdim=True)
    some = total > 0
    weights = e / torch.where(some, total, 1.0)
    lse = torch.where(some, torch.where(some, total, 1.0).log(), 0.0)[..., 0]
    return weights @ v.repeat_interleave(group, 1), lse


def kernel(q, k, v, **told):
    """The kernels, with 0 in place of −∞ as well."""
    out, lse = flash_attention(q, k, v, **told)
    return out, torch.where(lse == -INF, 0.0, lse)


def compare(given, dtype=torch.float32, tolerance=2, gradients=True, **told):
    """By default twice a single rounding: sums of a few dozen products and their softmax."""
    same(lambda **t: kernel(**t, **told), lambda **t: wide_attention(**t, **told), given, dtype,
         scale=tolerance, gradients=gradients)  # fmt: skip


def inputs(B, H, K, T, S, d, seed=0, size=1.0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: size * torch.randn(shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return {"q": draw(B, H, T, d), "k": draw(B, K, S, d), "v": draw(B, K, S, d)}


def documents(B, S, padding):
    """Ids of documents of five, seven, five … tokens, after some padding."""
    ids = torch.arange(S).expand(B, S) // 6 + torch.arange(B)[:, None]
    return ids.masked_fill(torch.arange(S) < padding, -1)


# (B, H, K, T, S, d): MHA, GQA, MQA; T = S, T < S, T > S; the interpreter's blocks are of 16
CASES = {
    "one row": ((1, 1, 1, 1, 1, 8), {}),
    "causal": ((1, 1, 1, 37, 37, 16), {}),
    "a past": ((1, 4, 2, 5, 35, 20), {"scale": 0.3}),
    "all": ((2, 1, 1, 10, 35, 24), {"causal": False}),
    "window": ((1, 1, 1, 50, 50, 8), {"window": 34}),
    "window of one": ((1, 1, 1, 20, 25, 8), {"window": 1}),
    "capped": ((1, 2, 1, 20, 20, 16), {"softcap": 2.0, "window": 12}),
    "more queries than keys": ((1, 1, 1, 40, 21, 8), {}),
}


def test_interpreter():
    assert triton_mode() == "interpreter"


@pytest.mark.parametrize("case", CASES)
def test_equals_float64(case):
    shape, told = CASES[case]
    compare(inputs(*shape), **told)


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize("case", ["a past", "capped"])
def test_equals_float64_in_half_precision(case, dtype):
    shape, told = CASES[case]
    compare(inputs(*shape), dtype, tolerance=1, **told)


@pytest.mark.parametrize("M, N", [(32, 16), (16, 64)])
def test_blocks_of_any_shape(M, N, monkeypatch):
    """No result depends on them: every border is met with wide blocks and with high ones."""
    blocks = dict.fromkeys((64, 128, 256), (M, N, 4, 1))
    for table in (attention_tiles.FORWARD, attention_tiles.KEYS, attention_tiles.QUERIES):
        monkeypatch.setitem(table, "interpreter", blocks)
    compare(inputs(1, 1, 1, 45, 70, 8), window=50)


@pytest.mark.parametrize("window", [None, 9])
def test_documents_and_padding(window):
    """Equal ids see each other; padding (negative) gets 0, and no gradient reaches it."""
    told = {"segments": documents(2, 20, padding=4), "window": window}
    given = inputs(2, 1, 1, 20, 20, 8)
    compare(given, **told)
    ours = {name: x.float().requires_grad_() for name, x in given.items()}
    out, lse = flash_attention(**ours, **told)
    assert (out[:, :, :4] == 0).all() and (lse[:, :, :4] == -INF).all()
    out.sum().backward()
    assert all((x.grad[:, :, :4] == 0).all() for x in ours.values())


@given(st.data())
@settings(max_examples=4, deadline=None)
def test_random_shapes(data):
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    K, T, B = draw(1, 2), draw(1, 20), draw(1, 2)
    S, causal = max(1, T + draw(-3, 12)), data.draw(st.booleans())
    told = {"causal": causal, "softcap": data.draw(st.sampled_from([None, 1.5]))}
    if causal and draw(0, 1):
        told["window"] = draw(1, S + 2)
    if S >= T and draw(0, 1):
        told["segments"] = documents(B, S, padding=draw(0, 3))
    given = inputs(B, draw(1, 2) if K == 1 else 2, K, T, S, draw(1, 40), seed=draw(0, 99))
    compare(given, tolerance=3, **told)


@pytest.mark.parametrize("d", [1, 64, 80, 128, 192, 256])
def test_head_sizes(d):
    """Also those between powers of two, and the smallest and the largest."""
    compare(inputs(1, 1, 1, 18, 18, d))


@pytest.mark.parametrize("size", [0.0, 40.0])
def test_edges(size):
    """All scores equal; scores of some thousands, whose exponential overflows without a maximum.

    There a score's own rounding, half a unit of 4096, is 2e-4 of a weight.
    """
    ours = lambda **t: kernel(**t, causal=False, scale=1.0)  # noqa: E731
    given = inputs(1, 1, 1, 20, 20, 8, size=size)
    same(ours, stable, given, torch.float32, scale=400 if size else 1, gradients=False)


def stable(q, k, v):
    s = q @ k.transpose(2, 3)
    return s.softmax(-1) @ v, s.logsumexp(-1)


def test_strange_strides():
    """Views of one fused projection, (B, T, heads, d), an expanded key and a d that is not last."""
    fused = torch.randn(1, 19, 6, 12)
    q, k = fused.transpose(1, 2)[:, :4], fused.transpose(1, 2)[:, 4:5]
    v = torch.randn(1, 1, 12, 19).transpose(2, 3)
    out, lse = flash_attention(q, k, v)
    wanted = flash_attention(q.contiguous(), k.contiguous(), v.contiguous())
    assert torch.equal(out, wanted[0]) and torch.equal(lse, wanted[1])
    one = torch.randn(1, 1, 19, 12, requires_grad=True)
    flash_attention(q, one.expand(1, 2, 19, 12), v.expand(1, 2, 19, 12))[0].sum().backward()
    assert one.grad.isfinite().all()


def test_empty():
    q, k = torch.randn(1, 2, 0, 8), torch.randn(1, 1, 5, 8)
    assert flash_attention(q, k, k)[0].shape == (1, 2, 0, 8)
    out, lse = flash_attention(torch.randn(1, 2, 3, 8), k[:, :, :0], k[:, :, :0], causal=False)
    assert (out == 0).all() and (lse == -INF).all()


def test_same_bits_every_time():
    given = {name: x.float() for name, x in inputs(1, 2, 1, 20, 20, 8).items()}

    def gradients():
        ours = [x.clone().requires_grad_() for x in given.values()]
        flash_attention(*ours)[0].square().sum().backward()
        return [x.grad for x in ours]

    assert all(map(torch.equal, gradients(), gradients()))


@pytest.mark.parametrize(
    "wrong",
    [{"window": 13}, {"window": 11}, {"softcap": 2.1, "window": 12}, {"scale": 0.36, "window": 12}],
    ids=str,
)
def test_controls(wrong):
    """A window of one more or less, another cap or scale are far outside of the tolerance."""
    right = {"window": 12} | ({"softcap": 2.0} if "softcap" in wrong else {})
    given = inputs(1, 1, 1, 20, 20, 8)
    with pytest.raises(AssertionError, match="value"):
        same(lambda **t: kernel(**t, **wrong), lambda **t: wide_attention(**t, **right), given,
             torch.float32, scale=3, gradients=False)  # fmt: skip


def test_control_of_the_gradient():
    """Without the soft-cap's slope the values agree and the gradient of q does not."""

    def slopeless(q, k, v):
        group = q.shape[1] // k.shape[1]
        s = q @ k.repeat_interleave(group, 1).transpose(2, 3) * q.shape[3] ** -0.5
        s = s + (2.0 * torch.tanh(s / 2.0) - s).detach()
        s = s.masked_fill(~torch.ones_like(s, dtype=torch.bool).tril(), -INF)
        return s.softmax(-1) @ v.repeat_interleave(group, 1), s.logsumexp(-1)

    with pytest.raises(AssertionError, match="gradient of q"):
        same(lambda **t: kernel(**t, softcap=2.0), slopeless, inputs(1, 1, 1, 20, 20, 8),
             torch.float32, scale=3)  # fmt: skip


def test_a_long_past():
    """Three queries, 700 keys."""
    compare(inputs(1, 2, 1, 3, 700, 8), tolerance=3)


def test_the_largest_numbers():
    """Scores of a million, and values of 60,000 in fp16; what is no number stays in its row."""
    given = inputs(1, 1, 1, 20, 20, 8)
    q, k = 300 * given["q"], 300 * given["k"]
    v = torch.full_like(given["v"], 6e4)
    q, k, v = (x.half().requires_grad_() for x in (q, k, v))
    out, lse = flash_attention(q, k, v)
    out.float().mean().backward()
    assert (out - 6e4).abs().max() <= 32 and lse.isfinite().all()
    assert all(x.grad.isfinite().all() for x in (q, k, v))
    q, k, v = (x.float() for x in given.values())
    q[0, 0, 5] = torch.nan
    out, _ = flash_attention(q, k, v)
    assert out.isnan().any(-1)[0, 0].tolist() == [i == 5 for i in range(20)]
