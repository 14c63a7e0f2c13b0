"""One step of AdamW (arXiv 1711.05101, algorithm 2) in one pass over parameters and states.

    m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²
    p ← p − lr · λ p − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)

Four tensors are read and three written: 28 bytes a parameter in float32. The steps of the reference
read or write a tensor 28 times, 112 bytes. States are float32; parameters may be bf16. Shapes: all
the same.
"""

import torch

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.checks import same_place, same_size
from minimodels.kernels.compile import Build

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton on this system: the reference serves
    triton = None

BLOCK = 1024


def adamw_reference(p, g, m, v, step: int, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1):
    """In place, in float32, rounded once to the dtype of p."""
    b1, b2 = betas
    wide, g = p.float(), g.float()
    m.lerp_(g, 1 - b1)
    v.mul_(b2).addcmul_(g, g, value=1 - b2)
    denominator = (v / (1 - b2**step)).sqrt_().add_(eps)
    wide = wide * (1 - lr * weight_decay) - lr * (m / (1 - b1**step)) / denominator
    p.copy_(wide)


@torch.no_grad()
def adamw(p, g, m, v, step: int, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1) -> None:
    """The same by the kernel, where this machine has a way to run it. Changes p, m and v.

    step counts from 1. Raises UserError for tensors of other shapes or places.
    """
    same_place("adamw", p=p, g=g, m=m, v=v)
    same_place("adamw", (torch.float32,), m=m, v=v)
    same_size("adamw", p.shape, g=g, m=m, v=v)
    if step < 1:
        raise UserError(f"adamw: step = {step}, but the first step is 1: count from there.")
    whole = all(t.is_contiguous() for t in (p, m, v))  # what is written must be the tensor itself
    if not kernels.on(p) or p.numel() == 0 or not whole:
        return adamw_reference(p, g, m, v, step, lr, betas, eps, weight_decay)
    b1, b2 = betas
    with torch.cuda.device_of(p):  # does nothing on a CPU
        adamw_kernel[(triton.cdiv(p.numel(), BLOCK),)](
            p, g.contiguous(), m, v, p.numel(), lr, b1, b2, eps, weight_decay, 1 - b1**step,
            1 - b2**step, BLOCK=BLOCK,
        )  # fmt: skip
    torch.autograd.graph.increment_version(p)  # autograd sees what torch's own steps would tell it


if triton is not None:

    @triton.jit
    def adamw_kernel(p_ptr, g_ptr, m_ptr, v_ptr, count, lr, b1, b2, eps, decay, bias1, bias2,
                     BLOCK: tl.constexpr):  # fmt: skip
        i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        inside = i < count
        p = tl.load(p_ptr + i, mask=inside, other=0.0).to(tl.float32)
        g = tl.load(g_ptr + i, mask=inside, other=0.0).to(tl.float32)
        m = tl.load(m_ptr + i, mask=inside, other=0.0)
        v = tl.load(v_ptr + i, mask=inside, other=0.0)
        m = b1 * m + (1.0 - b1) * g
        v = b2 * v + (1.0 - b2) * g * g
        p = p * (1.0 - lr * decay) - lr * (m / bias1) / (tl.sqrt(v / bias2) + eps)
        tl.store(p_ptr + i, p, mask=inside)
        tl.store(m_ptr + i, m, mask=inside)
        tl.store(v_ptr + i, v, mask=inside)


def builds() -> list[Build]:
    """bf16 parameters and gradients, float32 states."""
    signature = dict(p_ptr="*bf16", g_ptr="*bf16", m_ptr="*fp32", v_ptr="*fp32", count="i32")
    signature |= dict.fromkeys("lr b1 b2 eps decay bias1 bias2".split(), "fp32")
    return [Build("adamw", adamw_kernel, signature, {"BLOCK": BLOCK}, aligned=("count",))]
