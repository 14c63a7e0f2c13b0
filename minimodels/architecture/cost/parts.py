"""A decoder as a list of parts with plain sizes: what every formula of this folder walks over.

A config says how large things are; the family says what stands in a block. Both come together here,
once, so that flops.py and activations.py read one list and know no family.

Legend: D hidden, F intermediate, H heads, K key heads, d head, V vocabulary, E experts, k of them
used by a token.
"""

from dataclasses import dataclass

from minimodels.architecture.configs import FULL, SLIDING, DecoderConfig
from minimodels.architecture.configs.deepseek import DeepseekConfig
from minimodels.architecture.configs.gemma3n import PerLayerConfig
from minimodels.architecture.configs.nemotron_h import MAMBA, MLP, NemotronHConfig
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
    form: str  # see NORMS in kept.py
    rows: int = 1  # vectors a token: the heads, for QK-norm
    again: bool = False  # its input is kept by another part already, unless it is copied to float32


@dataclass(frozen=True)
class Attention(Part):
    """Projections and the scores between; `window` None sees the whole past.

    A layer that shares has no keys of its own and reads those of a layer below.
    """

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    window: int | None = None
    by_hand: bool = False  # soft-capped scores: no fused kernel, so the T × T table is written down
    bias: bool = False  # ALiBi: numbers are added to the scores, which no kernel for CPUs fuses
    turned: bool = True  # by RoPE
    shares: bool = False
    k_eq_v: bool = False  # one projection makes both

    @property
    def matrices(self):
        D, q, kv = self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim
        own = () if self.shares else (("key", D, kv), ("value", D, kv))[: 1 if self.k_eq_v else 2]
        return ("query", D, q), *own, ("attention output", q, D)


@dataclass(frozen=True)
class Mlp(Part):
    hidden: int
    width: int
    form: str  # "gated" (GeGLU, SwiGLU), "cut" (that, sparse), "squared" (ReLU), "plain" (gelu)

    @property
    def matrices(self):
        gate = (("gate", self.hidden, self.width),) if self.form in ("gated", "cut") else ()
        return (*gate, ("up", self.hidden, self.width), ("down", self.width, self.hidden))


@dataclass(frozen=True)
class Experts(Part):
    """A mixture: `used` of `experts` MLPs a token, perhaps in a narrower space, and a router."""

    hidden: int
    width: int
    form: str
    experts: int
    used: int
    latent: int | None = None  # numbers in which experts work, in the place of D
    shared: int | None = None  # width of an MLP that every token passes as well
    sigmoid: bool = False  # the router works in float32

    @property
    def expert(self) -> Mlp:
        return Mlp(self.place, self.latent or self.hidden, self.width, self.form)

    @property
    def matrices(self):
        D, P = self.hidden, self.latent
        ways = (("into latent", D, P), ("out of latent", P, D)) if P else ()
        beside = Mlp(self.place, D, self.shared, self.form).matrices if self.shared else ()
        return ("router", D, self.experts), *ways, *(self.used * self.expert.matrices), *beside


@dataclass(frozen=True)
class Mamba(Part):
    """A Mamba-2 mixer: H heads of p numbers, n numbers a row of the state, W taps, c a chunk."""

    hidden: int
    heads: int
    head_dim: int
    state: int
    groups: int
    kernel: int
    chunk: int

    @property
    def inner(self) -> int:
        return self.heads * self.head_dim

    @property
    def channels(self) -> int:
        return self.inner + 2 * self.groups * self.state

    @property
    def matrices(self):
        into = self.inner + self.channels + self.heads
        return ("into the mixer", self.hidden, into), ("out of it", self.inner, self.hidden)


@dataclass(frozen=True)
class Head(Part):
    hidden: int
    vocabulary: int
    capped: bool = False

    @property
    def matrices(self):
        return (("head", self.hidden, self.vocabulary),)


@dataclass(frozen=True)
class Extra(Part):
    """A family's own furniture: its matrices, and bytes kept: numbers a token and fixed bytes."""

    products: tuple[tuple[str, int, int], ...] = ()
    numbers: int = 0  # kept a token, in the model's format
    wide: int = 0  # kept a token, in float32
    copied: int = 0  # kept a token where the model's format is not float32
    viewed: int = 0  # kept a token where it is: what else lies in the storage of a view
    fixed: int = 0  # numbers, whatever the text

    @property
    def matrices(self):
        return self.products


@dataclass(frozen=True)
class Block:
    """What a family's block holds beyond the sizes of its config."""

    norm: str
    mlp: str
    post_norms: bool = False  # a norm behind each part as well
    alibi: bool = False
    norm_first: bool = False  # behind the embedding
    turned: bool = True  # by RoPE


