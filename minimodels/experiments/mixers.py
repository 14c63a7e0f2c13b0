"""Small language models that differ in one thing: what their blocks look back with.

Every mixer stands behind the same short convolution, which Mamba-2 and delta-rule models bring
along and attention can do without. The MLP takes what a mixer leaves over, so that all models of a
size have equally many parameters.

Shapes: (B, T, D) through every mixer. H heads of d numbers, K of them with keys of their own.
"""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

from minimodels.architecture.attention import attend, visible
from minimodels.architecture.delta_rule import GatedDelta
from minimodels.architecture.linear_attention import LinearAttention, heads
from minimodels.architecture.mamba2 import Mamba2
from minimodels.architecture.mla import LatentAttention
from minimodels.architecture.mlp import GeGLU
from minimodels.architecture.norms import RMSNorm
from minimodels.architecture.rope import rotate, rotation

TAPS = 2  # of the short convolution
THETA = 10_000.0


@dataclass(frozen=True)
class Sizes:
    """What all models of a comparison share; an MLP of width 0 is none."""

    vocab_size: int
    hidden_size: int
    num_heads: int
    head_dim: int
    intermediate_size: int = 0
    window: int = 16
    latent: int = 32  # of latent attention, beside head_dim / 2 rotated numbers


def numbers_kept(kind: str, sizes: Sizes, length: int) -> int:
    """Numbers that one layer remembers of a text (the short convolution's left out)."""
    H, d = sizes.num_heads, sizes.head_dim
    return {
        "mha": 2 * H * d * length,
        "gqa": 2 * (H // 2) * d * length,
        "mqa": 2 * d * length,
        "mla": (sizes.latent + d // 2) * length,
        "window": 2 * H * d * min(length, sizes.window - 1),
        "shared": 0,
        "linear": H * (d * d + d),
        "delta": H * d * d,
        "mamba2": H * d * d,
    }[kind]


class Attend(nn.Module):
    """Softmax attention; a layer that shares makes only queries, and reads the keys made before."""

    def __init__(self, sizes: Sizes, key_heads: int, window=None, shares=False):
        super().__init__()
        D, d = sizes.hidden_size, sizes.head_dim
        self.num_heads, self.key_heads, self.window = sizes.num_heads, key_heads, window
        self.q_proj = nn.Linear(D, sizes.num_heads * d, bias=False)
        if not shares:
            self.k_proj = nn.Linear(D, key_heads * d, bias=False)
            self.v_proj = nn.Linear(D, key_heads * d, bias=False)
        self.o_proj = nn.Linear(sizes.num_heads * d, D, bias=False)

    def forward(self, x, kept: dict):
        T = x.shape[1]
        q = heads(self.q_proj(x), self.num_heads)
        angles = rotation(torch.arange(T, device=x.device)[None], q.shape[-1], THETA, x.dtype)
        if hasattr(self, "k_proj"):
            k, v = heads(self.k_proj(x), self.key_heads), heads(self.v_proj(x), self.key_heads)
            kept["keys"], kept["values"] = rotate(k, *angles), v
        mask = visible(0, T, device=x.device, window=self.window)
        y = attend(rotate(q, *angles), kept["keys"], kept["values"], mask)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Latent(LatentAttention):
    """Latent attention of these sizes: half of a head is rotated, and the values are whole."""

    def __init__(self, sizes: Sizes):
        half = sizes.head_dim // 2
        super().__init__(SimpleNamespace(
            hidden_size=sizes.hidden_size, num_heads=sizes.num_heads, q_lora_rank=None,
            kv_lora_rank=sizes.latent, qk_nope_head_dim=half, qk_rope_head_dim=half,
            v_head_dim=sizes.head_dim, attention_scale=None), 0)  # fmt: skip

    def forward(self, x, kept):
        places = torch.arange(x.shape[1], device=x.device)[None]
        return super().forward(x, rotation(places, self.turned, THETA, x.dtype))


class Recurrent(nn.Module):
    """A mixer with a state, from nothing, over a whole text."""

    def __init__(self, mixer: nn.Module):
        super().__init__()
        self.mixer = mixer

    def forward(self, x, kept):
        return self.mixer(x)


def mixer(kind: str, sizes: Sizes) -> nn.Module:
    """The layer of a kind that `numbers_kept` knows."""
    D, H, d = sizes.hidden_size, sizes.num_heads, sizes.head_dim
    made = {
        "mha": lambda: Attend(sizes, H),
        "gqa": lambda: Attend(sizes, H // 2),
        "mqa": lambda: Attend(sizes, 1),
        "window": lambda: Attend(sizes, H, sizes.window),
        "shared": lambda: Attend(sizes, H, shares=True),
        "mla": lambda: Latent(sizes),
        "linear": lambda: Recurrent(LinearAttention(D, H, d)),
        "delta": lambda: Recurrent(GatedDelta(D, H, d)),
        "mamba2": lambda: Recurrent(remembering(Mamba2(D, H, d, d, chunk_size=64))),
    }
    return made[kind]()


@torch.no_grad()
def remembering(mixer: Mamba2) -> Mamba2:
    """A mixer that writes at once and hardly forgets, before it has learned when to do so."""
    mixer.dt_bias.zero_()
    mixer.A_log.sub_(5)
    return mixer


class Block(nn.Module):
    """x + mixer(short convolution of norm x), and an MLP where there is one."""

    def __init__(self, kind: str, sizes: Sizes):
        super().__init__()
        D = sizes.hidden_size
        self.norm, self.mixer = RMSNorm(D, 1e-6), mixer(kind, sizes)
        self.conv = nn.Conv1d(D, D, TAPS, groups=D, bias=False)  # each channel by itself
        if sizes.intermediate_size:
            self.mlp_norm, self.mlp = RMSNorm(D, 1e-6), GeGLU(D, sizes.intermediate_size)

    def forward(self, x, kept):
        line = F.pad(self.norm(x).transpose(1, 2), (TAPS - 1, 0))  # (B, D, T + taps − 1)
        x = x + self.mixer(self.conv(line).transpose(1, 2), kept)
        return x + self.mlp(self.mlp_norm(x)) if hasattr(self, "mlp") else x


class Mixed(nn.Module):
    """tokens (B, T) -> logits (B, T, V), with a block for each of `kinds` and a head."""

    def __init__(self, kinds: tuple[str, ...], sizes: Sizes):
        super().__init__()
        self.embed = nn.Embedding(sizes.vocab_size, sizes.hidden_size)
        self.layers = nn.ModuleList(Block(kind, sizes) for kind in kinds)
        self.norm = RMSNorm(sizes.hidden_size, 1e-6)
        self.lm_head = nn.Linear(sizes.hidden_size, sizes.vocab_size, bias=False)

    def forward(self, tokens):
        x, kept = self.embed(tokens), {}
        for layer in self.layers:
            x = layer(x, kept)
        return self.lm_head(self.norm(x))


def parameters(kinds: tuple[str, ...], sizes: Sizes) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in Mixed(kinds, sizes).parameters())


def equal_size(kinds: tuple[str, ...], sizes: Sizes, wanted: int) -> Sizes:
    """These sizes with the width of MLP that brings the model nearest to `wanted` parameters."""
    bare = parameters(kinds, replace(sizes, intermediate_size=0))
    norms = len(kinds) * sizes.hidden_size
    width = (wanted - bare - norms) / (3 * sizes.hidden_size * len(kinds))
    return replace(sizes, intermediate_size=max(8, round(width)))
