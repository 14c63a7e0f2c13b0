"""LLaMA 2 (arXiv 2307.09288), Llama 3 (2407.21783, table 3) and Mixtral (2401.04088).

Llama 3.1 stretches RoPE from 8,192 to 131,072 tokens; 3.2's small models are cut from 3.1's 8B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from minimodels.architecture.configs.base import DecoderConfig, RopeScaling
from minimodels.errors import UserError


@dataclass(frozen=True, kw_only=True)
class LlamaConfig(DecoderConfig):
    """LLaMA: RMSNorm without offset, SwiGLU, full RoPE, an embedding as it is."""

    family: ClassVar[str] = "llama"

    norm_eps: float = 1e-5
    tie_embeddings: bool = False
    rope_scaling: RopeScaling | None = None


@dataclass(frozen=True, kw_only=True)
class MixtralConfig(DecoderConfig):
    """Mixtral: a LLaMA whose MLP is a mixture of experts, of which a token uses the top few."""

    family: ClassVar[str] = "mixtral"

    num_experts: int = 8
    experts_per_token: int = 2
    rope_theta: float = 1_000_000.0
    norm_eps: float = 1e-5
    tie_embeddings: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.experts_per_token > self.num_experts:
            raise UserError(
                f"a token cannot use {self.experts_per_token} of {self.num_experts} experts: "
                "lower experts_per_token."
            )


STRETCHED = RopeScaling(kind="llama3", factor=8.0)
SMALL = RopeScaling(kind="llama3", factor=32.0)


def _llama3(D, F, L, heads, tied=False, max_length=8192, scaling=None) -> LlamaConfig:
    """Llama 3, 3.1 and 3.2 share vocabulary, base and eight key/value heads."""
    head_dim = 64 if heads == 32 and D == 2048 else 128
    return LlamaConfig(
        vocab_size=128_256, hidden_size=D, intermediate_size=F, num_layers=L, num_heads=heads,
        num_kv_heads=8, head_dim=head_dim, max_length=max_length, rope_theta=500_000.0,
        rope_scaling=scaling, tie_embeddings=tied,
    )  # fmt: skip


CONFIGS: dict[str, DecoderConfig] = {
    "llama-2-7b": LlamaConfig(
        vocab_size=32_000,
        hidden_size=4096,
        intermediate_size=11_008,  # 2/3 of 4 · D, rounded up to a multiple of 256
        num_layers=32,
        num_heads=32,
        num_kv_heads=32,
        head_dim=128,
        max_length=4096,
    ),
    "llama-2-13b": LlamaConfig(
        vocab_size=32_000,
        hidden_size=5120,
        intermediate_size=13_824,
        num_layers=40,
        num_heads=40,
        num_kv_heads=40,
        head_dim=128,
        max_length=4096,
    ),
    "llama-2-70b": LlamaConfig(
        vocab_size=32_000,
        hidden_size=8192,
        intermediate_size=28_672,
        num_layers=80,
        num_heads=64,
        num_kv_heads=8,
        head_dim=128,
        max_length=4096,
    ),
    "llama-3-8b": _llama3(4096, 14_336, 32, 32),
    "llama-3-70b": _llama3(8192, 28_672, 80, 64),
    "llama-3.1-8b": _llama3(4096, 14_336, 32, 32, max_length=131_072, scaling=STRETCHED),
    "llama-3.1-70b": _llama3(8192, 28_672, 80, 64, max_length=131_072, scaling=STRETCHED),
    "llama-3.1-405b": _llama3(16_384, 53_248, 126, 128, max_length=131_072, scaling=STRETCHED),
    "llama-3.2-1b": _llama3(2048, 8192, 16, 32, tied=True, max_length=131_072, scaling=SMALL),
    "llama-3.2-3b": _llama3(3072, 8192, 28, 24, tied=True, max_length=131_072, scaling=SMALL),
    "mixtral-8x7b": MixtralConfig(
        vocab_size=32_000,
        hidden_size=4096,
        intermediate_size=14_336,  # of one expert
        num_layers=32,
        num_heads=32,
        num_kv_heads=8,
        head_dim=128,
        max_length=32_768,
    ),
    "mixtral-8x22b": MixtralConfig(
        vocab_size=32_768,  # 32,000 in the base release, 768 marks more in the instruct one
        hidden_size=6144,
        intermediate_size=16_384,
        num_layers=56,
        num_heads=48,
        num_kv_heads=8,
        head_dim=128,
        max_length=65_536,
    ),
}
