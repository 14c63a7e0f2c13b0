"""The decoder that all families share: embed, N residual blocks, norm, head.

A family names its norm and its MLP and overrides what it does differently. Attributes carry the
names of the Hugging Face layout, so a checkpoint needs no translation.
Shapes: B batch, T time, D hidden, V vocabulary.
"""

import torch
from torch import nn
from torch.nn import functional as F

from minimodels.architecture.attention import Attention, visible
from minimodels.architecture.rope import rotation
from minimodels.errors import UserError


class Block(nn.Module):
    """One layer with norms before each part: x + attention(norm x), then x + mlp(norm x)."""

    def __init__(self, config, layer: int, norm, mlp):
        super().__init__()
        self.input_layernorm = norm(config.hidden_size, config.norm_eps)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = norm(config.hidden_size, config.norm_eps)
        self.mlp = mlp(config.hidden_size, config.intermediate_size)

    def forward(self, x, rotation, mask=None, cache=None):
        x = x + self.self_attn(self.input_layernorm(x), rotation, mask, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """A causal language model. Families: Gemma, Nemotron."""

    norm_class: type[nn.Module]
    mlp_class: type[nn.Module]

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(self.block(layer) for layer in range(config.num_layers))
        self.norm = self.norm_class(config.hidden_size, config.norm_eps)
        if not config.tie_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.initialize()

    def block(self, layer: int) -> nn.Module:
        return Block(self.config, layer, self.norm_class, self.mlp_class)

    @torch.no_grad()
    def initialize(self):
        """Normal with init_std; what writes to the residual stream is divided by sqrt(2 · layers).

        2 · layers terms are summed in the stream; so its variance does not grow with depth (GPT-2,
        Megatron-LM). Norms begin as identity (their weights are offsets from one, zero at first).
        """
        std, layers = self.config.init_std, self.config.num_layers
        for name, weight in self.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.normal_(0.0, std / (2 * layers) ** 0.5)
            elif weight.dim() == 2:
                weight.normal_(0.0, std)

    def forward(self, tokens, cache=None, mask=None):
        """Logits (B, T, V) of the token that follows each of `tokens` (B, T) int64.

        cache: a KVCache, extended in place. mask: bool (B, T_total), False on left padding.
        Raises UserError when past and present together exceed config.max_length.
        """
        return self.logits(self.hidden(tokens, cache, mask))

    def hidden(self, tokens, cache=None, mask=None):
        """The last hidden state (B, T, D), after the final norm and before the head."""
        T, past = tokens.shape[1], 0 if cache is None else cache.length
        if past + T > self.config.max_length:
            raise UserError(
                f"the text has {past + T} tokens but the model reads {self.config.max_length}: "
                "shorten it."
            )
        x = self.embed(tokens)
        positions = self.positions(past, T, mask)
        angles = rotation(positions, self.config.rotary_dim, self.config.rope_theta, x.dtype)
        seen = visible(past, T, mask, x.device)
        for layer in self.layers:
            x = layer(x, angles, seen, cache)
        if cache is not None:
            cache.length += T
        return self.norm(x)

    def embed(self, tokens):
        """(B, T) -> (B, T, D)"""
        return self.embed_tokens(tokens)

    def logits(self, hidden):
        """(…, D) -> (…, V), by the head or, when tied, by the embedding itself."""
        if self.config.tie_embeddings:
            return F.linear(hidden, self.embed_tokens.weight)
        return self.lm_head(hidden)

    def positions(self, past: int, T: int, mask=None):
        """Positions of the present tokens, (1, T) or, counting real tokens only, (B, T)."""
        if mask is None:
            return torch.arange(past, past + T, device=self.device)[None]
        return (mask.cumsum(1) - 1).clamp(min=0)[:, past:]

    @property
    def device(self):
        return self.embed_tokens.weight.device

    @property
    def dtype(self):
        return self.embed_tokens.weight.dtype
