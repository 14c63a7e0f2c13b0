"""Mixtures of experts: E feed-forward networks of which every token uses k.

Dropless, as Mixtral is run (arXiv 2401.04088; MegaBlocks, 2211.15841): tokens are sorted by their
expert, however many each gets. With capacity, as in Switch (2101.03961, section 2.2): every expert
gets room for C tokens, and what comes later is dropped. Shared experts: DeepSeekMoE (2401.06066).
Experts without a gate and with a latent space: Nemotron 3 (names as in its checkpoints).
Shapes: B batch, T time, N = B·T tokens, D hidden, F one expert's width, E experts, k of them used.
"""

import torch
from torch import nn
from torch.nn import functional as F

from minimodels import kernels
from minimodels.architecture.routing import Route
from minimodels.kernels.grouped_matmul import grouped_matmul


def squared_relu(x):
    return F.relu(x).square()


class Experts(nn.Module):
    """E networks down(activation(up x)), fused in two tensors: (N, D) and a Route -> (N, D)."""

    def __init__(self, num_experts: int, hidden_size: int, intermediate_size: int,
                 activation=squared_relu):  # fmt: skip
        super().__init__()
        E, D, width = num_experts, hidden_size, intermediate_size
        self.num_experts, self.activation = num_experts, activation
        self.up_proj = nn.Parameter(torch.randn(E, width, D) / D**0.5)
        self.down_proj = nn.Parameter(torch.randn(E, D, width) / width**0.5)

    def forward(self, x, route: Route):
        return dropless(x, route, self)

    def network(self, x, expert=slice(None)):
        """One expert's answers to x (n, D), or those of all E at once to x (E, C, D)."""
        inner = self.activation(times(x, self.up_proj, expert))  # (…, F)
        return times(inner, self.down_proj, expert)


class GatedExperts(nn.Module):
    """E networks down(activation(gate x) · up x), SwiGLU by default; see Experts.

    gate_up_proj (E, 2F, D) holds gate above up: one product instead of two.
    """

    def __init__(self, num_experts: int, hidden_size: int, intermediate_size: int,
                 activation=F.silu):  # fmt: skip
        super().__init__()
        E, D, width = num_experts, hidden_size, intermediate_size
        self.num_experts, self.activation = num_experts, activation
        self.gate_up_proj = nn.Parameter(torch.randn(E, 2 * width, D) / D**0.5)
        self.down_proj = nn.Parameter(torch.randn(E, D, width) / width**0.5)

    def forward(self, x, route: Route):
        return dropless(x, route, self)

    def network(self, x, expert=slice(None)):
        """One expert's answers to x (n, D), or those of all E at once to x (E, C, D)."""
        gate, up = times(x, self.gate_up_proj, expert).chunk(2, dim=-1)  # (…, F) each
        return times(self.activation(gate) * up, self.down_proj, expert)


def times(x, weight, expert):
    """x times the transposed matrix of one expert of `weight` (E, …), or of all E (a slice).

    expert may also be a tensor of counts (E,): x then has so many rows for each expert in turn.
    """
    if isinstance(expert, torch.Tensor):
        return grouped_matmul(x, weight, expert)
    return x @ weight[expert].mT


def by_hand(x, route: Route, experts):
    """Every expert answers every token, and the answers are weighed: the reference, E/k too dear.

    x (N, D) -> (N, D). `dropless`, and `with_capacity` where nothing is dropped, must equal it.
    """
    answers = experts.network(x.expand(experts.num_experts, *x.shape))  # (E, N, D)
    each = torch.zeros_like(route.logits).scatter(-1, route.experts, route.weights)  # (N, E)
    return torch.einsum("ne,end->nd", each, answers.float()).type_as(x)


