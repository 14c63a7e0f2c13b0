"""The gated delta rule (arXiv 2412.06464; chunks: 2406.06484): look before you write.

Linear attention adds v under the key k, whatever lies there. The delta rule first reads what k
finds, and writes the difference; a gate may forget all of it a little before:

    S ← exp(g) S        S ← S + β k (v − kᵀS)ᵀ        y = qᵀS / sqrt(d)

With β = 1 and keys of length one, k afterwards finds exactly v: a value is replaced, and what
orthogonal keys find is left alone. `step` is this line. `chunk` solves a triangular system for all
the writes of many tokens at once, since each of them depends on those before it.

Shapes: q and k (B, H, T, d) of length one, v (B, H, T, e), g ≤ 0 and β in 0 … 1 (B, H, T),
S (B, H, d, e).
"""

import torch
from torch import nn
from torch.nn import functional as F

from minimodels.architecture.linear_attention import heads
from minimodels.architecture.norms import LlamaRMSNorm

State = dict[str, torch.Tensor]  # "S", float32


def unit(x):
    """x to length one in its last dimension."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def step(S, q, k, v, g, beta):
    """One token, q and k (B, H, d), v (B, H, e), g and beta (B, H): its output, next S."""
    S = S * g.exp()[..., None, None]
    found = (k[..., None, :] @ S)[..., 0, :]  # (B, H, e), what k reads now
    S = S + k[..., :, None] * (beta[..., None] * (v - found))[..., None, :]
    return (q[..., None, :] @ S)[..., 0, :] / q.shape[-1] ** 0.5, S


def chunk(S, q, k, v, g, beta):
    """T tokens at once, as T calls of `step`: output (B, H, T, e), next S.

    With D[t, s] the decay from s to t, the writes u of a chunk are what is left to say:
    u_t = β_t (v_t − D[t, start] k_tᵀS − Σ_{s<t} D[t, s] (k_t·k_s) u_s), a triangular system in u.
    """
    since = g.cumsum(-1)  # (B, H, T), logarithm of the decay since the start
    T = g.shape[-1]
    past = torch.ones(T, T, dtype=torch.bool, device=g.device).tril()
    decay = (since[..., :, None] - since[..., None, :]).masked_fill(~past, -torch.inf).exp()
    start = since.exp()[..., None]  # (B, H, T, 1)
    among = beta[..., None] * decay * (k @ k.transpose(2, 3))  # solve reads what is below 1s
    left = beta[..., None] * (v - start * (k @ S))
    u = torch.linalg.solve_triangular(among, left, upper=False, unitriangular=True)
    y = start * (q @ S) + (decay * (q @ k.transpose(2, 3))) @ u
    S = start[:, :, -1:] * S + (decay[:, :, -1, :, None] * k).transpose(2, 3) @ u
    return y / q.shape[-1] ** 0.5, S


def scan(S, q, k, v, g, beta, chunk_size: int = 64):
    """Any number of tokens, a chunk at a time."""
    outputs = []
    for start in range(0, q.shape[2], chunk_size):
        part = slice(start, start + chunk_size)
        y, S = chunk(S, *(one[:, :, part] for one in (q, k, v, g, beta)))
        outputs.append(y)
    return torch.cat(outputs, dim=2), S


class GatedDelta(nn.Module):
    """Project, correct, read, norm each head, project back: (B, T, D) -> (B, T, D)."""

    def __init__(self, hidden_size: int, num_heads: int, head_dim: int):
        super().__init__()
        self.num_heads, self.head_dim = num_heads, head_dim
        self.q_proj = nn.Linear(hidden_size, num_heads * head_dim, bias=False)
        self.k_proj = nn.Linear(hidden_size, num_heads * head_dim, bias=False)
        self.v_proj = nn.Linear(hidden_size, num_heads * head_dim, bias=False)
        self.b_proj = nn.Linear(hidden_size, num_heads, bias=False)  # how much to write
        self.a_proj = nn.Linear(hidden_size, num_heads, bias=False)  # how much to forget
        self.A_log = nn.Parameter(torch.zeros(num_heads))
        self.dt_bias = nn.Parameter(torch.full((num_heads,), -5.0))  # at first nearly nothing
        self.norm = LlamaRMSNorm(head_dim, 1e-6)  # what is read is short where little was written
        self.o_proj = nn.Linear(num_heads * head_dim, hidden_size, bias=False)

    def forward(self, x, state: State | None = None):
        """`state` is read and moved on in place."""
        q, k, v = (heads(project(x), self.num_heads).float()
                   for project in (self.q_proj, self.k_proj, self.v_proj))  # fmt: skip
        beta = self.b_proj(x).float().sigmoid().transpose(1, 2)  # (B, H, T)
        g = -self.A_log.float().exp() * F.softplus(self.a_proj(x).float() + self.dt_bias)
        before = self.fresh_state(len(x), x.device) if state is None else state
        y, S = scan(before["S"], unit(q), unit(k), v, g.transpose(1, 2), beta)
        if state is not None:
            state["S"].copy_(S)
        return self.o_proj(self.norm(y).type_as(x).transpose(1, 2).flatten(2))

    def fresh_state(self, batch_size: int, device=None) -> State:
        """Nothing written yet."""
        d = self.head_dim
        return {"S": torch.zeros(batch_size, self.num_heads, d, d, device=device)}
