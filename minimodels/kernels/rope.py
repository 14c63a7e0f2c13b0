"""Rotary position embedding (arXiv 2104.09864): a rotation of pairs; its gradient turns back.

    a' = a · cos − b · sin,   b' = b · cos + a · sin

a is the first half of the R turned numbers of a head, b the second; what lies beyond R passes
through (partial RoPE). The gradient of a rotation is the rotation back: the same kernel with −sin.
One program turns up to 16 heads of one token and reads the token's angles once for all of them. It
takes the strides of x, so q and k need no copy when the projections leave them as (B, T, H, d) and
the layer transposes them. Shapes: x (B, H, T, d), cos and sin (B or 1, 1, T, R/2).
"""

import torch
from torch.autograd.function import once_differentiable

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.checks import dimensions, same_place, warps_for
from minimodels.kernels.compile import Build

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton on this system: the reference serves
    triton = None


def rope_reference(x, cos, sin):
    """In the dtype of x."""
    half = cos.shape[-1]
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1).to(x.dtype)


def rope(x, cos, sin):
    """The same by the kernel, where this machine has a way to run it. Differentiable in x.

    Raises UserError for angles that do not fit x.
    """
    same_place("rope", x=x, cos=cos, sin=sin)
    dimensions("rope", "(B, H, T, d)", x=x)
    dimensions("rope", "(B, 1, T, R/2)", cos=cos, sin=sin)
    B, _, T, d = x.shape
    if cos.shape != sin.shape or cos.shape[0] not in (1, B) or cos.shape[1:3] != (1, T):
        raise UserError(
            f"rope: cos and sin of shapes {tuple(cos.shape)} and {tuple(sin.shape)} do not fit x "
            f"{tuple(x.shape)}: give ({B} or 1, 1, {T}, R/2)."
        )
    if 2 * cos.shape[-1] > d:
        raise UserError(f"rope: {2 * cos.shape[-1]} numbers to turn, but a head of x has {d}.")
    if not kernels.on(x) or x.numel() == 0:
        return rope_reference(x, cos, sin)
    return _Rope.apply(x, cos, sin)


class _Rope(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, cos, sin):
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin, 1.0)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        return _turn(dy, *ctx.saved_tensors, -1.0), None, None


def _turn(x, cos, sin, direction: float):
    x = x if x.stride(3) == 1 else x.contiguous()
    cos, sin = cos.contiguous(), sin.contiguous()
    (B, H, T, d), half = x.shape, cos.shape[-1]
    y = torch.empty_like(x)  # in the order of x's memory, whatever that is
    y = y if y.stride(3) == 1 else torch.empty(x.shape, dtype=x.dtype, device=x.device)
    per_text = 0 if cos.shape[0] == 1 else T * half  # one set of angles may serve all
    heads, block, warps = tile(H, half)
    with torch.cuda.device_of(x):  # does nothing on a CPU
        rope_kernel[(B * T, triton.cdiv(H, heads))](
            x, cos, sin, y, x.stride()[:3], y.stride()[:3], H, T, d, half, per_text, direction,
            HEADS=heads, BLOCK=block, num_warps=warps,
        )  # fmt: skip
    return y


def tile(H: int, half: int) -> tuple[int, int, int]:
    """Heads a program, numbers of a half, and warps: 8 numbers of either half for a thread."""
    heads, block = min(16, triton.next_power_of_2(H)), triton.next_power_of_2(max(half, 1))
    return heads, block, warps_for(heads * block)


if triton is not None:

    @triton.jit
    def rope_kernel(x_ptr, cos_ptr, sin_ptr, y_ptr, x_strides, y_strides, H, T, d, half, per_text,
                    direction, HEADS: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
        token = tl.program_id(0).to(tl.int64)  # of all B · T
        text, t = token // T, token % T
        h = (tl.program_id(1) * HEADS + tl.arange(0, HEADS))[:, None]
        i = tl.arange(0, BLOCK)[None, :]
        x_ptr += text * x_strides[0] + t * x_strides[2] + h.to(tl.int64) * x_strides[1]
        y_ptr += text * y_strides[0] + t * y_strides[2] + h.to(tl.int64) * y_strides[1]
        angle = text * per_text + t * half + i
        cos = tl.load(cos_ptr + angle, mask=i < half, other=1.0).to(tl.float32)  # (1, BLOCK)
        sin = tl.load(sin_ptr + angle, mask=i < half, other=0.0).to(tl.float32) * direction
        turned = (h < H) & (i < half)
        a = tl.load(x_ptr + i, mask=turned, other=0.0).to(tl.float32)  # (HEADS, BLOCK)
        b = tl.load(x_ptr + half + i, mask=turned, other=0.0).to(tl.float32)
        tl.store(y_ptr + i, a * cos - b * sin, mask=turned)
        tl.store(y_ptr + half + i, b * cos + a * sin, mask=turned)
        for start in range(2 * half, d, BLOCK):  # what a partial RoPE leaves alone
            passed = (h < H) & (start + i < d)
            tl.store(y_ptr + start + i, tl.load(x_ptr + start + i, mask=passed), mask=passed)


def builds() -> list[Build]:
    """Gemma 7B's heads of 256, and Nemotron-4 15B's of 128, half of each turned."""
    names = ("x_strides", "y_strides")
    signature = dict.fromkeys(("x_ptr", "cos_ptr", "sin_ptr", "y_ptr"), "*bf16")
    signature |= dict.fromkeys(names, ("i32",) * 3)
    signature |= dict.fromkeys(("H", "T", "d", "half", "per_text"), "i32") | {"direction": "fp32"}
    found = []
    for H, d, half in ((16, 256, 128), (48, 128, 32)):
        heads, block, warps = tile(H, half)
        constants, aligned = {"HEADS": heads, "BLOCK": block}, (*names, "d", "half", "per_text")
        found.append(Build(f"rope {d}", rope_kernel, signature, constants, warps, aligned=aligned))
    return found
