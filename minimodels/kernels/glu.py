"""The bends of the feed-forward layers, each in one pass: GeGLU, SwiGLU and squared ReLU.

    GeGLU   y = gelu(g) · u,   gelu(g) = g · s(g),  s(g) = sigmoid(2c(g + 0.044715 g³)), c = √(2/π)
    SwiGLU  y = g · sigmoid(g) · u
    ReLU²   y = max(u, 0)²

The tanh form of gelu is a sigmoid: (1 + tanh z) / 2 = sigmoid(2z). Backward computes the bend once
more instead of keeping it: g and u are read, dg and du written. Sources: arXiv 2002.05202 (gated),
1606.08415 (gelu), 2109.08668 (squared ReLU). Shapes: g and u (…, F), the same for both.
"""

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from minimodels import kernels
from minimodels.kernels.checks import one_dtype, same_place, same_size
from minimodels.kernels.compile import Build

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton on this system: the reference serves
    triton = None

BLOCK = 1024  # numbers a program: 8 a thread of 4 warps
KINDS = {"geglu": 0, "swiglu": 1}


def geglu_reference(gate, up):
    return F.gelu(gate, approximate="tanh") * up


def swiglu_reference(gate, up):
    return F.silu(gate) * up


def squared_relu_reference(up):
    return F.relu(up).square()


def geglu(gate, up):
    """gelu(gate) · up by the kernels, where this machine can run them. Differentiable in both."""
    return _gated("geglu", geglu_reference, gate, up)


def swiglu(gate, up):
    """silu(gate) · up, likewise."""
    return _gated("swiglu", swiglu_reference, gate, up)


def squared_relu(up):
    """max(up, 0)², likewise."""
    same_place("squared_relu", up=up)
    if not kernels.on(up) or up.numel() == 0:
        return squared_relu_reference(up)
    return _SquaredReLU.apply(up)


def _gated(name: str, reference, gate, up):
    same_place(name, gate=gate, up=up)
    one_dtype(name, gate=gate, up=up)
    same_size(name, gate.shape, up=up)
    if not kernels.on(gate) or gate.numel() == 0:
        return reference(gate, up)
    return _Gated.apply(gate, up, KINDS[name])


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up, kind: int):
        gate, up = gate.contiguous(), up.contiguous()
        ctx.save_for_backward(gate, up)
        ctx.kind = kind
        y, count = torch.empty_like(gate), gate.numel()
        with torch.cuda.device_of(gate):  # does nothing on a CPU
            gated_kernel[(triton.cdiv(count, BLOCK),)](gate, up, y, count, KIND=kind, BLOCK=BLOCK)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        gate, up = ctx.saved_tensors
        dgate, dup, count = torch.empty_like(gate), torch.empty_like(up), gate.numel()
        with torch.cuda.device_of(gate):
            gated_backward_kernel[(triton.cdiv(count, BLOCK),)](
                dy.contiguous(), gate, up, dgate, dup, count, KIND=ctx.kind, BLOCK=BLOCK
            )
        return dgate, dup, None


class _SquaredReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, up):
        up = up.contiguous()
        ctx.save_for_backward(up)
        y, count = torch.empty_like(up), up.numel()
        with torch.cuda.device_of(up):
            squared_relu_kernel[(triton.cdiv(count, BLOCK),)](up, y, count, BLOCK=BLOCK)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        (up,) = ctx.saved_tensors
        dup, count = torch.empty_like(up), up.numel()
        with torch.cuda.device_of(up):
            squared_relu_backward_kernel[(triton.cdiv(count, BLOCK),)](
                dy.contiguous(), up, dup, count, BLOCK=BLOCK
            )
        return dup


if triton is not None:

    @triton.jit
    def bend(g, KIND: tl.constexpr):
        """The bend of g and its slope, in float32."""
        if KIND == 0:
            c: tl.constexpr = 1.5957691216057308  # 2 √(2/π)
            s = tl.sigmoid(c * (g + 0.044715 * g * g * g))
            rise = s * (1.0 - s)  # 0 where g is huge, and g² infinite: 0 · ∞ is no number
            slope = s + tl.where(rise > 0, g * rise * c * (1.0 + 3 * 0.044715 * g * g), 0.0)
        else:
            s = tl.sigmoid(g)
            slope = s + g * s * (1.0 - s)
        return g * s, slope

    @triton.jit
    def gated_kernel(gate_ptr, up_ptr, y_ptr, count, KIND: tl.constexpr, BLOCK: tl.constexpr):
        i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        inside = i < count
        gate = tl.load(gate_ptr + i, mask=inside, other=0.0).to(tl.float32)
        up = tl.load(up_ptr + i, mask=inside, other=0.0).to(tl.float32)
        bent, _ = bend(gate, KIND)
        tl.store(y_ptr + i, bent * up, mask=inside)

    @triton.jit
    def gated_backward_kernel(dy_ptr, gate_ptr, up_ptr, dgate_ptr, dup_ptr, count,
                              KIND: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
        i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        inside = i < count
        dy = tl.load(dy_ptr + i, mask=inside, other=0.0).to(tl.float32)
        gate = tl.load(gate_ptr + i, mask=inside, other=0.0).to(tl.float32)
        up = tl.load(up_ptr + i, mask=inside, other=0.0).to(tl.float32)
        bent, slope = bend(gate, KIND)
        tl.store(dgate_ptr + i, dy * up * slope, mask=inside)
        tl.store(dup_ptr + i, dy * bent, mask=inside)

    @triton.jit
    def squared_relu_kernel(up_ptr, y_ptr, count, BLOCK: tl.constexpr):
        i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        up = tl.load(up_ptr + i, mask=i < count, other=0.0).to(tl.float32)
        positive = tl.where(up < 0.0, 0.0, up)  # NaN stays NaN, as in torch
        tl.store(y_ptr + i, positive * positive, mask=i < count)

    @triton.jit
    def squared_relu_backward_kernel(dy_ptr, up_ptr, dup_ptr, count, BLOCK: tl.constexpr):
        i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        dy = tl.load(dy_ptr + i, mask=i < count, other=0.0).to(tl.float32)
        up = tl.load(up_ptr + i, mask=i < count, other=0.0).to(tl.float32)
        tl.store(dup_ptr + i, 2.0 * dy * tl.where(up < 0.0, 0.0, up), mask=i < count)


def builds() -> list[Build]:
    """bf16; the width does not matter."""
    forward = dict(gate_ptr="*bf16", up_ptr="*bf16", y_ptr="*bf16", count="i32")
    backward = dict(dy_ptr="*bf16", gate_ptr="*bf16", up_ptr="*bf16", dgate_ptr="*bf16",
                    dup_ptr="*bf16", count="i32")  # fmt: skip
    relu = dict(up_ptr="*bf16", y_ptr="*bf16", count="i32")
    relu_back = dict(dy_ptr="*bf16", up_ptr="*bf16", dup_ptr="*bf16", count="i32")
    made, whole = [], ("count",)  # of a multiple of 16 numbers
    for name, kind in KINDS.items():
        constants = {"KIND": kind, "BLOCK": BLOCK}
        made += [
            Build(name, gated_kernel, forward, constants, aligned=whole),
            Build(f"{name} backward", gated_backward_kernel, backward, constants, aligned=whole),
        ]
    constants = {"BLOCK": BLOCK}
    return made + [
        Build("squared_relu", squared_relu_kernel, relu, constants, aligned=whole),
        Build("squared_relu backward", squared_relu_backward_kernel, relu_back, constants,
              aligned=whole),
    ]  # fmt: skip
