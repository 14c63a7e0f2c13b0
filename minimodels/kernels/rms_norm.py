"""RMSNorm with unit offset (arXiv 1910.07467; Gemma's form): one program a row, one pass over it.

Read a row once, write it once: 2 · D numbers a row, where plain torch reads and writes it for each
of its five operations. Shapes: x (…, D), weight (D,).
"""

import torch

from minimodels.device import triton_mode

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton on this system: the reference serves
    triton = None


def rms_norm_reference(x, weight, eps: float):
    """x / sqrt(mean(x²) + eps) · (1 + weight) in float32, rounded to the dtype of x."""
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return (wide * (1.0 + weight.float())).to(x.dtype)


def rms_norm(x, weight, eps: float):
    """The same by the kernel, where this machine has a way to run it."""
    if triton_mode() == "reference":
        return rms_norm_reference(x, weight, eps)
    x = x.contiguous()
    out, columns = torch.empty_like(x), x.shape[-1]
    block = triton.next_power_of_2(columns)
    warps = min(max(block // 512, 1), 16)  # 16 numbers a thread, as far as 16 warps reach
    with torch.cuda.device_of(x):  # does nothing on a CPU
        rms_norm_kernel[(x.numel() // columns,)](
            x, weight, out, columns, eps, BLOCK=block, num_warps=warps
        )
    return out


if triton is not None:

    @triton.jit
    def rms_norm_kernel(x_ptr, weight_ptr, out_ptr, columns, eps, BLOCK: tl.constexpr):
        start = tl.program_id(0).to(tl.int64) * columns  # rows · D may pass 2³¹
        column = tl.arange(0, BLOCK)
        inside = column < columns  # BLOCK is the next power of two: its rest is masked
        x = tl.load(x_ptr + start + column, mask=inside, other=0.0).to(tl.float32)
        weight = tl.load(weight_ptr + column, mask=inside, other=0.0).to(tl.float32)
        scale = tl.rsqrt(tl.sum(x * x, axis=0) / columns + eps)
        tl.store(out_ptr + start + column, x * scale * (1.0 + weight), mask=inside)
