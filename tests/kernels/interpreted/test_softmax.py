"""Softmax with its cap in the interpreter against float64."""

import pytest
import torch
from against import DTYPES, same
from hypothesis import given, settings
from hypothesis import strategies as st

from minimodels.kernels.softmax import softmax


def wide_reference(x, cap=None, length=None):
    z = x if cap is None else cap * torch.tanh(x / cap)
    if length is None:
        return torch.exp(z - z.logsumexp(-1, keepdim=True))
    counts = torch.arange(x.shape[-1]) < length[..., None]
    weights = torch.exp(z - z.detach().amax(-1, keepdim=True)) * counts
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-300)


def draw(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1,), (3, 1), (2, 3, 5), (4, 128), (1, 1030)], ids=str)
def test_equals_float64(shape, dtype, cap):
    same(softmax, wide_reference, {"x": draw(shape)}, dtype, cap=cap, least=1)


@given(rows=st.integers(1, 9), S=st.integers(1, 300), seed=st.integers(0, 99),
       cap=st.sampled_from([None, 1.5, 50.0]))  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_random_shapes(rows, S, seed, cap):
    same(softmax, wide_reference, {"x": draw((rows, S), seed)}, torch.float32, cap=cap, least=1)


def test_lengths():
    """Rows end early; a row of length 0 is all 0, and so is its gradient."""
    length = torch.tensor([5, 0, 1, 3], dtype=torch.int32)
    same(softmax, wide_reference, {"x": draw((4, 5))}, torch.float32, length=length)
    x = draw((4, 5)).float().requires_grad_()
    y = softmax(x, length=length)
    y.sum().backward()
    assert torch.equal(y[1], torch.zeros(5)) and torch.equal(x.grad[1], torch.zeros(5))


@pytest.mark.parametrize("x", [torch.zeros(2, 6), torch.full((2, 6), 1e4), -1e4 * torch.eye(6)])
def test_edges(x):
    """All equal, huge, and one far below the others."""
    for dtype in DTYPES:
        same(softmax, wide_reference, {"x": x.double()}, dtype)


def test_strange_strides_and_control():
    x = draw((6, 4)).float().T
    torch.testing.assert_close(softmax(x), x.softmax(-1), rtol=0, atol=1e-6)
    with pytest.raises(AssertionError, match="value"):
        same(softmax, wide_reference, {"x": draw((3, 5))}, torch.float32, cap=None, scale=1e-6)


@pytest.mark.parametrize("S", [8192, 16_384, 20_000])
def test_long_rows(S):
    """Up to 16,384 numbers lie in one program's registers; beyond that plain torch serves."""
    same(softmax, wide_reference, {"x": draw((2, S))}, torch.float32, cap=5.0)


def test_lengths_beyond_the_row():
    """A length over the row's own, or below 0, is cut: nothing outside of the row counts."""
    x = draw((3, 5)).float()
    y = softmax(x, length=torch.tensor([99, 5, -4]))
    torch.testing.assert_close(y[:2], x[:2].softmax(-1), rtol=0, atol=1e-6)
    assert (y[2] == 0).all()


def test_the_largest_numbers():
    """3e38, 60,000 in fp16, and −∞ where a mask was added; a row of −∞ is NaN, as in torch."""
    for dtype, most in ((torch.float32, 3e38), (torch.bfloat16, 3e38), (torch.float16, 6e4)):
        x = torch.tensor([[most, most, -most, 0.0], [-most, -most, -most, -most]], dtype=dtype)
        assert softmax(x).tolist() == [[0.5, 0.5, 0.0, 0.0], [0.25] * 4]
        assert softmax(x, 30.0).isfinite().all()
    x = torch.tensor([[-torch.inf, 1.0, -torch.inf], [-torch.inf] * 3, [torch.nan, 1.0, 2.0]])
    torch.testing.assert_close(softmax(x), x.softmax(-1), equal_nan=True)
    x.requires_grad_()
    softmax(x)[0].sum().backward()
    assert (x.grad[0] == 0).all()
