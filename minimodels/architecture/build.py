"""From a name or a config to a module with fresh weights."""

from importlib import import_module

import torch

from minimodels.architecture import configs
from minimodels.architecture.decoder import Decoder
from minimodels.errors import UserError

FAMILIES = {  # family -> where its module is; imported when it is first built
    "bert": "bert.Bert",
    "bloom": "bloom.Bloom",
    "deepseek_v3": "deepseek.Deepseek",
    "gemma": "gemma.Gemma",
    "gemma2": "gemma2.Gemma2",
    "gemma3_text": "gemma2.Gemma3",
    "gemma3n_text": "gemma3n.Gemma3n",
    "gemma4_text": "gemma4.Gemma4",
    "gemma3": "gemma3_vision.Gemma3Vision",
    "gpt2": "gpt2.GPT2",
    "llama": "llama.Llama",
    "mixtral": "mixtral.Mixtral",
    "nemotron": "nemotron.Nemotron",
    "nemotron_h": "nemotron_h.NemotronH",
}


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
        return family(config.family)(config)


def family(name: str) -> type[Decoder]:
    """The module class of a family."""
    file, class_name = FAMILIES[name].split(".")
    return getattr(import_module(f"minimodels.architecture.families.{file}"), class_name)


def place(device=None) -> torch.device:
    """The device asked for, or the machine's."""
    if device is not None:
        return torch.device(device)
    from minimodels.device import device as machine

    return machine()
