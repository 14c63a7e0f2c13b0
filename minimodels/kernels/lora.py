"""A matrix with a LoRA beside it, in one pass over x (LoRA: arXiv 2106.09685; PLoRA, S-LoRA).

    y = x Wᵀ + s · (x Aᵀ) Bᵀ

Three products in plain torch read x twice and write y twice. Here a program walks along K once for
its tile of y, keeps x Wᵀ and the thin x Aᵀ beside each other, and ends with one small product by B.
Gradients, by plain products, with u = dy B (M, r):

    dx = dy W + s · u A,   dA = s · uᵀ x,   dB = s · dyᵀ (x Aᵀ),   dW = dyᵀ x where asked for

Shapes: x (M, K), W (N, K), A (r, K), B (N, r); r is padded to 16 in registers.
"""

import torch

from minimodels import kernels
from minimodels.kernels.checks import same_place, same_size
from minimodels.kernels.compile import Build

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton on this system: the reference serves
    triton = None

TILE = {"BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 32}


def lora_reference(x, weight, A, B, scale: float):
    return x @ weight.T + scale * (x @ A.T) @ B.T


def lora(x, weight, A, B, scale: float = 1.0):
    """x (…, K) -> (…, N). Differentiable in all four. UserError for shapes that do not fit."""
    same_place("lora", x=x, weight=weight, A=A, B=B)
    N, K, r = weight.shape[0], x.shape[-1], A.shape[0]
    same_size("lora", (N, K), weight=weight)
    same_size("lora", (r, K), A=A)
    same_size("lora", (N, r), B=B)
    if not kernels.on(x) or x.numel() == 0 or r > 128:  # a wide A no longer fits beside the tile
        return lora_reference(x, weight, A, B, scale)
    return _Lora.apply(x.reshape(-1, K), weight, A, B, scale).view(*x.shape[:-1], N)


class _Lora(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, A, B, scale: float):
        x, weight, A, B = (t.contiguous() for t in (x, weight, A, B))
        ctx.save_for_backward(x, weight, A, B)
        ctx.scale = scale
        (M, K), (N, r) = x.shape, B.shape
        y = torch.empty(M, N, device=x.device, dtype=x.dtype)
        grid = triton.cdiv(M, TILE["BLOCK_M"]), triton.cdiv(N, TILE["BLOCK_N"])
        with torch.cuda.device_of(x):  # does nothing on a CPU
            lora_kernel[grid](
                x, weight, A, B, y, M, N, K, r, scale, WIDE=kernels.INTERPRETED,
                BLOCK_R=max(16, triton.next_power_of_2(r)), **TILE, num_warps=4, num_stages=3,
            )  # fmt: skip
        return y

    @staticmethod
    def backward(ctx, dy):
        x, weight, A, B = ctx.saved_tensors
        wants_x, wants_weight, wants_A, wants_B, _ = ctx.needs_input_grad
        u, s = dy @ B, ctx.scale  # (M, r)
        return (
            dy @ weight + s * (u @ A) if wants_x else None,
            dy.T @ x if wants_weight else None,
            s * (u.T @ x) if wants_A else None,
            s * (dy.T @ (x @ A.T)) if wants_B else None,
            None,
        )


if triton is not None:

    @triton.jit
    def lora_kernel(x_ptr, w_ptr, a_ptr, b_ptr, y_ptr, M, N, K, r, scale, WIDE: tl.constexpr,
                    BLOCK_R: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
                    BLOCK_K: tl.constexpr):  # fmt: skip
        m = (tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
        n = (tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)
        rank, k = tl.arange(0, BLOCK_R), tl.arange(0, BLOCK_K)
        y = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        thin = tl.zeros((BLOCK_M, BLOCK_R), tl.float32)
        for start in range(0, K, BLOCK_K):
            left = (start + k < K)[None, :]
            x = tl.load(x_ptr + m[:, None] * K + start + k[None, :],
                        mask=(m < M)[:, None] & left, other=0.0)  # fmt: skip
            w = tl.load(w_ptr + n[:, None] * K + start + k[None, :],
                        mask=(n < N)[:, None] & left, other=0.0)  # fmt: skip
            a = tl.load(a_ptr + rank[:, None] * K + start + k[None, :],
                        mask=(rank < r)[:, None] & left, other=0.0)  # fmt: skip
            if WIDE:  # the interpreter's product of bf16 is wrong
                x, w, a = x.to(tl.float32), w.to(tl.float32), a.to(tl.float32)
            y += tl.dot(x, tl.trans(w), input_precision="ieee")
            thin += tl.dot(x, tl.trans(a), input_precision="ieee")
        b = tl.load(b_ptr + n[:, None] * r + rank[None, :],
                    mask=(n < N)[:, None] & (rank < r)[None, :], other=0.0)  # fmt: skip
        if WIDE:
            b = b.to(tl.float32)
        y += scale * tl.dot(thin.to(b.dtype), tl.trans(b), input_precision="ieee")
        inside = (m < M)[:, None] & (n < N)[None, :]
        tl.store(y_ptr + m[:, None] * N + n[None, :], y, mask=inside)


def builds() -> list[Build]:
    """Rank 16 in bf16."""
    signature = dict.fromkeys("x_ptr w_ptr a_ptr b_ptr y_ptr".split(), "*bf16")
    signature |= dict(M="i32", N="i32", K="i32", r="i32", scale="fp32")
    constants = {"WIDE": False, "BLOCK_R": 16, **TILE}
    return [Build("lora", lora_kernel, signature, constants, num_stages=3)]
