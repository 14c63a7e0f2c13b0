"""A product with weights of 8 or 4 bits: they are read small and made large in registers.

    y = x Ŵᵀ,   Ŵ[n, k] = code[n, k] · scale[n, k // group]

At batch 1 a product takes as long as its weights take to arrive, so a quarter of the bytes is up to
four times the speed; the arithmetic stays in the dtype of x. A program computes a tile of M × N and
walks along K in steps that lie within one group, so that a step needs one scale a row of weights.
Gradient: dx = dy Ŵ, with Ŵ made large for the moment; the weights are frozen.
Shapes: x (M, K), codes (N, K) int8, or (N, K / 2) uint8 with the even place in the low half, scales
(N, K / group) float32: what quant.encode gives for int8 and int4.
"""

import torch
from torch.autograd.function import once_differentiable

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.checks import one_device, rows_of_numbers, same_place
from minimodels.kernels.compile import Build
from minimodels.kernels.quant import Quantized, decode

try:
    import triton
    import triton.language as tl

    from minimodels.kernels.pieces import product
except ImportError:  # no Triton on this system: the reference serves
    triton = None

BLOCK_M, BLOCK_N = 16, 64  # few rows: this is for decoding, where M is the batch
SMALLEST_STEP = 32  # along K: tl.dot wants 16 at least, and int4 comes as two codes a byte


def int_matmul_reference(x, weight: Quantized):
    """The same with the weights made large in memory."""
    return (x.float() @ decode(weight).T).to(x.dtype)


def int_matmul(x, weight: Quantized):
    """x (…, K) times weight (N, K) in int8 or int4: (…, N) in the dtype of x. Differentiable in x.

    Raises UserError for another format, for sizes that do not fit, or for groups that
    are no multiple of 32.
    """
    same_place("int_matmul", x=x)
    rows_of_numbers("int_matmul", x=x)
    one_device("int_matmul", x=x, codes=weight.codes, scales=weight.scales)
    N, K = weight.codes.shape[0], x.shape[-1]
    if weight.format.name not in ("int8", "int4"):
        raise UserError(f"int_matmul: weight is {weight.format.name}: encode it as int8 or int4.")
    if weight.codes.shape[1] * (2 if weight.format.bits == 4 else 1) != K:
        raise UserError(f"int_matmul: x has rows of {K}, weight of another size: make them fit.")
    if not kernels.on(x) or x.numel() == 0:
        return int_matmul_reference(x, weight)
    group = K // weight.scales.shape[1]
    if group % SMALLEST_STEP:
        raise UserError(f"int_matmul: groups of {group} are no multiple of {SMALLEST_STEP}.")
    return _IntMatmul.apply(x.reshape(-1, K), weight).view(*x.shape[:-1], N)


class _IntMatmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight: Quantized):
        ctx.weight, x = weight, x.contiguous()
        (M, K), N, group = x.shape, len(weight.codes), x.shape[1] // weight.scales.shape[1]
        y = torch.empty(M, N, device=x.device, dtype=x.dtype)
        steps = (32,) if x.dtype == torch.float32 else (128, 64, 32)  # float32 takes registers
        step = next(s for s in steps if group % s == 0)  # the widest that stays in a group
        grid = triton.cdiv(M, BLOCK_M), triton.cdiv(N, BLOCK_N)
        with torch.cuda.device_of(x):  # does nothing on a CPU
            int_matmul_kernel[grid](
                x, weight.codes.contiguous(), weight.scales.contiguous(), y, M, N, K, group,
                BITS=weight.format.bits, WIDE=kernels.INTERPRETED, BLOCK_M=BLOCK_M,
                BLOCK_N=BLOCK_N, BLOCK_K=step, num_warps=4, num_stages=3,
            )  # fmt: skip
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        return (dy.float() @ decode(ctx.weight)).to(dy.dtype), None


if triton is not None:

    @triton.jit
    def int_matmul_kernel(x_ptr, codes_ptr, scales_ptr, y_ptr, M, N, K, group, BITS: tl.constexpr,
                          WIDE: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
                          BLOCK_K: tl.constexpr):  # fmt: skip
        m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
        n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
        k = tl.arange(0, BLOCK_K)
        row = n.to(tl.int64)
        sums = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        for start in range(0, K, BLOCK_K):
            x = tl.load(x_ptr + m[:, None].to(tl.int64) * K + start + k[None, :],
                        mask=(m < M)[:, None], other=0.0)  # fmt: skip
            if BITS == 8:
                codes = tl.load(codes_ptr + row[:, None] * K + start + k[None, :],
                                mask=(n < N)[:, None], other=0).to(tl.float32)  # fmt: skip
            else:  # one byte for two neighbors: read once, both halves in their places
                half = tl.arange(0, BLOCK_K // 2)
                byte = tl.load(codes_ptr + row[:, None] * (K // 2) + start // 2 + half[None, :],
                               mask=(n < N)[:, None], other=0).to(tl.int32)  # fmt: skip
                four = tl.interleave(byte & 15, byte >> 4)
                codes = (four - 16 * (four > 7).to(tl.int32)).to(tl.float32)  # two's complement
            scale = tl.load(scales_ptr + row * (K // group) + start // group, mask=n < N, other=0.0)
            codes = tl.trans(codes.to(x.dtype))  # whole numbers up to 127 are exact in bf16, fp16
            sums += product(x, codes, WIDE) * scale[None, :]
        inside = (m < M)[:, None] & (n < N)[None, :]
        tl.store(y_ptr + m[:, None].to(tl.int64) * N + n[None, :], sums, mask=inside)


def builds() -> list[Build]:
    """Gemma 7B's MLP at batch 16, groups of 128."""
    signature = dict(x_ptr="*bf16", codes_ptr="*i8", scales_ptr="*fp32", y_ptr="*bf16", M="i32",
                     N="i32", K="i32", group="i32")  # fmt: skip
    tile = {"WIDE": False, "BLOCK_M": BLOCK_M, "BLOCK_N": BLOCK_N, "BLOCK_K": 128}
    return [
        Build("int_matmul int8", int_matmul_kernel, signature,
              {"BITS": 8, **tile}, num_stages=3, aligned=("N", "K", "group")),
        Build("int_matmul int4", int_matmul_kernel, signature | {"codes_ptr": "*u8"},
              {"BITS": 4, **tile}, num_stages=3, aligned=("N", "K", "group")),
    ]  # fmt: skip
