"""Routers, experts and balancing losses against Transformers' and PyTorch's own, on odd shapes."""

from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional as F

from minimodels.architecture.balancing import balance_loss, load, update_bias, z_loss
from minimodels.architecture.mlp import SquaredReLU
from minimodels.architecture.moe import (
    Experts,
    GatedExperts,
    LatentMoE,
    MoE,
    by_hand,
    dropless,
    queue,
    with_capacity,
)
from minimodels.architecture.routing import Route, SigmoidRouter, SoftmaxRouter, watch
from minimodels.errors import UserError

WITHIN = 1e-5  # float32, values of size 1


@dataclass(frozen=True)
class Shape:
    """Sizes of one test; all differ, so that a wrong axis shows."""

    B: int
    T: int
    D: int
    width: int
    E: int
    k: int
    groups: int = 1
    top_groups: int = 1


SHAPES = {
    "top-2 of 8": Shape(2, 7, 16, 24, 8, 2),
    "one token": Shape(1, 1, 12, 20, 6, 3, groups=3, top_groups=2),
    "fine-grained": Shape(3, 11, 20, 5, 32, 6, groups=4, top_groups=2),
}


@pytest.fixture(params=SHAPES.values(), ids=SHAPES)
def shape(request):
    torch.manual_seed(0)
    return request.param


