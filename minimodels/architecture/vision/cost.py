"""What one picture costs a model that sees, by formula: FLOPs of each part, bytes in its cache.

The encoder reads N patches so that the decoder need not: it pays 4 N² E FLOPs of attention a layer,
the decoder then reads M = N / pool² tokens. Counting as in cost/flops.py.
"""

from dataclasses import dataclass

from minimodels.architecture.configs.gemma3_vision import Gemma3VisionConfig
from minimodels.architecture.cost.flops import flops
from minimodels.architecture.count import cache_bytes


@dataclass(frozen=True)
class Bill:
    """Of one picture: FLOPs by part, and bytes of what the decoder remembers of it."""

    encoder_matrices: int
    encoder_attention: int
    projector: int
    decoder: int  # without its head: nothing is predicted inside a picture
    cache: int

    @property
    def encoder(self) -> int:
        return self.encoder_matrices + self.encoder_attention


def bill(config: Gemma3VisionConfig, tokens: int | None = None) -> Bill:
    """What a picture costs, or what it would if the decoder read it as `tokens` tokens."""
    vision, M = config.vision, tokens or config.picture_tokens
    E, N, L = vision.hidden_size, vision.num_patches, vision.num_layers
    patch = vision.num_channels * vision.patch_size**2 * E
    layer = 4 * E * E + 2 * E * vision.intermediate_size
    read = flops(config.text, M)
    return Bill(
        encoder_matrices=2 * N * (patch + L * layer),
        encoder_attention=4 * N * N * E * L,
        projector=2 * M * E * config.hidden_size,
        decoder=read.matrices + read.attention,
        cache=cache_bytes(config, M),
    )
