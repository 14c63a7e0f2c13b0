"""Products with MX numbers in the interpreter, against float64 of what the codes mean."""

import numpy as np
import pytest
import torch
from against import DTYPES, close
from hypothesis import given, settings
from hypothesis import strategies as st

from minimodels.errors import UserError
from minimodels.kernels import mx_matmul as module
from minimodels.kernels.mx_matmul import mx_matmul
from minimodels.kernels.quant import FORMATS, Quantized, decode, encode, pack

CASES = [(1, 5, 32), (3, 70, 160), (17, 33, 256), (70, 130, 96)]
NAMES = ["mxfp4", "mxfp8"]


def inputs(M, N, K):
    generator = torch.Generator().manual_seed(M)
    return torch.randn(M, K, generator=generator), torch.randn(N, K, generator=generator)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_float64(case, dtype, name):
    x, weight = inputs(*case)
    x, q = x.to(dtype), encode(weight, name)
    y = mx_matmul(x, q)
    assert y.dtype == dtype
    close(y, x.double() @ decode(q).double().T, dtype, 2, "value")  # sums of K products


@pytest.mark.parametrize("pair", [(a, b) for a in NAMES for b in NAMES], ids=str)
def test_both_mx(pair):
    for case in CASES[1:]:
        x, w = (encode(t, name) for t, name in zip(inputs(*case), pair, strict=True))
        wanted = decode(x).double() @ decode(w).double().T
        y = mx_matmul(x, w)
        assert y.dtype == torch.float32
        close(y, wanted, torch.float32, 2, "value")
        close(mx_matmul(x, w, torch.float16), wanted, torch.float16, 2, "fp16")


@settings(max_examples=12, deadline=None, derandomize=True)
@given(M=st.integers(1, 70), N=st.integers(1, 70), blocks=st.integers(1, 7),
       name=st.sampled_from(NAMES))  # fmt: skip
def test_any_shape(M, N, blocks, name):
    x, weight = inputs(M, N, 32 * blocks)
    q = encode(weight, name)
    close(mx_matmul(x, q), x.double() @ decode(q).double().T, torch.float32, 2, "value")


