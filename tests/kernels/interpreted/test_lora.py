"""LoRA beside its matrix, in the interpreter, against float64; gradients of all four."""

import pytest
import torch
from against import DTYPES, same

from minimodels.kernels import lora as lora_file
from minimodels.kernels.lora import lora

CASES = [(1, 5, 7, 1), (3, 70, 33, 4), (66, 10, 64, 16), (5, 8, 100, 40)]


def wide_reference(x, weight, A, B, scale=1.0):
    return x @ (weight + scale * B @ A).T  # merged: what the three products must equal


def inputs(M, N, K, r):
    generator = torch.Generator().manual_seed(M)
    draw = lambda *size: torch.randn(size, generator=generator, dtype=torch.float64)  # noqa: E731
    return {"x": draw(M, K), "weight": draw(N, K), "A": draw(r, K), "B": draw(N, r)}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_float64(case, dtype):
    """Four times the usual: x Aᵀ is rounded before it meets B."""
    half = {"scale": 0.5}
    kernel = lambda **tensors: lora(**tensors, **half)  # noqa: E731
    reference = lambda **tensors: wide_reference(**tensors, **half)  # noqa: E731
    same(kernel, reference, inputs(*case), dtype, scale=4)


def test_more_dimensions_and_strides():
    given = {name: t.float() for name, t in inputs(6, 10, 32, 4).items()}
    y = lora(**given)
    shaped = given | {"x": given["x"].view(2, 3, 32)}
    assert torch.equal(lora(**shaped), y.view(2, 3, 10))
    turned = {name: t.T.contiguous().T for name, t in given.items()}
    assert torch.equal(lora(**turned), y)
    assert lora(**(given | {"x": given["x"][:0]})).shape == (0, 10)


def test_null_case_and_control():
    given = {name: t.float() for name, t in inputs(6, 10, 32, 4).items()}
    plain = given["x"] @ given["weight"].T
    nothing = given | {"B": torch.zeros(10, 4)}
    torch.testing.assert_close(lora(**nothing), plain, rtol=0, atol=2e-5)
    assert (lora(**given) - plain).abs().max() > 1


def test_wide_tiles(monkeypatch):
    """What a GPU takes for many rows: 9 by 2 tiles, so that the last band is one tile tall."""
    tile = lora_file.WIDE_TILE | {"num_stages": 1}
    monkeypatch.setattr(lora_file, "tile_for", lambda *_: tile)
    same(lora, wide_reference, inputs(1030, 130, 70, 4), torch.float32, scale=4, gradients=False)


@pytest.mark.parametrize("case", [(2, 3, 8192, 2), (3, 5, 40, 32), (3, 5, 40, 33)], ids=str)
def test_long_rows_and_wide_ranks(case):
    """8,192 numbers a row; ranks of 32, the last that fits a program in float32, and more."""
    same(lora, wide_reference, inputs(*case), torch.float32, scale=4)


def test_equal_and_huge():
    """All equal; 1e18, whose products pass 1e36; one row of NaN stays in its row."""
    given = inputs(3, 5, 40, 2)
    ones = {name: torch.ones_like(t) for name, t in given.items()}
    same(lora, wide_reference, ones, torch.float32)
    same(lora, wide_reference, given | {"x": 1e18 * given["x"]}, torch.float32, scale=4)
    given = {name: t.float() for name, t in given.items()}
    given["x"][1] = torch.nan
    assert lora(**given).isnan().all(-1).tolist() == [False, True, False]
