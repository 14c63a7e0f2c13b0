"""Softmax of rows, with a soft cap before it: read a row once, write it once.

    y = exp(z − max z) / Σ exp(z − max z),   z = cap · tanh(x / cap), or x without a cap

The maximum is subtracted because exp overflows float32 above 88. Gradient: with t = tanh(x / cap)

    dx = y · (dy − Σ dy · y) · (1 − t²)

Only the first `length` numbers of a row count, where given: the rest is masked and becomes 0; a row
of length 0 becomes all 0. Shapes: x (…, S), length (…) int32.
"""

import torch
from torch.autograd.function import once_differentiable

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.checks import (
    INTEGERS,
    LONGEST_ROW,
    one_device,
    rows_of_numbers,
    same_place,
    same_size,
    warps_for,
)
from minimodels.kernels.compile import Build

try:
    import triton
    import triton.language as tl

    from minimodels.kernels.pieces import tanh
except ImportError:  # no Triton on this system: the reference serves
    triton = None


def softmax_reference(x, cap: float | None = None, length=None):
    """In float32, rounded once to the dtype of x."""
    z = x.float() if cap is None else cap * torch.tanh(x.float() / cap)
    if length is None:
        return z.softmax(-1).to(x.dtype)
    masked = torch.arange(x.shape[-1], device=x.device) >= length[..., None]
    y = z.masked_fill(masked, float("-inf")).softmax(-1)
    return y.masked_fill(masked, 0.0).to(x.dtype)  # also where all is masked and y is no number


def softmax(x, cap: float | None = None, length=None):
    """The same by the kernels, where this machine has a way to run them. Differentiable in x.

    Raises UserError for a cap that is not positive or lengths that do not fit the rows.
    """
    same_place("softmax", x=x)
    rows_of_numbers("softmax", x=x)
    if cap is not None and cap <= 0:
        raise UserError(f"softmax: cap = {cap} must be positive: leave it out for none.")
    if length is not None:
        same_place("softmax", INTEGERS, length=length)
        one_device("softmax", x=x, length=length)
        same_size("softmax", x.shape[:-1], length=length)
    if not kernels.on(x) or x.numel() == 0 or x.shape[-1] > LONGEST_ROW:
        return softmax_reference(x, cap, length)
    return _Softmax.apply(x, cap, length)


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, cap, length):
        x, S = x.contiguous(), x.shape[-1]
        if length is None:
            length = torch.full((x.numel() // S,), S, device=x.device, dtype=torch.int32)
        length = length.to(torch.int32).contiguous()
        y, block = torch.empty_like(x), triton.next_power_of_2(S)
        with torch.cuda.device_of(x):  # does nothing on a CPU
            softmax_kernel[(x.numel() // S,)](
                x, length, y, S, float(cap or 1), CAP=cap is not None, BLOCK=block,
                num_warps=warps_for(block),
            )  # fmt: skip
        ctx.save_for_backward(x, y)
        ctx.cap = cap
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, y = ctx.saved_tensors
        S, dx = x.shape[-1], torch.empty_like(x)
        block = triton.next_power_of_2(S)
        with torch.cuda.device_of(x):
            softmax_backward_kernel[(x.numel() // S,)](
                dy.contiguous(), x, y, dx, S, float(ctx.cap or 1), CAP=ctx.cap is not None,
                BLOCK=block, num_warps=warps_for(block),
            )  # fmt: skip
        return dx, None, None


if triton is not None:

    @triton.jit
    def softmax_kernel(x_ptr, length_ptr, y_ptr, S, cap, CAP: tl.constexpr, BLOCK: tl.constexpr):
        row = tl.program_id(0).to(tl.int64)
        column = tl.arange(0, BLOCK)
        length = tl.load(length_ptr + row)
        counts = column < tl.minimum(length, S)
        z = tl.load(x_ptr + row * S + column, mask=column < S, other=0.0).to(tl.float32)
        if CAP:
            z = cap * tanh(z / cap)
        z = tl.where(counts, z, float("-inf"))
        top = tl.max(z, axis=0)
        top = tl.where(length > 0, top, 0.0)  # −inf − −inf is no number
        y = tl.where(counts, tl.exp(z - top), 0.0)
        total = tl.sum(y, axis=0)
        y = y / tl.where(length > 0, total, 1.0)
        tl.store(y_ptr + row * S + column, y, mask=column < S)

    @triton.jit
    def softmax_backward_kernel(dy_ptr, x_ptr, y_ptr, dx_ptr, S, cap, CAP: tl.constexpr,
                                BLOCK: tl.constexpr):  # fmt: skip
        row = tl.program_id(0).to(tl.int64)
        column = tl.arange(0, BLOCK)
        inside = column < S
        y = tl.load(y_ptr + row * S + column, mask=inside, other=0.0).to(tl.float32)
        dy = tl.load(dy_ptr + row * S + column, mask=inside, other=0.0).to(tl.float32)
        dx = y * (dy - tl.sum(dy * y, axis=0))
        if CAP:
            x = tl.load(x_ptr + row * S + column, mask=inside, other=0.0).to(tl.float32)
            t = tanh(x / cap)
            dx *= 1.0 - t * t
        tl.store(dx_ptr + row * S + column, dx, mask=inside)


def builds() -> list[Build]:
    """Rows of 8,192 with a cap."""
    forward = dict(x_ptr="*bf16", length_ptr="*i32", y_ptr="*bf16", S="i32", cap="fp32")
    backward = dict(dy_ptr="*bf16", x_ptr="*bf16", y_ptr="*bf16", dx_ptr="*bf16", S="i32",
                    cap="fp32")  # fmt: skip
    constants, warps = {"CAP": True, "BLOCK": 8192}, warps_for(8192)
    return [
        Build("softmax", softmax_kernel, forward, constants, warps, aligned=("S",)),
        Build("softmax backward", softmax_backward_kernel, backward, constants, warps,
              aligned=("S",)),
    ]  # fmt: skip
