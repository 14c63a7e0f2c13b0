"""Keeping the experts of a mixture equally busy: two losses, and one bias without a loss.

Balancing loss: Switch (arXiv 2101.03961, eq. 4 to 6), in the form for k choices that Transformers
computes for Mixtral. z-loss: ST-MoE (2202.08906, eq. 5). Bias: DeepSeek (2408.15664), V3
(2412.19437, section 2.1.2). Shapes: N tokens, E experts, k of them used by a token.
"""

from collections.abc import Sequence

import torch

from minimodels.architecture.routing import Route, SigmoidRouter


def load(route: Route):
    """Share of the N·k pairs that each expert gets: (E,) float32, its sum is 1."""
    counts = route.experts.flatten().bincount(minlength=route.logits.shape[1])
    return counts / route.experts.numel()


def in_use(share) -> float:
    """How many experts a load (E,) amounts to, exp of its entropy: E where even, 1 at collapse."""
    return torch.special.entr(share).sum().exp().item()


def balance_loss(routes: Sequence[Route], mask=None):
    """E · Σ f p: k where the load is even, and up to E where k = 1 and one expert has it all.

    f (E,) is how many of a token's k choices fall on an expert, on average, and has no gradient;
    p (E,) is its mean probability, through which the router learns. Means run over the tokens of
    all layers together, of which mask (N,) bool leaves out the padding.
    """
    E = routes[0].logits.shape[1]
    real = slice(None) if mask is None else mask.flatten()
    chosen = torch.cat([route.experts[real] for route in routes])  # (tokens, k)
    probabilities = torch.cat([route.logits[real].softmax(-1) for route in routes])
    f = chosen.flatten().bincount(minlength=E) / len(chosen)
    return E * (f * probabilities.mean(0)).sum()


def z_loss(routes: Sequence[Route]):
    """Mean of (log Σ exp logit)² over tokens: keeps the router's logits small, and so exact."""
    return torch.cat([route.logits for route in routes]).logsumexp(-1).square().mean()


@torch.no_grad()
def update_bias(router: SigmoidRouter, route: Route, speed: float = 0.001) -> None:
    """Raise the bias of each expert that got less than its share of the batch, lower the others'.

    By `speed` each, whatever the distance. Call it once a step, behind the optimizer.
    """
    share = load(route)
    router.e_score_correction_bias += speed * (share.mean() - share).sign()
