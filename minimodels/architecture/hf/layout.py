"""How a family is spelled in the Hugging Face layout: the fields of config.json, names of tensors.

One function says all about tensors: `split(name, tensor)` yields (their name, view) for each of
ours. On the meta device it gives the names and shapes that a folder must hold; on empty tensors the
places into which a folder is read; on weights what is written.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from minimodels.architecture.configs import DecoderConfig, RopeScaling
from minimodels.errors import UserError

Tensors = Iterator[tuple[str, torch.Tensor]]

NAMES = {  # our field -> theirs
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "max_length": "max_position_embeddings",
    "tie_embeddings": "tie_word_embeddings",
    "init_std": "initializer_range",
}
THETA = ("rope_theta",)
FRACTION = ("partial_rotary_factor", "rope_percent", "rope_percentage")
ROPE = ("rope_parameters", "rope_scaling")


def our_name(name: str) -> str:
    return name.removeprefix("model.")


def their_name(name: str) -> str:
    return name if name.startswith("lm_head.") else "model." + name


def plain(name: str, tensor: torch.Tensor) -> Tensors:
    """Most names differ by a prefix."""
    yield their_name(name), tensor


def unchanged(name: str) -> str:
    return name


def never(name: str, config: DecoderConfig) -> bool:
    return False


@dataclass(frozen=True)
class Layout:
    """One family. The first value of each `one_way` field is the one we write, None is left out."""

    config_class: type[DecoderConfig]
    architecture: str  # the class that Transformers builds
    names: dict[str, str]  # our field -> theirs
    read: Callable[[Path, dict, dict], dict]  # (path, config.json, fields so far) -> other fields
    write: Callable[[DecoderConfig], dict]  # what those other fields look like in config.json
    one_way: dict[str, tuple] = field(default_factory=dict)  # fields for which one way exists
    defaults: dict[str, object] = field(default_factory=dict)  # where the file is silent
    known: tuple[str, ...] = ()  # fields that `read` follows, and those without effect
    split: Callable[[str, torch.Tensor], Tensors] = plain
    rename: Callable[[str], str | None] = unchanged  # older names -> those of `split`; None: skip
    unused: Callable[[str, DecoderConfig], bool] = never  # a name that this config does not read


def read_rope(path, raw: dict, fraction_too: bool = False) -> dict:
    """rope_theta, rope_scaling and, if asked, rotary_fraction, from wherever the file says them."""
    rope: dict = {}
    for name in ROPE:
        rope = raw.get(name) or rope
    theta, fraction = (number(path, [raw, rope], names) for names in (THETA, FRACTION))
    if not fraction_too and fraction not in (None, 1.0):
        family = raw["model_type"]
        raise UserError(
            f"{path}: partial_rotary_factor = {fraction} is not implemented for {family}."
        )
    found = {"rope_theta": theta, "rope_scaling": read_scaling(path, rope)}
    return found | ({"rotary_fraction": fraction} if fraction_too else {})


def read_scaling(path, rope) -> RopeScaling | None:
    """The scaling in a table of RoPE settings; UserError for a kind or setting we do not follow."""
    if not isinstance(rope, dict):
        raise UserError(f"{path}: RoPE is given as {rope!r}, which is no table of settings.")
    kind = rope.get("rope_type", rope.get("type", "default"))
    fields = {"linear": {"factor": "factor"}, "llama3": SCALING}.get(kind, {})
    extra = set(rope) - {"rope_type", "type", *THETA, *FRACTION, *fields.values()}
    if kind not in ("default", "linear", "llama3") or extra:
        raise UserError(f"{path}: RoPE scaling ({kind}, {sorted(extra)}) is not implemented.")
    if kind == "default":
        return None
    missing = [theirs for theirs in fields.values() if theirs not in rope]
    if missing:
        raise UserError(f"{path}: RoPE scaling {kind} does not say {', '.join(missing)}: add it.")
    return RopeScaling(kind=kind, **{our: rope[theirs] for our, theirs in fields.items()})


SCALING = {
    "factor": "factor",
    "low_freq_factor": "low_freq_factor",
    "high_freq_factor": "high_freq_factor",
    "original_max_length": "original_max_position_embeddings",
}


def write_rope(theta: float, scaling: RopeScaling | None, **more) -> dict:
    """The table of RoPE settings as Transformers 5 has it."""
    if scaling is None:
        return {"rope_type": "default", "rope_theta": theta, **more}
    fields = {"factor": "factor"} if scaling.kind == "linear" else SCALING
    values = {theirs: getattr(scaling, our) for our, theirs in fields.items()}
    return {"rope_type": scaling.kind, **values, "rope_theta": theta, **more}


def number(path, places: list, names: tuple[str, ...]) -> float | None:
    """The one number that all places give to a field of several names; None if none does."""
    places = [place for place in places if isinstance(place, dict)]
    values = [place[name] for place in places for name in names if place.get(name) is not None]
    for value in values:
        if not isinstance(value, int | float):
            raise UserError(f"{path}: {names[0]} = {value!r} is no number: change it.")
    if len(set(values)) > 1:
        raise UserError(f"{path}: {names[0]} is given as {' and as '.join(map(str, values))}.")
    return float(values[0]) if values else None
