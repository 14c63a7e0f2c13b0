"""GPT-2 (report of 2019): the decoder before RoPE, GQA and gated MLPs.

Beside the shared decoder it has a learned vector for each position, added to the token's; one
matrix for queries, keys and values; plain LayerNorm; an MLP of two matrices; and biases everywhere.
Shapes: B batch, T time, S past and present, D hidden, H heads, d = D / H.
"""

from torch import nn
from torch.nn import functional as F

from minimodels.architecture.attention import attend
from minimodels.architecture.decoder import Decoder


class FusedAttention(nn.Module):
    """Multi-head attention, not rotated: (B, T, D) -> (B, T, D)."""

    def __init__(self, config, layer: int):
        super().__init__()
        D = config.hidden_size
        self.layer, self.num_heads = layer, config.num_heads
        self.qkv_proj, self.o_proj = nn.Linear(D, 3 * D), nn.Linear(D, D)

    def forward(self, x, rotation=None, mask=None, cache=None):
        q, k, v = self.split(self.qkv_proj(x))
        if cache is not None:
            k, v = cache.append(self.layer, k, v)  # (B, H, S, d)
        y = attend(q, k, v, mask)  # (B, H, T, d)
        return self.o_proj(y.transpose(1, 2).flatten(2))

    def split(self, qkv):
        """All queries, then all keys, then all values: (B, T, 3D) -> three of (B, H, T, d)."""
        return qkv.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)


class GeluMLP(nn.Module):
    """down(gelu(up x)) with biases, and gelu in its tanh form."""

    def __init__(self, hidden_size: int, intermediate_size: int):
        super().__init__()
        self.up_proj = nn.Linear(hidden_size, intermediate_size)
        self.down_proj = nn.Linear(intermediate_size, hidden_size)

    def forward(self, x):
        return self.down_proj(F.gelu(self.up_proj(x), approximate="tanh"))


def zero_biases(model: nn.Module) -> None:
    """Biases of matrices begin at 0."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


class GPT2(Decoder):
    """See GPT2Config."""

    norm_class = nn.LayerNorm
    mlp_class = GeluMLP

    def __init__(self, config):
        super().__init__(config)
        self.embed_positions = nn.Embedding(config.max_length, config.hidden_size)
        nn.init.normal_(self.embed_positions.weight, std=config.init_std)
        zero_biases(self)

    def block(self, layer: int) -> nn.Module:
        block = super().block(layer)
        block.self_attn = FusedAttention(self.config, layer)
        return block

    def placed(self, x, positions):
        """Row p of the table is added to the token at position p; there is no row beyond it."""
        return x + self.embed_positions(positions)

    def angles(self, kind: str, positions, dtype):
        """Nothing is turned."""
