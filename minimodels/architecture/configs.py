"""The models of the course as data: a family is a frozen dataclass, a model a row of CONFIGS.

Gemma 1: arXiv 2403.08295, table 1. Nemotron-4: arXiv 2402.16819 (15B) and 2406.11704 (340B).
The vocabularies are the released ones; Gemma's paper counts its parameters with 256,128 entries.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import ClassVar

from minimodels.errors import UserError

KINDS = {"int": (int,), "float": (int, float), "bool": (bool,)}


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """What every decoder of the course needs to know. Raises UserError for an impossible shape."""

    family: ClassVar[str] = ""

    vocab_size: int  # V, rows of the embedding
    hidden_size: int  # D, width of the residual stream
    intermediate_size: int  # width of one branch of the MLP
    num_layers: int
    num_heads: int  # query heads
    num_kv_heads: int  # key and value heads: 1 is MQA, num_heads is MHA, between is GQA
    head_dim: int  # need not be hidden_size / num_heads
    max_length: int  # longest context, in tokens
    rope_theta: float = 10_000.0  # base of the rotary wavelengths
    rotary_fraction: float = 1.0  # share of each head that is rotated
    norm_eps: float = 1e-6
    tie_embeddings: bool = True  # one matrix for embedding and head
    init_std: float = 0.02  # standard deviation of the initial weights

    def __post_init__(self):
        for field in fields(self):
            value, wanted = getattr(self, field.name), KINDS[field.type]
            if type(value) not in wanted or (value is not False and value <= 0):
                raise UserError(f"{field.name} = {value!r} is no positive {field.type}: change it.")
        if self.num_heads % self.num_kv_heads:
            raise UserError(
                f"num_heads ({self.num_heads}) is not a multiple of num_kv_heads "
                f"({self.num_kv_heads}): each key head must serve equally many query heads."
            )
        if self.rotary_dim % 2 or not 0 < self.rotary_dim <= self.head_dim:
            raise UserError(
                f"RoPE would rotate {self.rotary_dim} of {self.head_dim} numbers in a head: "
                "choose head_dim and rotary_fraction so that this is even and fits."
            )

    @property
    def rotary_dim(self) -> int:
        """How many numbers of a head are rotated, two by two."""
        return int(self.head_dim * self.rotary_fraction)


@dataclass(frozen=True, kw_only=True)
class GemmaConfig(DecoderConfig):
    """Gemma 1: RMSNorm with unit offset, GeGLU, full RoPE, tied embeddings scaled by sqrt(D)."""

    family: ClassVar[str] = "gemma"


@dataclass(frozen=True, kw_only=True)
class NemotronConfig(DecoderConfig):
    """Nemotron-4: LayerNorm1p, squared ReLU, RoPE on half of each head, untied embeddings."""

    family: ClassVar[str] = "nemotron"

    rotary_fraction: float = 0.5
    norm_eps: float = 1e-5
    tie_embeddings: bool = False
    init_std: float = 0.0134  # published for the 15B


CONFIGS: dict[str, DecoderConfig] = {
    "gemma-mini": GemmaConfig(
        vocab_size=2048,
        hidden_size=128,
        intermediate_size=512,
        num_layers=4,
        num_heads=4,
        num_kv_heads=1,  # multi-query, as in the 2B
        head_dim=32,
        max_length=512,
        init_std=0.05,  # narrow models start better a little wider
    ),
    "gemma-2b": GemmaConfig(
        vocab_size=256_000,
        hidden_size=2048,
        intermediate_size=16_384,  # the paper prints both branches together: 32,768
        num_layers=18,
        num_heads=8,
        num_kv_heads=1,
        head_dim=256,
        max_length=8192,
    ),
    "gemma-7b": GemmaConfig(
        vocab_size=256_000,
        hidden_size=3072,
        intermediate_size=24_576,  # printed as 49,152
        num_layers=28,
        num_heads=16,
        num_kv_heads=16,
        head_dim=256,  # 16 · 256 = 4096: wider than the residual stream
        max_length=8192,
    ),
    "nemotron-mini": NemotronConfig(
        vocab_size=2048,
        hidden_size=128,
        intermediate_size=512,
        num_layers=4,
        num_heads=4,
        num_kv_heads=2,
        head_dim=32,
        max_length=512,
        init_std=0.05,
    ),
    "nemotron-4-15b": NemotronConfig(
        vocab_size=256_000,
        hidden_size=6144,
        intermediate_size=24_576,
        num_layers=32,
        num_heads=48,
        num_kv_heads=8,
        head_dim=128,
        max_length=4096,
    ),
    "nemotron-4-340b": NemotronConfig(
        vocab_size=256_000,
        hidden_size=18_432,
        intermediate_size=73_728,
        num_layers=96,
        num_heads=96,
        num_kv_heads=8,
        head_dim=192,
        max_length=4096,
    ),
}


def get(name: str) -> DecoderConfig:
    """The config called `name`; UserError with near matches if there is none."""
    if name not in CONFIGS:
        raise UserError(f"there is no model called {name!r}: {suggest(name, CONFIGS)}.")
    return CONFIGS[name]


def suggest(name: str, known) -> str:
    """'did you mean …' with the nearest of the known names, or all of them."""
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(near)
    return "choose one of " + ", ".join(known)
