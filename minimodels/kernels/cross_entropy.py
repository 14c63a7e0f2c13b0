"""The loss of a language model without its logits: linear and cross-entropy in chunks of rows.

    z = hidden Wᵀ, capped;   lse = log Σ exp z;   loss = mean of lse − z[target] + c · lse²

Logits of 8,192 tokens over 256,000 words are 4 GB in bf16, and as much again for their gradient.
They are needed once. So a chunk of rows goes through the head, a kernel turns its logits into their
own gradient in place,

    dz = (softmax z · (1 + 2 c · lse) − 1[target]) / count,

and two products make of it the gradients of hidden and W; then the chunk is forgotten. The chunk is
chosen so that its logits take about as much as hidden itself (Liger-Kernel, arXiv 2410.10989). The
z-loss c · lse² keeps lse near 0 (PaLM, 2204.02311); cap as in Gemma 2: z ← cap · tanh(z / cap).
Shapes: hidden (N, D), weight (V, D), targets (N,) int64.
"""

import torch
from torch.nn import functional as F

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.checks import same_place, same_size
from minimodels.kernels.compile import Build

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton on this system: the reference serves
    triton = None

IGNORE = -100  # targets that do not count, as in torch
BLOCK = 4096  # logits at a time; a row of 256,000 takes 63 steps


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


def chunk_rows(N: int, D: int, V: int) -> int:
    """Rows whose logits take about as many numbers as hidden (N, D): the next power of two."""
    rows = -(-N // -(-V // D))  # N divided by V / D, both rounded up
    return 1 << (rows - 1).bit_length()


class _LinearCrossEntropy(torch.autograd.Function):
    """Gradients are made in forward, where the logits are; backward only scales them."""

    @staticmethod
    def forward(ctx, hidden, weight, targets, z_loss: float, cap):
        hidden, (N, D), V = hidden.contiguous(), hidden.shape, weight.shape[0]
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        dhidden = torch.empty_like(hidden) if wants_hidden else None
        dweight = (
            torch.zeros(V, D, device=weight.device) if wants_weight else None
        )  # float32: a sum
        losses = torch.empty(N, device=hidden.device)
        scale = 1.0 / (targets != IGNORE).sum().clamp(min=1).float()  # stays on the device
        rows = chunk_rows(N, D, V)
        for start in range(0, N, rows):
            part = slice(start, start + rows)
            logits = F.linear(hidden[part], weight)  # (rows, V): all there ever is of them
            _loss_and_gradient(logits, targets[part].contiguous(), losses[part], scale, z_loss, cap)
            if wants_hidden:
                dhidden[part] = logits @ weight
            if wants_weight:
                dweight += logits.T @ hidden[part]
        ctx.save_for_backward(dhidden, None if dweight is None else dweight.to(weight.dtype))
        return losses.sum() * scale

    @staticmethod
    def backward(ctx, dloss):
        dhidden, dweight = ctx.saved_tensors
        scaled = [None if d is None else d * dloss.to(d.dtype) for d in (dhidden, dweight)]
        return *scaled, None, None, None


def _loss_and_gradient(logits, targets, losses, scale, z_loss: float, cap) -> None:
    """Fill `losses` and turn `logits` (rows, V) into their gradient, in place."""
    rows, V = logits.shape
    with torch.cuda.device_of(logits):  # does nothing on a CPU
        cross_entropy_kernel[(rows,)](
            logits, targets, losses, scale, V, z_loss, cap or 1.0, CAP=cap is not None,
            IGNORE=IGNORE, BLOCK=min(BLOCK, triton.next_power_of_2(V)), num_warps=8,
        )  # fmt: skip


if triton is not None:

    @triton.jit
    def capped(x, cap, CAP: tl.constexpr):
        """cap · tanh(x / cap) and its slope, or x and 1."""
        slope = tl.full(x.shape, 1.0, tl.float32)
        if CAP:
            t = 2.0 * tl.sigmoid(2.0 * x / cap) - 1.0
            x = cap * t
            slope = 1.0 - t * t
        return x, slope

    @triton.jit
    def cross_entropy_kernel(logits_ptr, targets_ptr, losses_ptr, scale_ptr, V, z_loss, cap,
                             CAP: tl.constexpr, IGNORE: tl.constexpr,
                             BLOCK: tl.constexpr):  # fmt: skip
        row = tl.program_id(0).to(tl.int64)
        target = tl.load(targets_ptr + row)
        column = tl.arange(0, BLOCK)
        top = -float("inf")
        total = 0.0
        for start in range(0, V, BLOCK):  # once over the row: maximum and sum, mended as it goes
            inside = start + column < V
            x = tl.load(logits_ptr + row * V + start + column, mask=inside, other=0.0)
            z, _ = capped(x.to(tl.float32), cap, CAP)
            z = tl.where(inside, z, -float("inf"))
            higher = tl.maximum(top, tl.max(z, axis=0))
            total = total * tl.exp(top - higher) + tl.sum(tl.exp(z - higher), axis=0)
            top = higher
        lse = top + tl.log(total)
        counts = target != IGNORE
        place = tl.where(counts, target, 0)
        chosen, _ = capped(tl.load(logits_ptr + row * V + place + tl.arange(0, 1)).to(tl.float32),
                           cap, CAP)  # fmt: skip
        loss = lse - tl.sum(chosen, axis=0) + z_loss * lse * lse
        tl.store(losses_ptr + row, tl.where(counts, loss, 0.0))
        scale = tl.where(counts, tl.load(scale_ptr), 0.0)
        for start in range(0, V, BLOCK):  # and once more: each logit becomes its gradient
            inside = start + column < V
            x = tl.load(logits_ptr + row * V + start + column, mask=inside, other=0.0)
            z, slope = capped(x.to(tl.float32), cap, CAP)
            dz = tl.exp(z - lse) * (1.0 + 2.0 * z_loss * lse)
            dz -= tl.where(start + column == place, 1.0, 0.0)
            tl.store(logits_ptr + row * V + start + column, dz * slope * scale, mask=inside)


def builds() -> list[Build]:
    """A row of a 256,000-word vocabulary, in steps of 4,096."""
    signature = dict(logits_ptr="*bf16", targets_ptr="*i64", losses_ptr="*fp32", scale_ptr="*fp32",
                     V="i32", z_loss="fp32", cap="fp32")  # fmt: skip
    constants = {"CAP": True, "IGNORE": IGNORE, "BLOCK": BLOCK}
    return [Build("cross_entropy", cross_entropy_kernel, signature, constants, num_warps=8)]
