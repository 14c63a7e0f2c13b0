"""One launch for all experts: rows sorted by expert, each group times the matrix of its own.

    y[i] = x[i] W[e]ᵀ   for the rows i of expert e

Experts get unequally many tokens, so a tile must find out whose rows it holds: tile t of M rows
belongs to the expert whose running count of tiles passes t. An expert's last tile may be part
empty, and no tile holds rows of two experts. Gradients: dx is the same product with W transposed,
dW[e] = dyᵀ x over the rows of e (MegaBlocks, arXiv 2211.15841, section 5). Shapes: x (S, K) sorted,
weight (E, N, K), counts (E,) int64 with sum S.
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

TILE = {"BLOCK_M": 32, "BLOCK_N": 64, "BLOCK_K": 32}  # few rows an expert when decoding


def grouped_matmul_reference(x, weight, counts):
    """One product an expert."""
    parts = x.split(counts.tolist())
    return torch.cat([part @ matrix.T for part, matrix in zip(parts, weight, strict=True)])


def grouped_matmul(x, weight, counts):
    """x (S, K), weight (E, N, K), counts (E,) -> (S, N). Differentiable in x and weight.

    Raises UserError for shapes that do not fit, or counts that do not sum to S.
    """
    same_place("grouped_matmul", x=x, weight=weight)
    same_size("grouped_matmul", (*weight.shape[:2], x.shape[1]), weight=weight)
    same_size("grouped_matmul", weight.shape[:1], counts=counts)
    if not x.is_cuda and counts.sum() != len(x):  # on a GPU the question would wait for it
        raise UserError(
            f"grouped_matmul: counts sum to {counts.sum()}, but x has {len(x)} rows: sort x first."
        )
    if not kernels.on(x) or x.numel() == 0:
        return grouped_matmul_reference(x, weight, counts)
    return _GroupedMatmul.apply(x, weight, counts)


class _GroupedMatmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, counts):
        ctx.save_for_backward(x, weight, counts)
        return _product(x.contiguous(), weight.contiguous(), counts)

    @staticmethod
    def backward(ctx, dy):
        x, weight, counts = ctx.saved_tensors
        dy, dx, dweight = dy.contiguous(), None, None
        if ctx.needs_input_grad[0]:
            dx = _product(dy, weight.transpose(1, 2).contiguous(), counts)
        if ctx.needs_input_grad[1]:
            dweight = _outer(dy, x.contiguous(), counts, weight)
        return dx, dweight, None


def _product(x, weight, counts):
    (S, K), (E, N, _) = x.shape, weight.shape
    y = torch.empty(S, N, device=x.device, dtype=x.dtype)
    tiles = (counts + TILE["BLOCK_M"] - 1) // TILE["BLOCK_M"]
    most = triton.cdiv(S, TILE["BLOCK_M"]) + E  # each expert wastes less than one tile
    with torch.cuda.device_of(x):  # does nothing on a CPU
        grouped_matmul_kernel[(most, triton.cdiv(N, TILE["BLOCK_N"]))](
            x, weight, y, counts.cumsum(0), tiles.cumsum(0), E, N, K,
            WIDE=kernels.INTERPRETED, **TILE, num_warps=4, num_stages=3,
        )  # fmt: skip
    return y


def _outer(dy, x, counts, weight):
    E, N, K = weight.shape
    dweight = torch.empty_like(weight, memory_format=torch.contiguous_format)
    blocks = {"BLOCK_N": 32, "BLOCK_K": 32, "BLOCK_M": 32}
    with torch.cuda.device_of(x):
        grouped_outer_kernel[(E, triton.cdiv(N, 32), triton.cdiv(K, 32))](
            dy, x, dweight, counts.cumsum(0), counts, N, K, WIDE=kernels.INTERPRETED,
            **blocks, num_warps=4, num_stages=3,
        )  # fmt: skip
    return dweight


if triton is not None:

    @triton.jit
    def grouped_matmul_kernel(x_ptr, w_ptr, y_ptr, rows_ptr, tiles_ptr, E, N, K,
                              WIDE: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
                              BLOCK_K: tl.constexpr):  # fmt: skip
        tile = tl.program_id(0)
        expert, tiles_before, first = 0, 0, 0
        for e in range(0, E):  # whose tile is this? E steps, from the cache after the first program
            end = tl.load(tiles_ptr + e).to(tl.int32)
            passed = tile >= end
            expert = tl.where(passed, e + 1, expert)
            tiles_before = tl.where(passed, end, tiles_before)
            first = tl.where(passed, tl.load(rows_ptr + e).to(tl.int32), first)
        if expert < E:
            last = tl.load(rows_ptr + expert).to(tl.int32)
            m = (first + (tile - tiles_before) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
            n = (tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)
            k = tl.arange(0, BLOCK_K)
            home = w_ptr + expert.to(tl.int64) * N * K
            y = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
            for start in range(0, K, BLOCK_K):
                left = (start + k < K)[None, :]
                x = tl.load(x_ptr + m[:, None] * K + start + k[None, :],
                            mask=(m < last)[:, None] & left, other=0.0)  # fmt: skip
                w = tl.load(home + n[:, None] * K + start + k[None, :],
                            mask=(n < N)[:, None] & left, other=0.0)  # fmt: skip
                if WIDE:  # the interpreter's product of bf16 is wrong
                    x, w = x.to(tl.float32), w.to(tl.float32)
                y += tl.dot(x, tl.trans(w), input_precision="ieee")
            inside = (m < last)[:, None] & (n < N)[None, :]
            tl.store(y_ptr + m[:, None] * N + n[None, :], y, mask=inside)

    @triton.jit
    def grouped_outer_kernel(dy_ptr, x_ptr, dw_ptr, rows_ptr, counts_ptr, N, K,
                             WIDE: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
                             BLOCK_K: tl.constexpr):  # fmt: skip
        expert = tl.program_id(0).to(tl.int64)
        last = tl.load(rows_ptr + expert)
        first = last - tl.load(counts_ptr + expert)
        n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
        k = tl.program_id(2) * BLOCK_K + tl.arange(0, BLOCK_K)
        sums = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
        for start in range(0, tl.cdiv(last - first, BLOCK_M)):
            m = first + start * BLOCK_M + tl.arange(0, BLOCK_M)
            dy = tl.load(dy_ptr + m[:, None] * N + n[None, :],
                         mask=(m < last)[:, None] & (n < N)[None, :], other=0.0)  # fmt: skip
            x = tl.load(x_ptr + m[:, None] * K + k[None, :],
                        mask=(m < last)[:, None] & (k < K)[None, :], other=0.0)  # fmt: skip
            if WIDE:
                dy, x = dy.to(tl.float32), x.to(tl.float32)
            sums += tl.dot(tl.trans(dy), x, input_precision="ieee")
        inside = (n < N)[:, None] & (k < K)[None, :]
        home = dw_ptr + expert * N * K
        tl.store(home + n[:, None].to(tl.int64) * K + k[None, :], sums, mask=inside)


def builds() -> list[Build]:
    """bf16, as Mixtral's experts."""
    forward = dict(x_ptr="*bf16", w_ptr="*bf16", y_ptr="*bf16", rows_ptr="*i64", tiles_ptr="*i64",
                   E="i32", N="i32", K="i32")  # fmt: skip
    outer = dict(dy_ptr="*bf16", x_ptr="*bf16", dw_ptr="*bf16", rows_ptr="*i64", counts_ptr="*i64",
                 N="i32", K="i32")  # fmt: skip
    small = {"WIDE": False, "BLOCK_M": 32, "BLOCK_N": 32, "BLOCK_K": 32}
    return [
        Build("grouped_matmul", grouped_matmul_kernel, forward, {"WIDE": False, **TILE},
              num_stages=3),
        Build("grouped_matmul dweight", grouped_outer_kernel, outer, small, num_stages=3),
    ]  # fmt: skip
