"""Nemotron-4 (arXiv 2402.16819, 2406.11704): what makes a decoder a Nemotron.

Grouped-query attention and RoPE on half of each head (in the config), LayerNorm1p, squared ReLU,
no biases but those of the norms, and a head of its own.
"""

from minimodels.architecture.decoder import Decoder
from minimodels.architecture.mlp import SquaredReLU
from minimodels.architecture.norms import LayerNorm1p


class Nemotron(Decoder):
    """See NemotronConfig."""

    norm_class = LayerNorm1p
    mlp_class = SquaredReLU
