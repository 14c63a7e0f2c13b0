"""The norms. Gemma's and Nemotron's store their weight as an offset from one, LLaMA's does not.

RMSNorm: arXiv 1910.07467, with Gemma's unit offset. LayerNorm1p: Nemotron-4 (arXiv 2402.16819).
Shapes: (B, T, D) in and out.
"""

import torch
from torch import nn
from torch.nn import functional as F

from minimodels import kernels
from minimodels.kernels.layer_norm import layer_norm
from minimodels.kernels.rms_norm import rms_norm


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) · (1 + weight), computed in float32 and rounded once at the end."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(size))  # (D,)

    def forward(self, x):
        if kernels.on(x):
            return rms_norm(x, self.weight, self.eps)
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return (wide * (1.0 + self.weight.float())).type_as(x)


class LlamaRMSNorm(nn.Module):
    """weight · x / sqrt(mean(x²) + eps), rounded to the dtype of x before the weight."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))  # (D,)

    def forward(self, x):
        if kernels.on(x):
            return rms_norm(x, self.weight, self.eps, offset=0.0)  # rounds once, at the end
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.type_as(x)


class WideRMSNorm(nn.Module):
    """weight · x / sqrt(mean(x²) + eps), all of it in float32: Gemma 3n's and 4's.

    The weight is no offset from one. With `learned` false there is none: values are normed so.
    """

    def __init__(self, size: int, eps: float, learned: bool = True):
        super().__init__()
        self.eps = eps
        if learned:
            self.weight = nn.Parameter(torch.ones(size))  # (D,)

    def forward(self, x):
        if kernels.on(x) and hasattr(self, "weight"):
            return rms_norm(x, self.weight, self.eps, offset=0.0)
        wide = x.float()
        wide = wide * torch.pow(wide.pow(2).mean(-1, keepdim=True) + self.eps, -0.5)
        if hasattr(self, "weight"):
            wide = wide * self.weight.float()
        return wide.type_as(x)


class LayerNorm1p(nn.Module):
    """(x − mean) / sqrt(variance + eps) · (1 + weight) + bias, in the dtype of x."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(size))  # (D,)
        self.bias = nn.Parameter(torch.zeros(size))  # (D,)

    def forward(self, x):
        if kernels.on(x):
            return layer_norm(x, self.weight, self.bias, self.eps)
        return F.layer_norm(x, self.weight.shape, 1.0 + self.weight, self.bias, self.eps)


def rounded(value: float, x):
    """A constant in the dtype of x, as some families were trained to multiply by it."""
    return torch.full((), value, dtype=x.dtype, device=x.device)
