"""Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1; V3, 2412.19437).

Keys and values of all heads are made from one short vector a token, the latent c. The cache keeps c
and one rotated key that all heads share, r + R numbers a token, instead of the 2·H·d of its heads.

Two ways to the same output. `expanded` makes keys and values from c: best where all c are new.
`absorbed` never makes them. A score is q·(U c) = (Uᵀq)·c, so the query takes U to its side, and the
values stay latents until the weights have summed them: H query heads over one key head, c itself.

Shapes: H heads, n and R numbers of a query without and with rotation, v of a value, r of a latent;
(B, H, T, ·) queries, (B, 1, S, ·) latents of past and present.
"""

import torch
from torch import nn

from minimodels.architecture.attention import attend
from minimodels.architecture.norms import LlamaRMSNorm
from minimodels.architecture.rope import rotate

EPS = 1e-6  # of the norms on latents, whatever the config says of the others


class LatentAttention(nn.Module):
    """(B, T, D) -> (B, T, D). The cache's keys are latents, its values the shared rotated keys.

    `config` says num_heads, q_lora_rank (None: queries straight from x), kv_lora_rank r,
    qk_nope_head_dim n, qk_rope_head_dim R, v_head_dim and attention_scale (None: 1 / sqrt(n + R)).
    """

    def __init__(self, config, layer: int):
        super().__init__()
        D, H, r = config.hidden_size, config.num_heads, config.kv_lora_rank
        self.layer, self.num_heads, self.latent = layer, H, r
        self.plain, self.turned = config.qk_nope_head_dim, config.qk_rope_head_dim
        self.value, width = config.v_head_dim, self.plain + self.turned
        self.scale = config.attention_scale or width**-0.5
        if config.q_lora_rank is None:
            self.q_proj = nn.Linear(D, H * width, bias=False)
        else:
            self.q_a_proj = nn.Linear(D, config.q_lora_rank, bias=False)
            self.q_a_layernorm = LlamaRMSNorm(config.q_lora_rank, EPS)
            self.q_b_proj = nn.Linear(config.q_lora_rank, H * width, bias=False)
        self.kv_a_proj_with_mqa = nn.Linear(D, r + self.turned, bias=False)
        self.kv_a_layernorm = LlamaRMSNorm(r, EPS)
        self.kv_b_proj = nn.Linear(r, H * (self.plain + self.value), bias=False)
        self.o_proj = nn.Linear(H * self.value, D, bias=False)

    def forward(self, x, rotation, mask=None, cache=None):
        """A single token is read in the absorbed form, a longer piece in the expanded one."""
        q, turned_q = self.queries(x, rotation)
        c, turned_k = self.latents(x, rotation)
        if cache is not None:
            c, turned_k = cache.append(self.layer, c, turned_k)
        form = self.absorbed if x.shape[1] == 1 else self.expanded
        y = form(q, turned_q, c, turned_k, mask)  # (B, H, T, v)
        return self.o_proj(y.transpose(1, 2).flatten(2))

    def queries(self, x, rotation):
        """(B, H, T, n), without position, and (B, H, T, R), rotated."""
        if hasattr(self, "q_proj"):
            q = self.q_proj(x)
        else:
            q = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x)))
        q = q.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        q, turned = q.split([self.plain, self.turned], dim=-1)
        return q, rotate(neighbors(turned), *rotation)

    def latents(self, x, rotation):
        """What is kept of a token: c (B, 1, T, r) and the rotated key of all heads (B, 1, T, R)."""
        c, turned = self.kv_a_proj_with_mqa(x)[:, None].split([self.latent, self.turned], dim=-1)
        return self.kv_a_layernorm(c), rotate(neighbors(turned), *rotation)

    def expanded(self, q, turned_q, c, turned_k, mask=None):
        """Make the keys and values of every head, then attend as always."""
        pairs = self.kv_b_proj(c[:, 0]).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = pairs.split([self.plain, self.value], dim=-1)  # (B, H, S, n) and (B, H, S, v)
        k = torch.cat((k, turned_k.expand(-1, self.num_heads, -1, -1)), dim=-1)
        return attend(torch.cat((q, turned_q), dim=-1), k, v, mask, self.scale)

    def absorbed(self, q, turned_q, c, turned_k, mask=None):
        """Bring the queries to the latents, attend there, and make values of the sums."""
        up = self.kv_b_proj.weight.unflatten(0, (self.num_heads, -1))  # (H, n + v, r)
        up_k, up_v = up.split([self.plain, self.value], dim=1)
        q = torch.cat((q @ up_k, turned_q), dim=-1)  # (B, H, T, r + R)
        y = attend(q, torch.cat((c, turned_k), dim=-1), c, mask, self.scale)  # (B, H, T, r)
        return y @ up_v.transpose(1, 2)


def neighbors(x):
    """Numbers 2i and 2i + 1, DeepSeek's pairs, to i and i + R/2, where `rotate` looks for them."""
    return x.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)
