"""From a name or a config to a module with fresh weights."""

import torch

from minimodels.architecture import configs
from minimodels.architecture.decoder import Decoder
from minimodels.architecture.gemma import Gemma
from minimodels.architecture.nemotron import Nemotron
from minimodels.errors import UserError

FAMILIES: dict[str, type[Decoder]] = {"gemma": Gemma, "nemotron": Nemotron}


def build(name_or_config, device=None) -> Decoder:
    """A model with random weights: build("gemma-mini"), or build(config, device="meta").

    On the meta device no memory is used and parameters can still be counted. Without a device,
    device.device() chooses. torch.manual_seed before it makes the weights repeatable.
    Raises UserError for an unknown name, with near matches.
    """
    config = configs.get(name_or_config) if isinstance(name_or_config, str) else name_or_config
    if getattr(config, "family", None) not in FAMILIES:
        raise UserError(f"build takes a name or a config such as GemmaConfig, not {config!r}.")
    with torch.device(place(device)):
        return FAMILIES[config.family](config)


def place(device=None) -> torch.device:
    """The device asked for, or the machine's."""
    if device is not None:
        return torch.device(device)
    from minimodels.device import device as machine

    return machine()