@pytest.mark.parametrize("name", NAMES)
def test_every_code_exactly(name):
    """Each code times each of many scales, one at a time: the identity comes back as the weight,
    in float32 bit for bit, from subnormal codes and the smallest scale to the largest."""
    bits = FORMATS[name].bits
    codes = torch.arange(2**bits).to(torch.uint8)
    codes = codes[(codes & 127) != 127] if bits == 8 else codes  # e4m3: not NaN
    codes = codes[: len(codes) // 2 * 2].repeat(32)[: 8 * 64].view(8, 64)
    scales = torch.tensor([0, 1, 2, 60, 126, 127, 128, 200, 240, 245, 118, 119, 90, 17, 3, 244])
    weight = Quantized(
        FORMATS[name], pack(codes) if bits == 4 else codes, scales.to(torch.uint8).view(8, 2)
    )
    y = mx_matmul(torch.eye(64), weight)
    assert torch.equal(y.T, decode(weight)) and y.isfinite().all()
    assert 0 < decode(weight).abs()[0, 1] < 1e-37 and y.abs().max() > 1e35


def test_fp16_meets_scales_that_fp16_does_not_know():
    """Weights of 10⁹ and 10⁻⁹ times numbers that make up for it: TF32 holds both exactly."""
    x, weight = inputs(5, 40, 64)
    x = x.half()
    tiny, huge = encode(1e-9 * weight, "mxfp4"), encode(1e9 * weight, "mxfp4")
    wanted = x.double() @ decode(tiny).double().T
    close(mx_matmul(x, tiny, torch.float32) * 1e9, wanted * 1e9, torch.float32, 2, "tiny")
    wanted = x.double() @ decode(huge).double().T
    close(mx_matmul(x, huge, torch.float32), wanted, torch.float32, 2, "huge")


def test_zeros_equal_and_huge_numbers():
    x, weight = inputs(5, 40, 64)
    for name in NAMES:
        assert (mx_matmul(x, encode(0 * weight, name)) == 0).all()
        assert (mx_matmul(0 * x, encode(weight, name)) == 0).all()
        threes = encode(torch.full((40, 64), 3.0), name)
        assert (mx_matmul(torch.full((5, 64), 1.5), threes) == 288).all()  # 64 · 4.5, exactly
        q = encode(1e34 * weight, name)
        wanted = x.double() @ decode(q).double().T / 1e34
        close(mx_matmul(x, q) / 1e34, wanted, torch.float32, 2, "huge")


def test_more_dimensions_strides_and_nothing():
    x, weight = inputs(6, 10, 64)
    q, coded = encode(weight, "mxfp4"), encode(x, "mxfp8")
    assert torch.equal(mx_matmul(x.view(2, 3, 64), q).view(6, 10), mx_matmul(x, q))
    assert torch.equal(mx_matmul(x.T.contiguous().T, q), mx_matmul(x, q))
    turned = Quantized(q.format, q.codes.T.contiguous().T, q.scales.T.contiguous().T)
    assert torch.equal(mx_matmul(x, turned), mx_matmul(x, q))
    deep = encode(x.view(2, 3, 64), "mxfp8")
    assert torch.equal(mx_matmul(deep, q).view(6, 10), mx_matmul(coded, q))
    assert mx_matmul(x[:0], q).shape == (0, 10) and mx_matmul(x[0], q).shape == (10,)
    assert mx_matmul(encode(x[:0], "mxfp8"), q).shape == (0, 10)
    assert mx_matmul(x, encode(weight[:0], "mxfp4")).shape == (6, 0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gradient_of_x(dtype):
    x, weight = inputs(6, 10, 64)
    q, x = encode(weight, "mxfp4"), x.to(dtype).view(2, 3, 64).requires_grad_()
    dy = torch.randn(2, 3, 10, generator=torch.Generator().manual_seed(5)).to(dtype)
    mx_matmul(x, q).backward(dy)
    close(x.grad, dy.double() @ decode(q).double(), dtype, 2, "gradient of x")


def dot_scaled(x, xs, x_kind, w, ws, w_kind, sums):
    """What tl.dot_scaled is said to compute, which the interpreter lacks: w comes transposed, its
    scales do not."""
    from triton.runtime.interpreter import TensorHandle

    def wide(codes, scales, kind):  # (rows, K or K / 2), (rows, K / 32)
        form = FORMATS[{"e2m1": "mxfp4", "e4m3": "mxfp8"}[kind]]
        codes, scales = (torch.tensor(np.ascontiguousarray(array)) for array in (codes, scales))
        assert scales.shape[1] * 32 * form.bits == codes.shape[1] * 8
        return decode(Quantized(form, codes, scales)).numpy()

    product = wide(x.handle.data, xs.handle.data, x_kind)
    product = product @ wide(w.handle.data.T, ws.handle.data, w_kind).T
    return module.tl.tensor(
        TensorHandle(sums.handle.data + product, sums.handle.dtype.scalar), sums.type
    )


@pytest.mark.parametrize("pair", [(a, b) for a in NAMES for b in NAMES], ids=str)
def test_native_kernel_around_the_instruction(pair, monkeypatch):
    """With tl.dot_scaled given to the interpreter: what is loaded, masked and stored is right."""
    monkeypatch.setattr(module, "has_native", lambda x: True)
    with pytest.raises(Exception, match="value|dot_scaled"):  # control: it is this kernel that runs
        mx_matmul(*(encode(torch.ones(1, 32), name) for name in pair))
    monkeypatch.setattr(module.tl, "dot_scaled", dot_scaled)
    for case in ((1, 5, 32), (130, 140, 160)):
        x, w = (encode(t, name) for t, name in zip(inputs(*case), pair, strict=True))
        wanted = decode(x).double() @ decode(w).double().T
        close(mx_matmul(x, w), wanted, torch.float32, 2, "value")


def test_control():
    x, weight = inputs(6, 10, 64)
    q = encode(weight, "mxfp4")
    assert (mx_matmul(x, q) - x @ weight.T).abs().max() > 0.1  # four bits are not sixteen
    swapped = Quantized(q.format, q.codes, q.scales.flip(1))
    assert (mx_matmul(x, swapped) - mx_matmul(x, q)).abs().max() > 0.1
    other = Quantized(q.format, (q.codes >> 4) | (q.codes << 4), q.scales)  # halves exchanged
    assert (mx_matmul(x, other) - mx_matmul(x, q)).abs().max() > 0.1


X, W = torch.ones(2, 64), encode(torch.ones(3, 64), "mxfp4")


@pytest.mark.parametrize("call, named", [
    (lambda: mx_matmul(X, encode(torch.ones(3, 64), "nvfp4")), "weight is nvfp4, 4 scales for 64"),
    (lambda: mx_matmul(X, encode(torch.ones(3, 64), "mxfp4", block=64)), "1 scales for 64"),
    (lambda: mx_matmul(encode(X, "int8"), W), "x is int8"),
    (lambda: mx_matmul(X[:, :32], W), "x has rows of 32, weight of 64"),
    (lambda: mx_matmul(X.long(), W), "x is torch.int64"),
    (lambda: mx_matmul(X, W, torch.float64), "dtype is torch.float64"),
    (lambda: mx_matmul(X.to("meta"), W), "weight is on cpu, x on meta"),
])  # fmt: skip
def test_bad_input(call, named):
    with pytest.raises(UserError, match=named):
        call()