BLOCKS = {
    "gemma": Block("rms offset", "gated"),
    "gemma2": Block("rms offset", "gated", post_norms=True),
    "gemma3_text": Block("rms offset", "gated", post_norms=True),
    "gemma3": Block("rms offset", "gated", post_norms=True),  # its text; pictures are not counted
    "llama": Block("rms", "gated"),
    "mixtral": Block("rms", "gated"),
    "nemotron": Block("layer 1p", "squared"),
    "nemotron_h": Block("wide", "squared", turned=False),
    "gpt2": Block("layer", "plain", turned=False),
    "deepseek_v3": Block("rms", "gated"),
    "bert": Block("layer", "plain", norm_first=True, turned=False),
    "bloom": Block("layer", "plain", alibi=True, norm_first=True, turned=False),
}


def parts(config: DecoderConfig) -> list[Part]:
    """The parts of a model with this config, in the order in which a token meets them."""
    from minimodels.architecture.cost.parts_latent import latent_layer  # they need the classes
    from minimodels.architecture.cost.parts_per_layer import per_layer_parts

    if isinstance(config, PerLayerConfig):
        return per_layer_parts(config)
    if config.family not in BLOCKS:
        known = ", ".join((*BLOCKS, "gemma3n_text", "gemma4_text"))
        raise UserError(f"no formula knows the family {config.family!r}: use one of {known}.")
    block, D = BLOCKS[config.family], config.hidden_size
    norm = Norm("norms", D, block.norm)
    found: list[Part] = [Embedding("embedding", scaled=config.family.startswith("gemma"))]
    found += [norm] if block.norm_first else []
    for layer in range(config.num_layers):
        if config.family == "bert":
            found += [*_attention(config, block, layer), norm, _mlp(config, block), norm]
        elif isinstance(config, DeepseekConfig):
            found += latent_layer(config, layer)
        elif isinstance(config, NemotronHConfig):
            found += _mixer(config, block, layer)
        else:
            found += _layer(config, block, layer)
    if config.family == "bert":  # its norms stand behind, and a layer more before the head
        types, dense = Extra("embedding", wide=2), Extra("head", (("dense", D, D),), numbers=2 * D)
        found += [types, dense]
    return [*found, norm, head(config)]


def head(config: DecoderConfig) -> Head:
    capped = config.logit_softcap is not None
    return Head("head", config.hidden_size, config.vocab_size, capped)


def _layer(config: DecoderConfig, block: Block, layer: int) -> list[Part]:
    norm = Norm("norms", config.hidden_size, block.norm)
    after = [norm] if block.post_norms else []
    return [norm, *_attention(config, block, layer), *after, norm, _mlp(config, block), *after]


def _attention(config: DecoderConfig, block: Block, layer: int) -> list[Part]:
    H, K, d = config.num_heads, config.num_kv_heads, config.head_dim
    window = config.sliding_window if config.kinds[layer] == SLIDING else None
    attention = Attention(
        "attention", config.hidden_size, H, K, d, window,
        by_hand=config.attention_softcap is not None, bias=block.alibi, turned=block.turned,
    )  # fmt: skip
    rows = (H, K) if config.qk_norm else ()
    return [attention, *(Norm("norms", d, block.norm, heads) for heads in rows)]


def _mlp(config: DecoderConfig, block: Block) -> Part:
    D, F = config.hidden_size, config.intermediate_size
    if not hasattr(config, "num_experts"):
        return Mlp("mlp", D, F, block.mlp)
    return Experts("mlp", D, F, block.mlp, config.num_experts, config.experts_per_token)


def _mixer(config: NemotronHConfig, block: Block, layer: int) -> list[Part]:
    """A hybrid's block: one norm and one mixer."""
    kind, D, norm = (
        config.kinds[layer],
        config.hidden_size,
        Norm("norms", config.hidden_size, block.norm),
    )
    if kind == FULL:
        return [norm, *_attention(config, block, layer)]
    if kind == MLP:
        return [norm, Mlp("mlp", D, config.intermediate_size, block.mlp)]
    if kind == MAMBA:
        return [norm, Mamba(
            "recurrent", D, config.mamba_num_heads, config.mamba_head_dim, config.ssm_state_size,
            config.mamba_groups, config.conv_kernel, config.chunk_size,
        )]  # fmt: skip
    return [norm, Experts(
        "mlp", D, config.moe_intermediate_size, block.mlp, config.num_experts,
        config.experts_per_token, config.moe_latent_size, config.shared_intermediate_size, True,
    )]  # fmt: skip
