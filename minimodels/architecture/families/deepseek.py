"""DeepSeek-V3 (arXiv 2412.19437): a LLaMA whose attention keeps latents and whose MLPs are many.

Its predictors of further tokens (section 2.2) are not here: they are for training and speculation.
"""

from minimodels.architecture.decoder import Block
from minimodels.architecture.families.llama import Llama
from minimodels.architecture.mla import LatentAttention
from minimodels.architecture.mlp import SwiGLU
from minimodels.architecture.moe import GatedExperts, MoE
from minimodels.architecture.routing import SigmoidRouter


class Deepseek(Llama):
    """See DeepseekConfig."""

    def block(self, layer: int) -> Block:
        dense = layer < (self.config.num_dense_layers or 0)
        block = Block(self.config, layer, self.norm_class, SwiGLU if dense else self.mixture)
        block.self_attn = LatentAttention(self.config, layer)
        return block

    def mixture(self, hidden_size: int, intermediate_size: int) -> MoE:
        """Small experts, chosen by biased sigmoids in a few groups, and one that all tokens use."""
        c = self.config
        router = SigmoidRouter(
            hidden_size, c.num_experts, c.experts_per_token, c.expert_groups, c.top_groups,
            c.routed_scale, c.renormalize,
        )  # fmt: skip
        experts = GatedExperts(c.num_experts, hidden_size, c.moe_intermediate_size)
        return MoE(router, experts, SwiGLU(hidden_size, c.shared_experts * c.moe_intermediate_size))
