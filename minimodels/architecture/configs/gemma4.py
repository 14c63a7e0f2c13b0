"""Gemma 4 (arXiv 2607.02770): the decoders, without the encoders of pictures and sounds.

Its table 1 counts parameters; the sizes of layers are those of google-deepmind/gemma and of the
released configurations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from minimodels.architecture.configs.base import FULL, pattern
from minimodels.architecture.configs.gemma3n import PerLayerConfig
from minimodels.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Gemma4Config(PerLayerConfig):
    """Gemma 4: full layers with wider heads, a quarter of each rotated, keys that are values."""

    family: ClassVar[str] = "gemma4_text"

    full_head_dim: int = 512  # in full layers; head_dim is that of sliding ones
    full_kv_heads: int | None = None  # in full layers; None: num_kv_heads
    full_rotary_fraction: float = 0.25  # share of the pairs that turn in full layers, the fast ones
    k_eq_v: bool = False  # full layers have no v_proj: their values are their keys, unturned
    wide_shared: bool = False  # MLPs twice as wide in layers without keys of their own
    num_experts: int | None = None  # in each layer, beside the dense MLP
    experts_per_token: int | None = None
    expert_size: int | None = None  # width of one branch of one expert

    def __post_init__(self):
        super().__post_init__()
        if self.kinds[-1] != FULL:
            raise UserError("the last layer of a Gemma 4 sees everything: make it full_attention.")
        if self.full_kv_heads is not None and not self.k_eq_v:
            raise UserError("full_kv_heads goes with k_eq_v alone: leave one out or set both.")
        if self.full_head_dim % 2 or self.num_heads % self.kv_heads(FULL):
            raise UserError(
                f"full layers with {self.kv_heads(FULL)} key heads of {self.full_head_dim} do not "
                f"fit {self.num_heads} query heads: choose an even size and a divisor."
            )
        experts = (self.num_experts, self.experts_per_token, self.expert_size)
        if any(experts) != all(experts):
            raise UserError(
                "num_experts, experts_per_token and expert_size belong together: give all or none."
            )

    def head_size(self, kind: str) -> int:
        return self.full_head_dim if kind == FULL else self.head_dim

    def kv_heads(self, kind: str) -> int:
        return self.full_kv_heads or self.num_kv_heads if kind == FULL else self.num_kv_heads

    def width(self, layer: int) -> int:
        return self.intermediate_size * (2 if self.wide_shared and self.shares(layer) else 1)


CONFIGS: dict[str, Gemma4Config] = {
    "gemma-4-e2b": Gemma4Config(
        vocab_size=262_144,
        hidden_size=1536,
        intermediate_size=6144,
        num_layers=35,
        num_heads=8,
        num_kv_heads=1,
        head_dim=256,
        max_length=131_072,
        sliding_window=512,
        layer_types=pattern(35, every=5),
        per_layer_size=256,
        num_shared_layers=20,
        wide_shared=True,
    ),
    "gemma-4-e4b": Gemma4Config(
        vocab_size=262_144,
        hidden_size=2560,
        intermediate_size=10_240,
        num_layers=42,
        num_heads=8,
        num_kv_heads=2,
        head_dim=256,
        max_length=131_072,
        sliding_window=512,
        layer_types=pattern(42, every=6),
        per_layer_size=256,
        num_shared_layers=18,
    ),
    "gemma-4-12b": Gemma4Config(
        vocab_size=262_144,
        hidden_size=3840,
        intermediate_size=15_360,
        num_layers=48,
        num_heads=16,
        num_kv_heads=8,
        head_dim=256,
        max_length=262_144,
        sliding_window=1024,
        layer_types=pattern(48, every=6),
        k_eq_v=True,
        full_kv_heads=1,
    ),
    "gemma-4-31b": Gemma4Config(
        vocab_size=262_144,
        hidden_size=5376,
        intermediate_size=21_504,
        num_layers=60,
        num_heads=32,
        num_kv_heads=16,
        head_dim=256,
        max_length=262_144,
        sliding_window=1024,
        layer_types=pattern(60, every=6),
        k_eq_v=True,
        full_kv_heads=4,
    ),
    "gemma-4-26b-a4b": Gemma4Config(
        vocab_size=262_144,
        hidden_size=2816,
        intermediate_size=2112,  # of the dense MLP that every token passes
        num_layers=30,
        num_heads=16,
        num_kv_heads=8,
        head_dim=256,
        max_length=262_144,
        sliding_window=1024,
        layer_types=pattern(30, every=6),
        k_eq_v=True,
        full_kv_heads=2,
        num_experts=128,
        experts_per_token=8,
        expert_size=704,
    ),
}
