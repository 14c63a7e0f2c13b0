"""Gemma 3 that sees (arXiv 2503.19786): a picture encoder in front of its decoder.

The encoder is SigLIP's of 400M parameters, the same for all sizes of the decoder, and frozen while
they were trained. Sizes from the released configurations.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from minimodels.architecture.configs import gemma
from minimodels.architecture.configs.base import DecoderConfig, check_fields, pattern
from minimodels.architecture.configs.gemma import Gemma3Config
from minimodels.errors import UserError


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """Sizes of the picture encoder. Raises UserError for an impossible shape."""

    hidden_size: int  # E
    intermediate_size: int  # of the MLP
    num_layers: int
    num_heads: int
    image_size: int  # pixels of a side: pictures are square
    patch_size: int  # pixels of a side of one patch
    num_channels: int = 3  # red, green, blue
    norm_eps: float = 1e-6

    def __post_init__(self):
        check_fields(self)
        if self.hidden_size % self.num_heads:
            raise UserError(
                f"the picture encoder cannot share {self.hidden_size} numbers equally among "
                f"{self.num_heads} heads: change one."
            )
        if self.image_size % self.patch_size:
            raise UserError(
                f"a picture of {self.image_size} pixels cannot be cut into patches of "
                f"{self.patch_size}: change one."
            )

    @property
    def side(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch_size

    @property
    def num_patches(self) -> int:
        return self.side**2


@dataclass(frozen=True, kw_only=True)
class Gemma3VisionConfig(Gemma3Config):
    """Gemma 3's decoder, an encoder of pictures, and the tokens that stand for one."""

    family: ClassVar[str] = "gemma3"

    vision: VisionConfig
    picture_tokens: int = 256  # M, that one picture becomes
    picture_token: int  # id of each of them in a text: its row of the embedding is never read
    start_of_picture: int  # ids of what stands before and behind them
    end_of_picture: int

    def __post_init__(self):
        super().__post_init__()
        self.pool  # noqa: B018  (raises where it cannot be)

    @property
    def text(self) -> Gemma3Config:
        """The decoder alone."""
        return Gemma3Config(**{f.name: getattr(self, f.name) for f in fields(Gemma3Config)})

    @property
    def pool(self) -> int:
        """Patches along one side of the square that becomes one token: 4 in Gemma 3."""
        for pool in range(1, self.vision.side + 1):
            if pool * pool * self.picture_tokens == self.vision.num_patches:
                if self.vision.side % pool == 0:
                    return pool
        raise UserError(
            f"{self.vision.side} × {self.vision.side} patches cannot become {self.picture_tokens} "
            "tokens of equal squares: choose a square number whose root divides the side."
        )


SIGLIP_400M = VisionConfig(
    hidden_size=1152,
    intermediate_size=4304,
    num_layers=27,
    num_heads=16,
    image_size=896,
    patch_size=14,  # 64 · 64 = 4096 patches
)
MARKS = {"start_of_picture": 255_999, "end_of_picture": 256_000, "picture_token": 262_144}


def _seeing(name: str) -> Gemma3VisionConfig:
    """One of Gemma 3's decoders, with the encoder in front."""
    text = gemma.CONFIGS[name]
    values = {field.name: getattr(text, field.name) for field in fields(text)}
    return Gemma3VisionConfig(**values, **MARKS, vision=SIGLIP_400M)


CONFIGS: dict[str, DecoderConfig] = {
    "gemma3-vision-mini": Gemma3VisionConfig(
        vocab_size=392,
        hidden_size=64,
        intermediate_size=192,
        num_layers=3,
        num_heads=4,
        num_kv_heads=2,
        head_dim=32,  # 4 · 32 = 128: wider than the residual stream, as in Gemma 7B
        max_length=128,
        sliding_window=64,  # wider than a picture and a question, as 1,024 is at full size
        layer_types=pattern(3, every=3),
        query_scale=32.0,
        rope_theta=10_000.0,
        init_std=0.05,
        vision=VisionConfig(
            hidden_size=64,
            intermediate_size=192,
            num_layers=2,
            num_heads=4,
            image_size=48,
            patch_size=6,  # 8 · 8 = 64 patches
        ),
        picture_tokens=16,
        start_of_picture=6,
        end_of_picture=7,
        picture_token=8,
    ),
    "gemma-3-4b-vision": _seeing("gemma-3-4b"),
    "gemma-3-12b-vision": _seeing("gemma-3-12b"),
    "gemma-3-27b-vision": _seeing("gemma-3-27b"),
}
