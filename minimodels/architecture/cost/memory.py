"""Bytes that a model needs to run and to train, by formula: weights, cache, training state.

State of mixed-precision training with Adam: 16 bytes a trained weight (ZeRO, arXiv 1910.02054,
section 3.1): 2 of weight, 2 of gradient, 12 of float32 copy, momentum and variance. Frozen weights
under adapters need only be there: LoRA keeps them in bf16 (2106.09685), QLoRA in 4 bits
(2305.14314).
"""

from dataclasses import dataclass

from minimodels.architecture.configs import DecoderConfig
from minimodels.architecture.cost.activations import activations, recomputed
from minimodels.architecture.cost.parts import Experts, Head, parts
from minimodels.architecture.count import cache_bytes, count
from minimodels.errors import UserError

PRECISIONS = {  # bytes a weight
    "float32": 4.0,
    "bf16": 2.0,
    "int8": 1.0,  # or FP8
    "int4": 0.5625,  # four bits, and two bytes of scale for each 32 weights
}
ADAM = 16  # bytes a trained weight: 2 + 2 + 12
FROZEN = {"full": 0.0, "LoRA": PRECISIONS["bf16"], "QLoRA": PRECISIONS["int4"]}  # bytes a weight


@dataclass(frozen=True)
class Bytes:
    """What lies in memory at once, in bytes; what does not apply is 0."""

    weights: float = 0
    cache: float = 0
    state: float = 0  # gradients and the optimizer's
    activations: float = 0
    loss: float = 0  # scores of all words and their gradient, while the loss is being computed

    @property
    def total(self) -> float:
        return self.weights + self.cache + self.state + self.activations + self.loss


def running(config: DecoderConfig, length: int, batch: int = 1, precision: str = "bf16") -> Bytes:
    """To write texts: weights in `precision`, and in bf16 a cache of `batch` texts of `length`."""
    weights = count(config).total * _bytes(precision)
    return Bytes(weights=weights, cache=cache_bytes(config, length, batch))


def training(
    config: DecoderConfig,
    length: int,
    batch: int = 1,
    way: str = "full",
    again: bool = True,
    rank: int = 16,
) -> Bytes:
    """To train on `batch` texts of `length` tokens at once, in mixed precision with Adam.

    way: "full", or "LoRA" or "QLoRA" with adapters of `rank` on every matrix of the blocks. again:
    blocks are computed again on the way back, so that each keeps its input only.
    """
    if way not in FROZEN:
        raise UserError(f"there is no way {way!r} to train: use one of {', '.join(FROZEN)}.")
    weights = count(config).total
    trained = weights if way == "full" else adapter_parameters(config, rank)
    keeping = recomputed if again else activations
    return Bytes(
        weights=2 * trained + FROZEN[way] * weights,
        state=(ADAM - 2) * trained,
        activations=sum(keeping(config, length, batch).values()),
        loss=2 * 2 * batch * length * config.vocab_size,
    )


def training_here(config: DecoderConfig, length: int, batch: int = 1, number_bytes: int = 4):
    """What a plain float32 loop of this course holds at its peak, to within what optimizers spare.

    Weights, gradients and Adam's two averages in float32 are 16 bytes a weight as well. The peak is
    at the loss: everything is kept, and beside it stand the scores and their gradient.
    """
    weights = number_bytes * count(config).total
    return Bytes(
        weights=weights, state=3 * weights,
        activations=sum(activations(config, length, batch, number_bytes).values()),
        loss=2 * number_bytes * batch * length * config.vocab_size,
    )  # fmt: skip


def adapter_parameters(config: DecoderConfig, rank: int) -> int:
    """Weights of LoRA adapters on every matrix of the blocks: rank · (inputs + outputs) each.

    Each expert of a mixture has adapters of its own.
    """
    found = 0
    for part in parts(config):
        copies = part.experts if isinstance(part, Experts) else 1
        names = {} if isinstance(part, Head) else {name: (i, o) for name, i, o in part.matrices}
        names.pop("router", None)
        found += copies * rank * sum(i + o for i, o in names.values())
    return found


def _bytes(precision: str) -> float:
    if precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise UserError(f"no number format is called {precision!r}: choose one of {known}.")
    return PRECISIONS[precision]
