"""Gemma 2 (arXiv 2408.00118) and the text of Gemma 3 (2503.19786): what changed since the first.

Both norm each part twice, before and after, and let most layers slide. Gemma 2 bounds scores and
logits; Gemma 3 norms queries and keys instead and turns its sliding layers by another base (all in
the config).
"""

import torch
from torch import nn

from minimodels.architecture.attention import Attention
from minimodels.architecture.families.gemma import Gemma


class PostNormBlock(nn.Module):
    """x + norm(attention(norm x)), then x + norm(mlp(norm x)): what is added has a known size."""

    def __init__(self, config, layer: int, norm, mlp):
        super().__init__()
        D, eps = config.hidden_size, config.norm_eps
        self.input_layernorm = norm(D, eps)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = norm(D, eps)
        self.pre_feedforward_layernorm = norm(D, eps)
        self.mlp = mlp(D, config.intermediate_size)
        self.post_feedforward_layernorm = norm(D, eps)

    def forward(self, x, rotation, mask=None, cache=None):
        y = self.self_attn(self.input_layernorm(x), rotation, mask, cache)
        x = x + self.post_attention_layernorm(y)
        y = self.mlp(self.pre_feedforward_layernorm(x))
        return x + self.post_feedforward_layernorm(y)


class Gemma2(Gemma):
    """See Gemma2Config."""

    def block(self, layer: int) -> nn.Module:
        return PostNormBlock(self.config, layer, self.norm_class, self.mlp_class)

    def logits(self, hidden):
        """Capped where the config says so: cap · tanh(logit / cap) keeps order and bounds size."""
        logits, cap = super().logits(hidden), self.config.logit_softcap
        return logits if cap is None else cap * torch.tanh(logits / cap)


class Gemma3(Gemma2):
    """See Gemma3Config: QK-norm and the second RoPE base are in the attention and the config."""
