"""Rotary position embedding (arXiv 2104.09864): a position is an angle, a distance a rotation.

Number i of a head and number i + R/2 form a pair that turns by position · theta^(−2i/R). A partial
RoPE (Nemotron) turns the first R numbers of each head and leaves the others alone.
"""

import torch


def rotation(positions, rotary_dim: int, theta: float, dtype):
    """Cosines and sines of `positions` (B or 1, T): two tensors (B or 1, 1, T, R/2)."""
    pair = torch.arange(0, rotary_dim, 2, device=positions.device, dtype=torch.float32)
    frequency = 1.0 / theta ** (pair / rotary_dim)  # (R/2,), radians a token
    angle = positions[:, None, :, None].float() * frequency
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x, cos, sin):
    """Turn the first R numbers of each head of x (B, H, T, d) by the angles of `rotation`."""
    half = cos.shape[-1]
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1)
