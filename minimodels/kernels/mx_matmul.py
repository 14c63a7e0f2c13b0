"""Products with MX numbers: blocks of 32 that share a power of two (OCP Microscaling Formats 1.0).

    y = x Ŵᵀ,   Ŵ[n, k] = value of code[n, k] · 2^(scale[n, k // 32] − 127)

Weights are MXFP4 (4.25 bits a number) or MXFP8 (8.25). x is an ordinary float tensor, as when
decoding, where the weights' arrival is what takes time; or MX numbers itself, for which the newest
tensor cores have instructions. There are two kernels.

mx_matmul_kernel makes numbers of the codes in registers and multiplies these; it runs on every GPU.
Both formats become fp16 in the same way: sign to the top, exponent and mantissa to the places of
fp16's. That number is too small by the difference of the two exponents' biases (15 − 1 for e2m1,
15 − 7 for e4m3), also where it is subnormal; so it is multiplied by 2^14 or 2^8, and by the scale.
Nothing is rounded: such a value fits bf16, whose exponent is as wide as the scale's (below 2⁻¹²⁶
hardware may take it for 0). It would not fit fp16, so an fp16 x is multiplied in TF32, where both
fit; a float32 x is cut into its upper 11 bits and the rest, and each part goes through TF32.

mx_native_kernel hands codes and scales to tl.dot_scaled. On a B200 (sm_100) that is one instruction
of the tensor cores, tcgen05.mma with kind::mxf4 or kind::mxf8f6f4 and block_scale. Elsewhere Triton
3.7 makes bf16 of the codes, as the first kernel does, where it can: MX times MX does not compile
for gfx942, e4m3 not for sm_80, and the interpreter lacks it. Nor has sm_100 an instruction for MX
times bf16. So this kernel is for MX times MX on sm_100, where it was compiled and read, but has
not run yet.

Gradient: dx = dy Ŵ, with Ŵ made large for the moment; the weights are frozen.
Shapes: x (M, K), weight codes (N, K / 2) or (N, K) uint8, scales (N, K / 32) uint8.
"""

import torch
from torch.autograd.function import once_differentiable

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.checks import autocast, one_device, rows_of_numbers, same_place
from minimodels.kernels.compile import Build
from minimodels.kernels.quant import Quantized, decode

try:
    import triton
    import triton.language as tl

    from minimodels.kernels.pieces import tile_place
except ImportError:  # no Triton on this system: the reference serves
    triton = None

BLOCK = 32  # numbers along K that share a scale
ELEMENTS = {"mxfp4": "e2m1", "mxfp8": "e4m3"}


def mx_matmul_reference(x, weight: Quantized, dtype=None):
    """The same with the numbers made large in memory, in float32."""
    if isinstance(x, Quantized):
        x = decode(x)
    return (x.float() @ decode(weight).T).to(dtype or x.dtype)


def mx_matmul(x, weight: Quantized, dtype=None):
    """x (…, K) times weight (N, K) in mxfp4 or mxfp8: (…, N) in `dtype`, by default that of x.

    x is a float tensor, differentiable, or what quant.encode gave for one of the two formats (then
    dtype is float32 by default). Raises UserError for another format or sizes that do not fit.
    """
    coded = isinstance(x, Quantized)
    if coded:
        _check("x", x)
    else:
        same_place("mx_matmul", x=x)
        rows_of_numbers("mx_matmul", x=x)
        (x,) = autocast(x)
    _check("weight", weight)
    tensor, dtype = (x.codes, dtype or torch.float32) if coded else (x, dtype or x.dtype)
    one_device("mx_matmul", x=tensor, weight=weight.codes, scales=weight.scales)
    like = torch.empty(0, device=tensor.device, dtype=dtype)
    same_place("mx_matmul", dtype=like)
    K, (N, wanted) = _width(x) if coded else x.shape[-1], (len(weight.codes), _width(weight))
    if K != wanted:
        raise UserError(f"mx_matmul: x has rows of {K}, weight of {wanted}: make them fit.")
    if not kernels.on(like) or 0 in (tensor.numel(), N):
        return mx_matmul_reference(x, weight, dtype)
    rows = tensor.reshape(-1, tensor.shape[-1])
    scales = x.scales.reshape(-1, K // BLOCK).contiguous() if coded else None
    name = x.format.name if coded else None
    return _MXMatmul.apply(rows, scales, weight, dtype, name).view(*tensor.shape[:-1], N)


class _MXMatmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scales, weight: Quantized, dtype, name):
        ctx.weight, ctx.dtype = weight, x.dtype
        return _product(x.contiguous(), scales, weight, dtype, name)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        wide = decode(ctx.weight)
        return (dy.to(wide.dtype) @ wide).to(ctx.dtype), None, None, None, None


def _width(q: Quantized) -> int:
    return q.codes.shape[-1] * 8 // q.format.bits


