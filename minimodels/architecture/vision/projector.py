"""From patches to words: Gemma 3's projector (arXiv 2503.19786).

    (B, N, E) -> average of each square of patches (B, M, E) -> norm -> times a matrix (B, M, D)

N patches of the encoder's width E become M tokens of the decoder's width D. At Gemma 3's sizes a
square has 4 × 4 patches: 4,096 become 256, whatever the picture shows.
"""

import torch
from torch import nn
from torch.nn import functional as F

from minimodels.architecture.configs.gemma3_vision import Gemma3VisionConfig
from minimodels.architecture.norms import RMSNorm


class Projector(nn.Module):
    """Patches (B, N, E) to tokens (B, M, D). See Gemma3VisionConfig."""

    def __init__(self, config: Gemma3VisionConfig):
        super().__init__()
        self.side, self.pool = config.vision.side, config.pool
        E, D = config.vision.hidden_size, config.hidden_size
        self.mm_soft_emb_norm = RMSNorm(E, config.vision.norm_eps)
        self.mm_input_projection_weight = nn.Parameter(torch.empty(E, D))
        nn.init.normal_(self.mm_input_projection_weight, std=E**-0.5)  # tokens of size one

    def forward(self, patches):
        grid = patches.transpose(1, 2).unflatten(2, (self.side, self.side))  # (B, E, √N, √N)
        pooled = F.avg_pool2d(grid, self.pool).flatten(2).transpose(1, 2)  # (B, M, E)
        return self.mm_soft_emb_norm(pooled) @ self.mm_input_projection_weight  # (B, M, D)
