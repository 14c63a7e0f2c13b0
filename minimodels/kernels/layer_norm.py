"""LayerNorm with the weight stored as an offset from one (Nemotron-4, arXiv 2402.16819).

    y = n · (1 + weight) + bias,   n = (x − mean) · r,   r = 1 / sqrt(variance + eps)

One program a row, one pass over it, as in rms_norm.py. With g = dy · (1 + weight) the gradients are

    dx = r · (g − mean(g) − n · mean(g · n)),   dweight = Σ dy · n,   dbias = Σ dy

over all rows. With a residual the sum x + residual is made in the same pass and comes back beside
y. Shapes: x (…, D), weight and bias (D,).
"""

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

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
from minimodels.kernels.rms_norm import programs_for

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton on this system: the reference serves
    triton = None


def layer_norm_reference(x, weight, bias, eps: float, residual=None):
    """In the dtype of x; with a residual: (y, x + residual)."""
    if residual is not None:
        x = x + residual
    y = F.layer_norm(x, weight.shape, 1.0 + weight, bias, eps)
    return y if residual is None else (y, x)


def layer_norm(x, weight, bias, eps: float, residual=None):
    """The same by the kernels, where this machine has a way to run them. Differentiable.

    Raises UserError for tensors on other devices, of other dtypes or sizes that do not fit.
    """
    same_place("layer_norm", x=x, weight=weight, bias=bias, residual=residual)
    rows_of_numbers("layer_norm", x=x)
    one_dtype("layer_norm", x=x, residual=residual)
    one_dtype("layer_norm", weight=weight, bias=bias)
    same_size("layer_norm", x.shape[-1:], weight=weight, bias=bias)
    same_size("layer_norm", x.shape, residual=residual)
    if not kernels.on(x) or x.numel() == 0 or x.shape[-1] > LONGEST_ROW:
        return layer_norm_reference(x, weight, bias, eps, residual)
    y, total = _LayerNorm.apply(x, residual, weight, bias, eps)
    return y if residual is None else (y, total)


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, residual, weight, bias, eps: float):
        x, weight, bias, D = x.contiguous(), weight.contiguous(), bias.contiguous(), x.shape[-1]
        rows = x.numel() // D
        y, total = torch.empty_like(x), x if residual is None else torch.empty_like(x)
        mean, r = torch.empty(2, rows, device=x.device, dtype=torch.float32)
        block = triton.next_power_of_2(D)
        with torch.cuda.device_of(x):  # does nothing on a CPU
            layer_norm_kernel[(rows,)](
                x, x if residual is None else residual.contiguous(), weight, bias, y, total, mean,
                r, D, eps, ADD=residual is not None, BLOCK=block, num_warps=warps_for(block),
            )  # fmt: skip
        ctx.save_for_backward(total, weight, mean, r)
        ctx.added = residual is not None
        if residual is None:
            ctx.mark_non_differentiable(total)
        return y, total

    @staticmethod
    @once_differentiable
    def backward(ctx, dy, dtotal):
        x, weight, mean, r = ctx.saved_tensors
        dy, D = dy.contiguous(), x.shape[-1]
        rows = x.numel() // D
        block = triton.next_power_of_2(D)
        programs = min(rows, programs_for(x.device, warps_for(block)))
        dx = torch.empty_like(x)
        parts = torch.empty(2, programs, D, device=x.device, dtype=torch.float32)
        with torch.cuda.device_of(x):
            layer_norm_backward_kernel[(programs,)](
                dy, x, weight, mean, r, dtotal.contiguous() if ctx.added else dy, dx, parts[0],
                parts[1], rows, D, ADD=ctx.added, STAGES=stages_for(block * dy.element_size()),
                BLOCK=block, num_warps=warps_for(block),
            )  # fmt: skip
        dweight, dbias = parts.sum(1).to(weight.dtype)
        return dx, dx if ctx.added else None, dweight, dbias, None


