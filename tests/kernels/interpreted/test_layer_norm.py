"""LayerNorm's kernels in the interpreter against float64."""

import pytest
import torch
from against import DTYPES, same
from hypothesis import given, settings
from hypothesis import strategies as st

from minimodels.kernels.layer_norm import layer_norm

SHAPES = [(3, 2), (2, 3, 5), (4, 128), (7, 100), (1, 1030)]


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
    """Twice the usual: the sum with the residual is rounded before the norm."""
    same(layer_norm, wide_reference, inputs(shape, residual=residual), dtype, eps=1e-2, scale=2)


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
