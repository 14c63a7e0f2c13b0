"""Causal attention with H query heads and K key heads: MHA (K = H), GQA, MQA (K = 1).

Vaswani et al. (arXiv 1706.03762), multi-query (1911.02150), grouped-query (2305.13245), sliding
windows (2004.05150), soft-capped scores (Gemma 2, 2408.00118), QK-norm (2010.04245).
Shapes: q (B, H, T, d), k and v (B, K, S, d), where S counts the past and the present: S ≥ T.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from minimodels import kernels
from minimodels.architecture.norms import RMSNorm
from minimodels.architecture.rope import rotate
from minimodels.kernels.decode_attention import decode_attention
from minimodels.kernels.flash_attention import LARGEST_HEAD, flash_attention


def attention_by_hand(q, k, v, mask=None, scale=None, softcap=None):
    """softmax(q kᵀ / sqrt(d)) v in plain steps: the reference for `attend`, same contract."""
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))  # (B, H, S, d)
    T, S = q.shape[2], k.shape[2]
    if mask is None:
        mask = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
    scores = q @ k.transpose(2, 3) * (scale or q.shape[3] ** -0.5)  # (B, H, T, S)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
    return weights @ v  # (B, H, T, d)


def attend(q, k, v, mask=None, scale=None, softcap=None):
    """The same by PyTorch's fused kernels, or by ours. mask: see `visible`, or Seen; (B, H, T, d).

    scale: in place of 1 / sqrt(d). softcap: bounds the scores; PyTorch has no fused kernel for it.
    """
    if kernels.on(q) and suits_kernels(q, k, v, mask):
        return by_kernels(q, k, v, mask, scale, softcap)
    if isinstance(mask, Seen):
        mask = mask.drawn(q.device)
    if softcap is not None:
        return attention_by_hand(q, k, v, mask, scale, softcap)
    # a single query sees everything; a branch, because a compiled length is no number to compare
    causal = True if mask is None and q.shape[2] > 1 else False
    grouped = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=grouped
    )


def visible(past: int, present: int, real=None, device=None, window=None, together=None):
    """Which of the S keys each of the `present` queries may see: bool (B or 1, 1, T, S), or None.

    None means plainly causal, the fast path. `real` (B, S) is False where a batch is padded. A
    query sees the last `window` keys, its own included. Tokens with one positive number in
    `together` (B, T) see each other both ways, as those of one picture do.
    """
    narrow = window is not None and past + present > window
    plain = real is None and together is None and not narrow
    if plain and (past == 0 or present == 1):
        return None
    causal = torch.ones(present, past + present, dtype=torch.bool, device=device).tril(past)
    itself = causal.triu(past)
    seen = causal[None]
    if together is not None:
        pairs = (together[:, :, None] == together[:, None, :]) & (together[:, :, None] > 0)
        seen = seen | F.pad(pairs, (past, 0))
    if narrow:  # of the past: what one picture may see ahead of itself stays
        seen = seen & torch.ones_like(causal).triu(past - window + 1)
    if real is not None:
        seen = seen & real[:, None, :] | itself  # padding sees itself: no softmax over nothing
    return seen[:, None]


@dataclass(frozen=True)
class Seen:
    """What kernels need in the place of a mask of T · S truths: what `visible` draws it from.

    segments: int32 (B, S), 0 at real tokens and −1, which nobody sees, at padding; or None.
    """

    past: int
    present: int
    segments: torch.Tensor | None = None
    window: int | None = None

    def drawn(self, device):
        real = None if self.segments is None else self.segments == 0
        return visible(self.past, self.present, real, device, self.window)


def suits_kernels(q, k, v, mask) -> bool:
    """Whether they can: no drawn mask, values as wide as keys, and heads that fit a program."""
    told = mask is None or isinstance(mask, Seen)
    return told and k.shape == v.shape and q.shape[3] <= LARGEST_HEAD


def by_kernels(q, k, v, seen=None, scale=None, softcap=None):
    """`attend` with scores that never reach memory; padding that asks gets 0.

    A single query that needs no gradient reads its keys in parts, side by side.
    """
    window, segments = (None, None) if seen is None else (seen.window, seen.segments)
    if q.shape[2] == 1 and not torch.is_grad_enabled():
        return decode_attention(q, k, v, window, softcap, scale, segments)
    return flash_attention(q, k, v, True, window, softcap, segments, scale)[0]


class Attention(nn.Module):
    """Project, rotate, remember, attend, project back: (B, T, D) -> (B, T, D), no biases."""

    def __init__(self, config, layer: int):
        super().__init__()
        D, d = config.hidden_size, config.head_dim
        self.layer, self.head_dim = layer, d
        self.scale, self.softcap = config.attention_scale, config.attention_softcap
        self.q_proj = nn.Linear(D, config.num_heads * d, bias=False)
        self.k_proj = nn.Linear(D, config.num_kv_heads * d, bias=False)
        self.v_proj = nn.Linear(D, config.num_kv_heads * d, bias=False)
        self.o_proj = nn.Linear(config.num_heads * d, D, bias=False)
        if config.qk_norm:
            self.q_norm = RMSNorm(d, config.norm_eps)
            self.k_norm = RMSNorm(d, config.norm_eps)

    def forward(self, x, rotation, mask=None, cache=None):
        q, k, v = (self.heads(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        if hasattr(self, "q_norm"):
            q, k = self.q_norm(q), self.k_norm(k)
        if rotation is not None:  # a hybrid's attention knows no positions
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        y = attend(q, k, v, mask, self.scale, self.softcap)  # (B, H, T, d)
        return self.o_proj(y.transpose(1, 2).flatten(2))

    def heads(self, x):
        """(B, T, H·d) -> (B, H, T, d)"""
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
