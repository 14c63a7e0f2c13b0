"""Gemma 3n (Gemma Team 2025: the model's card, and the code of google-deepmind/gemma).

The sizes are those of the released code; max_length and the vocabularies those of the checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from minimodels.architecture.configs.base import DecoderConfig, RopeScaling, pattern
from minimodels.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PerLayerConfig(DecoderConfig):
    """What Gemma 3n and 4 share: per-layer embeddings, and layers without keys of their own."""

    qk_norm: ClassVar[bool] = True
    query_scale: ClassVar[float | None] = 1.0  # scores are q · k: the norms' weights set their size

    sliding_window: int
    layer_types: tuple[str, ...]
    logit_softcap: float | None = 30.0
    rope_theta: float = 1_000_000.0  # in full layers
    rope_local_theta: float = 10_000.0
    per_layer_size: int | None = None  # P: numbers by which each layer is told the token again
    per_layer_vocab: int = 262_144  # rows of that table; tokens beyond it take row 0
    num_shared_layers: int | None = None  # the last ones, which read keys and values from below

    def __post_init__(self):
        super().__post_init__()
        own = self.num_layers - (self.num_shared_layers or 0)
        if own < 1 or not set(self.kinds) <= set(self.kinds[:own]):
            raise UserError(
                f"of {self.num_layers} layers the last {self.num_shared_layers} have no keys, but "
                "not each kind of them stands below: share fewer layers."
            )

    def shares(self, layer: int) -> bool:
        """Whether this layer reads the keys and values of the last one of its kind below."""
        return layer >= self.num_layers - (self.num_shared_layers or 0)

    def head_size(self, kind: str) -> int:
        return self.head_dim

    def kv_heads(self, kind: str) -> int:
        return self.num_kv_heads

    def width(self, layer: int) -> int:
        """Of one branch of this layer's MLP."""
        return self.intermediate_size

    def kv_shape(self, layer: int) -> tuple[int, int, int] | None:
        if self.shares(layer):
            return None
        kind = self.kinds[layer]
        return self.kv_heads(kind), self.head_size(kind), self.head_size(kind)


@dataclass(frozen=True, kw_only=True)
class Gemma3nConfig(PerLayerConfig):
    """Gemma 3n: four streams, of which one is computed with; sparse and nested MLPs."""

    family: ClassVar[str] = "gemma3n_text"

    per_layer_size: int = 256
    rope_scaling: RopeScaling | None = None  # of full layers
    widths: tuple[int, ...] | None = None  # of single MLPs (MatFormer); None: intermediate_size
    sparsity: tuple[float, ...] | None = None  # share of an MLP's gate that is cut off, by layer
    laurel_rank: int = 64
    num_streams: int = 4  # N of AltUp: the residual stream is N · hidden_size wide
    altup_clip: float | None = 120.0  # bound of AltUp's coefficients in training

    def __post_init__(self):
        super().__post_init__()
        for name in ("widths", "sparsity"):
            given = getattr(self, name)
            if given is not None and len(given) != self.num_layers:
                raise UserError(
                    f"{name} names {len(given)} layers but num_layers is {self.num_layers}: "
                    "make them agree."
                )
        if any(not 0 <= share < 1 for share in self.sparsity or ()):
            raise UserError(f"sparsity {self.sparsity} holds no share from 0 to 1: change it.")

    def width(self, layer: int) -> int:
        return self.intermediate_size if self.widths is None else self.widths[layer]

    def cut(self, layer: int) -> float:
        """The share of this layer's gate that is cut off."""
        return 0.0 if self.sparsity is None else self.sparsity[layer]


def _gemma_3n(intermediate_size: int, num_layers: int) -> Gemma3nConfig:
    return Gemma3nConfig(
        vocab_size=262_400,  # 256 more than the tables of the layers: pictures and sounds
        hidden_size=2048,
        intermediate_size=intermediate_size,
        num_layers=num_layers,
        num_heads=8,
        num_kv_heads=2,
        head_dim=256,
        max_length=32_768,
        sliding_window=512,
        layer_types=pattern(num_layers, every=5),
        num_shared_layers=num_layers - 20,
        sparsity=(0.95,) * 10 + (0.0,) * (num_layers - 10),
    )


CONFIGS: dict[str, Gemma3nConfig] = {
    "gemma-3n-e2b": _gemma_3n(8192, 30),  # cut out of the other: half the widths, 30 of 35 layers
    "gemma-3n-e4b": _gemma_3n(16_384, 35),
}
