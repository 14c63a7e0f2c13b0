"""Gemma 4 (arXiv 2607.02770): what changed since Gemma 3n, which it resembles without AltUp.

Full layers have heads twice as wide, turn only the fast quarter of their pairs (p-RoPE, arXiv
2410.06205) and, in the larger models, take their keys as values too. One member puts a mixture of
experts beside its dense MLP. Each layer's output is multiplied by one number.
Shapes: B batch, T time, D hidden, d a head, P per-layer numbers, N = B·T tokens, E experts.
"""

import torch
from torch import nn
from torch.nn import functional as F

from minimodels.architecture.configs import FULL
from minimodels.architecture.families.per_layer import (
    PerLayerDecoder,
    PerLayerGate,
    SharingAttention,
)
from minimodels.architecture.mlp import GeGLU
from minimodels.architecture.moe import GatedExperts
from minimodels.architecture.norms import WideRMSNorm
from minimodels.architecture.rope import rotate, rotation
from minimodels.architecture.routing import Route, SoftmaxRouter


class Gemma4(PerLayerDecoder):
    """See Gemma4Config."""

    def block(self, layer: int) -> nn.Module:
        return Gemma4Block(self.config, layer)

    def angles(self, kind: str, positions, dtype):
        """In full layers only the fastest pairs turn; the others carry content at any distance.

        Their frequencies are those of the whole head: pair i of d/2 stands still (cosine 1, sine 0)
        from i = fraction · d/2 on, and keeps its partner i + d/2.
        """
        d, (theta, _) = self.config.head_size(kind), self.config.rope(kind)
        cos, sin = rotation(positions, d, theta, dtype)  # (B or 1, 1, T, d/2)
        turning = int(self.config.full_rotary_fraction * d // 2) if kind == FULL else d // 2
        still = torch.arange(d // 2, device=cos.device) >= turning
        return cos.masked_fill(still, 1.0), sin.masked_fill(still, 0.0)


class Gemma4Block(nn.Module):
    """One layer: (B, T, D) -> (B, T, D)."""

    def __init__(self, config, layer: int):
        super().__init__()
        D, eps = config.hidden_size, config.norm_eps
        self.input_layernorm = WideRMSNorm(D, eps)
        self.self_attn = Gemma4Attention(config, layer)
        self.post_attention_layernorm = WideRMSNorm(D, eps)
        self.pre_feedforward_layernorm = WideRMSNorm(D, eps)
        self.mlp = GeGLU(D, config.width(layer))
        self.moe = MixtureBeside(config) if config.num_experts else None
        self.post_feedforward_layernorm = WideRMSNorm(D, eps)
        self.ple = PerLayerGate(config) if config.per_layer_size else None
        self.register_buffer("layer_scalar", torch.ones(1))

    def forward(self, x, rotation, mask, cache, told, shared):
        y = self.self_attn(self.input_layernorm(x), rotation, mask, cache, shared)
        x = x + self.post_attention_layernorm(y)
        y = self.mlp(self.pre_feedforward_layernorm(x))
        if self.moe is not None:
            y = self.moe(x, y)
        x = x + self.post_feedforward_layernorm(y)
        if self.ple is not None:
            x = x + self.ple(x, told)
        return x * self.layer_scalar


class Gemma4Attention(SharingAttention):
    """With k_eq_v, full layers project once: keys are that normed and turned, values it normed."""

    def __init__(self, config, layer: int):
        super().__init__(config, layer)
        if config.k_eq_v and self.kind == FULL and not config.shares(layer):
            del self.v_proj

    def keys_and_values(self, x, rotation):
        if hasattr(self, "v_proj"):
            return super().keys_and_values(x, rotation)
        k = self.heads(self.k_proj(x))
        return rotate(self.k_norm(k), *rotation), self.v_norm(k)


class MixtureBeside(nn.Module):
    """Experts beside the dense MLP: both read the same stream, each with norms of its own."""

    def __init__(self, config):
        super().__init__()
        D, eps, E = config.hidden_size, config.norm_eps, config.num_experts
        self.router = ScaledRouter(D, E, config.experts_per_token, eps)
        self.experts = GatedExperts(E, D, config.expert_size, gelu)
        self.pre_feedforward_layernorm_2 = WideRMSNorm(D, eps)
        self.post_feedforward_layernorm_1 = WideRMSNorm(D, eps)
        self.post_feedforward_layernorm_2 = WideRMSNorm(D, eps)

    def forward(self, x, dense):
        """The stream x and the dense MLP's answer to it, both (B, T, D)."""
        rows = x.flatten(0, -2)  # (N, D)
        y = self.experts(self.pre_feedforward_layernorm_2(rows), self.router(rows)).view_as(x)
        return self.post_feedforward_layernorm_1(dense) + self.post_feedforward_layernorm_2(y)


class ScaledRouter(SoftmaxRouter):
    """Routes by x / rms(x) · scale / sqrt(D), and weighs each expert by a number of its own."""

    def __init__(self, hidden_size: int, num_experts: int, top_k: int, eps: float):
        super().__init__(hidden_size, num_experts, top_k)
        self.norm = WideRMSNorm(hidden_size, eps, learned=False)
        self.scale = nn.Parameter(torch.ones(hidden_size))
        self.per_expert_scale = nn.Parameter(torch.ones(num_experts))

    def forward(self, x) -> Route:
        route = super().forward(self.norm(x) * self.scale * x.shape[-1] ** -0.5)
        return route._replace(weights=route.weights * self.per_expert_scale[route.experts])


def gelu(x):
    return F.gelu(x, approximate="tanh")
