"""GeGLU, SwiGLU and squared ReLU in the interpreter against float64."""

import math

import pytest
import torch
from against import DTYPES, same

from minimodels.kernels.glu import geglu, squared_relu, swiglu


def wide_geglu(gate, up):
    inner = math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)
    return 0.5 * gate * (1 + torch.tanh(inner)) * up


def wide_swiglu(gate, up):
    return gate / (1 + torch.exp(-gate)) * up


def wide_relu(up):
    return torch.where(up > 0, up * up, 0.0 * up)


GATED = {"geglu": (geglu, wide_geglu), "swiglu": (swiglu, wide_swiglu)}
SHAPES = [(1,), (3, 1), (5, 7), (2, 3, 500), (1, 3000)]


def draw(shape, seed=0, size=2.0):
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", GATED)
def test_gated(name, shape, dtype):
    kernel, reference = GATED[name]
    same(kernel, reference, {"gate": draw(shape), "up": draw(shape, 1)}, dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_squared_relu(shape, dtype):
    same(squared_relu, wide_relu, {"up": draw(shape)}, dtype)


@pytest.mark.parametrize("name", GATED)
def test_huge_and_zero(name):
    """No overflow in exp, and 0 stays 0."""
    kernel, reference = GATED[name]
    gate = torch.tensor([-300.0, -80.0, 0.0, 80.0, 300.0]).double()
    same(kernel, reference, {"gate": gate, "up": torch.ones(5).double()}, torch.float32)


def test_strides_and_nothing():
    gate, up = draw((6, 4)).float().T, draw((6, 4), 1).float().T
    torch.testing.assert_close(geglu(gate, up), wide_geglu(gate, up), rtol=0, atol=2e-6)
    assert swiglu(torch.empty(0, 3), torch.empty(0, 3)).shape == (0, 3)


def test_control():
    with pytest.raises(AssertionError, match="value"):
        same(geglu, wide_swiglu, {"gate": draw((4, 9)), "up": draw((4, 9), 1)}, torch.float32)


@pytest.mark.parametrize("most", [3e38, 1e20, 6e4])
@pytest.mark.parametrize("name", GATED)
def test_the_largest_numbers(name, most):
    """The bend of a huge number is itself or 0, and its slope 1 or 0: no 0 · ∞ on the way."""
    kernel, _ = GATED[name]
    dtype = torch.float16 if most == 6e4 else torch.float32
    gate = torch.tensor([most, -most], dtype=dtype, requires_grad=True)
    up = torch.tensor([0.5, 0.5], dtype=dtype, requires_grad=True)
    y = kernel(gate, up)
    y.backward(torch.ones(2, dtype=dtype))
    torch.testing.assert_close(y, torch.tensor([most / 2, 0.0], dtype=dtype))
    torch.testing.assert_close(gate.grad, torch.tensor([0.5, 0.0], dtype=dtype))
    torch.testing.assert_close(up.grad, torch.tensor([most, 0.0], dtype=dtype))


def test_what_is_no_number_stays_so():
    """A NaN that became 0 would hide where it came from."""
    x = torch.tensor([torch.nan, 1.0, -1.0], requires_grad=True)
    y = squared_relu(x)
    y.sum().backward()
    assert y[0].isnan() and x.grad[0].isnan() and x.grad[1:].tolist() == [2.0, 0.0]
    for kernel, _ in GATED.values():
        assert kernel(x, torch.ones(3)).isnan().tolist() == [True, False, False]
