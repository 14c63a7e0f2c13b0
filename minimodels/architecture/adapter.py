"""A LoRA adapter in PEFT's layout, added to the weights of its base (arXiv 2106.09685).

It stands here because load() reads one; how an adapter is made and trained is stage 06.
"""

from pathlib import Path

import torch

from minimodels.architecture.hf.layout import our_name
from minimodels.architecture.weights import open_tensors
from minimodels.errors import UserError
from minimodels.files import read_json

SETTINGS, TENSORS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."  # in front of the Hugging Face name
OTHER_METHODS = (  # switches of PEFT that change the sum; off in plain LoRA
    "use_dora use_rslora use_qalora use_bdlora fan_in_fan_out lora_bias rank_pattern alpha_pattern "
    "layer_replication trainable_token_indices target_parameters alora_invocation_tokens"
).split()


def read_settings(folder: Path) -> dict:
    """adapter_config.json; UserError names what is not plain LoRA in it."""
    path = folder / SETTINGS
    settings = read_json(path)
    if not isinstance(settings, dict) or settings.get("peft_type") != "LORA":
        raise UserError(f"{path} does not describe a LoRA adapter: other methods are not read.")
    for field in OTHER_METHODS:
        if settings.get(field):
            raise UserError(f"{path}: {field} = {settings[field]!r} is not implemented.")
    for field in ("base_model_name_or_path", "r", "lora_alpha"):
        if not settings.get(field):
            raise UserError(f"{path} does not say {field}: save the adapter again.")
    for field in ("r", "lora_alpha"):
        if not isinstance(settings[field], int | float):
            raise UserError(f"{path}: {field} = {settings[field]!r} is no number: change it.")
    return settings


@torch.no_grad()
def add_adapter(model, folder: Path) -> None:
    """weight += lora_alpha / r · B A for each adapted matrix; a whole tensor replaces its own."""
    settings = read_settings(folder)
    r, scale = settings["r"], settings["lora_alpha"] / settings["r"]
    weights = dict(model.named_parameters())
    with open_tensors(folder / TENSORS) as file:
        parts = {our_name(key.removeprefix(PREFIX)): file.get_tensor(key) for key in file.keys()}
    for name, part in parts.items():
        if ".lora_B." in name and name.replace(".lora_B.", ".lora_A.") in parts:
            continue  # used with its A
        weight = weights.get(name.replace(".lora_A.", "."))
        other = parts.get(name.replace(".lora_A.", ".lora_B."))
        if weight is None or other is None:
            raise UserError(f"{folder}: the base has no place for the adapter's {name}.")
        if ".lora_A." not in name and part.shape == weight.shape:
            weight.copy_(part)
        elif (*other.shape, *part.shape) == (weight.shape[0], r, r, weight.shape[-1]):
            weight += scale * (other.to(weight) @ part.to(weight))
        else:
            raise UserError(f"{folder}: {name} does not fit a weight of {tuple(weight.shape)}.")
