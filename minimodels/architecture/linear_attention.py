"""Linear attention (arXiv 2006.16236): attention without softmax is a matrix that one adds to.

Softmax needs each query beside each key. If the weight of a pair is a plain product f(q)·f(k), the
sum over the past can be taken before any query is known:

    S ← S + f(k) vᵀ        z ← z + f(k)        y = f(q) S / f(q)·z

So a layer keeps d · e numbers a head, however long the text. `step` is this line; `parallel` gives
the same for many tokens at once, in matrix products.

Shapes: q and k (B, H, T, d), v (B, H, T, e), S (B, H, d, e), z (B, H, d).
"""

import torch
from torch import nn
from torch.nn import functional as F

EPS = 1e-6  # below the sum of weights: in float32, `feature` is exactly 0 from −17 down
State = dict[str, torch.Tensor]  # "S" and "z", float32


def feature(x):
    """f: a positive number for each number, so that no weight is negative."""
    return F.elu(x) + 1


def step(S, z, q, k, v):
    """One token, q and k (B, H, d) after `feature`, v (B, H, e): output (B, H, e), next S, z."""
    S = S + k[..., :, None] * v[..., None, :]
    z = z + k
    y = (q[..., None, :] @ S)[..., 0, :]
    return y / ((q * z).sum(-1, keepdim=True) + EPS), S, z


def parallel(S, z, q, k, v):
    """T tokens at once, as T calls of `step`: output (B, H, T, e), next S, z."""
    weights = (q @ k.transpose(2, 3)).tril()  # (B, H, T, T): nothing of the future
    y = weights @ v + q @ S
    total = weights.sum(-1, keepdim=True) + q @ z[..., None]  # (B, H, T, 1)
    return y / (total + EPS), S + k.transpose(2, 3) @ v, z + k.sum(2)


class LinearAttention(nn.Module):
    """Project, write, read, project back: (B, T, D) -> (B, T, D). It knows nothing of positions."""

    def __init__(self, hidden_size: int, num_heads: int, head_dim: int):
        super().__init__()
        self.num_heads, self.head_dim = num_heads, head_dim
        self.q_proj = nn.Linear(hidden_size, num_heads * head_dim, bias=False)
        self.k_proj = nn.Linear(hidden_size, num_heads * head_dim, bias=False)
        self.v_proj = nn.Linear(hidden_size, num_heads * head_dim, bias=False)
        self.o_proj = nn.Linear(num_heads * head_dim, hidden_size, bias=False)

    def forward(self, x, state: State | None = None):
        """`state` is read and moved on in place."""
        q, k, v = (heads(project(x), self.num_heads).float()
                   for project in (self.q_proj, self.k_proj, self.v_proj))  # fmt: skip
        before = self.fresh_state(len(x), x.device) if state is None else state
        y, S, z = parallel(before["S"], before["z"], feature(q), feature(k), v)
        if state is not None:
            state["S"].copy_(S)
            state["z"].copy_(z)
        return self.o_proj(y.type_as(x).transpose(1, 2).flatten(2))

    def fresh_state(self, batch_size: int, device=None) -> State:
        """Nothing written yet. The sums of a long text are kept in float32."""
        H, d = self.num_heads, self.head_dim
        return {"S": torch.zeros(batch_size, H, d, d, device=device),
                "z": torch.zeros(batch_size, H, d, device=device)}  # fmt: skip


def heads(x, num_heads: int):
    """(B, T, H·d) -> (B, H, T, d)"""
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)
