"""What Gemma 3n brought and Gemma 4 kept: the token told to every layer, keys that layers share.

Per-layer embeddings: a second table holds P numbers a layer for each token. A row is found without
any product, so the table can lie in slow memory. Shared keys and values: the last layers have none
and read those of the last layer of their kind below. They need no cache, and an engine may leave
out all but the last token of a prompt there (the idea of YOCO, arXiv 2405.05254, and cross-layer
attention, 2405.12981).
Shapes: B batch, T time, D hidden, L layers, P numbers a layer, S keys, H and K heads of d numbers.
"""

import torch
from torch import nn
from torch.nn import functional as F

from minimodels.architecture.attention import attend
from minimodels.architecture.families.gemma2 import Gemma2
from minimodels.architecture.norms import WideRMSNorm, rounded
from minimodels.architecture.rope import rotate


class PerLayerDecoder(Gemma2):
    """See PerLayerConfig. Each layer is also given what it is told (B, T, P), and shared keys."""

    norm_class = WideRMSNorm

    def __init__(self, config):
        super().__init__(config)
        if config.per_layer_size is not None:
            size = config.num_layers * config.per_layer_size
            self.embed_tokens_per_layer = nn.Embedding(config.per_layer_vocab, size)
            self.per_layer_model_projection = nn.Linear(config.hidden_size, size, bias=False)
            self.per_layer_projection_norm = WideRMSNorm(config.per_layer_size, config.norm_eps)
        self.initialize()  # once more, with these

    def hidden(self, tokens, cache=None, mask=None):
        x, views = self.views(self.embed(tokens), cache, mask)
        told, shared = self.told(tokens, x), {}
        x = self.spread(x)
        for layer, view, words in zip(self.layers, views, told, strict=True):
            x = layer(x, *view, cache, words, shared)
        if cache is not None:
            cache.length += tokens.shape[1]
        return self.norm(self.gather(x))

    def told(self, tokens, x):
        """What each layer is told of each token: L tensors (B, T, P).

        One part is looked up by the token, the other computed from its embedding x (B, T, D) and
        normed. Their sum is divided by √2, so that two parts of size 1 make one of size 1.
        """
        L, P = self.config.num_layers, self.config.per_layer_size
        if P is None:
            return [None] * L
        rows = torch.where(tokens < self.config.per_layer_vocab, tokens, 0)
        found = self.embed_tokens_per_layer(rows) * rounded(P**0.5, x)
        made = self.per_layer_model_projection(x) * self.constant(x.shape[-1] ** -0.5, x)
        made = self.per_layer_projection_norm(made.unflatten(-1, (L, P)))  # (B, T, L, P)
        return ((made + found.unflatten(-1, (L, P))) * self.constant(2**-0.5, x)).unbind(2)

    def constant(self, value: float, x):
        """A factor of `told`; Gemma 3n rounds it to the dtype of x."""
        return value

    def spread(self, x):
        """From the embedding (B, T, D) to what the layers pass on."""
        return x

    def gather(self, x):
        """Back from it to (B, T, D)."""
        return x


class PerLayerGate(nn.Module):
    """norm(project(gelu(gate x) · told)): a small MLP whose second branch was looked up.

    x (B, T, D), told (B, T, P) -> (B, T, D), to be added to the stream.
    """

    def __init__(self, config):
        super().__init__()
        D, P = config.hidden_size, config.per_layer_size
        self.per_layer_input_gate = nn.Linear(D, P, bias=False)
        self.per_layer_projection = nn.Linear(P, D, bias=False)
        self.post_per_layer_input_norm = WideRMSNorm(D, config.norm_eps)

    def forward(self, x, told):
        x = F.gelu(self.per_layer_input_gate(x), approximate="tanh") * told
        return self.post_per_layer_input_norm(self.per_layer_projection(x))


class SharingAttention(nn.Module):
    """Attention that norms queries, keys and values, with or without keys of its own.

    Scores are q · k, not divided by sqrt(d): the weights of the norms learn their size. `shared`
    holds the keys and values last made by each kind of layer.
    """

    def __init__(self, config, layer: int):
        super().__init__()
        D, eps, kind = config.hidden_size, config.norm_eps, config.kinds[layer]
        d, K = config.head_size(kind), config.kv_heads(kind)
        self.layer, self.kind, self.head_dim = layer, kind, d
        self.q_proj = nn.Linear(D, config.num_heads * d, bias=False)
        self.o_proj = nn.Linear(config.num_heads * d, D, bias=False)
        self.q_norm = WideRMSNorm(d, eps)
        if not config.shares(layer):
            self.k_proj = nn.Linear(D, K * d, bias=False)
            self.k_norm = WideRMSNorm(d, eps)
            self.v_proj = nn.Linear(D, K * d, bias=False)
            self.v_norm = WideRMSNorm(d, eps, learned=False)

    def forward(self, x, rotation, mask, cache, shared: dict):
        q = rotate(self.q_norm(self.heads(self.q_proj(x))), *rotation)  # (B, H, T, d)
        if hasattr(self, "k_proj"):
            k, v = self.keys_and_values(x, rotation)
            shared[self.kind] = (k, v) if cache is None else cache.append(self.layer, k, v)
        y = attend(q, *shared[self.kind], mask, scale=1.0)  # keys and values (B, K, S, d)
        return self.o_proj(y.transpose(1, 2).flatten(2))

    def keys_and_values(self, x, rotation):
        """(B, T, D) -> two of (B, K, T, d)"""
        k = rotate(self.k_norm(self.heads(self.k_proj(x))), *rotation)
        return k, self.v_norm(self.heads(self.v_proj(x)))

    def heads(self, x):
        """(B, T, H·d) -> (B, H, T, d)"""
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
