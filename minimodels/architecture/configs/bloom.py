"""BLOOM (arXiv 2211.05100, table 3): no positions in the stream, a bias on the scores instead.

The 176B has 112 heads, no power of two: its ALiBi slopes are those of 64 and half of those of 128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from minimodels.architecture.configs.base import DecoderConfig
from minimodels.architecture.configs.gpt2 import check_heads


@dataclass(frozen=True, kw_only=True)
class BloomConfig(DecoderConfig):
    """BLOOM: ALiBi, LayerNorm also on the embedding, gelu, biases everywhere, tied head.

    max_length is the length it was trained with; nothing in the weights depends on it.
    """

    family: ClassVar[str] = "bloom"

    norm_eps: float = 1e-5

    def __post_init__(self):
        super().__post_init__()
        check_heads(self)


def _bloom(D: int, L: int, heads: int) -> BloomConfig:
    return BloomConfig(
        vocab_size=250_880, hidden_size=D, intermediate_size=4 * D, num_layers=L, num_heads=heads,
        num_kv_heads=heads, head_dim=D // heads, max_length=2048,
    )  # fmt: skip


CONFIGS: dict[str, DecoderConfig] = {
    "bloom-560m": _bloom(1024, 24, 16),
    "bloom-1b1": _bloom(1536, 24, 16),
    "bloom-1b7": _bloom(2048, 24, 16),
    "bloom-3b": _bloom(2560, 30, 32),
    "bloom-7b1": _bloom(4096, 30, 32),
    "bloom-176b": _bloom(14_336, 70, 112),
}
