"""e4m3 codes and scales in the interpreter: bit for bit what quant.encode says, all rounding."""

import pytest
import torch
from against import DTYPES

from minimodels.errors import UserError
from minimodels.kernels.fp8_quantize import fp8_quantize, fp8_quantize_kernel
from minimodels.kernels.quant import decode, encode

SHAPES = [(1, 128), (3, 384), (33, 256), (129, 128)]


def equal(got, wanted):
    assert torch.equal(got.codes, wanted.codes) and torch.equal(got.scales, wanted.scales)
    assert got.rows == wanted.rows and got.format is wanted.format


@pytest.mark.parametrize("rows", [1, 128])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_is_encode(shape, dtype, rows):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    equal(fp8_quantize(x, rows), encode(x, "fp8_e4m3", block=128, rows=rows))


def test_every_rounding():
    """Blocks whose scale is 1 hold each number of e4m3, each half between two, and its neighbors
    in float32: those of the smallest numbers and where the exponent changes are the traps."""
    grid = torch.arange(127).to(torch.uint8).view(torch.float8_e4m3fn).float()  # 0 … 448
    half = (grid[1:] + grid[:-1]) / 2
    x = torch.cat([grid, half, half.nextafter(grid[:1]), half.nextafter(grid[-1:])])
    x = torch.nn.functional.pad(x, (0, -len(x) % 127)).view(-1, 127)
    x = torch.cat([x, torch.full((len(x), 1), 448.0)], 1)
    x = torch.cat([x, -x])
    got = fp8_quantize(x)
    assert (got.scales == 1).all()
    equal(got, encode(x, "fp8_e4m3", block=128))


def test_zeros_huge_and_tiny_numbers():
    x = torch.randn(6, 128, generator=torch.Generator().manual_seed(1))
    x = x * torch.tensor([0.0, 3e38 / x[1].abs().max(), 1e30, 1.0, 1e-30, 1e-37])[:, None]
    equal(fp8_quantize(x), encode(x, "fp8_e4m3", block=128))
    assert torch.equal(decode(fp8_quantize(x[:1])), torch.zeros(1, 128))
    equal(fp8_quantize(torch.full((130, 128), -7.0), 128),
          encode(torch.full((130, 128), -7.0), "fp8_e4m3", block=128, rows=128))  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("rows", [1, 128])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_stays_visible(value, rows):
    x = torch.ones(130, 256)
    x[3, 200] = value
    q = fp8_quantize(x, rows)
    assert q.scales.isnan().sum() == 1 and decode(q)[3, 128:].isnan().all()
    assert (decode(q)[:, :128] == 1).all()


def test_more_dimensions_strides_and_nothing():
    x = torch.randn(2, 3, 256, generator=torch.Generator().manual_seed(2))
    q = fp8_quantize(x)
    assert q.codes.shape == (2, 3, 256) and q.scales.shape == (2, 3, 2)
    equal(q, encode(x, "fp8_e4m3", block=128))
    equal(fp8_quantize(x.mT.contiguous().mT), q)
    assert fp8_quantize(x[0, 0]).scales.shape == (2,)
    for rows in (1, 128):
        assert fp8_quantize(x[0, :0], rows).codes.shape == (0, 256)


def test_a_square_tile_is_the_same_turned():
    """So a weight's codes serve backward; those of blocks along K do not."""
    x = torch.randn(256, 128, generator=torch.Generator().manual_seed(3))
    q, turned = fp8_quantize(x, 128), fp8_quantize(x.T, 128)
    assert torch.equal(turned.codes, q.codes.T) and torch.equal(turned.scales, q.scales.T)
    assert not torch.equal(fp8_quantize(x.T).codes, fp8_quantize(x).codes.T)


def test_control_without_the_rounding_of_its_own():
    """The interpreter's conversion alone gives other codes: the detour is needed."""
    x = torch.randn(16, 128, generator=torch.Generator().manual_seed(4))
    codes, scales = torch.empty(16, 128, dtype=torch.float8_e4m3fn), torch.empty(16, 1)
    fp8_quantize_kernel[(1, 1)](x, codes, scales, 16, 128, SQUARE=False, WIDE=False, TINY=1e-38,
                                ROWS=16, BLOCK=128)  # fmt: skip
    assert torch.equal(scales, fp8_quantize(x).scales)
    assert (codes.view(torch.uint8) != fp8_quantize(x).codes).float().mean() > 0.01


@pytest.mark.parametrize("x, rows, named", [
    (torch.ones(2, 100), 1, "x has rows of 100, no multiple of 128"),
    (torch.ones(2, 128), 64, "rows is 64"),
    (torch.ones(2, 2, 128), 128, "rows is 128: use 1, or 128 for a matrix"),
    (torch.ones(2, 128, dtype=torch.int32), 1, "x is torch.int32"),
])  # fmt: skip
def test_bad_input(x, rows, named):
    with pytest.raises(UserError, match=named):
        fp8_quantize(x, rows)
