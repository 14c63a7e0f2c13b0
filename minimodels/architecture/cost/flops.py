"""FLOPs of a decoder by formula, from its config alone.

A weight costs a token two FLOPs, a multiplication and an addition; a score of attention costs 4 d:
2 d to be computed (q · k) and 2 d to be used (weight · v). Backward does every product twice: once
for the gradient of its input, once for that of its weight (Kaplan et al., arXiv 2001.08361, §2.1;
PaLM, 2204.02311, appendix B). Norms, activations and softmax are left out, as in those papers.

Legend: B texts of T tokens, S tokens that each may look at, H heads of d numbers.
"""

from collections import Counter
from dataclasses import dataclass, fields

from minimodels.architecture.configs import DecoderConfig
from minimodels.architecture.cost.kept import chunks
from minimodels.architecture.cost.parts import Attention, Mamba, parts
from minimodels.architecture.cost.parts_latent import Latent


@dataclass(frozen=True)
class Flops:
    """Of one forward pass, by what causes them."""

    matrices: int  # all products with weights but the head's
    head: int
    attention: int  # scores and their use: the only part that grows with the square of the length
    fused: int  # what of attention runs in fused kernels
    recurrent: int = 0  # Mamba-2's convolution and scan
    spared: int = 0  # of its backward: nobody asks how the first state should change, or the last

    @property
    def forward(self) -> int:
        return self.matrices + self.head + self.attention + self.recurrent

    @property
    def backward(self) -> int:
        return 2 * self.forward

    @property
    def training(self) -> int:
        """Forward and backward: the model FLOPs of which MFU is a share."""
        return 3 * self.forward

    @property
    def computed(self) -> int:
        """What a step really computes: fused attention makes its scores again.

        Five products on the way back, not four; the fifth is half of its forward.
        """
        return self.training + self.fused // 2 - self.spared


def flops(config: DecoderConfig, length: int, batch: int = 1, past: int = 0) -> Flops:
    """FLOPs of `batch` texts of `length` new tokens behind `past` cached ones.

    Each layer's whole table of scores counts, as the programs compute it: the causal mask and a
    window forbid entries without saving work (`needed` says what share is allowed). With a cache, a
    sliding layer's table has only the columns that the cache kept.
    """
    rows, sums = batch * length, Counter()
    for part in parts(config):
        products = 2 * rows * sum(inputs * outputs for _, inputs, outputs in part.matrices)
        sums["head" if part.place == "head" else "matrices"] += products
        if isinstance(part, Attention):
            kept = past if part.window is None else min(past, part.window - 1)
            scores = 4 * rows * (kept + length) * part.heads * part.head_dim
            sums["attention"] += scores
            sums["fused"] += 0 if part.by_hand or part.bias else scores
        if isinstance(part, Latent):
            sums["attention"] += batch * part.scores(length, past)
        if isinstance(part, Mamba):
            sums["recurrent"] += batch * scanned(part, length)
            sums["spared"] += batch * spared(part, length)
    return Flops(**{field.name: sums[field.name] for field in fields(Flops)})


def scanned(part: Mamba, length: int) -> int:
    """FLOPs of a Mamba-2's convolution and scan: linear in the length, but for the chunks.

    Inside a chunk of c tokens two products of c × c a head, as in attention; between chunks the
    state is read and written. A single token reads its state and nothing else.
    """
    p, n, H = part.head_dim, part.state, part.heads
    taps = 2 * length * part.channels * part.kernel
    if length == 1:
        return taps + 2 * H * p * n
    return taps + sum(2 * H * (c * c * (n + p) + 2 * c * n * p) for c in chunks(part, length))


def spared(part: Mamba, length: int) -> int:
    """What its backward leaves out: one product of the first chunk, and two of the last."""
    if length == 1:
        return 0
    first, *_, last = 2 * chunks(part, length)
    return 2 * part.heads * part.head_dim * part.state * (first + 2 * last)


def needed(config: DecoderConfig, length: int) -> float:
    """The share of attention's scores that no mask forbids, in a text of `length` tokens.

    Just over one half for a causal mask; in a sliding layer about window / length.
    """
    allowed = total = 0
    for part in parts(config):
        if isinstance(part, Attention):
            window = min(part.window or length, length)
            seen = window * (window + 1) // 2 + (length - window) * window
            allowed += part.heads * part.head_dim * seen
            total += part.heads * part.head_dim * length**2
    return allowed / total


def mfu(config: DecoderConfig, length: int, batch: int, seconds: float, peak_flops: float) -> float:
    """Model FLOPs utilization: what a training step must compute over what the machines could.

    `peak_flops` is the sum over all of them. The head and attention's full table count, as in
    PaLM's definition and, by their tables, in the reports on Nemotron-4.
    """
    return flops(config, length, batch).training / (seconds * peak_flops)
