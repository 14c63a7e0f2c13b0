"""RMSNorm's kernels in the interpreter against float64."""

import pytest
import torch
from against import DTYPES, same
from hypothesis import given, settings
from hypothesis import strategies as st

from minimodels.device import triton_mode
from minimodels.kernels.rms_norm import rms_norm, rms_norm_reference

SHAPES = [(1,), (3, 1), (2, 3, 5), (4, 128), (7, 100), (1, 1030)]


def wide_reference(x, weight, eps, offset=1.0, residual=None):
    """The formula in float64, written apart from the kernels' own reference."""
    x = x if residual is None else x + residual
    y = x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * (offset + weight)
    return y if residual is None else (y, x)


def inputs(shape, seed=0, residual=False):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda size: torch.randn(size, generator=generator, dtype=torch.float64)  # noqa: E731
    return {"x": draw(shape), "weight": draw(shape[-1:]),
            "residual": draw(shape) if residual else None}  # fmt: skip


def test_interpreter():
    assert triton_mode() == "interpreter"


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_float64(shape, dtype, residual):
    """The sum with the residual is rounded before the norm: twice the rounding of one alone. Of a
    row of one number the gradient is almost 0, a difference of numbers of size 1."""
    same(rms_norm, wide_reference, inputs(shape, residual=residual), dtype, eps=1e-3, scale=2,
         least=1)  # fmt: skip


@given(rows=st.integers(1, 9), D=st.integers(1, 300), offset=st.sampled_from([0.0, 1.0]),
       seed=st.integers(0, 99))  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_random_shapes(rows, D, offset, seed):
    same(rms_norm, wide_reference, inputs((rows, D), seed), torch.float32, eps=1e-3, offset=offset,
         scale=2, least=1)  # fmt: skip


@pytest.mark.parametrize("x", [torch.zeros(2, 6), torch.full((2, 6), 3.0), 1e4 * torch.ones(2, 6)])
def test_edges(x):
    """All zero, all equal, huge (its square overflows fp16, not the kernel)."""
    given = {"x": x.double(), "weight": torch.linspace(-1, 1, 6).double()}
    for dtype in DTYPES:
        same(rms_norm, wide_reference, given, dtype, eps=1e-3, scale=2)


def test_no_rows_and_strange_strides():
    assert rms_norm(torch.empty(0, 5), torch.zeros(5), 1e-6).shape == (0, 5)
    x = torch.randn(6, 4).T
    torch.testing.assert_close(
        rms_norm(x, torch.zeros(6), 1e-6), rms_norm_reference(x, torch.zeros(6), 1e-6)
    )


def test_control():
    """A wrong offset is far outside of the tolerance, in the values and in the gradients."""
    with pytest.raises(AssertionError, match="value"):
        same(lambda **t: rms_norm(**t, offset=0.999), wide_reference, inputs((4, 9)),
             torch.float32, eps=1e-3)  # fmt: skip


@pytest.mark.parametrize("D", [8192, 16_384, 20_000])
def test_long_rows(D):
    """Up to 16,384 numbers lie in one program's registers; beyond that plain torch serves."""
    same(rms_norm, wide_reference, inputs((2, D), residual=True), torch.float32, eps=1e-3, scale=2)


def test_the_largest_numbers():
    """Of 60,000 the square overflows fp16, not the kernel; of 3e38 it overflows float32, and the
    kernel says what plain torch says: 0. What is no number stays in its row."""
    weight = torch.linspace(-1, 1, 6)
    same(rms_norm, wide_reference, {"x": torch.full((2, 6), 6e4).double(),
         "weight": weight.double()}, torch.float16, eps=1e-3)  # fmt: skip
    x = torch.stack((torch.full((6,), 3e38), torch.full((6,), torch.nan), torch.arange(6.0)))
    found, wanted = rms_norm(x, weight, 1e-3), rms_norm_reference(x, weight, 1e-3)
    torch.testing.assert_close(found, wanted, equal_nan=True)
    assert (found[0] == 0).all() and found[1].isnan().all() and found[2].isfinite().all()
