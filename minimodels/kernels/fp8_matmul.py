"""Products of FP8 numbers with sums exact enough to train with: DeepSeek-V3's method.

    y[m, n] = Σ over blocks b of K:  s[m, b] · S[n // 128, b] · Σ over k in b:  x[m, k] · W[n, k]

The inner sum is one of the tensor cores, over e4m3 codes; the outer one is in float32. Why two? An
H100 adds FP8 products with about 14 bits, cut to fit the largest of them, which over K = 4,096 errs
by nearly 2% (arXiv 2412.19437, sections 3.3.2 and 3.5.2). A sum of 128 is short enough, and its end
is where both scales must be multiplied in anyway. So after every 128 the partial sum is taken out,
scaled and added to a float32 sum in ordinary registers, which the paper calls promotion. It costs
a multiply-add for each number of the tile, and a second set of registers. Of the two warp groups
that share a tile of 128 × 128 one can multiply while the other promotes.

Training (fp8_linear): y = x Wᵀ and dx = dy W are such products. A tile of 128 × 128 of W is a tile
of Wᵀ, so backward takes W's codes transposed, without rounding again. dW = dyᵀ x sums over tokens,
along which neither has blocks; here it stays a product in the dtype of x (the paper rounds both
again, in blocks along the tokens). Weights and the optimizer keep their own, larger dtype.

Shapes: x (M, K) in blocks of 1 × 128, W (N, K) in tiles of 128 × 128.
"""

import torch
from torch.autograd.function import once_differentiable

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.checks import (
    NO_FP8,
    autocast,
    fp8_hardware,
    halved_fp8,
    one_device,
    same_place,
    same_size,
)
from minimodels.kernels.compile import Build
from minimodels.kernels.fp8_quantize import BLOCK, fp8_quantize
from minimodels.kernels.quant import Quantized, decode

try:
    import triton
    import triton.language as tl

    from minimodels.kernels.pieces import tile_place
except ImportError:  # no Triton on this system: the reference serves
    triton = None


def fp8_matmul_reference(x, weight: Quantized, dtype=None):
    """The same with what the codes mean, in float32."""
    wide = decode(weight)
    if not isinstance(x, Quantized):
        x, dtype = fp8_quantize(x), dtype or x.dtype
    return (decode(x) @ wide.T).to(dtype or torch.float32)


