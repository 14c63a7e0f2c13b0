"""LLaMA 2 and 3 (arXiv 2307.09288, 2407.21783): RMSNorm, SwiGLU, RoPE, and nothing else."""

from minimodels.architecture.decoder import Decoder
from minimodels.architecture.mlp import SwiGLU
from minimodels.architecture.norms import LlamaRMSNorm


class Llama(Decoder):
    """See LlamaConfig."""

    norm_class = LlamaRMSNorm
    mlp_class = SwiGLU
