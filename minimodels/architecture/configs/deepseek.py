"""DeepSeek-V3 (arXiv 2412.19437, section 4.2): latent attention, and many small experts.

The sizes are those of the released configuration, as the model was pretrained: 4,096 tokens, before
YaRN stretched its positions. DeepSeek-V2 (2405.04434) has the same attention in 60 layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from minimodels.architecture.configs.base import DecoderConfig
from minimodels.errors import UserError


@dataclass(frozen=True, kw_only=True)
class DeepseekConfig(DecoderConfig):
    """DeepSeek-V3. head_dim is R, the rotated part of a head: what the cache keeps of positions."""

    family: ClassVar[str] = "deepseek_v3"

    kv_lora_rank: int  # r, numbers of a latent
    qk_nope_head_dim: int  # of a query or key without position
    v_head_dim: int
    q_lora_rank: int | None = None  # None: queries straight from the stream
    num_dense_layers: int | None = None  # the first ones, with an MLP of intermediate_size
    num_experts: int = 256
    experts_per_token: int = 8
    shared_experts: int = 1  # as wide together as so many experts
    moe_intermediate_size: int = 2048
    expert_groups: int = 8
    top_groups: int = 4
    routed_scale: float = 2.5
    renormalize: bool = True
    tie_embeddings: bool = False

    def __post_init__(self):
        super().__post_init__()
        if not self.experts_per_token <= self.num_experts // self.expert_groups * self.top_groups:
            raise UserError(
                f"a token cannot use {self.experts_per_token} experts: {self.top_groups} of "
                f"{self.expert_groups} groups hold fewer; lower experts_per_token."
            )

    @property
    def qk_rope_head_dim(self) -> int:
        return self.head_dim

    def kv_shape(self, layer: int) -> tuple[int, int, int]:
        """One latent and one rotated key for all heads."""
        return 1, self.kv_lora_rank, self.qk_rope_head_dim


CONFIGS: dict[str, DecoderConfig] = {
    "deepseek-v3": DeepseekConfig(
        vocab_size=129_280,
        hidden_size=7168,
        intermediate_size=18_432,
        num_layers=61,
        num_heads=128,
        num_kv_heads=128,
        head_dim=64,
        num_dense_layers=3,
        max_length=4096,
        kv_lora_rank=512,
        q_lora_rank=1536,
        qk_nope_head_dim=128,
        v_head_dim=128,
    ),
}
