"""Gemma 3n (2025): a decoder for telephones. It has, beside per-layer embeddings (per_layer.py):

AltUp (altup.py): four residual streams, one of which each block computes with. LAuReL (arXiv
2411.07501): a low-rank path beside attention. Sparse activations (Spark Transformer, 2506.06644):
in the first ten layers 95% of the gate are cut off, found by mean and deviation, without a sort.
MatFormer (2310.07707): one training, many widths; the E2B is cut out of the E4B.
Shapes: B batch, T time, N streams, D hidden, F one branch of the MLP, P per-layer numbers.
"""

from statistics import NormalDist

import torch
from torch import nn
from torch.nn import functional as F

from minimodels.architecture.altup import AltUp, Spread
from minimodels.architecture.families.per_layer import (
    PerLayerDecoder,
    PerLayerGate,
    SharingAttention,
)
from minimodels.architecture.mlp import GeGLU
from minimodels.architecture.norms import WideRMSNorm, rounded


class Gemma3n(PerLayerDecoder):
    """See Gemma3nConfig."""

    def __init__(self, config):
        super().__init__(config)
        self.altup_projections = Spread(config.hidden_size, config.num_streams)
        self.altup_unembed_projections = Spread(config.hidden_size, config.num_streams)
        self.initialize()

    def block(self, layer: int) -> nn.Module:
        return Gemma3nBlock(self.config, layer)

    def constant(self, value: float, x):
        return rounded(value, x)

    def spread(self, x):
        return self.altup_projections.into(x)

    def gather(self, x):
        return self.altup_unembed_projections.out_of(x)


class Gemma3nBlock(nn.Module):
    """One layer: (B, T, N, D) -> (B, T, N, D)."""

    def __init__(self, config, layer: int):
        super().__init__()
        D, eps = config.hidden_size, config.norm_eps
        self.altup = AltUp(D, config.num_streams, eps, config.altup_clip)
        self.input_layernorm = WideRMSNorm(D, eps)
        self.laurel = Laurel(D, config.laurel_rank, eps)
        self.self_attn = SharingAttention(config, layer)
        self.post_attention_layernorm = WideRMSNorm(D, eps)
        self.pre_feedforward_layernorm = WideRMSNorm(D, eps)
        self.mlp = SparseGeGLU(D, config.width(layer), config.cut(layer))
        self.post_feedforward_layernorm = WideRMSNorm(D, eps)
        self.ple = PerLayerGate(config)

    def forward(self, streams, rotation, mask, cache, told, shared):
        predicted = self.altup.predict(streams)
        y = self.active(predicted[:, :, 0], rotation, mask, cache, shared)
        streams = self.altup.correct(predicted, y)
        news = self.ple(streams[:, :, 0] * self.altup.correct_output_scale, told)
        first, others = streams[:, :, :1], streams[:, :, 1:]
        return torch.cat((first, others + news[:, :, None]), dim=2)  # told to all but the active

    def active(self, x, rotation, mask, cache, shared):
        """What other decoders call their block: attention, then the MLP, on (B, T, D)."""
        normed = self.input_layernorm(x)
        y = self.self_attn(normed, rotation, mask, cache, shared)
        x = (x + self.post_attention_layernorm(y) + self.laurel(normed)) / 2**0.5
        y = self.mlp(self.pre_feedforward_layernorm(x))
        return x + self.post_feedforward_layernorm(y)


class Laurel(nn.Module):
    """x + norm(B A x): a learned augmentation of the residual, by matrices of rank r."""

    def __init__(self, hidden_size: int, rank: int, eps: float):
        super().__init__()
        self.linear_left = nn.Linear(hidden_size, rank, bias=False)
        self.linear_right = nn.Linear(rank, hidden_size, bias=False)
        self.post_laurel_norm = WideRMSNorm(hidden_size, eps)

    def forward(self, x):
        return x + self.post_laurel_norm(self.linear_right(self.linear_left(x)))


class SparseGeGLU(GeGLU):
    """GeGLU whose gate keeps about the largest 1 − `cut` of its F numbers.

    If the F numbers were normal, a share `cut` of them would lie below mean + z · deviation, with z
    the normal quantile: a statistical top-k without a sort. The threshold is subtracted as well.
    """

    def __init__(self, hidden_size: int, intermediate_size: int, cut: float):
        super().__init__(hidden_size, intermediate_size)
        self.z = NormalDist().inv_cdf(cut) if cut else None

    def forward(self, x):
        gate = self.gate_proj(x)  # (B, T, F)
        if self.z is not None:
            deviation = gate.std(-1, keepdim=True, unbiased=False)
            threshold = gate.mean(-1, keepdim=True) + deviation * rounded(self.z, gate)
            gate = F.relu(gate - threshold)
        return self.down_proj(F.gelu(gate, approximate="tanh") * self.up_proj(x))
