"""GPT-2 (report of 2019, table 2): four sizes that differ in width and depth alone.

The report's own counts (117M, 345M, 762M, 1542M) are not those of the released files, which have
124M, 355M, 774M and 1558M; what is counted here is what is in the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from minimodels.architecture.configs.base import DecoderConfig
from minimodels.errors import UserError


@dataclass(frozen=True, kw_only=True)
class GPT2Config(DecoderConfig):
    """GPT-2: LayerNorm, gelu, biases everywhere, a learned vector for each position, tied head."""

    family: ClassVar[str] = "gpt2"

    norm_eps: float = 1e-5

    def __post_init__(self):
        super().__post_init__()
        check_heads(self)


def check_heads(config: DecoderConfig) -> None:
    """UserError unless the heads share the stream among them: before GQA there was no other way."""
    H, D = config.num_heads, config.hidden_size
    if H * config.head_dim != D or config.num_kv_heads != H:
        raise UserError(
            f"{config.family} has {H} query heads of {config.head_dim}, {config.num_kv_heads} key "
            f"heads and a stream of {D}: make num_heads · head_dim = hidden_size, and as many key "
            "heads."
        )


def _gpt2(D: int, L: int) -> GPT2Config:
    """Heads are always 64 wide and the MLP four times the stream."""
    return GPT2Config(
        vocab_size=50_257, hidden_size=D, intermediate_size=4 * D, num_layers=L, num_heads=D // 64,
        num_kv_heads=D // 64, head_dim=64, max_length=1024,
    )  # fmt: skip


CONFIGS: dict[str, DecoderConfig] = {
    "gpt2": _gpt2(768, 12),
    "gpt2-medium": _gpt2(1024, 24),
    "gpt2-large": _gpt2(1280, 36),
    "gpt2-xl": _gpt2(1600, 48),
}
