"""Where the bytes of training go: weights, gradients, optimizer, by formula.

Rajbhandari et al. 2020, "ZeRO" (arXiv 1910.02054), section 3.1: with N weights, Adam in mixed
precision holds 2N of bf16 weights, 2N of bf16 gradients and 12N of float32 state (a copy of the
weights, m, v): 16 bytes a weight before the first activation.
"""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Memory:
    """Bytes of a model in training, activations not counted."""

    weights: int
    gradients: int
    optimizer: int  # m and v, and a float32 copy of the weights if these are stored in less

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer


def training_memory(model: nn.Module, bytes_per_weight: int = 4) -> Memory:
    """Bytes of weights, gradients and AdamW's states; a model on the meta device will do.

    4 bytes a weight is what `train` does (float32 weights, autocast casts on the way): 16 bytes a
    weight in all. 2 is classic mixed precision: 16 as well. A frozen weight costs itself only.
    """
    everything = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    copies = 2 if bytes_per_weight == 4 else 3
    return Memory(everything * bytes_per_weight, trained * bytes_per_weight, trained * 4 * copies)
