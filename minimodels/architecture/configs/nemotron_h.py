"""Nemotron-H (arXiv 2504.03624) and Nemotron 3 Nano: hybrids of Mamba-2, attention, MLP and MoE.

A block holds one mixer, not two parts; a letter a block spells the order, as in the released
configurations: M Mamba-2, * attention, - MLP, E mixture of experts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from minimodels.architecture.configs.base import FULL, DecoderConfig
from minimodels.errors import UserError

MAMBA, MLP, MOE = "linear_attention", "mlp", "moe"
LETTERS = {"M": MAMBA, "*": FULL, "-": MLP, "E": MOE}


def spell(letters: str) -> tuple[str, ...]:
    """The kinds of the blocks: spell("M-M*") is two Mamba-2, an MLP and an attention."""
    return tuple(LETTERS[letter] for letter in letters)


@dataclass(frozen=True, kw_only=True)
class NemotronHConfig(DecoderConfig):
    """Nemotron-H: most mixers are recurrent, few attend, and attention has no positions at all."""

    family: ClassVar[str] = "nemotron_h"

    layer_types: tuple[str, ...]
    mamba_num_heads: int = 128
    mamba_head_dim: int = 64
    mamba_groups: int = 8  # of heads that share B and C
    ssm_state_size: int = 128
    conv_kernel: int = 4
    chunk_size: int = 128  # of the scan: speed, not result
    time_step_min: float = 0.001
    num_experts: int | None = None  # the rest is for MoE blocks
    experts_per_token: int | None = None
    moe_intermediate_size: int | None = None
    shared_intermediate_size: int | None = None
    moe_latent_size: int | None = None  # experts work in so many numbers instead of D
    routed_scale: float = 1.0
    expert_groups: int = 1
    top_groups: int = 1
    renormalize: bool = True
    norm_eps: float = 1e-5
    tie_embeddings: bool = False

    def __post_init__(self):
        super().__post_init__()
        unknown = sorted(set(self.kinds) - set(LETTERS.values()))
        if unknown:
            raise UserError(f"layer_types has {', '.join(unknown)}, which is not implemented.")
        sizes = ("num_experts", "experts_per_token", "moe_intermediate_size",
                 "shared_intermediate_size")  # fmt: skip
        if MOE in self.kinds and None in [getattr(self, size) for size in sizes]:
            raise UserError(f"layer_types has MoE blocks: give {', '.join(sizes)}.")
        if self.mamba_num_heads % self.mamba_groups:
            raise UserError(
                f"mamba_groups ({self.mamba_groups}) does not divide mamba_num_heads "
                f"({self.mamba_num_heads}): each group must serve equally many heads."
            )

    @property
    def mamba_channels(self) -> int:
        """Channels of the convolution: x of all heads, B and C of all groups."""
        width = self.mamba_num_heads * self.mamba_head_dim
        return width + 2 * self.mamba_groups * self.ssm_state_size

    def kv_shape(self, layer: int):
        return super().kv_shape(layer) if self.kinds[layer] == FULL else None

    def state_shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        if self.kinds[layer] != MAMBA:
            return {}
        return {
            "conv": (self.mamba_channels, self.conv_kernel - 1),
            "ssm": (self.mamba_num_heads, self.mamba_head_dim, self.ssm_state_size),
        }


CONFIGS: dict[str, DecoderConfig] = {
    "nemotron-h-4b": NemotronHConfig(
        vocab_size=131_072,
        hidden_size=3072,
        intermediate_size=12_288,
        num_layers=52,
        layer_types=spell("M-M-M-M*-" + 3 * "M-M-M-M-M*-" + "M-M-M-M-M-"),
        num_heads=32,
        num_kv_heads=8,
        head_dim=128,
        max_length=8192,
        mamba_num_heads=112,
    ),
    "nemotron-h-8b": NemotronHConfig(
        vocab_size=131_072,
        hidden_size=4096,
        intermediate_size=21_504,
        num_layers=52,
        layer_types=spell("M-M-M-M*-" + 3 * "M-M-M-M-M*-" + "M-M-M-M-M-"),
        num_heads=32,
        num_kv_heads=8,
        head_dim=128,
        max_length=8192,
    ),
    "nemotron-h-56b": NemotronHConfig(
        vocab_size=131_072,
        hidden_size=8192,
        intermediate_size=32_768,
        num_layers=118,
        layer_types=spell("M-M-M-M*-" + 9 * "M-M-M-M-M*-" + "M-M-M-M-M-"),
        num_heads=64,
        num_kv_heads=8,
        head_dim=128,
        max_length=8192,
        mamba_num_heads=256,
        ssm_state_size=256,
    ),
    "nemotron-3-nano-30b-a3b": NemotronHConfig(
        vocab_size=131_072,
        hidden_size=2688,
        intermediate_size=1856,
        num_layers=52,
        layer_types=spell("MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME"),
        num_heads=32,
        num_kv_heads=2,
        head_dim=128,
        max_length=262_144,
        mamba_num_heads=64,
        num_experts=128,
        experts_per_token=6,
        moe_intermediate_size=1856,
        shared_intermediate_size=3712,
        routed_scale=2.5,
    ),
}
