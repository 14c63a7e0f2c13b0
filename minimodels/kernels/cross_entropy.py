"""The loss of a language model without its logits: head and cross-entropy, some words at a time.

    z = hidden Wᵀ, capped;   lse = log Σ exp z;   loss = mean of lse − z[target] + c · lse²

Logits of 8,192 tokens over 256,000 words are 4 GB in bf16, as much again for their gradient, and
twice that in float32. Each is needed once. So the head runs on 4,096 words at a time. Forward keeps
of them what the online softmax keeps (arXiv 1805.02867): the maximum and the sum so far, and the
logit of the target. Backward computes the logits once more, a kernel turns them into their own
gradient in place,

    dz = (softmax z · (1 + 2 c · lse) − 1[target]) / count,

and two products make of dz the finished rows of dW for these words, and their part of dhidden. With
the logits made twice that is four products in place of three, a third more arithmetic than with all
logits in memory (words in blocks: Cut Cross-Entropy, arXiv 2411.09009). The other way, rows of
hidden in chunks (Liger-Kernel, 2410.10989), computes nothing twice, but reads and writes all of dW
for each chunk. The z-loss c · lse² keeps lse near 0 (PaLM, 2204.02311); cap as in Gemma 2:
z ← cap · tanh(z / cap). Shapes: hidden (N, D), weight (V, D), targets (N,) int64.
"""

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

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
from minimodels.kernels.compile import Build

try:
    import triton
    import triton.language as tl

    from minimodels.kernels.pieces import tanh
except ImportError:  # no Triton on this system: the reference serves
    triton = None

IGNORE = -100  # targets that do not count, as in torch
WORDS = 4096  # at a time: 63 steps for 256,000, and their logits take about as much as hidden


def linear_cross_entropy_reference(hidden, weight, targets, z_loss=0.0, cap=None):
    """The same with all logits in memory, in float32."""
    z = F.linear(hidden, weight).float()
    z = z if cap is None else cap * torch.tanh(z / cap)
    counts = targets != IGNORE
    loss = F.cross_entropy(z, targets, ignore_index=IGNORE, reduction="sum")
    loss = loss + z_loss * (z.logsumexp(-1).square() * counts).sum()
    return loss / counts.sum().clamp(min=1)


def linear_cross_entropy(hidden, weight, targets, z_loss: float = 0.0, cap: float | None = None):
    """Mean loss (a float32 scalar), differentiable in hidden and weight.

    Rows whose target is −100 do not count; 0 if none counts. Raises UserError for shapes or devices
    that do not fit, or a target that is no word.
    """
    same_place("linear_cross_entropy", hidden=hidden, weight=weight)
    hidden, weight = autocast(hidden, weight)
    same_place("linear_cross_entropy", INTEGERS, targets=targets)
    one_device("linear_cross_entropy", hidden=hidden, targets=targets)
    one_dtype("linear_cross_entropy", hidden=hidden, weight=weight)
    dimensions("linear_cross_entropy", "(N, D)", hidden=hidden)
    same_size("linear_cross_entropy", hidden.shape[:1], targets=targets)
    same_size("linear_cross_entropy", (weight.shape[0], hidden.shape[1]), weight=weight)
    if not hidden.is_cuda:  # on a GPU the question would wait for it
        wrong = targets[(targets != IGNORE) & ((targets < 0) | (targets >= weight.shape[0]))]
        if len(wrong):
            raise UserError(
                f"linear_cross_entropy: target {wrong[0].item()} is no word of {weight.shape[0]}: "
                f"use 0 to {weight.shape[0] - 1}, or {IGNORE} for what does not count."
            )
    if not kernels.on(hidden) or hidden.numel() == 0:
        return linear_cross_entropy_reference(hidden, weight, targets, z_loss, cap)
    return _LinearCrossEntropy.apply(hidden, weight, targets, z_loss, cap)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weight, targets, z_loss: float, cap):
        hidden, weight, targets = hidden.contiguous(), weight.contiguous(), targets.contiguous()
        top = torch.full(targets.shape, -torch.inf, device=hidden.device, dtype=torch.float32)
        total, chosen = torch.zeros_like(top), torch.zeros_like(top)
        for first, words in _parts(weight):
            logits = F.linear(hidden, words)  # (N, WORDS): all there ever is of them
            _launch(statistics_kernel, logits, targets, top, total, chosen, first, cap=cap)
        lse = top + total.log()
        counts = targets != IGNORE
        ctx.save_for_backward(hidden, weight, targets, lse)
        ctx.z_loss, ctx.cap = z_loss, cap
        losses = (lse - chosen + z_loss * lse.square()).masked_fill(~counts, 0.0)
        return losses.sum() / counts.sum().clamp(min=1)

    @staticmethod
    @once_differentiable
    def backward(ctx, dloss):
        hidden, weight, targets, lse = ctx.saved_tensors
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        dhidden = torch.zeros_like(hidden, dtype=torch.float32) if wants_hidden else None
        dweight = torch.empty_like(weight) if wants_weight else None
        scale = dloss / (targets != IGNORE).sum().clamp(min=1)  # stays on the device
        for first, words in _parts(weight):
            logits = F.linear(hidden, words)
            _launch(gradient_kernel, logits, targets, lse, scale, first, ctx.z_loss, cap=ctx.cap)
            if wants_hidden:
                dhidden += logits @ words
            if wants_weight:
                torch.mm(logits.T, hidden, out=dweight[first : first + len(words)])
        return None if dhidden is None else dhidden.to(hidden.dtype), dweight, None, None, None


