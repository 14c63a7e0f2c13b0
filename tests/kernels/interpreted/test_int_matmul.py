"""Weight-only int8 and int4 products in the interpreter, against float64 of what the codes mean."""

import pytest
import torch
from against import DTYPES, close

from minimodels.errors import UserError
from minimodels.kernels.int_matmul import int_matmul
from minimodels.kernels.quant import Quantized, decode, encode

CASES = [(1, 5, 64, 64), (3, 70, 128, 32), (17, 64, 256, 128), (20, 130, 96, None)]


def inputs(M, N, K):
    generator = torch.Generator().manual_seed(M)
    return torch.randn(M, K, generator=generator), torch.randn(N, K, generator=generator)


@pytest.mark.parametrize("name", ["int8", "int4"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_float64(case, dtype, name):
    *sizes, group = case
    x, weight = inputs(*sizes)
    q = encode(weight, name, block=group or sizes[2])
    x = x.to(dtype)
    wanted = x.double() @ decode(q).double().T
    close(int_matmul(x, q), wanted, dtype, 2, "value")  # sums of K products, twice the usual


def test_more_dimensions_strides_and_nothing():
    x, weight = inputs(6, 10, 64)
    q = encode(weight, "int4", block=32)
    assert torch.equal(int_matmul(x.view(2, 3, 64), q).view(6, 10), int_matmul(x, q))
    assert torch.equal(int_matmul(x.T.contiguous().T, q), int_matmul(x, q))
    assert int_matmul(x[:0], q).shape == (0, 10)


def test_control_and_bad_input():
    x, weight = inputs(6, 10, 64)
    q = encode(weight, "int4", block=32)
    assert (int_matmul(x, q) - x @ weight.T).abs().max() > 0.1  # four bits are not sixteen
    with pytest.raises(UserError, match="encode it as int8 or int4"):
        int_matmul(x, encode(weight, "mxfp4"))
    with pytest.raises(UserError, match="rows of 32, weight of another size"):
        int_matmul(x[:, :32], q)
    with pytest.raises(UserError, match="groups of 16"):
        int_matmul(x, encode(weight, "int8", block=16))


@pytest.mark.parametrize("name", ["int8", "int4"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gradient(name, dtype):
    """dx = dy Ŵ, against float64."""
    x, weight = inputs(3, 70, 128)
    q, pull = encode(weight, name, block=32), torch.randn(3, 70).to(dtype)
    x = x.to(dtype).requires_grad_()
    int_matmul(x, q).backward(pull)
    close(x.grad, pull.double() @ decode(q).double(), dtype, 2, "gradient")


def test_codes_of_any_layout():
    """Every second row of a larger matrix, and codes that were transposed."""
    x, weight = inputs(5, 12, 64)
    for name in ("int8", "int4"):
        q = encode(weight, name, block=32)
        half = Quantized(q.format, q.codes[::2], q.scales[::2])
        torch.testing.assert_close(int_matmul(x, half), int_matmul(x, q)[:, ::2])
        turned = Quantized(q.format, q.codes.T.contiguous().T, q.scales.T.contiguous().T)
        assert torch.equal(int_matmul(x, turned), int_matmul(x, q))


def test_long_equal_and_huge():
    """8,192 numbers a row; all equal; 60,000 in fp16 and 1e36 in float32: codes meet x before
    their scale does, so that a 127th of the largest number is the most."""
    x, weight = inputs(1, 3, 8192)
    q = encode(weight, "int4", block=128)
    close(int_matmul(x, q), x.double() @ decode(q).double().T, torch.float32, 4, "long")
    ones = encode(torch.ones(5, 64), "int8")
    close(int_matmul(torch.ones(2, 64), ones), torch.full((2, 5), 64.0), torch.float32, 2, "equal")
    tiny = encode(torch.eye(5, 64), "int8")
    for most, dtype in ((6e4, torch.float16), (1e36, torch.float32), (1e36, torch.bfloat16)):
        x = torch.full((2, 64), most).to(dtype)
        close(int_matmul(x, tiny), x[:, :5].double(), dtype, 2, "huge")
