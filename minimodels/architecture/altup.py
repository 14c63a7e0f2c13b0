"""Alternating updates (Baykal et al., arXiv 2301.13310): a stream N times as wide, computed once.

Each token carries N vectors of size D, and a block works on one of them, the active one:

    predict   P = h + C h                      a guess of what the block will leave
    compute   y = block(P[0])
    correct   h = P + (1 + c) · (y − P[0])     all N follow what was wrong about the active one

C (N × N) and c (N) depend on the token, by N numbers in (−1, 1) that a small router reads off the
active vector. Gemma 3n has N = 4. Shapes: B batch, T time, N vectors, D hidden.
"""

import torch
from torch import nn
from torch.nn import functional as F

from minimodels.architecture.norms import WideRMSNorm, rounded


class AltUp(nn.Module):
    """The coefficients of one layer. clip bounds their weights in training, None does not."""

    def __init__(self, hidden_size: int, num_streams: int, eps: float, clip: float | None = None):
        super().__init__()
        N, self.clip = num_streams, clip
        self.modality_router = nn.Linear(hidden_size, N, bias=False)
        self.router_norm = WideRMSNorm(hidden_size, eps)
        self.prediction_coefs = nn.Linear(N, N * N, bias=False)
        self.correction_coefs = nn.Linear(N, N, bias=False)
        self.correct_output_scale = nn.Parameter(torch.zeros(hidden_size))  # for what reads h[0]

    def predict(self, h):
        """(B, T, N, D) -> (B, T, N, D)"""
        N = h.shape[2]
        mix = self.coefficients(self.prediction_coefs, h[:, :, 0]).unflatten(-1, (N, N))
        return h + mix @ h

    def correct(self, predicted, y):
        """Predicted streams (B, T, N, D) and what the block made of the active one (B, T, D)."""
        gain = 1.0 + self.coefficients(self.correction_coefs, y)  # (B, T, N)
        news = y - predicted[:, :, 0]
        return predicted + gain[..., None] * news[:, :, None]

    def coefficients(self, linear, x):
        """Of one token each: x (B, T, D) -> (B, T, N or N²)"""
        routed = self.modality_router(self.router_norm(x) * rounded(x.shape[-1] ** -1.0, x))
        weight = linear.weight
        if self.training and self.clip is not None:
            weight = weight.clamp(-self.clip, self.clip)
        return F.linear(torch.tanh(routed.float()).type_as(x), weight)


class Spread(nn.ModuleList):
    """N − 1 projections (D, D) that keep the size of vectors: into the streams, or out of them."""

    def __init__(self, hidden_size: int, num_streams: int):
        super().__init__(
            nn.Linear(hidden_size, hidden_size, bias=False) for _ in range(num_streams - 1)
        )

    def into(self, x):
        """(B, T, D) -> (B, T, N, D): x itself and N − 1 views of it."""
        size = rms(x)
        return torch.stack([x, *(self.sized(project(x), size) for project in self)], dim=2)

    def out_of(self, h):
        """(B, T, N, D) -> (B, T, D): the mean of the active stream and views of the others."""
        x, *others = h.unbind(2)
        size = rms(x)
        views = [self.sized(project(y), size) for project, y in zip(self, others, strict=True)]
        return torch.stack([x, *views]).mean(dim=0)

    def sized(self, x, size):
        return x * size / x.pow(2).mean(-1, keepdim=True).clamp(min=1e-5).sqrt()


def rms(x):
    """The root of the mean square of vectors, (…, D) -> (…, 1)."""
    return x.pow(2).mean(-1, keepdim=True).sqrt()