def _check(name: str, q: Quantized) -> None:
    if q.format.name not in ELEMENTS or q.scales.shape[-1] * BLOCK != _width(q):
        raise UserError(
            f"mx_matmul: {name} is {q.format.name}, {q.scales.shape[-1]} scales for {_width(q)} "
            "numbers: encode it as mxfp4 or mxfp8, a scale for 32."
        )


def _product(x, scales, weight: Quantized, dtype, name: str | None):
    M, N, K = len(x), len(weight.codes), _width(weight)
    y = torch.empty(M, N, device=x.device, dtype=dtype)
    codes, weight_scales = weight.codes.contiguous(), weight.scales.contiguous()
    formats = {"X": ELEMENTS.get(name), "W": ELEMENTS[weight.format.name]}
    native = name is not None and has_native(x)
    kind = x.dtype if name is None else torch.bfloat16
    tile, options = NATIVE if native else tile_for(M, kind)
    settings = {} if native else multiply_in(kind)
    kernel = mx_native_kernel if native else mx_matmul_kernel
    grid = (triton.cdiv(M, tile["BLOCK_M"]) * triton.cdiv(N, tile["BLOCK_N"]),)
    with torch.cuda.device_of(x):  # does nothing on a CPU
        kernel[grid](
            x, x if scales is None else scales, codes, weight_scales, y, M, N, K,
            **formats, **settings, **tile, **options,
        )  # fmt: skip
    return y


def has_native(x) -> bool:
    """Whether this GPU's tensor cores take MX numbers and we have read what becomes of them."""
    if not x.is_cuda or torch.version.hip:
        return False
    return torch.cuda.get_device_capability(x.device)[0] == 10


def multiply_in(dtype) -> dict:
    """bf16 as it is, except in the interpreter, whose product of it is wrong; else TF32."""
    wide = kernels.INTERPRETED or dtype != torch.bfloat16
    return {"WIDE": wide, "SPLIT": dtype == torch.float32}


