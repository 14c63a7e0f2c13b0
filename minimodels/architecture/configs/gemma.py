"""Gemma 1 (arXiv 2403.08295), Gemma 2 (2408.00118) and Gemma 3 (2503.19786), table 1 of each.

Vocabularies are the released ones; the paper of Gemma 1 counts its parameters with 256,128 entries.
Gemma 2 and 3 print what they count as a table, without the sizes of heads: those are from the
released configurations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from minimodels.architecture.configs.base import DecoderConfig, RopeScaling, pattern


@dataclass(frozen=True, kw_only=True)
class GemmaConfig(DecoderConfig):
    """Gemma 1: RMSNorm with unit offset, GeGLU, full RoPE, tied embeddings scaled by sqrt(D)."""

    family: ClassVar[str] = "gemma"


@dataclass(frozen=True, kw_only=True)
class Gemma2Config(GemmaConfig):
    """Gemma 2: every other layer slides, norms before and after each part, capped scores."""

    family: ClassVar[str] = "gemma2"

    sliding_window: int = 4096
    layer_types: tuple[str, ...]
    query_scale: float = 256.0
    attention_softcap: float | None = 50.0
    logit_softcap: float | None = 30.0


@dataclass(frozen=True, kw_only=True)
class Gemma3Config(GemmaConfig):
    """Gemma 3: five sliding layers to a full one, QK-norm in the place of caps, two RoPE bases."""

    family: ClassVar[str] = "gemma3_text"
    qk_norm: ClassVar[bool] = True

    sliding_window: int
    layer_types: tuple[str, ...]
    query_scale: float = 256.0
    logit_softcap: float | None = None
    attention_softcap: float | None = None
    rope_theta: float = 1_000_000.0  # in full layers
    rope_local_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None  # of full layers; stretches 32k of training to 128k


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
    "gemma-2-2b": Gemma2Config(
        vocab_size=256_000,
        hidden_size=2304,
        intermediate_size=9216,
        num_layers=26,
        num_heads=8,
        num_kv_heads=4,
        head_dim=256,
        max_length=8192,
        layer_types=pattern(26, every=2),
    ),
    "gemma-2-9b": Gemma2Config(
        vocab_size=256_000,
        hidden_size=3584,
        intermediate_size=14_336,
        num_layers=42,
        num_heads=16,
        num_kv_heads=8,
        head_dim=256,
        max_length=8192,
        layer_types=pattern(42, every=2),
    ),
    "gemma-2-27b": Gemma2Config(
        vocab_size=256_000,
        hidden_size=4608,
        intermediate_size=36_864,
        num_layers=46,
        num_heads=32,
        num_kv_heads=16,
        head_dim=128,
        max_length=8192,
        layer_types=pattern(46, every=2),
        query_scale=144.0,  # hidden_size / num_heads: the only one that is not head_dim
    ),
    "gemma-3-270m": Gemma3Config(
        vocab_size=262_144,
        hidden_size=640,
        intermediate_size=2048,
        num_layers=18,
        num_heads=4,
        num_kv_heads=1,
        head_dim=256,
        max_length=32_768,
        sliding_window=512,
        layer_types=pattern(18, every=6),
    ),
    "gemma-3-1b": Gemma3Config(
        vocab_size=262_144,
        hidden_size=1152,
        intermediate_size=6912,
        num_layers=26,
        num_heads=4,
        num_kv_heads=1,
        head_dim=256,
        max_length=32_768,
        sliding_window=512,
        layer_types=pattern(26, every=6),
    ),
    "gemma-3-4b": Gemma3Config(
        vocab_size=262_208,  # 64 more than the tokenizer knows, one of them the mark of a picture
        hidden_size=2560,
        intermediate_size=10_240,
        num_layers=34,
        num_heads=8,
        num_kv_heads=4,
        head_dim=256,
        max_length=131_072,
        sliding_window=1024,
        layer_types=pattern(34, every=6),
        rope_scaling=RopeScaling(kind="linear", factor=8.0),
    ),
    "gemma-3-12b": Gemma3Config(
        vocab_size=262_208,
        hidden_size=3840,
        intermediate_size=15_360,
        num_layers=48,
        num_heads=16,
        num_kv_heads=8,
        head_dim=256,
        max_length=131_072,
        sliding_window=1024,
        layer_types=pattern(48, every=6),
        rope_scaling=RopeScaling(kind="linear", factor=8.0),
    ),
    "gemma-3-27b": Gemma3Config(
        vocab_size=262_208,
        hidden_size=5376,
        intermediate_size=21_504,
        num_layers=62,
        num_heads=32,
        num_kv_heads=16,
        head_dim=128,
        max_length=131_072,
        sliding_window=1024,
        layer_types=pattern(62, every=6),
        query_scale=168.0,
        rope_scaling=RopeScaling(kind="linear", factor=8.0),
    ),
}
