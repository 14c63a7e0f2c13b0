"""Floats to e4m3: the codes and their scales in one pass over the tensor.

    scale = max|x| / 448 of a block,   code = the e4m3 number nearest to x / scale

A block is 128 numbers of a row for what changes with every token, and a tile of 128 × 128 for
weights (DeepSeek-V3, arXiv 2412.19437, section 3.3.2). The short block keeps an outlier's harm to
128 numbers. The square one is the same block in W and in Wᵀ, so the codes of a weight serve forward
and, transposed, backward. The scale is found while the numbers are in registers, so a bf16 number
moves 3 bytes, where the steps of quant.encode move 55; codes and scales are encode's, bit for bit.
Shapes: x (…, N, K), codes (…, N, K), scales (…, N, K / 128) or (…, N / 128, K / 128).
"""

import torch

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.checks import NO_FP8, fp8_hardware, rows_of_numbers, same_place
from minimodels.kernels.compile import Build
from minimodels.kernels.quant import FORMATS, TINY, Quantized, encode

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton on this system: the reference serves
    triton = None

BLOCK = 128  # numbers along K that share a scale
E4M3 = FORMATS["fp8_e4m3"]


def fp8_quantize_reference(x, rows: int = 1) -> Quantized:
    return encode(x, "fp8_e4m3", BLOCK, rows)


def fp8_quantize(x, rows: int = 1) -> Quantized:
    """x (…, N, K) in e4m3, blocks of `rows` × 128; rows is 1 or 128.

    Raises UserError for a K that is no multiple of 128, or a GPU without FP8. The kernel does not
    ask whether x is finite, because the answer would wait for the GPU: such a block's scale is NaN.
    """
    same_place("fp8_quantize", x=x)
    rows_of_numbers("fp8_quantize", x=x)
    if x.shape[-1] % BLOCK:
        raise UserError(f"fp8_quantize: x has rows of {x.shape[-1]}, no multiple of {BLOCK}: pad.")
    if rows not in (1, BLOCK) or (rows > 1 and x.dim() != 2):
        raise UserError(f"fp8_quantize: rows is {rows}: use 1, or {BLOCK} for a matrix.")
    if not kernels.on(x) or x.numel() == 0:
        return fp8_quantize_reference(x, rows)
    fp8_hardware("fp8_quantize", x)
    flat, K = x.contiguous().view(-1, x.shape[-1]), x.shape[-1]
    codes = torch.empty(flat.shape, device=x.device, dtype=torch.float8_e4m3fn)
    scales = torch.empty(
        triton.cdiv(len(flat), rows), K // BLOCK, device=x.device, dtype=torch.float32
    )
    tile = max(rows, 16)  # 16 rows of one number each: 2,048 numbers a program
    with torch.cuda.device_of(x):  # does nothing on a CPU
        fp8_quantize_kernel[(triton.cdiv(len(flat), tile), K // BLOCK)](
            flat, codes, scales, len(flat), K, SQUARE=rows > 1, WIDE=kernels.INTERPRETED, TINY=TINY,
            ROWS=tile, BLOCK=BLOCK, num_warps=8 if rows > 1 else 4,
        )  # fmt: skip
    codes = codes.view(torch.uint8).view(x.shape)
    scales = scales if rows > 1 else scales.view(*x.shape[:-1], -1)
    return Quantized(E4M3, codes, scales, rows=rows)


if triton is not None:

    @triton.jit
    def fp8_quantize_kernel(x_ptr, codes_ptr, scales_ptr, N, K, SQUARE: tl.constexpr,
                            WIDE: tl.constexpr, TINY: tl.constexpr,
                            ROWS: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
        tile, block = tl.program_id(0), tl.program_id(1)
        n = tile * ROWS + tl.arange(0, ROWS)
        at = n.to(tl.int64)[:, None] * K + block * BLOCK + tl.arange(0, BLOCK)[None, :]
        inside = (n < N)[:, None]
        x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
        largest = tl.max(tl.abs(x), axis=1) + tl.sum(x * 0.0, axis=1)  # NaN where a number is none
        if SQUARE:  # one largest number for all rows
            largest = tl.max(largest, axis=0) + 0.0 * largest + tl.sum(largest * 0.0, axis=0)
        scale = tl.div_rn(largest, 448.0)  # rounded as torch divides
        scale = tl.where(scale < TINY, TINY, scale)
        x = tl.div_rn(x, scale[:, None])
        if WIDE:
            x = round_to_e4m3(x)
        tl.store(codes_ptr + at, x.to(tl.float8e4nv), mask=inside)
        if SQUARE:
            tl.store(scales_ptr + tile * (K // BLOCK) + block, tl.max(scale, axis=0))
        else:
            tl.store(scales_ptr + n.to(tl.int64) * (K // BLOCK) + block, scale, mask=n < N)

    @triton.jit
    def round_to_e4m3(x):
        """The nearest number of e4m3, halves to even; the interpreter's own conversion is wrong
        where rounding changes the exponent. Adding and taking away 1.5 · 2²³ · u leaves a multiple
        of u, and u is an eighth of the number's power of two, or 2⁻⁹ for the smallest."""
        bits = x.to(tl.int32, bitcast=True)
        far = ((tl.maximum((bits >> 23) & 255, 121) + 20) << 23) | 0x400000
        far = far.to(tl.float32, bitcast=True)
        rounded = ((tl.abs(x) + far) - far).to(tl.int32, bitcast=True)
        return (rounded | ((bits >> 31) << 31)).to(tl.float32, bitcast=True)  # −0 keeps its sign


def builds() -> list[Build]:
    """A layer's input and its weight, bf16."""
    signature = dict(x_ptr="*bf16", codes_ptr="*fp8e4nv", scales_ptr="*fp32", N="i32", K="i32")
    row = {"SQUARE": False, "WIDE": False, "TINY": TINY, "ROWS": 16, "BLOCK": BLOCK}
    tile = row | {"SQUARE": True, "ROWS": BLOCK}
    also = {"aligned": ("K",), "refused": {"sm_80": NO_FP8}}
    return [
        Build("fp8_quantize rows", fp8_quantize_kernel, signature, row, **also),
        Build("fp8_quantize tiles", fp8_quantize_kernel, signature, tile, num_warps=8, **also),
    ]
