"""The Mamba-2 mixer (arXiv 2405.21060), with the groups and the norm that Nemotron-H gives it.

A head remembers a matrix S of p × n numbers, however long the text is. At each token

    S ← exp(dt·A) S + dt · x Bᵀ        y = S C + D x

forgets a little, writes x under the key B, and reads with the query C. `step` is that line. `scan`
is the same sum, taken a chunk at a time: inside a chunk it is an attention whose weights are
C·B times the decay in between, and only the state goes from chunk to chunk.

Shapes: b batch, T time, D hidden, H heads of p numbers, n numbers a state row, G groups of heads
that share B and C, W taps of the convolution, K = H·p + 2·G·n its channels.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

State = dict[str, torch.Tensor]  # "conv": last inputs (b, K, W − 1), "ssm": S (b, H, p, n)


def step(S, x, dt, A, B, C):
    """One token: S (b, H, p, n), x (b, H, p), dt (b, H), A (H), B and C (b, H, n) -> y, next S."""
    decay = torch.exp(dt * A)[..., None, None]  # (b, H, 1, 1)
    S = decay * S + (dt[..., None] * x)[..., :, None] * B[..., None, :]
    return (S @ C[..., None])[..., 0], S  # (b, H, p)


def scan(S, x, dt, A, B, C, chunk_size: int):
    """Many tokens: x (b, H, T, p), dt (b, H, T), B and C (b, H, T, n), as T calls of `step`."""
    outputs = []
    for start in range(0, x.shape[2], chunk_size):
        part = slice(start, start + chunk_size)
        y, S = _chunk(S, x[:, :, part], dt[:, :, part], A, B[:, :, part], C[:, :, part])
        outputs.append(y)
    return torch.cat(outputs, dim=2), S


def _chunk(S, x, dt, A, B, C):
    """`scan` within one chunk, in matrix products."""
    rate = dt * A[:, None]  # (b, H, T), the logarithm of each token's decay
    written = dt[..., None] * x  # (b, H, T, p)
    weights = (C @ B.transpose(2, 3)) * torch.exp(_between(rate))  # (b, H, T, T)
    since_start = torch.exp(rate.cumsum(-1))[..., None]  # (b, H, T, 1)
    y = weights @ written + since_start * (C @ S.transpose(2, 3))
    to_end = torch.exp(rate.flip(-1).cumsum(-1).flip(-1) - rate)[..., None]
    S = since_start[:, :, -1:] * S + (to_end * written).transpose(2, 3) @ B
    return y, S


def _between(rate):
    """[t, s] is the sum of rate over s+1 … t, or −∞ above the diagonal: (b, H, T) -> (…, T, T).

    Each entry is summed by itself. A difference of two running sums would lose the small ones.
    """
    T = rate.shape[-1]
    lower = torch.ones(T, T, dtype=torch.bool, device=rate.device).tril(-1)
    sums = (rate[..., None] * lower).cumsum(-2)
    return sums.masked_fill(lower.T, -math.inf)


class GatedRMSNorm(nn.Module):
    """RMSNorm of y · silu(gate), over each of `groups` equal parts; its weight starts at one."""

    def __init__(self, size: int, groups: int, eps: float):
        super().__init__()
        self.groups, self.eps = groups, eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, y, gate):
        wide = y.float() * F.silu(gate.float())
        parts = wide.unflatten(-1, (self.groups, -1))
        parts = parts * torch.rsqrt(parts.pow(2).mean(-1, keepdim=True) + self.eps)
        return (self.weight * parts.flatten(-2)).type_as(gate)


class Mamba2(nn.Module):
    """The mixer: project, convolve, remember, norm by a gate, project back: (b, T, D) to itself."""

    def __init__(
        self, hidden_size: int, num_heads: int, head_dim: int, state_size: int, num_groups: int = 1,
        conv_kernel: int = 4, chunk_size: int = 128, norm_eps: float = 1e-5,
        bias: bool = False, conv_bias: bool = True, time_step_min: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.num_heads, self.head_dim = num_heads, head_dim
        self.state_size, self.num_groups = state_size, num_groups
        self.chunk_size, self.time_step_min = chunk_size, time_step_min
        self.inner = num_heads * head_dim
        channels = self.inner + 2 * num_groups * state_size  # K: x, B and C
        self.in_proj = nn.Linear(hidden_size, self.inner + channels + num_heads, bias=bias)
        self.conv1d = nn.Conv1d(channels, channels, conv_kernel, groups=channels, bias=conv_bias)
        self.A_log = nn.Parameter(torch.arange(1, num_heads + 1).log())
        self.D = nn.Parameter(torch.ones(num_heads))
        self.dt_bias = nn.Parameter(first_dt_bias(num_heads))
        self.norm = GatedRMSNorm(self.inner, num_groups, norm_eps)
        self.out_proj = nn.Linear(self.inner, hidden_size, bias=bias)

    def forward(self, x, state: State | None = None, real=None):
        """(b, T, D) -> (b, T, D). `state` is read and moved on in place; `real` (b, T) bool is
        False on left padding, which then leaves no trace in the state."""
        gate, channels, dt = self.in_proj(self.blank(x, real)).split(
            [self.inner, self.conv1d.in_channels, self.num_heads], dim=-1
        )
        before = self.fresh_state(len(x), x.device, x.dtype) if state is None else state
        mixed, conv = self.convolve(channels, before["conv"])
        y, ssm = self.remember(self.blank(mixed, real), dt, before["ssm"].float())
        if state is not None:
            state["conv"].copy_(conv)
            state["ssm"].copy_(ssm)
        return self.out_proj(self.norm(y, gate))

    def convolve(self, channels, past):
        """Each channel's weighted sum of its last W values: (b, T, K) -> (b, T, K), next past."""
        line = torch.cat((past.to(channels.dtype), channels.transpose(1, 2)), dim=-1)
        last = line[..., line.shape[-1] - past.shape[-1] :]
        return F.silu(self.conv1d(line)).transpose(1, 2), last

    def remember(self, mixed, dt, S):
        """x, B and C out of (b, T, K); through the state, in float32; back as (b, T, H·p)."""
        wide = self.num_groups * self.state_size
        x, B, C = mixed.float().split([self.inner, wide, wide], dim=-1)
        x = x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (b, H, T, p)
        B, C = (self.for_heads(one) for one in (B, C))  # (b, H, T, n)
        dt = F.softplus(dt + self.dt_bias).clamp(min=self.time_step_min)
        dt, A = dt.float().transpose(1, 2), -torch.exp(self.A_log.float())  # (b, H, T), (H)
        if x.shape[2] == 1:
            y, S = step(S, x[:, :, 0], dt[:, :, 0], A, B[:, :, 0], C[:, :, 0])
            y = y[:, :, None]
        else:
            y, S = scan(S, x, dt, A, B, C, self.chunk_size)
        y = y + self.D[:, None, None] * x
        return y.transpose(1, 2).flatten(2), S

    def for_heads(self, shared):
        """(b, T, G·n) -> (b, H, T, n): heads of a group share theirs, as in grouped queries."""
        groups = shared.unflatten(-1, (self.num_groups, -1)).transpose(1, 2)
        return groups.repeat_interleave(self.num_heads // self.num_groups, dim=1)

    def fresh_state(self, batch_size: int, device=None, dtype=None) -> State:
        """The state before the first token: zeros. S is float32, because it is summed for long."""
        shapes = state_shapes(self.num_heads, self.head_dim, self.state_size, self.num_groups,
                              self.conv1d.kernel_size[0])  # fmt: skip
        dtypes = {"conv": dtype, "ssm": torch.float32}
        return {name: torch.zeros(batch_size, *shape, device=device, dtype=dtypes[name])
                for name, shape in shapes.items()}  # fmt: skip

    @staticmethod
    def blank(x, real):
        """x with zeros in place of padding."""
        return x if real is None else x * real[..., None].to(x.dtype)


def first_dt_bias(num_heads: int, low: float = 0.001, high: float = 0.1):
    """Biases under which softplus gives time steps spread evenly in the logarithm: (H)."""
    dt = torch.exp(torch.empty(num_heads).uniform_(math.log(low), math.log(high)))
    return dt + torch.log(-torch.expm1(-dt))  # the inverse of softplus


def state_shapes(
    num_heads: int, head_dim: int, state_size: int, num_groups: int, conv_kernel: int
) -> dict[str, tuple[int, ...]]:
    """What a layer keeps of a text, however long, without the batch."""
    channels = num_heads * head_dim + 2 * num_groups * state_size
    return {"conv": (channels, conv_kernel - 1), "ssm": (num_heads, head_dim, state_size)}
