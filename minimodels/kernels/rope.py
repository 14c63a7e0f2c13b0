"""Rotary position embedding (arXiv 2104.09864): a rotation of pairs; its gradient turns back.

    a' = a · cos − b · sin,   b' = b · cos + a · sin

a is the first half of the R turned numbers of a head, b the second; what lies beyond R passes
through (partial RoPE). The gradient of a rotation is the rotation back: the same kernel with −sin.
One program a head of a token. Shapes: x (B, H, T, d), cos and sin (B or 1, 1, T, R/2).
"""

import torch

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.checks import same_place
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
    return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1)


def rope(x, cos, sin):
    """The same by the kernel, where this machine has a way to run it. Differentiable in x.

    Raises UserError for angles that do not fit x.
    """
    same_place("rope", x=x, cos=cos, sin=sin)
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
    def backward(ctx, dy):
        return _turn(dy, *ctx.saved_tensors, -1.0), None, None


def _turn(x, cos, sin, direction: float):
    x, cos, sin = x.contiguous(), cos.contiguous(), sin.contiguous()
    B, H, T, d = x.shape
    y = torch.empty_like(x)
    per_text = 0 if cos.shape[0] == 1 else T * cos.shape[-1]  # one set of angles may serve all
    block = triton.next_power_of_2(d)
    with torch.cuda.device_of(x):  # does nothing on a CPU
        rope_kernel[(B * H * T,)](
            x, cos, sin, y, H, T, d, cos.shape[-1], per_text, direction, BLOCK=block,
            num_warps=1,  # a head has 64 to 256 numbers
        )  # fmt: skip
    return y


if triton is not None:

    @triton.jit
    def rope_kernel(x_ptr, cos_ptr, sin_ptr, y_ptr, H, T, d, half, per_text, direction,
                    BLOCK: tl.constexpr):  # fmt: skip
        head = tl.program_id(0).to(tl.int64)  # of all B · H · T
        token, text = head % T, head // (H * T)
        i = tl.arange(0, BLOCK)
        inside, turned = i < d, i < 2 * half
        pair = tl.where(i < half, i, i - half)
        partner = tl.where(i < half, i + half, i - half)  # the other number of the pair
        x = tl.load(x_ptr + head * d + i, mask=inside, other=0.0).to(tl.float32)
        other = tl.load(x_ptr + head * d + partner, mask=turned, other=0.0).to(tl.float32)
        angle = text * per_text + token * half + pair
        cos = tl.load(cos_ptr + angle, mask=turned, other=1.0).to(tl.float32)
        sin = tl.load(sin_ptr + angle, mask=turned, other=0.0).to(tl.float32) * direction
        y = x * cos + tl.where(i < half, -other, other) * sin
        tl.store(y_ptr + head * d + i, y, mask=inside)


def builds() -> list[Build]:
    """Heads of 128, half of each turned: Nemotron-4 15B."""
    signature = dict(x_ptr="*bf16", cos_ptr="*bf16", sin_ptr="*bf16", y_ptr="*bf16", H="i32",
                     T="i32", d="i32", half="i32", per_text="i32", direction="fp32")  # fmt: skip
    return [Build("rope", rope_kernel, signature, {"BLOCK": 128}, num_warps=1)]
