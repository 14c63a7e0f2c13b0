"""How much of the queries and keys a program of FlashAttention takes, by GPU and head size.

Chosen by compiling (python -m minimodels.kernels.compile flash_attention) and reading what came
out: no registers spilled, shared memory within what a program may have. They have not been timed.
"""

import torch

from minimodels.kernels.compile import Build

# BLOCK_M, BLOCK_N, warps and stages for heads of up to 64, 128 and 256 numbers: what fits into a
# program's shared memory (163 KiB on sm_80, 99 on "small", 227 on sm_90, 64 on gfx942) and does
# not spill. With more queries a program, each key is read less often; with more stages, loads begin
# further ahead.
FORWARD = {
    "sm_80": {64: (128, 64, 4, 3), 128: (128, 64, 8, 3), 256: (64, 64, 8, 2)},
    "small": {64: (128, 64, 4, 3), 128: (128, 64, 8, 2), 256: (64, 32, 8, 2)},
    "sm_90": {64: (128, 128, 8, 3), 128: (128, 64, 8, 3), 256: (128, 32, 8, 3)},
    "gfx942": {64: (128, 64, 8, 2), 128: (128, 64, 8, 2), 256: (64, 32, 4, 2)},
    "interpreter": dict.fromkeys((64, 128, 256), (16, 16, 4, 1)),  # small tests meet every border
}
EXACT = {64: (32, 32, 8, 1), 128: (32, 16, 8, 1), 256: (16, 16, 8, 1)}  # float32: no tensor cores

# Backward holds two sums and two products of a block at once, so that its blocks are smaller:
# KEYS for the kernel that owns keys, QUERIES for the one that owns queries.
KEYS = {
    "sm_80": {64: (32, 64, 8, 2), 128: (32, 64, 8, 2), 256: (32, 32, 8, 2)},
    "small": {64: (32, 64, 8, 2), 128: (32, 64, 8, 2), 256: (32, 32, 8, 2)},
    "sm_90": {64: (64, 128, 8, 2), 128: (32, 128, 8, 2), 256: (32, 64, 8, 1)},
    "gfx942": {64: (64, 64, 4, 1), 128: (32, 64, 4, 1), 256: (32, 32, 4, 1)},
    "interpreter": dict.fromkeys((64, 128, 256), (16, 16, 4, 1)),
}
QUERIES = {
    "sm_80": {64: (128, 32, 8, 2), 128: (64, 64, 8, 2), 256: (64, 32, 8, 2)},
    "small": {64: (128, 32, 8, 2), 128: (64, 64, 8, 2), 256: (32, 64, 8, 1)},
    "sm_90": {64: (128, 64, 8, 2), 128: (128, 64, 8, 2), 256: (64, 64, 8, 1)},
    "gfx942": {64: (64, 64, 4, 2), 128: (64, 32, 4, 2), 256: (32, 32, 4, 1)},
    "interpreter": dict.fromkeys((64, 128, 256), (16, 16, 4, 1)),
}
EXACT_BACKWARD = {64: (32, 32, 8, 1), 128: (16, 32, 8, 1), 256: (16, 16, 4, 1)}  # float32


def block_d(d: int) -> int:
    return max(16, 1 << (d - 1).bit_length())  # 80, 96 and 192 are padded; tl.dot needs 16


def tile_for(BLOCK_D: int, dtype, target: str, tiles, exact=EXACT) -> dict:
    """The constants of a launch that have no part in the result."""
    table = exact if dtype == torch.float32 and target != "interpreter" else tiles[target]
    M, N, warps, stages = table[max(BLOCK_D, 64)]
    return dict(BLOCK_M=M, BLOCK_N=N, num_warps=warps, num_stages=stages)


def builds_for(name: str, kernel, signature: dict, strided: str, d: int, tiles,
               **switches) -> list[Build]:  # fmt: skip
    """One build a target: tiles differ. strided: the names of the tensors with strides."""
    strides = {f"{tensor}_strides": ("i32",) * 3 for tensor in strided.split()}
    pointers = {f"{tensor}_ptr": "*bf16" for tensor in strided.split()}
    numbers = dict.fromkeys(("H", "GROUP", "T", "S", "window"), "i32")
    signature = dict(segments_ptr="*i32", lse_ptr="*fp32", bend="fp32", factor="fp32") | signature
    off = dict.fromkeys(("WINDOWED", "CAPPED", "SEGMENTED"), False)
    found = []
    for target in ("sm_80", "sm_90", "gfx942"):
        told = tile_for(block_d(d), torch.bfloat16, target, tiles)
        told |= dict(D=d, CAUSAL=True, BLOCK_D=block_d(d), WIDE=False) | off | switches
        found.append(Build.launched(
            f"{name} {d}", kernel, pointers | strides | numbers | signature, told,
            aligned=tuple(strides), targets=(target,),
        ))  # fmt: skip
    return found
