"""Which box holds which model, at which precision, and what the box can train.

Cards come from the table of stage 01 (minimodels.cluster.hardware). Phone, laptop and desktop card
are typical ones: their rows are assumptions, said here and nowhere else.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from minimodels.architecture.configs import CONFIGS, DecoderConfig, LlamaConfig
from minimodels.architecture.cost.flops import flops
from minimodels.architecture.cost.memory import PRECISIONS, Bytes, running, training
from minimodels.architecture.count import cache_bytes, count
from minimodels.cluster.hardware import accelerator
from minimodels.errors import UserError


@dataclass(frozen=True)
class Box:
    """A machine as a model sees it: `cards` memories of equal size."""

    name: str
    memory_gb: float  # of one card
    share: float  # of the memory that a model may have
    bandwidth_tbs: float  # of one card
    tflops: float | None = None  # of one card, dense bf16; None: nobody trains there
    cards: int = 1

    @property
    def room(self) -> float:
        """Bytes for a model, over all cards."""
        return self.cards * self.card_room

    @property
    def card_room(self) -> float:
        """Bytes for a model on one card."""
        return self.memory_gb * 1e9 * self.share


SERVED = 0.9  # of a card; what serving engines take by default, the rest is workspace


def _card(name: str, cards: int = 1) -> Box:
    row = accelerator(name)
    label = row.name if cards == 1 else f"{cards} × {row.name}"
    return Box(label, row.memory_gb, SERVED, row.memory_tbs, row.bf16_tflops, cards)


BOXES = (
    Box("phone", 12, 0.5, 0.06),  # the system and other apps keep half; LPDDR5X on 64 wires
    Box("laptop", 16, 0.75, 0.12),  # LPDDR5X on 128 wires
    Box("RTX 4090", 24, SERVED, 1.008, 165),  # NVIDIA, Ada white paper
    _card("A100"), _card("H100"), _card("H200"), _card("B200"),
    _card("H100", 8), _card("H200", 8),
)  # fmt: skip

MOBILE = LlamaConfig(  # MobileLLaMA 1.4B (arXiv 2312.16886), sizes from its released configuration
    vocab_size=32_000, hidden_size=2048, intermediate_size=5632, num_layers=24, num_heads=16,
    num_kv_heads=16, head_dim=128, max_length=2048,
)  # fmt: skip
MODELS: dict[str, DecoderConfig] = {"mobilellama-1.4b": MOBILE} | {
    name: CONFIGS[name]
    for name in (
        "gemma-2b", "minitron-4b", "llama-2-7b", "gemma-7b", "llama-2-13b", "nemotron-4-15b",
        "gemma-3-27b", "mixtral-8x7b", "llama-3-70b", "nemotron-4-340b", "llama-3.1-405b",
    )
}  # fmt: skip


def box(name: str) -> Box:
    """The box of that name, whatever its case; UserError if there is none."""
    for one in BOXES:
        if one.name.casefold() == name.casefold():
            return one
    raise UserError(f"no box is called {name!r}: use one of {', '.join(b.name for b in BOXES)}.")


def holds(box: Box, config: DecoderConfig, length: int = 4096, batch: int = 1) -> str | None:
    """The widest of bf16, int8 and int4 in which the box holds the model and its cache, or None."""
    for precision in ("bf16", "int8", "int4"):
        if running(config, length, batch, precision).total <= box.room:
            return precision
    return None


def tokens_a_second(box: Box, config: DecoderConfig, precision: str, length: int = 4096) -> float:
    """The most that one text can grow: every used weight and the cache are read for each token.

    The cards of a box read their shares at once; what they say to each other is not counted.
    """
    used = count(config).active or count(config).total
    read = used * PRECISIONS[precision] + cache_bytes(config, length)
    return box.cards * box.bandwidth_tbs * 1e12 / read


def trains(box: Box, config: DecoderConfig, way: str = "full", length: int = 4096) -> bool:
    """Whether the box can train the model at all, with one text of `length` tokens on each card.

    The cards share all state (ZeRO-3); each has its own text, of which blocks keep their inputs.
    """
    return per_card(box, config, way, length).total <= box.card_room


def per_card(box: Box, config: DecoderConfig, way: str = "full", length: int = 4096) -> Bytes:
    """What one card of the box holds while the model is trained so."""
    whole = training(config, length, batch=1, way=way)
    return Bytes(
        weights=whole.weights / box.cards, state=whole.state / box.cards,
        activations=whole.activations, loss=whole.loss,
    )  # fmt: skip


def largest(
    box: Box, way: str = "full", length: int = 4096, models: Iterable[str] = MODELS
) -> str | None:
    """The model with the most parameters that the box can train so, or None."""
    able = [name for name in models if trains(box, MODELS[name], way, length)]
    return max(able, key=lambda name: count(MODELS[name]).total, default=None)


def training_days(
    box: Box,
    config: DecoderConfig,
    tokens: float | None = None,
    share: float = 0.4,
    length: int = 4096,
) -> float:
    """Days to train on `tokens` tokens if `share` of the peak is reached; inf without a peak.

    Without `tokens`, 20 for each parameter (Chinchilla, arXiv 2203.15556).
    """
    if box.tflops is None:
        return math.inf
    tokens = 20 * count(config).total if tokens is None else tokens
    work = flops(config, length).training / length * tokens
    return work / (box.cards * box.tflops * 1e12 * share) / 86_400
