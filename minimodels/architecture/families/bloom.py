"""BLOOM (arXiv 2211.05100): a GPT-2 whose scores know the distance, and whose stream does not.

ALiBi (arXiv 2108.12409) takes slope · distance from each score, with a slope for each head; so no
position needs to have been seen in training. A LayerNorm stands behind the embedding.
Shapes: B batch, T queries, S keys, D hidden, H heads, d = D / H.
"""

import torch
from torch import nn

from minimodels.architecture import masks
from minimodels.architecture.attention import visible
from minimodels.architecture.decoder import Decoder
from minimodels.architecture.families.gpt2 import FusedAttention, GeluMLP, zero_biases
from minimodels.architecture.positions import alibi


class BloomAttention(FusedAttention):
    """The same with BLOOM's order of rows: of each head its query, key and value."""

    def split(self, qkv):
        """(B, T, 3D) -> three of (B, H, T, d)"""
        return qkv.unflatten(-1, (self.num_heads, 3, -1)).permute(3, 0, 2, 1, 4)


class Bloom(Decoder):
    """See BloomConfig."""

    norm_class = nn.LayerNorm
    mlp_class = GeluMLP

    def __init__(self, config):
        super().__init__(config)
        self.input_norm = nn.LayerNorm(config.hidden_size, config.norm_eps)
        zero_biases(self)

    def block(self, layer: int) -> nn.Module:
        block = super().block(layer)
        block.self_attn = BloomAttention(self.config, layer)
        return block

    def embed(self, tokens):
        return self.input_norm(super().embed(tokens))

    def angles(self, kind: str, positions, dtype):
        """Nothing is turned."""

    def seen(self, kind: str, past: int, T: int, mask=None, together=None):
        """What is added to the scores: ALiBi, and −inf where a key is hidden; (B or 1, H, T, S).

        Slots measure distance as well as positions do: padding stands in front of all.
        """
        seen = visible(past, T, mask, self.device, together=together)
        if seen is None:
            seen = masks.causal(T, past + T, self.device)
        keys = torch.arange(past + T, device=self.device)
        bias = alibi(self.config.num_heads, keys[past:], keys).to(self.dtype)
        return bias.masked_fill(~seen, float("-inf"))
