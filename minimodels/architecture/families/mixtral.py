"""Mixtral (arXiv 2401.04088): a LLaMA in which each token chooses two of eight MLPs."""

from minimodels.architecture.decoder import Block
from minimodels.architecture.families.llama import Llama
from minimodels.architecture.moe import GatedExperts, MoE
from minimodels.architecture.routing import SoftmaxRouter


class Mixtral(Llama):
    """See MixtralConfig."""

    def block(self, layer: int) -> Block:
        return Block(self.config, layer, self.norm_class, self.mixture)

    def mixture(self, hidden_size: int, intermediate_size: int) -> MoE:
        E, k = self.config.num_experts, self.config.experts_per_token
        router = SoftmaxRouter(hidden_size, E, k)
        return MoE(router, GatedExperts(E, hidden_size, intermediate_size))
