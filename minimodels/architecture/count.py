"""What a decoder costs, by formula: parameters and bytes of cache. No model is built.

Published counts this reproduces to the unit: Gemma's table 2 (arXiv 2403.08295).
"""

from dataclasses import dataclass

from minimodels.architecture.configs import DecoderConfig

MLP_MATRICES = {"gemma": 3, "nemotron": 2}  # gate, up, down; up, down
NORM_VECTORS = {"gemma": 1, "nemotron": 2}  # weight; weight and bias


@dataclass(frozen=True)
class Count:
    """Parameters of each part of a model."""

    embedding: int  # the embedding and, where it is not tied, the head
    attention: int
    mlp: int
    norms: int

    @property
    def other(self) -> int:
        """All but the embeddings: what papers call non-embedding parameters."""
        return self.attention + self.mlp + self.norms

    @property
    def total(self) -> int:
        return self.embedding + self.other


def count(config: DecoderConfig) -> Count:
    """Parameters of a model with this config."""
    D, L = config.hidden_size, config.num_layers
    heads = 2 * config.num_heads + 2 * config.num_kv_heads  # q and o, k and v
    return Count(
        embedding=(1 if config.tie_embeddings else 2) * config.vocab_size * D,
        attention=L * heads * config.head_dim * D,
        mlp=L * MLP_MATRICES[config.family] * config.intermediate_size * D,
        norms=(2 * L + 1) * NORM_VECTORS[config.family] * D,
    )


def cache_bytes(config: DecoderConfig, length: int, batch_size=1, bytes_per_number=2) -> int:
    """Bytes of a KV cache for `batch_size` texts of `length` tokens (2 bytes a number: bf16)."""
    per_token = 2 * config.num_layers * config.num_kv_heads * config.head_dim
    return per_token * length * batch_size * bytes_per_number
