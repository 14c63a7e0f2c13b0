"""Routers: which k of E experts a token is sent to, and how much each of their answers counts.

Softmax router: Mixtral (arXiv 2401.04088, section 2.1), GShard's top-2 (2006.16668) for any k.
Sigmoid router: DeepSeek-V3 (2412.19437, section 2.1.2), which Nemotron 3 took over.
Shapes: x (N, D), N tokens of all texts in a row; logits (N, E); experts and weights (N, k).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from minimodels import kernels
from minimodels.errors import UserError
from minimodels.kernels.routing import top_k_routing


class Route(NamedTuple):
    """What a router says of N tokens."""

    logits: torch.Tensor  # (N, E) float32, a score of every expert
    experts: torch.Tensor  # (N, k) int64, those that the token is sent to
    weights: torch.Tensor  # (N, k) float32, by which their answers are multiplied


class SoftmaxRouter(nn.Module):
    """The k largest of softmax(W x), divided by their sum: (N, D) -> Route.

    That is the softmax over the k largest logits alone, as the paper on Mixtral writes it. With
    `renormalize` false the weights keep what the softmax over all E gave (Switch, 2101.03961):
    then even a single choice (k = 1) has a weight with a gradient for the router.
    """

    def __init__(self, hidden_size: int, num_experts: int, top_k: int, renormalize: bool = True):
        super().__init__()
        _at_most(top_k, num_experts, "experts a token", "experts")
        self.top_k, self.renormalize = top_k, renormalize
        self.weight = nn.Parameter(torch.randn(num_experts, hidden_size) / hidden_size**0.5)

    def forward(self, x) -> Route:
        logits = F.linear(x, self.weight).float()
        if self.renormalize and kernels.on(logits):
            return Route(logits, *top_k_routing(logits, self.top_k))
        weights, experts = logits.softmax(-1).topk(self.top_k, dim=-1)
        if self.renormalize:
            weights = weights / weights.sum(-1, keepdim=True)
        return Route(logits, experts, weights)


class SigmoidRouter(nn.Module):
    """sigmoid(W x), chosen with a bias that balances, weighed without it: (N, D) -> Route.

    e_score_correction_bias (E,) is added to choose and nowhere else; no gradient reaches it, and
    `balancing.update_bias` moves it. With groups > 1 only the `top_groups` groups of experts whose
    two best scores have the largest sum are asked: a token's experts then lie on few machines.
    """

    def __init__(self, hidden_size: int, num_experts: int, top_k: int, groups: int = 1,
                 top_groups: int = 1, scale: float = 1.0, renormalize: bool = True):  # fmt: skip
        super().__init__()
        _at_most(top_groups, groups, "groups a token", "groups")
        if num_experts % groups or (groups > 1 and num_experts // groups < 2):
            raise UserError(
                f"{num_experts} experts do not make {groups} groups of two or more: "
                "choose a number of groups that divides them."
            )
        _at_most(top_k, num_experts // groups * top_groups, "experts a token", "in its groups")
        self.top_k, self.groups, self.top_groups = top_k, groups, top_groups
        self.scale, self.renormalize = scale, renormalize
        self.weight = nn.Parameter(torch.randn(num_experts, hidden_size) / hidden_size**0.5)
        self.register_buffer("e_score_correction_bias", torch.zeros(num_experts))

    def forward(self, x) -> Route:
        logits = F.linear(x.float(), self.weight.float())
        scores = logits.sigmoid()  # each expert by itself: they do not share a sum of 1
        experts = self.allowed(scores + self.e_score_correction_bias).topk(self.top_k, dim=-1)[1]
        weights = scores.gather(-1, experts)  # without the bias
        if self.renormalize:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return Route(logits, experts, weights * self.scale)

    def allowed(self, scores):
        """Scores (N, E) with -inf at the experts outside of the token's groups."""
        if self.groups == 1:
            return scores
        grouped = scores.unflatten(-1, (self.groups, -1))  # (N, groups, E / groups)
        best = grouped.topk(2, dim=-1)[0].sum(-1).topk(self.top_groups, dim=-1)[1]
        closed = torch.ones_like(grouped[..., 0], dtype=torch.bool).scatter(-1, best, False)
        return grouped.masked_fill(closed[..., None], float("-inf")).flatten(-2)


@contextmanager
def watch(model: nn.Module) -> Iterator[list[Route]]:
    """Collect the Route of every router of `model`, layer by layer, while it runs.

    `with watch(model) as routes: logits = model(tokens)`; the routes keep their graph, so that
    losses of `balancing` can be taken of them and added to the loss of the text.
    """
    routes: list[Route] = []
    hooks = [
        module.register_forward_hook(lambda _, inputs, route: routes.append(route))
        for module in model.modules()
        if isinstance(module, SoftmaxRouter | SigmoidRouter)
    ]
    try:
        yield routes
    finally:
        for hook in hooks:
            hook.remove()


def _at_most(wanted: int, there: int, what: str, of: str) -> None:
    if not 1 <= wanted <= there:
        raise UserError(f"{wanted} {what} of {there} {of} is impossible: ask for 1 to {there}.")
