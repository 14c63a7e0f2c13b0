"""Nemotron-H (arXiv 2504.03624) and Nemotron 3 Nano: a stack of mixers, one a block.

Mamba-2 carries the past in a state of fixed size; four or six attentions among fifty blocks look
back exactly. They need no positions: the recurrence knows the order.
"""

from torch import nn

from minimodels.architecture.attention import Attention
from minimodels.architecture.configs import FULL
from minimodels.architecture.configs.nemotron_h import MAMBA, MLP
from minimodels.architecture.decoder import Decoder
from minimodels.architecture.mamba2 import Mamba2
from minimodels.architecture.mlp import SquaredReLU
from minimodels.architecture.moe import Experts, LatentMoE, MoE
from minimodels.architecture.norms import WideRMSNorm
from minimodels.architecture.routing import SigmoidRouter


class HybridBlock(nn.Module):
    """x + mixer(norm x): half of a usual block, so that kinds can be mixed one by one."""

    def __init__(self, config, layer: int):
        super().__init__()
        self.layer, self.kind = layer, config.kinds[layer]
        self.norm = WideRMSNorm(config.hidden_size, config.norm_eps)
        self.mixer = mixer(config, layer)

    def forward(self, x, rotation, mask=None, cache=None):
        y = self.norm(x)
        if self.kind == MAMBA:
            y = self.mixer(y, None if cache is None else cache.states[self.layer], mask)
        elif self.kind == FULL:
            y = self.mixer(y, None, mask, cache)
        else:
            y = self.mixer(y)
        return x + y


def mixer(config, layer: int) -> nn.Module:
    """What a block of this kind does."""
    kind, D = config.kinds[layer], config.hidden_size
    if kind == MAMBA:
        return Mamba2(
            D, config.mamba_num_heads, config.mamba_head_dim, config.ssm_state_size,
            config.mamba_groups, config.conv_kernel, config.chunk_size, config.norm_eps,
            time_step_min=config.time_step_min,
        )  # fmt: skip
    if kind == FULL:
        return Attention(config, layer)
    if kind == MLP:
        return SquaredReLU(D, config.intermediate_size)
    return mixture(config)


def mixture(config) -> MoE:
    """Routed experts, chosen by biased sigmoids, beside one that every token passes."""
    D, E, latent = config.hidden_size, config.num_experts, config.moe_latent_size
    gate = SigmoidRouter(
        D, E, config.experts_per_token, config.expert_groups, config.top_groups,
        config.routed_scale, config.renormalize,
    )  # fmt: skip
    experts = Experts(E, latent or D, config.moe_intermediate_size)
    shared = SquaredReLU(D, config.shared_intermediate_size)
    return LatentMoE(gate, experts, shared, D, latent) if latent else MoE(gate, experts, shared)


class NemotronH(Decoder):
    """See NemotronHConfig."""

    norm_class = WideRMSNorm

    def block(self, layer: int) -> nn.Module:
        return HybridBlock(self.config, layer)

    def initialize(self):
        super().initialize()
        for part in self.modules():
            if isinstance(part, nn.Conv1d):
                part.reset_parameters()  # four taps a channel: init_std would silence them

    def angles(self, kind: str, positions, dtype):
        return None  # no block rotates

    def seen(self, kind: str, past: int, T: int, mask=None, together=None):
        """Attention gets its mask, Mamba-2 which of the present tokens are real (B, T)."""
        if kind == MAMBA:
            return None if mask is None else mask[:, past:]
        return super().seen(kind, past, T, mask, together)
