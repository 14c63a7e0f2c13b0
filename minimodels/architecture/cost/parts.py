"""A decoder as a list of parts with plain sizes: what every formula of this folder walks over.

A config says how large things are; the family says what stands in a block. Both come together here,
once, so that flops.py and activations.py read one list and know no family.

Legend: D hidden, F intermediate, H heads, K key heads, d head, V vocabulary, E experts, k of them
used by a token.
"""

from dataclasses import dataclass

from minimodels.architecture.configs import SLIDING, DecoderConfig
from minimodels.errors import UserError


@dataclass(frozen=True)
class Part:
    """One piece of the model. `place` is the heading under which its costs are added up."""

    place: str

    @property
    def matrices(self) -> tuple[tuple[str, int, int], ...]:
        """(name, inputs, outputs) of every product with weights that one token goes through."""
        return ()


@dataclass(frozen=True)
class Embedding(Part):
    scaled: bool  # Gemma multiplies by sqrt(D)


@dataclass(frozen=True)
class Norm(Part):
    size: int
    form: str  # "rms offset" (Gemma), "rms" (LLaMA), "layer 1p" (Nemotron), "layer"
    rows: int = 1  # vectors a token: the heads, for QK-norm


@dataclass(frozen=True)
class Attention(Part):
    """Projections and the scores between; `window` None sees the whole past."""

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    window: int | None = None
    by_hand: bool = False  # soft-capped scores: no fused kernel, so the T × T table is written down
    bias: str = ""  # "alibi": a number is added to each score

    @property
    def matrices(self):
        D, q, kv = self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim
        return ("query", D, q), ("key", D, kv), ("value", D, kv), ("attention output", q, D)


@dataclass(frozen=True)
class Mlp(Part):
    hidden: int
    width: int
    form: str  # "gated" (GeGLU, SwiGLU), "squared" (squared ReLU), "plain" (gelu)

    @property
    def matrices(self):
        gate = (("gate", self.hidden, self.width),) if self.form == "gated" else ()
        return (*gate, ("up", self.hidden, self.width), ("down", self.width, self.hidden))


@dataclass(frozen=True)
class Experts(Mlp):
    experts: int = 1
    used: int = 1

    @property
    def matrices(self):
        return ("router", self.hidden, self.experts), *(self.used * super().matrices)


@dataclass(frozen=True)
class Head(Part):
    hidden: int
    vocabulary: int
    capped: bool = False

    @property
    def matrices(self):
        return (("head", self.hidden, self.vocabulary),)


@dataclass(frozen=True)
class Block:
    """What a family's block holds beyond the sizes of its config."""

    norm: str
    mlp: str
    post_norms: bool = False  # a norm behind each part as well
    alibi: bool = False


BLOCKS = {
    "gemma": Block("rms offset", "gated"),
    "gemma2": Block("rms offset", "gated", post_norms=True),
    "gemma3_text": Block("rms offset", "gated", post_norms=True),
    "llama": Block("rms", "gated"),
    "mixtral": Block("rms", "gated"),
    "nemotron": Block("layer 1p", "squared"),
    "gpt2": Block("layer", "plain"),
}


def parts(config: DecoderConfig) -> list[Part]:
    """The parts of a model with this config, in the order in which a token meets them."""
    if config.family not in BLOCKS:
        known = ", ".join(BLOCKS)
        raise UserError(f"no formula knows the family {config.family!r}: use one of {known}.")
    block, D = BLOCKS[config.family], config.hidden_size
    found: list[Part] = [Embedding("embedding", scaled=config.family.startswith("gemma"))]
    for layer in range(config.num_layers):
        found += _layer(config, block, layer)
    head = Head("head", D, config.vocab_size, capped=config.logit_softcap is not None)
    return [*found, Norm("norms", D, block.norm), head]


def _layer(config: DecoderConfig, block: Block, layer: int) -> list[Part]:
    norm = Norm("norms", config.hidden_size, block.norm)
    after = [norm] if block.post_norms else []
    return [norm, *_attention(config, block, layer), *after, norm, _mlp(config, block), *after]


def _attention(config: DecoderConfig, block: Block, layer: int) -> list[Part]:
    H, K, d = config.num_heads, config.num_kv_heads, config.head_dim
    window = config.sliding_window if config.kinds[layer] == SLIDING else None
    attention = Attention(
        "attention", config.hidden_size, H, K, d, window,
        by_hand=config.attention_softcap is not None, bias="alibi" if block.alibi else "",
    )  # fmt: skip
    rows = (H, K) if config.qk_norm else ()
    return [attention, *(Norm("norms", d, block.norm, heads) for heads in rows)]


def _mlp(config: DecoderConfig, block: Block) -> Part:
    D, F = config.hidden_size, config.intermediate_size
    if not hasattr(config, "num_experts"):
        return Mlp("mlp", D, F, block.mlp)
    return Experts("mlp", D, F, block.mlp, config.num_experts, config.experts_per_token)