def dropless(x, route: Route, experts):
    """Sort the N·k pairs of token and expert by expert, run each slice, weigh and add up.

    x (N, D) -> (N, D). No token is dropped and no row is padded, so the slices differ in length.
    """
    if kernels.on(x):
        return grouped(x, route, experts)
    k = route.experts.shape[1]
    order = route.experts.flatten().argsort(stable=True)  # (N·k,), pair n·k + choice
    counts = route.experts.flatten().bincount(minlength=experts.num_experts).tolist()
    slices = x[order // k].split(counts)  # each expert's tokens, in the order of the text
    run = [experts.network(rows, e) for e, rows in enumerate(slices) if len(rows)]
    answers = torch.empty_like(torch.cat(run)).index_copy(0, order, torch.cat(run))
    weighed = answers.unflatten(0, (-1, k)) * route.weights[..., None]  # (N, k, D)
    return weighed.sum(1).type_as(x)


def grouped(x, route: Route, experts):
    """`dropless` with one launch a matrix: how long the slices are, nobody waits to hear."""
    E, k = experts.num_experts, route.experts.shape[1]
    order = route.experts.flatten().argsort(stable=True)  # (N·k,)
    counts = (route.experts.flatten()[:, None] == torch.arange(E, device=x.device)).sum(0)  # (E,)
    answers = experts.network(x[order // k], counts)
    answers = torch.empty_like(answers).index_copy(0, order, answers)
    return (answers.unflatten(0, (-1, k)) * route.weights[..., None]).sum(1).type_as(x)


def queue(route: Route):
    """How many pairs stand before each one at its expert: (N, k) int64.

    All first choices come before all second ones (GShard), each in the order of the tokens.
    """
    one_hot = F.one_hot(route.experts.T.flatten(), route.logits.shape[1])  # (k·N, E)
    before = (one_hot.cumsum(0) - 1).mul(one_hot).sum(-1)  # (k·N,)
    return before.view(route.experts.T.shape).T


def with_capacity(x, route: Route, experts, capacity: int):
    """Give each expert room for `capacity` tokens; a pair that finds no room is left out.

    x (N, D) -> (N, D). All shapes are known before the tokens are, so that one batched product
    runs all experts. A token whose pairs are all dropped gets 0: it passes by in the residual.
    """
    N, k = route.experts.shape
    place = queue(route)
    fits = place < capacity  # (N, k)
    slots = route.experts * capacity + place  # in a room of E·C rows
    token = torch.arange(N, device=x.device)[:, None].expand(N, k)
    room = x.new_zeros(experts.num_experts * capacity, x.shape[1])
    room = room.index_copy(0, slots[fits], x[token[fits]])
    answers = experts.network(room.unflatten(0, (-1, capacity))).flatten(0, 1)  # (E·C, D)
    weights = route.weights * fits  # (N, k)
    return (answers[slots * fits] * weights[..., None]).sum(1).type_as(x)


class MoE(nn.Module):
    """A mixture in the place of an MLP: (B, T, D) -> (B, T, D).

    gate: a router. experts: Experts or GatedExperts. shared_experts: an MLP that every token
    passes as well, or None. `moe.gate(x)` on rows (N, D) says where tokens would go.
    """

    def __init__(self, gate: nn.Module, experts: nn.Module, shared_experts=None):
        super().__init__()
        self.gate, self.experts, self.shared_experts = gate, experts, shared_experts

    def forward(self, x):
        rows = x.flatten(0, -2)  # (N, D): the router sees tokens, not texts
        y = self.routed(rows, self.gate(rows)).view_as(x)
        return y if self.shared_experts is None else y + self.shared_experts(x)

    def routed(self, rows, route: Route):
        return self.experts(rows, route)


class LatentMoE(MoE):
    """Experts that work in a narrower space of `latent` numbers (Nemotron 3 Super and Ultra).

    The router and the shared experts see all D; the experts' tensors have `latent` in D's place.
    """

    def __init__(self, gate: nn.Module, experts: nn.Module, shared_experts, hidden_size: int,
                 latent: int):  # fmt: skip
        super().__init__(gate, experts, shared_experts)
        self.fc1_latent_proj = nn.Linear(hidden_size, latent, bias=False)
        self.fc2_latent_proj = nn.Linear(latent, hidden_size, bias=False)

    def routed(self, rows, route: Route):
        return self.fc2_latent_proj(self.experts(self.fc1_latent_proj(rows), route))
