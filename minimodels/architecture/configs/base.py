"""What a config is: a family is a frozen dataclass, a model one row of a table.

Options that only some families have stand here with the value that means "not there"; a family
that has one declares it as a field. So its own class shows what it adds, and layers can ask every
config.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from minimodels.errors import UserError

FULL, SLIDING = "full_attention", "sliding_attention"  # Transformers' names for kinds of layers
KINDS = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}
WIDE = {"ssm"}  # states that are summed for long: float32, whatever the weights are
SCALINGS = ("linear", "llama3")


@dataclass(frozen=True, kw_only=True)
class RopeScaling:
    """How RoPE is stretched beyond the length it was trained with; see rope.frequencies."""

    kind: str  # "linear" divides all angles by factor, "llama3" only the slow ones
    factor: float
    low_freq_factor: float = 1.0  # the last three are for llama3 (arXiv 2407.21783)
    high_freq_factor: float = 4.0
    original_max_length: int = 8192

    def __post_init__(self):
        check_fields(self)
        if self.kind not in SCALINGS:
            raise UserError(
                f"RoPE scaling {self.kind!r} is not implemented, only {', '.join(SCALINGS)}."
            )


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """What every decoder of the course needs to know. Raises UserError for an impossible shape."""

    family: ClassVar[str] = ""

    vocab_size: int  # V, rows of the embedding
    hidden_size: int  # D, width of the residual stream
    intermediate_size: int  # width of one branch of the MLP
    num_layers: int
    num_heads: int  # query heads
    num_kv_heads: int  # key and value heads: 1 is MQA, num_heads is MHA, between is GQA
    head_dim: int  # need not be hidden_size / num_heads
    max_length: int  # longest context, in tokens
    rope_theta: float = 10_000.0  # base of the rotary wavelengths
    rotary_fraction: float = 1.0  # share of each head that is rotated
    norm_eps: float = 1e-6
    tie_embeddings: bool = True  # one matrix for embedding and head
    init_std: float = 0.02  # standard deviation of the initial weights

    # what only some families have
    layer_types: ClassVar[tuple[str, ...] | None] = None  # the kind of each layer; None: all full
    sliding_window: ClassVar[int | None] = None  # keys a sliding layer sees, its own included
    query_scale: ClassVar[float | None] = None  # in place of head_dim under the root of the scores
    attention_softcap: ClassVar[float | None] = None  # scores become cap · tanh(score / cap)
    logit_softcap: ClassVar[float | None] = None
    qk_norm: ClassVar[bool] = False  # RMSNorm on each head of queries and keys
    rope_scaling: ClassVar[RopeScaling | None] = None
    rope_local_theta: ClassVar[float | None] = None  # base in sliding layers

    def __post_init__(self):
        check_fields(self)
        if self.num_heads % self.num_kv_heads:
            raise UserError(
                f"num_heads ({self.num_heads}) is not a multiple of num_kv_heads "
                f"({self.num_kv_heads}): each key head must serve equally many query heads."
            )
        if self.rotary_dim % 2 or not 0 < self.rotary_dim <= self.head_dim:
            raise UserError(
                f"RoPE would rotate {self.rotary_dim} of {self.head_dim} numbers in a head: "
                "choose head_dim and rotary_fraction so that this is even and fits."
            )
        if len(self.kinds) != self.num_layers:
            raise UserError(
                f"layer_types names {len(self.kinds)} layers but num_layers is "
                f"{self.num_layers}: make them agree."
            )
        if SLIDING in self.kinds and self.sliding_window is None:
            raise UserError("layer_types has sliding layers: give their sliding_window.")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each layer."""
        return (FULL,) * self.num_layers if self.layer_types is None else self.layer_types

    @property
    def rotary_dim(self) -> int:
        """How many numbers of a head are rotated, two by two."""
        return int(self.head_dim * self.rotary_fraction)

    @property
    def attention_scale(self) -> float | None:
        """What scores are multiplied by; None is 1 / sqrt(head_dim)."""
        return None if self.query_scale is None else self.query_scale**-0.5

    def rope(self, kind: str) -> tuple[float, RopeScaling | None]:
        """Base and scaling of the rotary wavelengths in layers of this kind."""
        if kind == SLIDING and self.rope_local_theta is not None:
            return self.rope_local_theta, None
        return self.rope_theta, self.rope_scaling

    def kept(self, layer: int, length: int) -> int:
        """How many of `length` past tokens this layer must remember: W − 1 if it slides."""
        if self.kinds[layer] == SLIDING:
            return min(length, self.sliding_window - 1)
        return length

    def kv_shape(self, layer: int) -> tuple[int, int, int] | None:
        """(heads, size of a key, size of a value) that this layer caches a token; None: nothing."""
        return self.num_kv_heads, self.head_dim, self.head_dim

    def state_shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        """What a recurrent layer remembers of a whole text, whatever its length."""
        return {}


def pattern(num_layers: int, every: int) -> tuple[str, ...]:
    """Sliding layers, each `every`-th of them full: 2 in Gemma 2, 6 in Gemma 3."""
    return tuple(SLIDING if (layer + 1) % every else FULL for layer in range(num_layers))


def check_fields(config) -> None:
    """UserError unless each number is positive and each field of the type it is declared with."""
    for field in fields(config):
        value, kind = getattr(config, field.name), field.type.removesuffix(" | None")
        if value is None and kind != field.type:
            continue
        if kind.startswith("tuple"):
            kind, *items = kind.removesuffix("]").replace("tuple[", "").split(", ")
            if isinstance(value, tuple) and all(type(v) in KINDS[kind] for v in value):
                continue
            raise UserError(f"{field.name} = {value!r} is no tuple of {kind}: change it.")
        if kind not in KINDS:
            continue  # a config within a config checks itself
        if type(value) not in KINDS[kind] or (kind in ("int", "float") and value <= 0):
            raise UserError(f"{field.name} = {value!r} is no positive {kind}: change it.")
