"""The feed-forward layers. GeGLU and SwiGLU: arXiv 2002.05202. Squared ReLU: arXiv 2109.08668.

Shapes: (B, T, D) in and out, F in between. No biases.
"""

from torch import nn
from torch.nn import functional as F

from minimodels import kernels
from minimodels.kernels.glu import geglu, squared_relu, swiglu


class GeGLU(nn.Module):
    """down(gelu(gate x) · up x), with the tanh form of gelu that Gemma was trained with."""

    def __init__(self, hidden_size: int, intermediate_size: int):
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.up_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.down_proj = nn.Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, x):
        if kernels.on(x):
            return self.down_proj(geglu(self.gate_proj(x), self.up_proj(x)))
        return self.down_proj(F.gelu(self.gate_proj(x), approximate="tanh") * self.up_proj(x))


class SwiGLU(GeGLU):
    """down(silu(gate x) · up x): LLaMA's, with silu(z) = z · sigmoid(z) in the place of gelu."""

    def forward(self, x):
        if kernels.on(x):
            return self.down_proj(swiglu(self.gate_proj(x), self.up_proj(x)))
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class SquaredReLU(nn.Module):
    """down(relu(up x)²): two matrices instead of three, and most activations exactly zero."""

    def __init__(self, hidden_size: int, intermediate_size: int):
        super().__init__()
        self.up_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.down_proj = nn.Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, x):
        if kernels.on(x):
            return self.down_proj(squared_relu(self.up_proj(x)))
        return self.down_proj(F.relu(self.up_proj(x)).square())
