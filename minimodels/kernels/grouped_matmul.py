"""One launch for all experts: rows sorted by expert, each group times the matrix of its own.

    y[i] = x[i] W[e]ᵀ   for the rows i of expert e

Experts get unequally many tokens, so a tile must find out whose rows it holds: tile t of M rows
belongs to the expert whose running count of tiles passes t. An expert's last tile may be part
empty, and no tile holds rows of two experts. Gradients: dx is the same product with W transposed,
dW[e] = dyᵀ x over the rows of e (MegaBlocks, arXiv 2211.15841, section 5). Shapes: x (S, K) sorted,
weight (E, N, K), counts (E,) int64 with sum S.
"""

import torch
from torch.autograd.function import once_differentiable

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.checks import (
    INTEGERS,
    autocast,
    dimensions,
    one_device,
    one_dtype,
    same_place,
    same_size,
)
from minimodels.kernels.compile import CHECKED, Build, target_of

try:
    import triton
    import triton.language as tl

    from minimodels.kernels.pieces import product, tile_place
except ImportError:  # no Triton on this system: the reference serves
    triton = None

# Few rows an expert, as when decoding, and many, as in training: a wide tile uses each number it
# reads 128 times. The weight's gradient has a tile of N × K, and walks over the rows.
SMALL = {"BLOCK_M": 32, "BLOCK_N": 64, "BLOCK_K": 32, "num_warps": 4, "num_stages": 3}
MANY = {"BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 64, "num_warps": 8}
SMALL_OUTER = {"BLOCK_M": 32, "BLOCK_N": 32, "BLOCK_K": 32, "num_warps": 4, "num_stages": 3}
MANY_OUTER = {"BLOCK_M": 64, "BLOCK_N": 128, "BLOCK_K": 128, "num_warps": 8}


def tile_for(rows: int, dtype, target: str, small=SMALL, many=MANY) -> dict:
    """By the rows of an average expert; three stages are too much for small GPUs and AMD's."""
    if rows < 128 or dtype == torch.float32 or target == "interpreter":
        return small
    return many | {"num_stages": 3 if target in ("sm_80", "sm_90") else 2}


def grouped_matmul_reference(x, weight, counts):
    """One product an expert."""
    parts = zip(x.split(counts.tolist()), weight, strict=True) if len(counts) else ()
    products = [part @ matrix.T for part, matrix in parts]
    return torch.cat([x.new_zeros(0, weight.shape[1]), *products])


def grouped_matmul(x, weight, counts):
    """x (S, K), weight (E, N, K), counts (E,) -> (S, N). Differentiable in x and weight.

    Raises UserError for shapes that do not fit, or counts that do not sum to S.
    """
    same_place("grouped_matmul", x=x, weight=weight)
    x, weight = autocast(x, weight)
    same_place("grouped_matmul", INTEGERS, counts=counts)
    one_device("grouped_matmul", x=x, counts=counts)
    one_dtype("grouped_matmul", x=x, weight=weight)
    dimensions("grouped_matmul", "(S, K)", x=x)
    dimensions("grouped_matmul", "(E, N, K)", weight=weight)
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
    @once_differentiable
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
    tile = tile_for(S // E, x.dtype, target_of(x.device))
    tiles = (counts + tile["BLOCK_M"] - 1) // tile["BLOCK_M"]
    most = triton.cdiv(S, tile["BLOCK_M"]) + E  # each expert wastes less than one tile
    with torch.cuda.device_of(x):  # does nothing on a CPU
        grouped_matmul_kernel[(most * triton.cdiv(N, tile["BLOCK_N"]),)](
            x, weight, y, counts.cumsum(0), tiles.cumsum(0), most, E, N, K,
            WIDE=kernels.INTERPRETED, **tile,
        )  # fmt: skip
    return y


def _outer(dy, x, counts, weight):
    E, N, K = weight.shape
    dweight = torch.empty_like(weight, memory_format=torch.contiguous_format)
    tile = tile_for(len(x) // E, x.dtype, target_of(x.device), SMALL_OUTER, MANY_OUTER)
    grid = triton.cdiv(N, tile["BLOCK_N"]), triton.cdiv(K, tile["BLOCK_K"]), E
    with torch.cuda.device_of(x):
        grouped_outer_kernel[grid](
            dy, x, dweight, counts.cumsum(0), counts.contiguous(), N, K, WIDE=kernels.INTERPRETED,
            **tile,
        )  # fmt: skip
    return dweight


if triton is not None:

    @triton.jit
    def grouped_matmul_kernel(x_ptr, w_ptr, y_ptr, rows_ptr, tiles_ptr, most, E, N, K,
                              WIDE: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
                              BLOCK_K: tl.constexpr):  # fmt: skip
        tile, right = tile_place(tl.program_id(0), most, tl.cdiv(N, BLOCK_N), 8)
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
            n = (right * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)
            k = tl.arange(0, BLOCK_K)
            home = w_ptr + expert.to(tl.int64) * N * K
            y = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
            for start in range(0, K, BLOCK_K):
                left = (start + k < K)[None, :]
                x = tl.load(x_ptr + m[:, None] * K + start + k[None, :],
                            mask=(m < last)[:, None] & left, other=0.0)  # fmt: skip
                w = tl.load(home + n[:, None] * K + start + k[None, :],
                            mask=(n < N)[:, None] & left, other=0.0)  # fmt: skip
                y += product(x, tl.trans(w), WIDE)
            inside = (m < last)[:, None] & (n < N)[None, :]
            tl.store(y_ptr + m[:, None] * N + n[None, :], y, mask=inside)

    @triton.jit
    def grouped_outer_kernel(dy_ptr, x_ptr, dw_ptr, rows_ptr, counts_ptr, N, K,
                             WIDE: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
                             BLOCK_K: tl.constexpr):  # fmt: skip
        expert = tl.program_id(2).to(tl.int64)
        last = tl.load(rows_ptr + expert)
        first = last - tl.load(counts_ptr + expert)
        n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
        k = tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K)
        sums = tl.zeros((BLOCK_N, BLOCK_K), tl.float32)
        for start in range(0, tl.cdiv(last - first, BLOCK_M)):
            m = first + start * BLOCK_M + tl.arange(0, BLOCK_M)
            dy = tl.load(dy_ptr + m[:, None] * N + n[None, :],
                         mask=(m < last)[:, None] & (n < N)[None, :], other=0.0)  # fmt: skip
            x = tl.load(x_ptr + m[:, None] * K + k[None, :],
                        mask=(m < last)[:, None] & (k < K)[None, :], other=0.0)  # fmt: skip
            sums += product(tl.trans(dy), x, WIDE)
        inside = (n < N)[:, None] & (k < K)[None, :]
        home = dw_ptr + expert * N * K
        tl.store(home + n[:, None].to(tl.int64) * K + k[None, :], sums, mask=inside)


def builds() -> list[Build]:
    """bf16, as Mixtral's experts, with few rows and with many."""
    pointers = dict.fromkeys(("x_ptr", "w_ptr", "y_ptr"), "*bf16")
    forward = pointers | dict(rows_ptr="*i64", tiles_ptr="*i64", most="i32", E="i32", N="i32",
                              K="i32")  # fmt: skip
    outer = dict.fromkeys(("dy_ptr", "x_ptr", "dw_ptr"), "*bf16")
    outer |= dict(rows_ptr="*i64", counts_ptr="*i64", N="i32", K="i32")
    found = []
    for rows, targets in ((1, CHECKED), (128, ("sm_80", "sm_90")), (128, ("gfx942",))):
        for name, kernel, signature, tiles in (
            ("grouped_matmul", grouped_matmul_kernel, forward, (SMALL, MANY)),
            ("grouped_matmul dweight", grouped_outer_kernel, outer, (SMALL_OUTER, MANY_OUTER)),
        ):
            told = tile_for(rows, torch.bfloat16, targets[-1], *tiles) | {"WIDE": False}
            found.append(Build.launched(f"{name}{', wide' * (rows > 1)}", kernel, signature, told,
                                        aligned=("N", "K"), targets=targets))  # fmt: skip
    return found
