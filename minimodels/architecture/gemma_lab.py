"""What the lab that builds Gemma from its config is checked against: two small models.

Each comes as a folder would hold it, a config.json and tensors under the names of the file, beside
the model itself. All sizes differ from one another, so that a wrong axis shows.
"""

from dataclasses import dataclass

import torch

from minimodels.architecture.configs import (
    FULL,
    SLIDING,
    Gemma3Config,
    GemmaConfig,
    RopeScaling,
    pattern,
)
from minimodels.architecture.decoder import Decoder
from minimodels.architecture.demo import lively
from minimodels.architecture.hf.config_json import config_fields, layout

SIZES = {"vocab_size": 40, "hidden_size": 24, "intermediate_size": 36, "num_heads": 4,
         "num_kv_heads": 2, "head_dim": 10, "max_length": 256}  # fmt: skip
GEMMA_1 = GemmaConfig(**SIZES, num_layers=2)
GEMMA_3 = Gemma3Config(
    **SIZES,
    num_layers=3,
    sliding_window=4,
    layer_types=(SLIDING, SLIDING, FULL),
    query_scale=14.0,
    rope_scaling=RopeScaling(kind="linear", factor=8.0),
)
CHECKPOINT = Gemma3Config(  # of the victory: six layers slide, two are full
    **SIZES | {"vocab_size": 500, "hidden_size": 96, "intermediate_size": 200},
    num_layers=8,
    sliding_window=8,
    layer_types=pattern(8, every=4),
    query_scale=14.0,
    rope_scaling=RopeScaling(kind="linear", factor=8.0),
)


@dataclass(frozen=True)
class Example:
    """A model, and the same as files would say it."""

    model: Decoder
    config: dict  # as json reads config.json
    weights: dict[str, torch.Tensor]  # as safetensors reads the file

    def layer(self, number: int) -> dict[str, torch.Tensor]:
        """The tensors of one layer, without `model.layers.N.`."""
        return {name: tensor.detach() for name, tensor
                in self.model.layers[number].named_parameters()}  # fmt: skip

    def views(self, x) -> list[tuple]:
        """For each layer what it is given beside x (B, T, D): (angles, mask)."""
        return self.model.views(x)[1]


def examples() -> dict[str, Example]:
    """{"Gemma 1": …, "Gemma 3": …} with random weights, the same each time."""
    return {"Gemma 1": example(GEMMA_1), "Gemma 3": example(GEMMA_3)}


def example(config) -> Example:
    """A model with lively weights, as a folder would hold it."""
    model, spelled = lively(config), layout(config.family)
    weights = {theirs: tensor.detach() for name, tensor in model.state_dict().items()
               for theirs, tensor in spelled.split(name, tensor)}  # fmt: skip
    return Example(model, config_fields(config), weights)