def tile_for(M: int, dtype) -> tuple[dict, dict]:
    """Few rows: narrow tiles, more programs to wait for memory at once. Many: each number made of a
    code serves as many rows of x as fit; those of float32 in two parts fit 64 at a time."""
    if M <= 16:
        return {"BLOCK_M": 16, "BLOCK_N": 32, "BLOCK_K": 128}, {"num_warps": 4, "num_stages": 3}
    if M <= 64 or dtype == torch.float32:
        return {"BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 64}, {"num_warps": 4, "num_stages": 3}
    return {"BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 64}, {"num_warps": 8, "num_stages": 3}


NATIVE = (
    {"BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 128},  # what one instruction takes
    {"num_warps": 8, "num_stages": 3},  # with 4 the way of the sums to memory spills
)

if triton is not None:

    @triton.jit
    def load_mx(codes_ptr, scales_ptr, row, rows, start, K, FORMAT: tl.constexpr,
                ROWS: tl.constexpr, BLOCK_K: tl.constexpr):  # fmt: skip
        """A tile of ROWS × BLOCK_K numbers in float32 from codes and scales."""
        PACKED: tl.constexpr = 2 if FORMAT == "e2m1" else 1  # codes a byte
        at = start // PACKED + tl.arange(0, BLOCK_K // PACKED)
        block = start // 32 + tl.arange(0, BLOCK_K // 32)
        byte = tl.load(codes_ptr + row[:, None] * (K // PACKED) + at[None, :],
                       mask=(row < rows)[:, None] & (at < K // PACKED)[None, :],
                       other=0).to(tl.int16)  # fmt: skip
        if FORMAT == "e2m1":  # sign, 2 bits of exponent, 1 of mantissa; the even place is low
            code = tl.interleave(byte & 15, byte >> 4)
            half = ((code & 8) << 12) | ((code & 7) << 9)
            unbias: tl.constexpr = 16384.0
        else:  # sign, 4 bits of exponent, 3 of mantissa
            half = ((byte & 128) << 8) | ((byte & 127) << 7)
            unbias: tl.constexpr = 256.0
        value = half.to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32) * unbias
        scale = tl.load(scales_ptr + row[:, None] * (K // 32) + block[None, :],
                        mask=(row < rows)[:, None] & (block < K // 32)[None, :],
                        other=127).to(tl.int32)  # fmt: skip
        scale = tl.where(scale > 0, scale << 23, 1 << 22)  # as bits of a float32; 2⁻¹²⁷ for 0
        value = tl.reshape(value, (ROWS, BLOCK_K // 32, 32))
        value = value * scale.to(tl.float32, bitcast=True)[:, :, None]
        return tl.reshape(value, (ROWS, BLOCK_K))

    @triton.jit
    def mx_matmul_kernel(x_ptr, xs_ptr, w_ptr, ws_ptr, y_ptr, M, N, K, X: tl.constexpr,
                         W: tl.constexpr, WIDE: tl.constexpr, SPLIT: tl.constexpr,
                         BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
                         BLOCK_K: tl.constexpr):  # fmt: skip
        tile_m, tile_n = tile_place(tl.program_id(0), tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N), 8)
        m = (tile_m * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
        n = (tile_n * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)
        k = tl.arange(0, BLOCK_K)
        sums = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        for start in range(0, K, BLOCK_K):
            if X is None:
                x = tl.load(x_ptr + m[:, None] * K + start + k[None, :],
                            mask=(m < M)[:, None] & (start + k < K)[None, :],
                            other=0.0)  # fmt: skip
            else:
                x = load_mx(x_ptr, xs_ptr, m, M, start, K, X, BLOCK_M, BLOCK_K)
            w = load_mx(w_ptr, ws_ptr, n, N, start, K, W, BLOCK_N, BLOCK_K)
            if WIDE:
                x = x.to(tl.float32)
                if SPLIT:
                    high = (x.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)
                    sums = tl.dot(x - high, tl.trans(w), sums, input_precision="tf32")
                    x = high
                sums = tl.dot(x, tl.trans(w), sums, input_precision="tf32")
            else:
                sums = tl.dot(x.to(tl.bfloat16), tl.trans(w.to(tl.bfloat16)), sums)
        inside = (m < M)[:, None] & (n < N)[None, :]
        tl.store(y_ptr + m[:, None] * N + n[None, :], sums, mask=inside)

    @triton.jit
    def mx_native_kernel(x_ptr, xs_ptr, w_ptr, ws_ptr, y_ptr, M, N, K, X: tl.constexpr,
                         W: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
                         BLOCK_K: tl.constexpr):  # fmt: skip
        tile_m, tile_n = tile_place(tl.program_id(0), tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N), 8)
        m = (tile_m * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
        n = (tile_n * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)
        XP: tl.constexpr = 2 if X == "e2m1" else 1  # codes a byte
        WP: tl.constexpr = 2 if W == "e2m1" else 1
        kx, kw = tl.arange(0, BLOCK_K // XP), tl.arange(0, BLOCK_K // WP)
        block = tl.arange(0, BLOCK_K // 32)
        sums = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        for start in range(0, K, BLOCK_K):
            x = tl.load(x_ptr + m[:, None] * (K // XP) + start // XP + kx[None, :],
                        mask=(m < M)[:, None] & (kx < (K - start) // XP)[None, :],
                        other=0)  # fmt: skip
            w = tl.load(w_ptr + n[:, None] * (K // WP) + start // WP + kw[None, :],
                        mask=(n < N)[:, None] & (kw < (K - start) // WP)[None, :],
                        other=0)  # fmt: skip
            left = (block < (K - start) // 32)[None, :]
            xs = tl.load(xs_ptr + m[:, None] * (K // 32) + start // 32 + block[None, :],
                         mask=(m < M)[:, None] & left, other=127)  # fmt: skip
            ws = tl.load(ws_ptr + n[:, None] * (K // 32) + start // 32 + block[None, :],
                         mask=(n < N)[:, None] & left, other=127)  # fmt: skip
            sums = tl.dot_scaled(x, xs, X, tl.trans(w), ws, W, sums)
        inside = (m < M)[:, None] & (n < N)[None, :]
        tl.store(y_ptr + m[:, None] * N + n[None, :], sums, mask=inside)


def builds() -> list[Build]:
    """Weights times floats, each tile for each way to multiply; MX times MX in both kernels."""
    mx = dict.fromkeys(("x_ptr", "xs_ptr", "w_ptr", "ws_ptr", "y_ptr"), "*u8")
    mx |= dict.fromkeys("MNK", "i32")
    names = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
    cases = [(M, dtype, None, "e2m1") for dtype in names for M in (16, 512)]
    cases += [(64, torch.bfloat16, None, "e4m3"), (512, torch.bfloat16, "e4m3", "e2m1")]
    found, also = [], {"aligned": ("K", "N")}
    for M, dtype, X, W in cases:
        tile, options = tile_for(M, dtype)
        kind = dict.fromkeys(("x_ptr", "xs_ptr"), f"*{names[dtype]}")
        kind = {"y_ptr": "*fp32"} if X else kind | {"y_ptr": f"*{names[dtype]}"}
        found.append(Build(f"mx_matmul {M} {X or names[dtype]} {W}", mx_matmul_kernel, mx | kind,
                           {"X": X, "W": W, **multiply_in(dtype), **tile},
                           **options, **also))  # fmt: skip
    for X, W in (("e2m1", "e2m1"), ("e4m3", "e2m1"), ("e4m3", "e4m3")):
        tile, options = NATIVE
        constants = {"X": X, "W": W, **tile}
        found.append(Build(f"mx_native {X} {W}", mx_native_kernel, mx | {"y_ptr": "*fp32"},
                           constants, targets=("sm_100",), **options, **also))  # fmt: skip
    return found
