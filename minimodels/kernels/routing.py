"""Top-k routing of a mixture of experts in one pass: softmax, the k largest, their weights.

    weights = p[experts] / Σ p[experts],   p = softmax(logits)

The k largest are found by taking the largest k times and striking it out: k is 1 to 8, E at most a
few hundred, and a row lies in registers. Renormalized, the softmax over all E drops out: with g the
gradient of the weights w, dlogits[experts] = w · (g − Σ g · w), and all others get none.
Shapes: logits (N, E); experts (N, k) int64, weights (N, k) float32.
"""

import torch
from torch.autograd.function import once_differentiable

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.checks import dimensions, same_place
from minimodels.kernels.compile import Build

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton on this system: the reference serves
    triton = None


def top_k_routing_reference(logits, k: int):
    """(experts, weights), the largest first."""
    weights, experts = logits.float().softmax(-1).topk(k, dim=-1)
    return experts, weights / weights.sum(-1, keepdim=True)


def top_k_routing(logits, k: int):
    """The same by the kernel, where this machine has a way to run it. Differentiable in logits.

    Of equal logits the first is taken. Raises UserError for a k that is not 1 to E.
    """
    same_place("top_k_routing", logits=logits)
    dimensions("top_k_routing", "(N, E)", logits=logits)
    if not 1 <= k <= logits.shape[-1]:
        raise UserError(f"top_k_routing: k = {k} of {logits.shape[-1]} experts: ask for 1 to that.")
    if not kernels.on(logits) or logits.numel() == 0:
        return top_k_routing_reference(logits, k)
    return _TopK.apply(logits, k)


class _TopK(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, k: int):
        logits, (N, E) = logits.contiguous(), logits.shape
        experts = torch.empty(N, k, device=logits.device, dtype=torch.int64)
        weights = torch.empty(N, k, device=logits.device, dtype=torch.float32)
        with torch.cuda.device_of(logits):  # does nothing on a CPU
            top_k_kernel[(N,)](
                logits, experts, weights, E, K=k, BLOCK_K=triton.next_power_of_2(k),
                BLOCK=triton.next_power_of_2(E), num_warps=1,
            )  # fmt: skip
        ctx.save_for_backward(logits, experts, weights)
        ctx.mark_non_differentiable(experts)
        return experts, weights

    @staticmethod
    @once_differentiable
    def backward(ctx, _, dweights):
        logits, experts, weights = ctx.saved_tensors
        chosen = weights * (dweights - (dweights * weights).sum(-1, keepdim=True))  # (N, k)
        return torch.zeros_like(logits).scatter_(1, experts, chosen.to(logits.dtype)), None


if triton is not None:

    @triton.jit
    def top_k_kernel(logits_ptr, experts_ptr, weights_ptr, E, K: tl.constexpr,
                     BLOCK_K: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
        row = tl.program_id(0).to(tl.int64)
        expert, choice = tl.arange(0, BLOCK), tl.arange(0, BLOCK_K)
        left = tl.load(logits_ptr + row * E + expert, mask=expert < E, other=-float("inf"))
        left = left.to(tl.float32)
        left = tl.where(left != left, float("inf"), left)  # NaN first, as torch: it comes to light
        free = expert < E
        chosen = tl.zeros((BLOCK_K,), tl.int32)
        values = tl.full((BLOCK_K,), -float("inf"), tl.float32)
        for i in tl.static_range(K):
            best = tl.max(left, axis=0)
            first = tl.min(tl.where(free & (left == best), expert, BLOCK), axis=0)  # of equals
            chosen = tl.where(choice == i, first, chosen)
            values = tl.where(choice == i, best, values)
            free &= expert != first  # also where all that is left is −∞ no expert comes twice
            left = tl.where(expert == first, -float("inf"), left)
        p = tl.exp(values - tl.max(values, axis=0))
        inside = choice < K
        weights = tl.where(inside, p, 0.0) / tl.sum(tl.where(inside, p, 0.0), axis=0)
        tl.store(experts_ptr + row * K + choice, chosen.to(tl.int64), mask=inside)
        tl.store(weights_ptr + row * K + choice, weights, mask=inside)


def builds() -> list[Build]:
    """Eight of 128 experts."""
    signature = dict(logits_ptr="*bf16", experts_ptr="*i64", weights_ptr="*fp32", E="i32")
    constants = {"K": 8, "BLOCK_K": 8, "BLOCK": 128}
    return [Build("top_k_routing", top_k_kernel, signature, constants, 1, aligned=("E",))]
