"""Weight-only int8 and int4 products in the interpreter, against float64 of what the codes mean."""

import pytest
import torch
from against import DTYPES, close

from minimodels.errors import UserError
from minimodels.kernels.int_matmul import int_matmul
from minimodels.kernels.quant import decode, encode

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
