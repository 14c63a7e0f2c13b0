"""BERT (arXiv 1810.04805): a transformer without a causal mask, that fills in masked words.

Unlike a decoder it adds learned vectors for position and token type, and norms after each sum
(post-norm): x = norm(x + attention(x)), x = norm(x + mlp(x)). The head is the embedding again,
behind one more layer. Which keys a query sees is the caller's choice: the same weights are an
encoder, a causal model or a GLM by the mask alone (masks.py, blanks.py).
Shapes: B batch, T time, D hidden, H heads, d = D / H, V vocabulary.
"""

import torch
from torch import nn
from torch.nn import functional as F

from minimodels.architecture import masks
from minimodels.architecture.cache import KVCache
from minimodels.errors import UserError


class Bert(nn.Module):
    """What the files of Transformers' BertForMaskedLM hold. See BertConfig."""

    def __init__(self, config):
        super().__init__()
        self.config, D = config, config.hidden_size
        self.embed_tokens = nn.Embedding(config.vocab_size, D)
        self.embed_positions = nn.Embedding(config.max_length, D)
        self.embed_token_types = nn.Embedding(config.num_token_types, D)
        self.input_norm = nn.LayerNorm(D, config.norm_eps)
        self.layers = nn.ModuleList(EncoderBlock(config) for _ in range(config.num_layers))
        self.head = MaskedHead(config)
        self.initialize()

    @torch.no_grad()
    def initialize(self):
        """Matrices normal with init_std, biases 0, norms identity: as BERT was begun."""
        for weight in self.parameters():
            if weight.dim() == 2:
                weight.normal_(0.0, self.config.init_std)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.bias.zero_()

    def forward(self, tokens, mask=None, token_types=None, positions=None, seen=None):
        """Logits (B, T, V): for each place of `tokens` (B, T), which token belongs there.

        mask: bool (B, T), False on padding. token_types, positions: (B, T) or (1, T) int64, by
        default 0 and 0, 1, 2, …. seen: bool (T, T) or (B, 1, T, T), True where a query may look at
        a key; everywhere by default. UserError for a text longer than the table of positions.
        """
        return self.logits(self.hidden(tokens, mask, token_types, positions, seen))

    def hidden(self, tokens, mask=None, token_types=None, positions=None, seen=None):
        """The last hidden states (B, T, D): what embedding models are made of."""
        if isinstance(mask, KVCache):
            raise UserError("BERT sees both sides and cannot continue a text: take a decoder.")
        T, rows = tokens.shape[1], self.config.max_length
        if positions is None:
            if T > rows:
                raise UserError(
                    f"the text has {T} tokens but the model learned {rows} positions: shorten it."
                )
            positions = torch.arange(T, device=tokens.device)[None]
        if token_types is None:
            token_types = torch.zeros_like(tokens)
        x = self.embed_tokens(tokens) + self.embed_token_types(token_types)
        x = self.input_norm(x + self.embed_positions(positions))
        if mask is not None:
            real = masks.padded(mask)
            seen = real if seen is None else seen & real
        for layer in self.layers:
            x = layer(x, seen)
        return x

    def logits(self, hidden):
        """(…, D) -> (…, V)"""
        return self.head(hidden, self.embed_tokens.weight)

    @property
    def device(self):
        return self.embed_tokens.weight.device

    @property
    def dtype(self):
        return self.embed_tokens.weight.dtype


class EncoderBlock(nn.Module):
    """One layer: attention and MLP, each added to its input and normed afterwards."""

    def __init__(self, config):
        super().__init__()
        D, F_ = config.hidden_size, config.intermediate_size
        self.self_attn = EncoderAttention(config)
        self.attention_norm = nn.LayerNorm(D, config.norm_eps)
        self.up_proj = nn.Linear(D, F_)
        self.down_proj = nn.Linear(F_, D)
        self.mlp_norm = nn.LayerNorm(D, config.norm_eps)

    def forward(self, x, mask=None):
        x = self.attention_norm(x + self.self_attn(x, mask))
        return self.mlp_norm(x + self.down_proj(F.gelu(self.up_proj(x))))


class EncoderAttention(nn.Module):
    """Multi-head attention with biases, no cache: (B, T, D) -> (B, T, D)."""

    def __init__(self, config):
        super().__init__()
        D, self.head_dim = config.hidden_size, config.head_dim
        width = config.num_heads * config.head_dim
        self.q_proj, self.k_proj = nn.Linear(D, width), nn.Linear(D, width)
        self.v_proj, self.o_proj = nn.Linear(D, width), nn.Linear(width, D)

    def forward(self, x, mask=None):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)  # (B, H, T, d)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class MaskedHead(nn.Module):
    """One layer more, then a score for each row of the embedding, plus a bias for each token."""

    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, config.norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden, embedding):
        return F.linear(self.norm(F.gelu(self.dense(hidden))), embedding, self.bias)