def stages_for(row: int) -> int:
    """2 where the next row of x, dy and dtotal fits into shared memory beside this one, else 1.

    `row` is its bytes in one tensor. One program takes a processor's registers, so that no other
    one works while it waits for memory: it loads the next row while it computes this one.
    """
    return 2 if row <= 16_384 else 1


if triton is not None:

    @triton.jit
    def layer_norm_kernel(x_ptr, residual_ptr, weight_ptr, bias_ptr, y_ptr, total_ptr, mean_ptr,
                          r_ptr, D, eps, ADD: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
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
        bias = tl.load(bias_ptr + column, mask=inside, other=0.0).to(tl.float32)
        mean = tl.sum(x, axis=0) / D
        centered = tl.where(inside, x - mean, 0.0)
        r = tl.rsqrt(tl.sum(centered * centered, axis=0) / D + eps)
        tl.store(mean_ptr + row, mean)
        tl.store(r_ptr + row, r)
        y = centered * r * (1.0 + weight) + bias
        tl.store(y_ptr + row * D + column, y, mask=inside)

    @triton.jit
    def layer_norm_backward_kernel(dy_ptr, x_ptr, weight_ptr, mean_ptr, r_ptr, dtotal_ptr, dx_ptr,
                                   dweight_ptr, dbias_ptr, rows, D, ADD: tl.constexpr,
                                   STAGES: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
        program = tl.program_id(0)
        column = tl.arange(0, BLOCK)
        inside = column < D
        weight = tl.load(weight_ptr + column, mask=inside, other=0.0).to(tl.float32)
        dweight = tl.zeros((BLOCK,), tl.float32)
        dbias = tl.zeros((BLOCK,), tl.float32)
        for step in tl.range(0, tl.cdiv(rows - program, tl.num_programs(0)), num_stages=STAGES):
            row = program.to(tl.int64) + step * tl.num_programs(0)
            x = tl.load(x_ptr + row * D + column, mask=inside, other=0.0).to(tl.float32)
            dy = tl.load(dy_ptr + row * D + column, mask=inside, other=0.0).to(tl.float32)
            r = tl.load(r_ptr + row)
            n = tl.where(inside, (x - tl.load(mean_ptr + row)) * r, 0.0)
            g = dy * (1.0 + weight)
            dx = r * (g - tl.sum(g, axis=0) / D - n * tl.sum(g * n, axis=0) / D)
            if ADD:
                dx += tl.load(dtotal_ptr + row * D + column, mask=inside, other=0.0).to(tl.float32)
            tl.store(dx_ptr + row * D + column, dx, mask=inside)
            dweight += dy * n
            dbias += dy
        tl.store(dweight_ptr + program * D + column, dweight, mask=inside)
        tl.store(dbias_ptr + program * D + column, dbias, mask=inside)


def builds() -> list[Build]:
    """At Nemotron-4 15B's width."""
    forward = dict.fromkeys(
        "x_ptr residual_ptr weight_ptr bias_ptr y_ptr total_ptr".split(), "*bf16"
    )
    forward |= dict(mean_ptr="*fp32", r_ptr="*fp32", D="i32", eps="fp32")
    backward = dict(dy_ptr="*bf16", x_ptr="*bf16", weight_ptr="*bf16", mean_ptr="*fp32",
                    r_ptr="*fp32", dtotal_ptr="*bf16", dx_ptr="*bf16", dweight_ptr="*fp32",
                    dbias_ptr="*fp32", rows="i32", D="i32")  # fmt: skip
    D = 8192  # 6,144, padded
    constants, warps = {"ADD": True, "BLOCK": D}, warps_for(D)
    return [
        Build("layer_norm", layer_norm_kernel, forward, constants, warps, aligned=("D",)),
        Build("layer_norm backward", layer_norm_backward_kernel, backward,
              constants | {"STAGES": stages_for(2 * D)}, warps, aligned=("D",)),
    ]  # fmt: skip
