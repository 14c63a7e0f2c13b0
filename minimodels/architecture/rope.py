"""Rotary position embedding (arXiv 2104.09864): a position is an angle, a distance a rotation.

Number i of a head and number i + R/2 form a pair that turns by position · theta^(−2i/R). A partial
RoPE (Nemotron) turns the first R numbers of each head and leaves the others alone. Scaling slows
the turning down, so that a longer text meets only angles that training has seen.
"""

import math

import torch

from minimodels import kernels
from minimodels.kernels.rope import rope


def frequencies(rotary_dim: int, theta: float, scaling=None, device=None):
    """Radians a token by which each of the R/2 pairs turns, float32; scaling: a RopeScaling."""
    pair = torch.arange(0, rotary_dim, 2, device=device, dtype=torch.float32)
    frequency = 1.0 / theta ** (pair / rotary_dim)  # (R/2,)
    if scaling is None:
        return frequency
    if scaling.kind == "linear":  # position interpolation (arXiv 2306.15595)
        return frequency / scaling.factor
    return _llama3(frequency, scaling)


def _llama3(frequency, scaling):
    """Pairs that turn often within the old context stay, slow ones are divided, between: a blend.

    Llama 3.1's released code; a pair is fast if it makes high_freq_factor turns in the old context.
    """
    turns = scaling.original_max_length * frequency / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = ((turns - low) / (high - low)).clamp(0, 1)  # share of the old frequency
    return (1 - kept) * frequency / scaling.factor + kept * frequency


def rotation(positions, rotary_dim: int, theta: float, dtype, scaling=None):
    """Cosines and sines of `positions` (B or 1, T): two tensors (B or 1, 1, T, R/2)."""
    frequency = frequencies(rotary_dim, theta, scaling, positions.device)
    angle = positions[:, None, :, None].float() * frequency
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x, cos, sin):
    """Turn the first R numbers of each head of x (B, H, T, d) by the angles of `rotation`."""
    if kernels.on(x):
        return rope(x, cos, sin)
    half = cos.shape[-1]
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1)
