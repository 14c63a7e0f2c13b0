"""RMSNorm (arXiv 1910.07467), forward and backward: one program a row, one pass over it.

    y = x · r · (offset + weight),   r = 1 / sqrt(mean(x²) + eps)

Read a row once, write it once: 2 · D numbers a row. The operations of plain torch go over it six
times, most of them in float32, and move ten times as many bytes in bf16. The gradients, with
g = dy · (offset + weight), are

    dx = r · (g − x · r² · mean(g · x)),   dweight = Σ over rows of dy · x · r

offset is 1 for Gemma, whose weight is a distance from one, and 0 for LLaMA. With a residual the
sum x + residual is made in the same pass and comes back beside y. Shapes: x (…, D), weight (D,).
"""

import torch
from torch.autograd.function import once_differentiable

from minimodels import kernels
from minimodels.kernels.checks import (
    LONGEST_ROW,
    one_dtype,
    rows_of_numbers,
    same_place,
    same_size,
    warps_for,
)
from minimodels.kernels.compile import Build

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton on this system: the reference serves
    triton = None


def rms_norm_reference(x, weight, eps: float, offset: float = 1.0, residual=None):
    """In float32, rounded once to the dtype of x; with a residual: (y, x + residual)."""
    if residual is not None:
        x = x + residual
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    y = (wide * (offset + weight.float())).to(x.dtype)
    return y if residual is None else (y, x)


def rms_norm(x, weight, eps: float, offset: float = 1.0, residual=None):
    """The same by the kernels, where this machine has a way to run them. Differentiable.

    Raises UserError for tensors on other devices, of other dtypes or sizes that do not fit.
    """
    same_place("rms_norm", x=x, weight=weight, residual=residual)
    rows_of_numbers("rms_norm", x=x)
    one_dtype("rms_norm", x=x, residual=residual)
    same_size("rms_norm", x.shape[-1:], weight=weight)
    same_size("rms_norm", x.shape, residual=residual)
    if not kernels.on(x) or x.numel() == 0 or x.shape[-1] > LONGEST_ROW:
        return rms_norm_reference(x, weight, eps, offset, residual)
    if residual is None:
        return _RMSNorm.apply(x, weight, eps, offset)
    return _AddRMSNorm.apply(x, residual, weight, eps, offset)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps: float, offset: float):
        y, r, _ = _forward(x, None, weight, eps, offset)
        ctx.save_for_backward(x, weight, r)
        ctx.offset = offset
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        dx, dweight = _backward(dy, *ctx.saved_tensors, ctx.offset, None)
        return dx, dweight, None, None


class _AddRMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, residual, weight, eps: float, offset: float):
        y, r, total = _forward(x, residual, weight, eps, offset)
        ctx.save_for_backward(total, weight, r)
        ctx.offset = offset
        return y, total

    @staticmethod
    @once_differentiable
    def backward(ctx, dy, dtotal):
        dx, dweight = _backward(dy, *ctx.saved_tensors, ctx.offset, dtotal)
        return dx, dx, dweight, None, None


def _forward(x, residual, weight, eps: float, offset: float):
    """y, the r of each row, and the sum with the residual (x itself without one)."""
    x, weight, D = x.contiguous(), weight.contiguous(), x.shape[-1]
    rows = x.numel() // D
    y, total = torch.empty_like(x), x if residual is None else torch.empty_like(x)
    r = torch.empty(rows, device=x.device, dtype=torch.float32)
    block = triton.next_power_of_2(D)
    with torch.cuda.device_of(x):  # does nothing on a CPU
        rms_norm_kernel[(rows,)](
            x, x if residual is None else residual.contiguous(), weight, y, total, r, D, eps,
            offset, ADD=residual is not None, BLOCK=block, num_warps=warps_for(block),
        )  # fmt: skip
    return y, r, total


def _backward(dy, x, weight, r, offset: float, dtotal):
    """dx (…, D) and dweight (D,): each program sums dweight over its share of the rows."""
    x, dy, weight, D = x.contiguous(), dy.contiguous(), weight.contiguous(), x.shape[-1]
    rows = x.numel() // D
    block = triton.next_power_of_2(D)
    programs = min(rows, programs_for(x.device, warps_for(block)))
    dx = torch.empty_like(x)
    parts = torch.empty(programs, D, device=x.device, dtype=torch.float32)
    with torch.cuda.device_of(x):
        rms_norm_backward_kernel[(programs,)](
            dy, x, weight, r, dy if dtotal is None else dtotal.contiguous(), dx, parts, rows, D,
            offset, ADD=dtotal is not None, BLOCK=block, num_warps=warps_for(block),
        )  # fmt: skip
    return dx, parts.sum(0).to(weight.dtype)


