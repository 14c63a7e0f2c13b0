"""What a decoder costs, by formula: parameters and bytes of cache. No model is built.

Published counts this reproduces to the unit: Gemma's table 2 (arXiv 2403.08295), and the tables of
Gemma 2 and 3 as far as they are printed. Families with parts of their own count themselves.
"""

from dataclasses import dataclass, replace
from math import prod

from minimodels.architecture.configs import DecoderConfig
from minimodels.architecture.configs.base import WIDE
from minimodels.architecture.configs.deepseek import DeepseekConfig
from minimodels.architecture.configs.gemma3n import PerLayerConfig
from minimodels.architecture.configs.nemotron_h import NemotronHConfig
from minimodels.architecture.count_deepseek import count_deepseek
from minimodels.architecture.count_hybrid import count_hybrid
from minimodels.architecture.count_per_layer import count_per_layer


@dataclass(frozen=True)
class Shape:
    """What of a family's block does not stand in its config."""

    matrices: int = 3  # of the MLP: gate, up, down; or up, down
    norms: int = 2  # in a block
    vectors: int = 1  # of a norm: weight; or weight and bias
    outer_norms: int = 1  # outside the blocks
    biases: bool = False  # of attention and MLP
    tables: tuple[str, ...] = ()  # config fields that count the rows of further embeddings


GPT2 = Shape(matrices=2, vectors=2, biases=True, tables=("max_length",))
SHAPES = {
    "bert": replace(GPT2, outer_norms=2, tables=("max_length", "num_token_types")),
    "bloom": replace(GPT2, outer_norms=2, tables=()),
    "gemma": Shape(),
    "gemma2": Shape(norms=4),
    "gemma3_text": Shape(norms=4),
    "gemma3": Shape(norms=4),
    "gpt2": GPT2,
    "llama": Shape(),
    "mixtral": Shape(),
    "nemotron": Shape(matrices=2, vectors=2),
}


@dataclass(frozen=True)
class Count:
    """Parameters of each part of a model."""

    embedding: int  # the embedding and, where it is not tied, the head
    attention: int
    mlp: int
    norms: int
    active: int | None = None  # of all, used by one token; None: all
    recurrent: int = 0  # Mamba-2 in the place of attention
    vision: int = 0  # the encoder of pictures and what turns its patches into tokens

    @property
    def other(self) -> int:
        """The decoder without its embeddings: what papers call non-embedding parameters."""
        return self.attention + self.recurrent + self.mlp + self.norms

    @property
    def total(self) -> int:
        return self.embedding + self.other + self.vision


def count(config: DecoderConfig) -> Count:
    """Parameters of a model with this config."""
    if isinstance(config, PerLayerConfig):
        return Count(**count_per_layer(config))
    if isinstance(config, NemotronHConfig):
        return Count(**count_hybrid(config))
    if isinstance(config, DeepseekConfig):
        return Count(**count_deepseek(config))
    shape = SHAPES[config.family]
    D, L, d = config.hidden_size, config.num_layers, config.head_dim
    heads = 2 * config.num_heads + 2 * config.num_kv_heads  # q and o, k and v
    experts, used = getattr(config, "num_experts", 1), getattr(config, "experts_per_token", 1)
    expert = shape.matrices * config.intermediate_size * D
    router = experts * D if experts > 1 else 0
    rows = (1 if config.tie_embeddings else 2) * config.vocab_size
    norms = (shape.norms * L + shape.outer_norms) * shape.vectors * D
    norms += 2 * L * d if config.qk_norm else 0
    counted = Count(
        embedding=(rows + sum(getattr(config, table) for table in shape.tables)) * D,
        attention=L * (heads * d * D + (3 * D + D if shape.biases else 0)),
        mlp=L * (experts * expert + router + (config.intermediate_size + D if shape.biases else 0))
        + masked_head(config),
        norms=norms,
        vision=vision_parameters(config),
    )
    if experts == used:
        return counted
    resting = L * (experts - used) * expert
    return Count(**{**vars(counted), "active": counted.total - resting})


def masked_head(config) -> int:
    """Parameters of the layer between BERT's stream and its embedding, and of the bias behind."""
    D = config.hidden_size
    return D * D + D + config.vocab_size if config.family == "bert" else 0


def vision_parameters(config) -> int:
    """Parameters of the picture encoder and its projector; 0 for a model that only reads."""
    vision = getattr(config, "vision", None)
    if vision is None:
        return 0
    E, wide = vision.hidden_size, vision.intermediate_size
    layer = 4 * (E * E + E) + (2 * E * wide + wide + E) + 2 * 2 * E  # biases everywhere
    patch = vision.num_channels * vision.patch_size**2 * E + E
    places, last_norm = vision.num_patches * E, 2 * E
    projector = E + E * config.hidden_size
    return vision.num_layers * layer + patch + places + last_norm + projector


def cache_bytes(config: DecoderConfig, length: int, batch_size=1, bytes_per_number=2) -> int:
    """Bytes of what is kept of `batch_size` texts of `length` tokens (2 bytes a number: bf16).

    As KVCache allocates it: a sliding layer keeps W − 1 tokens at most, a recurrent one its state.
    """
    numbers = 0
    for layer in range(config.num_layers):
        heads, key_dim, value_dim = config.kv_shape(layer) or (0, 0, 0)
        numbers += config.kept(layer, length) * heads * (key_dim + value_dim)
    states = [state for n in range(config.num_layers) for state in config.state_shapes(n).items()]
    narrow = numbers + sum(prod(shape) for name, shape in states if name not in WIDE)
    wide = sum(prod(shape) for name, shape in states if name in WIDE)
    return (narrow * bytes_per_number + wide * 4) * batch_size
