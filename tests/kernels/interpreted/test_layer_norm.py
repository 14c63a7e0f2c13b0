"""LayerNorm's kernels in the interpreter against float64."""

import pytest
import torch
from against import DTYPES, same
from hypothesis import given, settings
from hypothesis import strategies as st

from minimodels.kernels.layer_norm import layer_norm, layer_norm_reference

SHAPES = [(3, 1), (3, 2), (2, 3, 5), (4, 128), (7, 100), (1, 1030)]


def wide_reference(x, weight, bias, eps, residual=None):
    x = x if residual is None else x + residual
    centered = x - x.mean(-1, keepdim=True)
    y = centered / (centered.pow(2).mean(-1, keepdim=True) + eps).sqrt() * (1 + weight) + bias
    return y if residual is None else (y, x)


def inputs(shape, seed=0, residual=False):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda size: torch.randn(size, generator=generator, dtype=torch.float64)  # noqa: E731
    return {"x": draw(shape), "weight": draw(shape[-1:]), "bias": draw(shape[-1:]),
            "residual": draw(shape) if residual else None}  # fmt: skip


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_float64(shape, dtype, residual):
    """Twice the usual: the sum with the residual is rounded before the norm. A row of one number is
    its own mean: what is left of its gradient is a difference of numbers of size 1."""
    same(layer_norm, wide_reference, inputs(shape, residual=residual), dtype, eps=1e-2, scale=2,
         least=1)  # fmt: skip


@given(rows=st.integers(1, 9), D=st.integers(2, 300), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_random_shapes(rows, D, seed):
    same(layer_norm, wide_reference, inputs((rows, D), seed), torch.float32, eps=1e-1, scale=4)


@pytest.mark.parametrize("x", [torch.zeros(2, 6), torch.full((2, 6), 3.0)])
def test_all_equal(x):
    """The variance is 0: the bias is all that remains."""
    given = inputs((2, 6)) | {"x": x.double()}
    for dtype in DTYPES:
        same(layer_norm, wide_reference, given, dtype, eps=1e-1, gradients=False)


def test_no_rows_and_strange_strides():
    assert layer_norm(torch.empty(0, 5), torch.zeros(5), torch.zeros(5), 1e-6).shape == (0, 5)
    given = inputs((4, 6)) | {"x": torch.randn(6, 4, dtype=torch.float64).T}
    same(layer_norm, wide_reference, given, torch.float32, eps=1e-3, scale=2)


def test_control():
    with pytest.raises(AssertionError, match="value"):
        same(layer_norm, lambda **t: wide_reference(**t) * 1.001, inputs((4, 9)), torch.float32,
             eps=1e-3)  # fmt: skip


@pytest.mark.parametrize("D", [8192, 16_384, 20_000])
def test_long_rows(D):
    """Up to 16,384 numbers lie in one program's registers; beyond that plain torch serves."""
    given = inputs((2, D), residual=True)
    same(layer_norm, wide_reference, given, torch.float32, eps=1e-3, scale=2)


def test_the_largest_numbers():
    """60,000 in fp16, and what plain torch says of what is no number."""
    given = inputs((2, 6)) | {"x": torch.tensor([[6e4, -6e4, 0, 1, 2, 3]] * 2).double()}
    same(layer_norm, wide_reference, given, torch.float16, eps=1e-3, scale=2)
    x = torch.stack((torch.full((6,), torch.inf), torch.full((6,), torch.nan), torch.arange(6.0)))
    told = (given["weight"].float(), given["bias"].float(), 1e-3)
    found = layer_norm(x, *told)
    torch.testing.assert_close(found, layer_norm_reference(x, *told), equal_nan=True)
    assert found[:2].isnan().all() and found[2].isfinite().all()
