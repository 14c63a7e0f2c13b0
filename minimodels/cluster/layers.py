"""FLOPs and bytes of a decoder's layers while it writes one token for each of B sequences.

A weight matrix is read once for the whole batch, so its FLOPs a byte grow with B. A sequence's
keys and values are its own, so those of attention do not.

Legend: B batch, T tokens in the cache, D hidden, F intermediate, H heads, K kv heads, V vocabulary.
"""

import math
from dataclasses import dataclass

from minimodels.cluster.roofline import Machine


@dataclass(frozen=True)
class Linear:
    """A matrix product (B, inputs) @ (inputs, outputs)."""

    name: str
    inputs: int
    outputs: int
    number_bytes: float = 2  # bf16

    def cost(self, batch: int) -> tuple[float, float]:
        """FLOPs (a multiply and an add for each weight and row) and bytes read and written."""
        weights = self.inputs * self.outputs
        rows = batch * (self.inputs + self.outputs)
        return 2 * batch * weights, self.number_bytes * (weights + rows)

    def crossover(self, machine: Machine) -> float:
        """The batch from which arithmetic, not memory, sets the time; inf if there is none.

        2·B·I·O = ridge·bytes·(I·O + B·(I + O)), solved for B.
        """
        weights, needed = self.inputs * self.outputs, machine.ridge * self.number_bytes
        slope = 2 * weights - needed * (self.inputs + self.outputs)
        return needed * weights / slope if slope > 0 else math.inf


@dataclass(frozen=True)
class Attention:
    """Scores and weighted sum of one new token per sequence over T cached ones, without matrices.

    The cache counts as K heads of keys and K of values; queries and outputs are too few to count.
    """

    name: str
    heads: int
    kv_heads: int
    head_dim: int
    length: int  # T
    number_bytes: float = 2

    def cost(self, batch: int) -> tuple[float, float]:
        """FLOPs and bytes: both grow with the batch, so their ratio never moves."""
        rows = batch * self.length * self.head_dim
        return 4 * rows * self.heads, self.number_bytes * 2 * rows * self.kv_heads

    def crossover(self, machine: Machine) -> float:
        """1 if its constant H/K FLOPs a number reach the ridge, else inf."""
        flops, bytes = self.cost(1)
        return 1.0 if flops / bytes >= machine.ridge else math.inf


def decoder_layers(
    hidden: int, intermediate: int, heads: int, kv_heads: int, head_dim: int, vocab: int,
    length: int = 8192, gated: bool = True, number_bytes: float = 2,
) -> list[Linear | Attention]:
    """The parts of one decoder layer that cost time, and the head, from a model's plain numbers.

    `gated` MLPs (GeGLU, SwiGLU) have two matrices upwards, others (squared ReLU) one.
    """
    q, kv = heads * head_dim, 2 * kv_heads * head_dim
    return [
        Linear("query, key, value", hidden, q + kv, number_bytes),
        Attention(f"attention over {length:,}", heads, kv_heads, head_dim, length, number_bytes),
        Linear("attention output", q, hidden, number_bytes),
        Linear("MLP up", hidden, (1 + gated) * intermediate, number_bytes),
        Linear("MLP down", intermediate, hidden, number_bytes),
        Linear("head", hidden, vocab, number_bytes),
    ]


def gemma_layers(length: int = 8192) -> list[Linear | Attention]:
    """Those of Gemma 7B as released, in bf16 (arXiv 2403.08295, table 1)."""
    return decoder_layers(3072, 24576, 16, 16, 256, 256_000, length)
