"""Cases of kernels that read and write rows: norms, bends, RoPE, softmax, AdamW, and the loss.

Each function takes a Size and gives a Case. FLOPs of a number are counted by the formula in the
kernel's docstring.
"""

from functools import partial

import torch
from torch.nn import functional as F

from minimodels.architecture.rope import rotation
from minimodels.bench import kernel_liger as liger
from minimodels.bench.kernel_case import Case, Cost, Draw, Size
from minimodels.kernels.adamw import adamw, adamw_reference
from minimodels.kernels.cross_entropy import linear_cross_entropy
from minimodels.kernels.glu import (
    geglu,
    geglu_reference,
    squared_relu,
    squared_relu_reference,
    swiglu,
    swiglu_reference,
)
from minimodels.kernels.layer_norm import layer_norm, layer_norm_reference
from minimodels.kernels.rms_norm import rms_norm, rms_norm_reference
from minimodels.kernels.rope import rope, rope_reference
from minimodels.kernels.softmax import softmax, softmax_reference

EPS = 1e-6
ROW = 8192  # of the softmax
WIDE = 4  # bytes of a number kept in float32


def rms_norm_case(s: Size) -> Case:
    N, D = s.tokens, s.D
    forward = Cost(4 * N * D, 2 * N * D * s.b + D * s.b + N * WIDE)
    backward = Cost(10 * N * D, 3 * N * D * s.b + 2 * D * s.b + N * WIDE)
    return Case(
        "rms_norm", "rms_norm", f"{s.model}, {N:,} × {D:,}",
        lambda draw: {"x": draw.normal(N, D), "weight": draw.normal(D, scale=0.1)},
        partial(rms_norm, eps=EPS), partial(rms_norm_reference, eps=EPS),
        {"forward": forward, "backward": backward}, ("x", "weight"), liger.rms_norm(EPS), "memory",
    )  # fmt: skip


def layer_norm_case(s: Size) -> Case:
    N, D = s.tokens, s.D
    forward = Cost(7 * N * D, 2 * N * D * s.b + 2 * D * s.b + 2 * N * WIDE)
    backward = Cost(13 * N * D, 3 * N * D * s.b + 3 * D * s.b + 2 * N * WIDE)

    def inputs(draw: Draw) -> dict:
        weight, bias = (draw.normal(D, scale=0.1) for _ in range(2))
        return {"x": draw.normal(N, D), "weight": weight, "bias": bias}

    return Case(
        "layer_norm", "layer_norm", f"{s.model}, {N:,} × {D:,}", inputs,
        partial(layer_norm, eps=EPS), partial(layer_norm_reference, eps=EPS),
        {"forward": forward, "backward": backward}, ("x", "weight", "bias"), liger.layer_norm(EPS),
        "memory",
    )  # fmt: skip


def _gated(s: Size, name: str, ours, reference, flops: tuple[int, int]) -> Case:
    N, width = s.tokens, s.F
    count = N * width
    return Case(
        "glu", name, f"{s.model}, {N:,} × {width:,}",
        lambda draw: {"gate": draw.normal(N, width), "up": draw.normal(N, width)}, ours, reference,
        {"forward": Cost(flops[0] * count, 3 * count * s.b),
         "backward": Cost(flops[1] * count, 5 * count * s.b)},
        ("gate", "up"), getattr(liger, name)(), "memory",
    )  # fmt: skip


def geglu_case(s: Size) -> Case:
    return _gated(s, "geglu", geglu, geglu_reference, (10, 21))


def swiglu_case(s: Size) -> Case:
    return _gated(s, "swiglu", swiglu, swiglu_reference, (5, 11))


def squared_relu_case(s: Size) -> Case:
    N, width = s.tokens, s.F
    count = N * width
    return Case(
        "glu", "squared_relu", f"{s.model}, {N:,} × {width:,}",
        lambda draw: {"up": draw.normal(N, width)}, squared_relu, squared_relu_reference,
        {"forward": Cost(2 * count, 2 * count * s.b), "backward": Cost(3 * count, 3 * count * s.b)},
        ("up",), liger.squared_relu(), "memory",
    )  # fmt: skip


def rope_case(s: Size) -> Case:
    """Queries and keys in the layout of the projections, as the layers give them."""
    numbers = s.tokens * (s.H + s.K) * s.d
    turned = s.tokens * (s.H + s.K) * s.R
    cost = Cost(3 * turned, 2 * numbers * s.b + s.T * s.R * s.b)

    def inputs(draw: Draw) -> dict:
        q, k = (draw.normal(s.batch, s.T, h, s.d).transpose(1, 2) for h in (s.H, s.K))
        positions = torch.arange(s.T, device=draw.device)[None]
        cos, sin = rotation(positions, s.R, 10_000.0, s.dtype)
        return {"q": q, "k": k, "cos": cos, "sin": sin}

    return Case(
        "rope", "rope", f"{s.model}, {s.tokens:,} × ({s.H} + {s.K}) × {s.d}", inputs,
        lambda q, k, cos, sin: (rope(q, cos, sin), rope(k, cos, sin)),
        lambda q, k, cos, sin: (rope_reference(q, cos, sin), rope_reference(k, cos, sin)),
        {"forward": cost, "backward": cost}, ("q", "k"), liger.rope(), "memory",
    )  # fmt: skip


def softmax_case(s: Size) -> Case:
    N, width = s.tokens, min(ROW, s.F)
    count = N * width
    return Case(
        "softmax", "softmax", f"{N:,} × {width:,}",
        lambda draw: {"x": draw.normal(N, width, scale=3.0)}, softmax, softmax_reference,
        {"forward": Cost(5 * count, 2 * count * s.b + N * WIDE),
         "backward": Cost(4 * count, 3 * count * s.b)},
        ("x",), liger.softmax(), "memory",
    )  # fmt: skip


def adamw_case(s: Size) -> Case:
    """A matrix of the MLP, all in float32, as a training step has it."""
    count = s.D * s.F

    def inputs(draw: Draw) -> dict:
        p, g, m = (draw.normal(s.F, s.D, scale=0.02, dtype=torch.float32) for _ in range(3))
        return {"p": p, "g": g, "m": m, "v": g.square()}

    def step(function, p, g, m, v):
        function(p, g, m, v, step=3, lr=3e-4)
        return p, m, v

    return Case(
        "adamw", "adamw", f"{s.model}, {s.F:,} × {s.D:,}", inputs, partial(step, adamw),
        partial(step, adamw_reference), {"forward": Cost(12 * count, 7 * count * WIDE)},
        peers=liger.fused_adamw(lr=3e-4), goal="memory",
    )  # fmt: skip


def cross_entropy_case(s: Size) -> Case:
    """Three products of hidden's size times W's; what ours computes again is not counted.

    One leg, since Liger makes the gradients in forward.
    """
    N, D, V = s.tokens, s.D, s.V
    ends = 2 * (N * D + V * D) * s.b + 8 * N  # hidden, W and targets in, gradients out
    return Case(
        "cross_entropy", "cross_entropy", f"{s.model}, {N:,} × {D:,} × {V:,}",
        lambda draw: {"hidden": draw.normal(N, D), "weight": draw.normal(V, D, scale=D**-0.5),
                      "targets": draw.below(V, N)},
        linear_cross_entropy, _plain_loss,
        {"both": Cost(6 * N * D * V + 8 * N * V, ends)}, ("hidden", "weight"),
        liger.cross_entropy(), "loss",
    )  # fmt: skip


def _plain_loss(hidden, weight, targets):
    return F.cross_entropy(F.linear(hidden, weight).float(), targets)