def fp8_matmul(x, weight: Quantized, dtype=None):
    """x (…, K) times weight (N, K), both e4m3: (…, N) in `dtype`. Forward only: see fp8_linear.

    x is a float tensor, which is quantized here (dtype: its own), or what fp8_quantize gave (dtype:
    float32); weight is fp8_quantize(w, rows=128). Raises UserError for another format or block, for
    sizes that do not fit, or on a GPU without FP8.
    """
    if not isinstance(x, Quantized):
        x, dtype = fp8_quantize(x), dtype or x.dtype
    dtype = dtype or torch.float32
    _check("x", x, 1)
    _check("weight", weight, BLOCK)
    (N, K), lead = weight.codes.shape, x.codes.shape[:-1]
    same_size("fp8_matmul", (*lead, K), x=x.codes)
    one_device("fp8_matmul", x=x.codes, scales=x.scales, weight=weight.codes, its=weight.scales)
    like = torch.empty(0, device=x.codes.device, dtype=dtype)
    same_place("fp8_matmul", dtype=like)
    if not kernels.on(like) or 0 in (x.codes.numel(), N):
        return fp8_matmul_reference(x, weight, dtype)
    fp8_hardware("fp8_matmul", like)
    flat = Quantized(x.format, x.codes.reshape(-1, K), x.scales.reshape(-1, K // BLOCK))
    return _product(flat, weight, like).view(*lead, N)


def fp8_linear(x, weight):
    """x (…, K) times weight (N, K), rounded to e4m3 for the product: (…, N) in the dtype of x.

    Differentiable in both, which may differ in dtype. Raises UserError as fp8_matmul, or where N or
    K is no multiple of 128.
    """
    same_place("fp8_linear", x=x, weight=weight)
    (x,) = autocast(x)
    same_size("fp8_linear", (len(weight), x.shape[-1]), weight=weight)
    if len(weight) % BLOCK:
        raise UserError(f"fp8_linear: weight has {len(weight)} rows, no multiple of {BLOCK}: pad.")
    return _FP8Linear.apply(x.reshape(-1, x.shape[-1]), weight).view(*x.shape[:-1], len(weight))


class _FP8Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        q = fp8_quantize(weight, rows=BLOCK)
        ctx.save_for_backward(x, q.codes, q.scales)
        ctx.format, ctx.dtype = q.format, weight.dtype
        return fp8_matmul(x, q)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, codes, scales = ctx.saved_tensors
        dx = dweight = None
        if ctx.needs_input_grad[0]:  # tensor cores want both operands along K: hence a copy
            turned = codes.T.contiguous(), scales.T.contiguous()
            dx = fp8_matmul(dy, Quantized(ctx.format, *turned, rows=BLOCK))
        if ctx.needs_input_grad[1]:
            dweight = (dy.T @ x).to(ctx.dtype)
        return dx, dweight


def _check(name: str, q: Quantized, rows: int) -> None:
    blocks = q.rows, q.codes.shape[-1] // max(q.scales.shape[-1], 1)
    if q.format.name != "fp8_e4m3" or blocks != (rows, BLOCK):
        raise UserError(
            f"fp8_matmul: {name} is {q.format.name} in blocks of {blocks[0]} × {blocks[1]}: "
            f"make it with fp8_quantize(…, rows={rows})."
        )


def _product(x: Quantized, weight: Quantized, like):
    (M, K), N = x.codes.shape, len(weight.codes)
    y = torch.empty(M, N, device=like.device, dtype=like.dtype)
    halved = halved_fp8(like)
    kind = torch.uint8 if halved else torch.float8_e4m3fn
    codes = x.codes.contiguous().view(kind), weight.codes.contiguous().view(kind)
    tile, options = tile_for(M, halved)
    grid = (triton.cdiv(M, tile["BLOCK_M"]) * triton.cdiv(N, tile["BLOCK_N"]),)
    with torch.cuda.device_of(like):  # does nothing on a CPU
        fp8_matmul_kernel[grid](
            *codes, x.scales.contiguous(), weight.scales.contiguous(), y, M, N, K,
            HALVED=halved, BLOCK_K=BLOCK, **tile, **options,
        )  # fmt: skip
    return y


def tile_for(M: int, halved: bool = False) -> tuple[dict, dict]:
    """The tile of M × N and how it is run; its N divides 128, so that one scale serves its weights.

    Few rows: the weights' arrival takes the time, and narrow tiles make more programs. 64 rows are
    the least that a warp group of Hopper multiplies in e4m3: for 16, Triton makes fp16 of the
    codes. Three stages of 128 × 128 fit a card of capability 8.9 (99 KiB); MI300 wants two.
    """
    if M <= 16:
        return {"BLOCK_M": 16, "BLOCK_N": 32}, {"num_warps": 4, "num_stages": 2 if halved else 4}
    if M <= 64:
        return {"BLOCK_M": 64, "BLOCK_N": 64}, {"num_warps": 4, "num_stages": 2 if halved else 4}
    return {"BLOCK_M": 128, "BLOCK_N": 128}, {"num_warps": 8, "num_stages": 2 if halved else 3}


if triton is not None:

    @triton.jit
    def fp8_matmul_kernel(x_ptr, w_ptr, xs_ptr, ws_ptr, y_ptr, M, N, K,
                          HALVED: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
                          BLOCK_K: tl.constexpr):  # fmt: skip
        tile_m, tile_n = tile_place(tl.program_id(0), tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N), 8)
        m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
        n = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
        k, blocks = tl.arange(0, BLOCK_K), K // BLOCK_K
        x_ptrs = x_ptr + m[:, None].to(tl.int64) * K + k[None, :]
        w_ptrs = w_ptr + n[:, None].to(tl.int64) * K + k[None, :]
        xs_ptrs = xs_ptr + m.to(tl.int64) * blocks
        ws_ptrs = ws_ptr + tile_n * BLOCK_N // BLOCK_K * blocks  # one scale for all n of a tile
        sums = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        for b in range(0, blocks):
            x = tl.load(x_ptrs + b * BLOCK_K, mask=(m < M)[:, None], other=0.0)
            w = tl.load(w_ptrs + b * BLOCK_K, mask=(n < N)[:, None], other=0.0)
            if HALVED:  # MI300's e4m3 means half as much, and its −0 is NaN: half, half, times 4
                x = tl.where(x == 128, 0, x).to(tl.float8e4b8, bitcast=True)
                w = tl.where(w == 128, 0, w).to(tl.float8e4b8, bitcast=True)
            xs = tl.load(xs_ptrs + b, mask=m < M, other=0.0)
            scale = xs * tl.load(ws_ptrs + b) * (4.0 if HALVED else 1.0)
            part = tl.dot(x, tl.trans(w))  # begins at 0: only 128 products share its few bits
            sums += part * scale[:, None]
        inside = (m < M)[:, None] & (n < N)[None, :]
        tl.store(y_ptr + m[:, None].to(tl.int64) * N + n[None, :], sums, mask=inside)


def builds() -> list[Build]:
    """A batch of tokens in training, and 16 when decoding.

    MI300 gets its own kind of FP8: from e4m3fn Triton would make fp16, exact and half as fast.
    """
    signature = dict(x_ptr="*fp8e4nv", w_ptr="*fp8e4nv", xs_ptr="*fp32", ws_ptr="*fp32",
                     y_ptr="*bf16", M="i32", N="i32", K="i32")  # fmt: skip
    amd = signature | {"x_ptr": "*u8", "w_ptr": "*u8"}
    found, also = [], {"aligned": ("K", "N"), "refused": {"sm_80": NO_FP8}}
    for M in (16, 64, 4096):
        for halved in (False, True):
            tile, options = tile_for(M, halved)
            found.append(Build(
                f"fp8_matmul {M}{' halved' if halved else ''}", fp8_matmul_kernel,
                amd if halved else signature, tile | {"HALVED": halved, "BLOCK_K": BLOCK},
                targets=("gfx942",) if halved else ("sm_80", "sm_90"), **options, **also,
            ))  # fmt: skip
    return found
