"""Checkpoints in the Hugging Face layout: config.json, safetensors, tokenizer.model.

A published folder of a family we build loads as it is, ours loads in Transformers as it is, and an
adapter in PEFT's layout is added to its base.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import torch

from minimodels.architecture.adapter import SETTINGS, add_adapter, read_settings
from minimodels.architecture.build import build, place
from minimodels.architecture.configs import CONFIGS
from minimodels.architecture.hf.config_json import config_fields, layout, read_config
from minimodels.architecture.weights import read_into, stored_tensors, write_tensors
from minimodels.errors import UserError
from minimodels.files import atomic_folder, write_json

SHIPPED = Path(__file__).parents[1] / "shipped"
TOKENIZER = "tokenizer.model"


def load(path_or_name, device=None, dtype=None):
    """(model, tokenizer) from a folder, or a shipped model by its name, such as "gemma-mini".

    Without a dtype the weights become float32, whatever the file holds. The tokenizer is None if
    the folder has no tokenizer.model. Raises UserError that names what is missing, superfluous, of
    the wrong shape or not supported.
    """
    folder = find(path_or_name)
    if not (folder / SETTINGS).exists():
        return _load(folder, device, dtype)
    model, tokenizer = _load(find(read_settings(folder)["base_model_name_or_path"]), device, dtype)
    add_adapter(model, folder)
    return model, _tokenizer(folder, model.config) or tokenizer


def _load(folder: Path, device, dtype):
    config = read_config(folder)
    model, spelled = build(config, device="meta"), layout(config.family)
    stored = stored_tensors(folder, spelled.rename)  # headers: nothing large is read yet
    stored = {name: at for name, at in stored.items() if not spelled.unused(name, config)}
    check_shapes(folder, model, {name: shape for name, (_, _, shape) in stored.items()})
    tokenizer = _tokenizer(folder, config)
    place_, dtype = place(device), dtype or torch.float32
    weights = {
        name: torch.empty(tensor.shape, device=place_, dtype=dtype)
        for name, tensor in model.state_dict().items()
    }
    read_into(dict(split(weights, spelled)), stored)
    model.load_state_dict(weights, assign=True)
    return model, tokenizer


def split(weights, spelled) -> Iterator[tuple[str, torch.Tensor]]:
    """(name on disk, view) for each part of our tensors."""
    for name, tensor in weights.items():
        yield from spelled.split(name, tensor)


def save(model, tokenizer, folder, dtype=None, max_shard_bytes: int = 5_000_000_000) -> None:
    """Write model and tokenizer (or None) as a folder that Transformers loads.

    It appears whole or not at all and takes the place of an older checkpoint. dtype: of the stored
    weights, by default that of the model. Raises UserError when the disk is full, when the folder
    holds something else, or when the model has tensors beyond its config (adapters, int8).
    """
    model, folder = getattr(model, "_orig_mod", model), Path(folder)  # as torch.compile wraps it
    if not _is_checkpoint(folder) and (folder.is_file() or any(folder.glob("*"))):
        raise UserError(f"{folder} holds something that is no checkpoint: save to a new folder.")
    spelled = layout(model.config.family)
    weights = dict(split({n: t.detach() for n, t in model.state_dict().items()}, spelled))
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    check_shapes("the model", build(model.config, device="meta"), shapes)
    dtype = dtype or model.dtype
    fields = config_fields(model.config, tokenizer) | {"dtype": str(dtype).removeprefix("torch.")}
    with atomic_folder(folder) as new:
        write_json(new / "config.json", fields)
        write_tensors(new, weights, dtype, max_shard_bytes)
        if tokenizer is not None:
            tokenizer.save(new / TOKENIZER)


def find(path_or_name) -> Path:
    """The folder behind a path or the name of a shipped model; UserError with near matches."""
    folder, name, known = Path(path_or_name), str(path_or_name), shipped()
    if _is_checkpoint(folder):
        return folder
    if name in known:
        return SHIPPED / name
    if folder.exists():
        raise UserError(f"{folder} has no config.json: give the folder of a checkpoint.")
    if name in CONFIGS:
        raise UserError(f"{name} is not shipped with weights: give a folder, or build() it fresh.")
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}" if near else f"shipped are {', '.join(known)}"
    raise UserError(f"there is no folder and no shipped model called {name!r}: {hint}.")


def shipped() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.name for path in SHIPPED.glob("*") if _is_checkpoint(path))


def check_shapes(where, model, shapes: dict[str, tuple[int, ...]]) -> None:
    """UserError unless `shapes` (by the names on disk) are those of the model's tensors."""
    spelled = layout(model.config.family)
    wanted = {name: tuple(part.shape) for name, part in split(model.state_dict(), spelled)}
    missing, extra = sorted(wanted.keys() - shapes), sorted(shapes.keys() - wanted)
    if missing:
        raise UserError(f"{where} lacks {_some(missing)}: it does not fit its config.")
    if extra:
        raise UserError(f"{where} has {_some(extra)}, for which its config has no place.")
    for name, shape in shapes.items():
        if shape != wanted[name]:
            asked = f"its config asks for {wanted[name]}"
            raise UserError(f"{where}: {name} has shape {shape}, {asked}.")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more tensors" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _is_checkpoint(folder: Path) -> bool:
    return (folder / "config.json").exists() or (folder / SETTINGS).exists()


def _tokenizer(folder: Path, config):
    if not (folder / TOKENIZER).exists():
        return None
    from minimodels.data.tokenizer import Tokenizer  # only here: a model needs no SentencePiece

    tokenizer = Tokenizer(folder / TOKENIZER)
    if tokenizer.vocab_size > config.vocab_size:
        raise UserError(
            f"{folder / TOKENIZER} has {tokenizer.vocab_size} pieces but the model embeds "
            f"{config.vocab_size}: it belongs to another model."
        )
    return tokenizer