class Silu(torch.nn.Module):
    """A SwiGLU of one network, as shared expert."""

    def __init__(self, D, width):
        super().__init__()
        self.gate_proj = torch.nn.Linear(D, width, bias=False)
        self.up_proj = torch.nn.Linear(D, width, bias=False)
        self.down_proj = torch.nn.Linear(width, D, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


def mixtral(s):
    """Ours and Transformers' layer with the same weights."""
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    theirs = MixtralSparseMoeBlock(MixtralConfig(
        hidden_size=s.D, intermediate_size=s.width, num_local_experts=s.E,
        num_experts_per_tok=s.k, experts_implementation="eager"))  # fmt: skip
    return MoE(SoftmaxRouter(s.D, s.E, s.k), GatedExperts(s.E, s.D, s.width)), theirs


def deepseek(s):
    from transformers import DeepseekV3Config
    from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3MoE

    theirs = DeepseekV3MoE(DeepseekV3Config(
        hidden_size=s.D, moe_intermediate_size=s.width, n_routed_experts=s.E, n_shared_experts=2,
        num_experts_per_tok=s.k, n_group=s.groups, topk_group=s.top_groups,
        routed_scaling_factor=2.5, experts_implementation="eager"))  # fmt: skip
    gate = SigmoidRouter(s.D, s.E, s.k, s.groups, s.top_groups, scale=2.5)
    return MoE(gate, GatedExperts(s.E, s.D, s.width), Silu(s.D, 2 * s.width)), theirs


def nemotron(s, latent=None):
    from transformers import NemotronHConfig
    from transformers.models.nemotron_h.modeling_nemotron_h import NemotronHMoE

    theirs = NemotronHMoE(NemotronHConfig(
        hidden_size=s.D, moe_intermediate_size=s.width, n_routed_experts=s.E,
        num_experts_per_tok=s.k, n_group=s.groups, topk_group=s.top_groups, mlp_bias=False,
        moe_shared_expert_intermediate_size=s.width + 3, moe_latent_size=latent,
        routed_scaling_factor=2.5, layers_block_type=["moe"], mlp_hidden_act="relu2",
        experts_implementation="eager"))  # fmt: skip
    gate = SigmoidRouter(s.D, s.E, s.k, s.groups, s.top_groups, scale=2.5)
    experts, shared = Experts(s.E, latent or s.D, s.width), SquaredReLU(s.D, s.width + 3)
    if latent:
        return LatentMoE(gate, experts, shared, s.D, latent), theirs
    return MoE(gate, experts, shared), theirs


def latent(s):
    return nemotron(s, latent=s.D // 2)


FAMILIES = [mixtral, deepseek, nemotron, latent]


def pair(family, s):
    ours, theirs = family(s)
    bias = getattr(ours.gate, "e_score_correction_bias", None)
    if bias is not None:
        bias.copy_(0.3 * torch.randn(s.E))  # large enough to change the choice
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs.train()


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_equal_transformers_with_gradients(family, shape):
    ours, theirs = pair(family, shape)
    x = torch.randn(shape.B, shape.T, shape.D)
    inputs = [x.clone().requires_grad_() for _ in "ab"]
    outputs = [layer(each) for layer, each in zip((ours, theirs), inputs, strict=True)]
    assert (outputs[0] - outputs[1]).abs().max() < WITHIN
    target = torch.randn_like(x)
    for output in outputs:
        (output * target).sum().backward()
    assert (inputs[0].grad - inputs[1].grad).abs().max() < WITHIN * 10
    others = dict(theirs.named_parameters())
    for name, weight in ours.named_parameters():
        other = others.pop(name).grad
        assert (weight.grad - other).abs().max() < WITHIN * (1 + other.abs().max()), name
    assert not others


def test_bfloat16_mixtral_equals_transformers():
    torch.manual_seed(0)
    ours, theirs = (layer.bfloat16() for layer in pair(mixtral, SHAPES["top-2 of 8"]))
    x = torch.randn(2, 7, 16).bfloat16()
    apart = (ours(x) - theirs(x)).abs().max().item()
    assert apart <= 0.02 and ours(x).dtype == torch.bfloat16


@pytest.mark.parametrize("change", [
    "no renormalization", "no bias", "bias in the weights", "no groups", "no scale", "gelu",
    "gate and up swapped", "no shared", "one expert less",
])  # fmt: skip
def test_controls_differ(change):
    """Each part matters: without it the difference is far above the tolerance."""
    torch.manual_seed(0)
    shape = SHAPES["fine-grained"]
    ours, theirs = pair(mixtral if change == "no renormalization" else deepseek, shape)
    gate, experts = ours.gate, ours.experts
    if change == "no renormalization":
        gate.renormalize = False
    elif change == "no bias":
        gate.e_score_correction_bias.zero_()
    elif change == "bias in the weights":
        forward, bias = gate.forward, gate.e_score_correction_bias
        gate.forward = lambda x: biased(forward(x), bias)
    elif change == "no groups":
        gate.groups = 1
    elif change == "no scale":
        gate.scale = 1.0
    elif change == "gelu":
        experts.activation = F.gelu
    elif change == "gate and up swapped":
        swapped = torch.cat(experts.gate_up_proj.detach().chunk(2, dim=1)[::-1], dim=1)
        experts.gate_up_proj = torch.nn.Parameter(swapped)
    elif change == "no shared":
        ours.shared_experts = None
    else:
        gate.top_k -= 1
    x = torch.randn(shape.B, shape.T, shape.D)
    assert (ours(x) - theirs(x)).abs().max() > 1000 * WITHIN


def biased(route, bias):
    return route._replace(weights=route.weights + bias[route.experts])


@pytest.mark.parametrize("kind", [Experts, GatedExperts])
def test_three_ways_to_run_experts_agree(kind, shape):
    gate, experts = SoftmaxRouter(shape.D, shape.E, shape.k), kind(shape.E, shape.D, shape.width)
    x = torch.randn(shape.B * shape.T, shape.D)
    route = gate(x)
    reference = by_hand(x, route, experts)
    assert (dropless(x, route, experts) - reference).abs().max() < WITHIN
    room = int(queue(route).max()) + 1  # as much as the busiest expert needs
    assert (with_capacity(x, route, experts, room) - reference).abs().max() < WITHIN
    if len(x) > 1:
        assert (with_capacity(x, route, experts, room - 1) - reference).abs().max() > 1000 * WITHIN


def test_a_grouped_product_takes_the_fused_tensors():
    torch.manual_seed(0)
    experts = GatedExperts(5, 16, 24)
    route = SoftmaxRouter(16, 5, 1)(x := torch.randn(40, 16))
    order = route.experts.flatten().argsort(stable=True)
    ends = route.experts.flatten().bincount(minlength=5).cumsum(0).int()
    gate, up = F.grouped_mm(x[order], experts.gate_up_proj.mT, offs=ends).chunk(2, dim=-1)
    grouped = F.grouped_mm(F.silu(gate) * up, experts.down_proj.mT, offs=ends)
    assert (grouped - dropless(x, route, experts)[order]).abs().max() < WITHIN


def test_the_queue_serves_first_choices_first():
    experts = torch.tensor([[0, 1], [1, 0], [0, 2], [0, 1]])  # four tokens, two choices
    route = Route(torch.zeros(4, 3), experts, torch.ones(4, 2))
    assert queue(route).tolist() == [[0, 1], [0, 3], [1, 0], [2, 2]]


def test_capacity_drops_what_switch_drops():
    from transformers import SwitchTransformersConfig
    from transformers.models.switch_transformers.modeling_switch_transformers import (
        SwitchTransformersTop1Router,
    )

    torch.manual_seed(0)
    ours = SoftmaxRouter(12, 4, 1, renormalize=False)
    theirs = SwitchTransformersTop1Router(SwitchTransformersConfig(
        d_model=12, num_experts=4, expert_capacity=5, router_jitter_noise=0.0))  # fmt: skip
    theirs.classifier.weight.data = ours.weight.data
    x = torch.randn(1, 30, 12)
    sent, probability, _ = theirs(x)  # (1, 30, 4) one-hot, 0 where dropped
    route = ours(x[0])
    kept = queue(route) < 5
    assert 0 < kept.sum() < 30
    assert torch.equal(F.one_hot(route.experts[:, 0], 4) * kept, sent[0])
    assert (route.weights - probability[0]).abs().max() < WITHIN


def test_dropped_tokens_get_zero_and_padding_rows_touch_nobody():
    torch.manual_seed(0)
    experts, x = GatedExperts(3, 8, 12), torch.randn(10, 8)
    route = Route(torch.zeros(10, 3), torch.zeros(10, 1, dtype=torch.int64), torch.ones(10, 1))
    y = with_capacity(x, route, experts, 4)
    assert (y[:4] - experts.network(x[:4], 0)).abs().max() < WITHIN
    assert y[4:].abs().max() == 0


@pytest.mark.parametrize("layers", [1, 3])
def test_balance_loss_equals_transformers(shape, layers):
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    routes = [SoftmaxRouter(shape.D, shape.E, shape.k)(torch.randn(shape.B * shape.T, shape.D))
              for _ in range(layers)]  # fmt: skip
    logits = tuple(route.logits for route in routes)
    theirs = load_balancing_loss_func(logits, shape.E, shape.k)
    assert abs(balance_loss(routes) - theirs) < WITHIN * shape.k
    mask = torch.ones(shape.B, shape.T, dtype=torch.bool)
    mask[0, 1:] = False
    theirs = load_balancing_loss_func(logits, shape.E, shape.k, mask.int())
    assert abs(balance_loss(routes, mask) - theirs) < WITHIN * shape.k
    if mask.sum() < mask.numel():
        assert abs(balance_loss(routes) - theirs) > 100 * WITHIN * shape.k


def test_balance_loss_from_its_least_to_its_most():
    even = torch.arange(12)[:, None] % 4
    assert balance_loss([Route(torch.zeros(12, 4), even, torch.ones(12, 1))]) == 1.0
    sure = 100 * F.one_hot(torch.zeros(12, dtype=torch.int64), 4).float()
    assert balance_loss([Route(sure, torch.zeros_like(even), torch.ones(12, 1))]) == 4.0


def test_balance_loss_pushes_the_busy_expert_down():
    logits = torch.zeros(6, 3, requires_grad=True)
    experts = torch.tensor([[0], [0], [0], [0], [1], [2]])
    balance_loss([Route(logits, experts, torch.ones(6, 1))]).backward()
    assert (logits.grad[:, 0] > 0).all() and (logits.grad[:, 1:] < 0).all()


def test_z_loss_equals_transformers():
    from transformers.models.switch_transformers.modeling_switch_transformers import (
        router_z_loss_func,
    )

    torch.manual_seed(0)
    logits = 3 * torch.randn(10, 4)
    route = Route(logits, logits.topk(1)[1], torch.ones(10, 1))
    assert abs(z_loss([route]) - router_z_loss_func(logits[None])) < WITHIN


def test_the_bias_evens_the_load_and_leaves_the_weights_alone():
    torch.manual_seed(0)
    router = SigmoidRouter(16, 8, 2)
    x = torch.randn(2000, 16) + 1.5  # all tokens share a direction: some experts are far ahead
    before = load(router(x))
    for _ in range(400):
        update_bias(router, router(x), speed=0.005)
    route = router(x)
    assert before.max() > 0.3 and load(route).max() < 0.14  # even is 0.125
    scores = route.logits.sigmoid().gather(-1, route.experts)
    assert (route.weights - scores / scores.sum(-1, keepdim=True)).abs().max() < WITHIN
    assert not router.e_score_correction_bias.requires_grad


def test_watch_sees_every_router_once_and_lets_go():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        MoE(SoftmaxRouter(8, 4, 2), GatedExperts(4, 8, 6)),
        MoE(SigmoidRouter(8, 4, 2), Experts(4, 8, 6)))  # fmt: skip
    with watch(layers) as routes:
        layers(torch.randn(2, 5, 8))
    assert [route.experts.shape for route in routes] == [(10, 2), (10, 2)]
    balance_loss(routes).backward()  # the graph is kept
    assert layers[0].gate.weight.grad.abs().sum() > 0
    layers(torch.randn(2, 5, 8))
    assert len(routes) == 2


@pytest.mark.parametrize("wrong", [
    lambda: SoftmaxRouter(8, 4, 5),
    lambda: SoftmaxRouter(8, 4, 0),
    lambda: SigmoidRouter(8, 8, 2, groups=3),
    lambda: SigmoidRouter(8, 8, 5, groups=4, top_groups=2),
    lambda: SigmoidRouter(8, 8, 2, groups=8, top_groups=2),
])  # fmt: skip
def test_impossible_routers_say_so(wrong):
    with pytest.raises(UserError):
        wrong()
