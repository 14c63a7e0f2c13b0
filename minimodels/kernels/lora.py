"""A matrix with a LoRA beside it, in one pass over x (LoRA: arXiv 2106.09685; PLoRA, S-LoRA).

    y = x Wᵀ + s · (x Aᵀ) Bᵀ

Three products in plain torch read x twice and write y twice. Here a program walks along K once for
its tile of y, keeps x Wᵀ and the thin x Aᵀ beside each other, and ends with one small product by B.
Gradients, by plain products, with u = dy B (M, r):

    dx = dy W + s · u A,   dA = s · uᵀ x,   dB = s · dyᵀ (x Aᵀ),   dW = dyᵀ x where asked for

Shapes: x (M, K), W (N, K), A (r, K), B (N, r); in registers r is padded to a power of two, at
least 16. Ranks above 128, or 32 in float32, are left to plain torch.
"""

import torch

from minimodels import kernels
from minimodels.kernels.checks import autocast, one_dtype, rows_of_numbers, same_place, same_size
from minimodels.kernels.compile import CHECKED, Build, target_of

try:
    import triton
    import triton.language as tl

    from minimodels.kernels.pieces import product, tile_place
except ImportError:  # no Triton on this system: the reference serves
    triton = None

EXACT = {"BLOCK_M": 32, "BLOCK_N": 32, "BLOCK_K": 16, "num_warps": 4, "num_stages": 2}
SMALL = {"BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 32, "num_warps": 4, "num_stages": 3}
WIDE_TILE = {"BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 64, "num_warps": 8}


def tile_for(rows: int, rank: int, dtype, target: str) -> dict:
    """Wide tiles for many rows: each number that is read is used 128 times.

    Three stages take 102 KiB of shared memory at rank 16, more than small GPUs and AMD's have.
    """
    if dtype == torch.float32 and target != "interpreter":  # no tensor cores: it takes registers
        return EXACT
    if rows < 128 or rank > 32 or target == "interpreter":  # x Aᵀ is kept beside the tile
        return SMALL
    return WIDE_TILE | {"num_stages": 3 if target in ("sm_80", "sm_90") else 2}


def lora_reference(x, weight, A, B, scale: float):
    return x @ weight.T + scale * (x @ A.T) @ B.T


def lora(x, weight, A, B, scale: float = 1.0):
    """x (…, K) -> (…, N). Differentiable in all four. UserError for shapes that do not fit."""
    same_place("lora", x=x, weight=weight, A=A, B=B)
    x, weight, A, B = autocast(x, weight, A, B)
    one_dtype("lora", x=x, weight=weight, A=A, B=B)
    rows_of_numbers("lora", x=x, weight=weight, A=A, B=B)
    N, K, r = weight.shape[0], x.shape[-1], A.shape[0]
    same_size("lora", (N, K), weight=weight)
    same_size("lora", (r, K), A=A)
    same_size("lora", (N, r), B=B)
    widest = 32 if x.dtype == torch.float32 else 128  # a wide A no longer fits beside the tile
    if not kernels.on(x) or x.numel() == 0 or r > widest:
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
        tile = tile_for(M, r, x.dtype, target_of(x.device))
        grid = (triton.cdiv(M, tile["BLOCK_M"]) * triton.cdiv(N, tile["BLOCK_N"]),)
        with torch.cuda.device_of(x):  # does nothing on a CPU
            lora_kernel[grid](
                x, weight, A, B, y, M, N, K, r, scale, WIDE=kernels.INTERPRETED,
                BLOCK_R=max(16, triton.next_power_of_2(r)), **tile,
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
        down, right = tile_place(tl.program_id(0), tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N), 8)
        m = (down * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
        n = (right * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)
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
            y += product(x, tl.trans(w), WIDE)
            thin += product(x, tl.trans(a), WIDE)
        b = tl.load(b_ptr + n[:, None] * r + rank[None, :],
                    mask=(n < N)[:, None] & (rank < r)[None, :], other=0.0)  # fmt: skip
        y += scale * product(thin.to(b.dtype), tl.trans(b), WIDE)
        inside = (m < M)[:, None] & (n < N)[None, :]
        tl.store(y_ptr + m[:, None] * N + n[None, :], y, mask=inside)


def builds() -> list[Build]:
    """Rank 16 in bf16, for few rows and for many."""
    signature = dict.fromkeys("x_ptr w_ptr a_ptr b_ptr y_ptr".split(), "*bf16")
    signature |= dict(M="i32", N="i32", K="i32", r="i32", scale="fp32")
    found = []
    for name, rows, targets in (("lora", 1, CHECKED), ("lora, wide", 128, ("sm_80", "sm_90")),
                                ("lora, wide", 128, ("gfx942",))):  # fmt: skip
        told = tile_for(rows, 16, torch.bfloat16, targets[-1]) | {"WIDE": False, "BLOCK_R": 16}
        found.append(Build.launched(name, lora_kernel, signature, told,
                                    aligned=("N", "K", "r"), targets=targets))  # fmt: skip
    return found
