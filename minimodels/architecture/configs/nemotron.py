"""Nemotron-4 15B (arXiv 2402.16819), 340B (2406.11704), and Minitron (2407.14679), cut from 15B."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from minimodels.architecture.configs.base import DecoderConfig


@dataclass(frozen=True, kw_only=True)
class NemotronConfig(DecoderConfig):
    """Nemotron-4: LayerNorm1p, squared ReLU, RoPE on half of each head, untied embeddings."""

    family: ClassVar[str] = "nemotron"

    rotary_fraction: float = 0.5
    norm_eps: float = 1e-5
    tie_embeddings: bool = False
    init_std: float = 0.0134  # published for the 15B


CONFIGS: dict[str, DecoderConfig] = {
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
    "minitron-4b": NemotronConfig(
        vocab_size=256_000,
        hidden_size=3072,
        intermediate_size=9216,
        num_layers=32,
        num_heads=24,
        num_kv_heads=8,
        head_dim=128,
        max_length=4096,
    ),
    "minitron-8b": NemotronConfig(
        vocab_size=256_000,
        hidden_size=4096,  # narrower than its 48 heads of 128 together: only widths were cut
        intermediate_size=16_384,
        num_layers=32,
        num_heads=48,
        num_kv_heads=8,
        head_dim=128,
        max_length=4096,
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
