"""The decoder that all families share: embed, N residual blocks, norm, head.

A family names its norm and its MLP and overrides what it does differently. Attributes carry the
names of the Hugging Face layout, so a checkpoint needs no translation.
Shapes: B batch, T time, D hidden, V vocabulary.
"""

import torch
from torch import nn
from torch.nn import functional as F

from minimodels import kernels
from minimodels.architecture.attention import Attention, Seen, visible
from minimodels.architecture.configs import SLIDING
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
    """A causal language model. Families stand in the folder families/."""

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
        Megatron-LM). Norms begin as identity, whether their weights are offsets from one or not.
        """
        std, layers = self.config.init_std, self.config.num_layers
        for name, weight in self.named_parameters():
            if name.endswith(("o_proj.weight", "out_proj.weight", "down_proj.weight", "down_proj")):
                weight.normal_(0.0, std / (2 * layers) ** 0.5)
            elif weight.dim() >= 2:
                weight.normal_(0.0, std)

    def forward(self, tokens, cache=None, mask=None):
        """Logits (B, T, V) of the token that follows each of `tokens` (B, T) int64.

        cache: a KVCache, extended in place. mask: bool (B, T_total), False on left padding.
        Raises UserError when past and present together exceed config.max_length.
        """
        return self.logits(self.hidden(tokens, cache, mask))

    def hidden(self, tokens, cache=None, mask=None):
        """The last hidden state (B, T, D), after the final norm and before the head."""
        return self.run(self.embed(tokens), cache, mask)

    def run(self, x, cache=None, mask=None, together=None):
        """All blocks and the last norm on embedded tokens x (B, T, D). together: see `visible`."""
        x, views = self.views(x, cache, mask, together)
        for layer, view in zip(self.layers, views, strict=True):
            x = layer(x, *view, cache)
        if cache is not None:
            cache.length += x.shape[1]
        return self.norm(x)

    def views(self, x, cache=None, mask=None, together=None):
        """x with its positions, and for each layer how it turns and what it sees.

        Layers of one kind share both. Raises UserError for a text longer than the context.
        """
        T, past = x.shape[1], 0 if cache is None else cache.length
        if past + T > self.config.max_length:
            raise UserError(
                f"the text has {past + T} tokens but the model reads {self.config.max_length}: "
                "shorten it."
            )
        positions = self.positions(past, T, mask)
        x = self.placed(x, positions)
        views = {
            kind: (self.angles(kind, positions, x.dtype), self.seen(kind, past, T, mask, together))
            for kind in dict.fromkeys(self.config.kinds)
        }
        return x, [views[kind] for kind in self.config.kinds]

    def embed(self, tokens):
        """(B, T) -> (B, T, D)"""
        return self.embed_tokens(tokens)

    def logits(self, hidden):
        """(…, D) -> (…, V), by the head or, when tied, by the embedding itself."""
        if self.config.tie_embeddings:
            return F.linear(hidden, self.embed_tokens.weight)
        return self.lm_head(hidden)

    @property
    def head(self):
        """The matrix (V, D) that `logits` multiplies by; None where an adapter stands in its place.

        What it makes may still be capped: see config.logit_softcap.
        """
        if self.config.tie_embeddings:
            return self.embed_tokens.weight
        return self.lm_head.weight if type(self.lm_head) is nn.Linear else None

    def positions(self, past: int, T: int, mask=None):
        """Positions of the present tokens, (1, T) or, counting real tokens only, (B, T)."""
        if mask is None:
            return torch.arange(past, past + T, device=self.device)[None]
        return (mask.cumsum(1) - 1).clamp(min=0)[:, past:]

    def placed(self, x, positions):
        """x with what a family adds to the stream for its positions: nothing where RoPE turns."""
        return x

    def angles(self, kind: str, positions, dtype):
        """The rotation of queries and keys in layers of this kind."""
        theta, scaling = self.config.rope(kind)
        return rotation(positions, self.config.rotary_dim, theta, dtype, scaling)

    def seen(self, kind: str, past: int, T: int, mask=None, together=None):
        """The mask of layers of this kind, or Seen where kernels draw none.

        Sliding layers hold the last W − 1 tokens of the past.
        """
        window = self.config.sliding_window if kind == SLIDING else None
        kept = past if window is None else min(past, window - 1)
        real = None if mask is None else mask[:, past - kept :]
        if together is None and kernels.on(self.embed_tokens.weight):
            return Seen(kept, T, None if real is None else real.int() - 1, window)
        return visible(kept, T, real, self.device, window, together)

    @property
    def device(self):
        return self.embed_tokens.weight.device

    @property
    def dtype(self):
        return self.embed_tokens.weight.dtype
