"""BERT (arXiv 1810.04805, section 3): an encoder, whose tokens see both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from minimodels.architecture.configs.base import DecoderConfig
from minimodels.architecture.configs.gpt2 import check_heads
from minimodels.errors import UserError


@dataclass(frozen=True, kw_only=True)
class BertConfig(DecoderConfig):
    """BERT: learned positions and token types, LayerNorm after each sum, exact gelu, biases."""

    family: ClassVar[str] = "bert"

    num_token_types: int = 2  # which of two texts a token belongs to
    norm_eps: float = 1e-12

    def __post_init__(self):
        super().__post_init__()
        check_heads(self)
        if not self.tie_embeddings:
            raise UserError("BERT's head is its embedding: leave tie_embeddings = True.")


def _bert(D: int, L: int) -> BertConfig:
    """Heads are 64 wide and the MLP four times the stream."""
    return BertConfig(
        vocab_size=30_522, hidden_size=D, intermediate_size=4 * D, num_layers=L, num_heads=D // 64,
        num_kv_heads=D // 64, head_dim=64, max_length=512,
    )  # fmt: skip


CONFIGS: dict[str, DecoderConfig] = {
    "bert-base-uncased": _bert(768, 12),
    "bert-large-uncased": _bert(1024, 24),
}