def programs_for(device, warps: int) -> int:
    """How many programs share the rows: as many as run at once.

    With 64 registers a thread a processor holds 32 warps: two programs for rows of 4,096, 32 of one
    warp for the short rows of a norm on heads.
    """
    if device.type != "cuda":
        return 4
    return 32 // warps * torch.cuda.get_device_properties(device).multi_processor_count


if triton is not None:

    @triton.jit
    def rms_norm_kernel(x_ptr, residual_ptr, weight_ptr, y_ptr, total_ptr, r_ptr, D, eps, offset,
                        ADD: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
        row = tl.program_id(0).to(tl.int64)  # rows · D may pass 2³¹
        column = tl.arange(0, BLOCK)
        inside = column < D  # BLOCK is the next power of two: its rest is masked
        x = tl.load(x_ptr + row * D + column, mask=inside, other=0.0).to(tl.float32)
        if ADD:
            x += tl.load(residual_ptr + row * D + column, mask=inside, other=0.0).to(tl.float32)
            total = x.to(total_ptr.dtype.element_ty)
            tl.store(total_ptr + row * D + column, total, mask=inside)
            x = total.to(tl.float32)  # what is normed is what is kept: rounded
        weight = tl.load(weight_ptr + column, mask=inside, other=0.0).to(tl.float32)
        r = tl.rsqrt(tl.sum(x * x, axis=0) / D + eps)
        tl.store(r_ptr + row, r)
        tl.store(y_ptr + row * D + column, x * r * (offset + weight), mask=inside)

    @triton.jit
    def rms_norm_backward_kernel(dy_ptr, x_ptr, weight_ptr, r_ptr, dtotal_ptr, dx_ptr, parts_ptr,
                                 rows, D, offset, ADD: tl.constexpr,
                                 BLOCK: tl.constexpr):  # fmt: skip
        program = tl.program_id(0)
        column = tl.arange(0, BLOCK)
        inside = column < D
        weight = tl.load(weight_ptr + column, mask=inside, other=0.0).to(tl.float32)
        dweight = tl.zeros((BLOCK,), tl.float32)
        for step in range(0, tl.cdiv(rows - program, tl.num_programs(0))):
            row = program.to(tl.int64) + step * tl.num_programs(0)
            start = row * D
            x = tl.load(x_ptr + start + column, mask=inside, other=0.0).to(tl.float32)
            dy = tl.load(dy_ptr + start + column, mask=inside, other=0.0).to(tl.float32)
            r = tl.load(r_ptr + row)
            g = dy * (offset + weight)
            dx = r * (g - x * r * r * tl.sum(g * x, axis=0) / D)
            if ADD:
                dx += tl.load(dtotal_ptr + start + column, mask=inside, other=0.0).to(tl.float32)
            tl.store(dx_ptr + start + column, dx, mask=inside)
            dweight += dy * x * r
        tl.store(parts_ptr + program * D + column, dweight, mask=inside)


def builds() -> list[Build]:
    """At Gemma 7B's width."""
    forward = dict(x_ptr="*bf16", residual_ptr="*bf16", weight_ptr="*bf16", y_ptr="*bf16",
                   total_ptr="*bf16", r_ptr="*fp32", D="i32", eps="fp32",
                   offset="fp32")  # fmt: skip
    backward = dict(dy_ptr="*bf16", x_ptr="*bf16", weight_ptr="*bf16", r_ptr="*fp32",
                    dtotal_ptr="*bf16", dx_ptr="*bf16", parts_ptr="*fp32", rows="i32", D="i32",
                    offset="fp32")  # fmt: skip
    constants, warps = {"ADD": True, "BLOCK": 4096}, warps_for(4096)
    return [
        Build("rms_norm", rms_norm_kernel, forward, constants, warps, aligned=("D",)),
        Build("rms_norm backward", rms_norm_backward_kernel, backward, constants, warps,
              aligned=("D",)),
    ]  # fmt: skip
