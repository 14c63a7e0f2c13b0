"""Gemma 1 (arXiv 2403.08295): what makes a decoder a Gemma.

Multi-query attention in the 2B, multi-head in the 7B, RoPE on whole heads (all in the config),
RMSNorm, GeGLU, and one matrix that embeds and predicts.
"""

import torch

from minimodels.architecture.decoder import Decoder
from minimodels.architecture.mlp import GeGLU
from minimodels.architecture.norms import RMSNorm


class Gemma(Decoder):
    """See GemmaConfig."""

    norm_class = RMSNorm
    mlp_class = GeGLU

    def embed(self, tokens):
        """Rows of a head are small (std 0.02): scaled by sqrt(D), rounded as the weights are."""
        x = super().embed(tokens)
        return x * torch.full((), self.config.hidden_size**0.5, dtype=x.dtype, device=x.device)