def _parts(weight):
    """(number of the first word, rows of the next WORDS words), one after the other."""
    return zip(range(0, len(weight), WORDS), weight.split(WORDS), strict=True)


def _launch(kernel, logits, *rest, cap) -> None:
    """One program a row of logits (N, WORDS or, at the end, fewer)."""
    rows, width = logits.shape
    with torch.cuda.device_of(logits):  # does nothing on a CPU
        kernel[(rows,)](
            logits, *rest, width, float(cap or 1), CAP=cap is not None,
            BLOCK=min(WORDS, triton.next_power_of_2(width)), num_warps=8,
        )  # fmt: skip


if triton is not None:

    @triton.jit
    def capped(x, cap, CAP: tl.constexpr):
        """cap · tanh(x / cap) and its slope, or x and 1."""
        slope = tl.full(x.shape, 1.0, tl.float32)
        if CAP:
            t = tanh(x / cap)
            x = cap * t
            slope = 1.0 - t * t
        return x, slope

    @triton.jit
    def statistics_kernel(logits_ptr, targets_ptr, top_ptr, total_ptr, chosen_ptr, first, width,
                          cap, CAP: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
        """Adds these words to one row's maximum, sum of exp(z − maximum) and target's logit."""
        row = tl.program_id(0).to(tl.int64)
        column = tl.arange(0, BLOCK)
        inside = column < width
        x = tl.load(logits_ptr + row * width + column, mask=inside, other=0.0)
        z, _ = capped(x.to(tl.float32), cap, CAP)
        z = tl.where(inside, z, -float("inf"))
        top = tl.load(top_ptr + row)
        higher = tl.maximum(top, tl.max(z, axis=0))
        base = tl.where(higher == -float("inf"), 0.0, higher)  # not −∞ − −∞
        total = tl.load(total_ptr + row) * tl.exp(top - base) + tl.sum(tl.exp(z - base), axis=0)
        hit = first + column == tl.load(targets_ptr + row)
        chosen = tl.load(chosen_ptr + row) + tl.sum(tl.where(hit & inside, z, 0.0), axis=0)
        tl.store(top_ptr + row, higher)
        tl.store(total_ptr + row, total)
        tl.store(chosen_ptr + row, chosen)

    @triton.jit
    def gradient_kernel(logits_ptr, targets_ptr, lse_ptr, scale_ptr, first, z_loss, width, cap,
                        CAP: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
        """Each logit of one row becomes its gradient."""
        row = tl.program_id(0).to(tl.int64)
        column = tl.arange(0, BLOCK)
        inside = column < width
        x = tl.load(logits_ptr + row * width + column, mask=inside, other=0.0)
        z, slope = capped(x.to(tl.float32), cap, CAP)
        target, lse = tl.load(targets_ptr + row), tl.load(lse_ptr + row)
        dz = tl.exp(z - lse) * (1.0 + 2.0 * z_loss * lse)
        dz -= tl.where(first + column == target, 1.0, 0.0)
        scale = tl.where(target < 0, 0.0, tl.load(scale_ptr))  # a row that does not count
        tl.store(logits_ptr + row * width + column, dz * slope * scale, mask=inside)


def builds() -> list[Build]:
    """4,096 of many words, capped as Gemma 2's."""
    common = dict(logits_ptr="*bf16", targets_ptr="*i64")
    numbers = dict(first="i32", width="i32", cap="fp32")
    sums = dict.fromkeys(("top_ptr", "total_ptr", "chosen_ptr"), "*fp32")
    back = dict(lse_ptr="*fp32", scale_ptr="*fp32", z_loss="fp32")
    return [
        Build(name, kernel, common | more | numbers, {"CAP": True, "BLOCK": WORDS}, num_warps=8,
              aligned=("width",))
        for name, kernel, more in (("cross_entropy", statistics_kernel, sums),
                                   ("cross_entropy backward", gradient_kernel, back))
    ]  # fmt: skip
