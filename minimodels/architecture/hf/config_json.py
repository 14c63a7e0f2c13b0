"""config.json, read into a config of ours and written from one.

Both forms are read: rope_theta and partial_rotary_factor at the top (Transformers up to 4) or
inside rope_parameters (5). A field that would change the result and that no code here follows is
refused by its name.
"""

from dataclasses import MISSING
from importlib import import_module
from pathlib import Path

from minimodels.architecture.configs import DecoderConfig
from minimodels.architecture.hf.layout import FRACTION, ROPE, THETA, Layout
from minimodels.errors import UserError
from minimodels.files import read_json

LAYOUTS = {  # model_type -> the file of its layout in this folder
    "bert": "bert",
    "bloom": "bloom",
    "deepseek_v3": "deepseek",
    "gemma": "gemma",
    "gemma2": "gemma",
    "gemma3_text": "gemma",
    "gemma3": "gemma3_vision",
    "gemma3n": "gemma3n",
    "gemma3n_text": "gemma3n",
    "gemma4": "gemma4",
    "gemma4_text": "gemma4",
    "gpt2": "gpt2",
    "llama": "llama",
    "mixtral": "llama",
    "nemotron": "nemotron",
    "nemotron_h": "nemotron_h",
}
NO_EFFECT = set(
    "architectures model_type dtype torch_dtype transformers_version use_cache auto_map "
    "bos_token_id eos_token_id pad_token_id sep_token_id decoder_start_token_id _name_or_path "
    "tokenizer_class id2label label2id return_dict chunk_size_feed_forward task_specific_params "
    "_attn_implementation_autoset unsloth_fixed unsloth_version cache_implementation".split()
)


def layout(family: str) -> Layout:
    """How a family is spelled."""
    return import_module(f"minimodels.architecture.hf.{LAYOUTS[family]}").LAYOUTS[family]


def read_config(folder: Path) -> DecoderConfig:
    """The config of a checkpoint folder; UserError names what is missing or not supported."""
    path = Path(folder) / "config.json"
    raw = read_json(path)
    family = raw.get("model_type") if isinstance(raw, dict) else None
    if not isinstance(family, str) or family not in LAYOUTS:
        known = ", ".join(LAYOUTS)
        raise UserError(f"{path}: model_type {family!r} is not supported, only {known}.")
    return config_from(path, raw, layout(family))


def config_from(path: Path, raw: dict, spelled: Layout) -> DecoderConfig:
    """A config from the fields of its family; `path` is named when something is wrong."""
    refuse_unknown(path, raw, spelled)
    fields = {our: raw.get(their) for our, their in spelled.names.items()}
    fields |= spelled.read(path, raw, fields)
    given = spelled.defaults | {k: v for k, v in fields.items() if v is not None}
    given |= {our: None for our in _switched_off(raw, spelled)}
    return _make(path, spelled, given)


def _switched_off(raw: dict, spelled: Layout) -> list[str]:
    """Fields that the file sets to null and that may be None, whatever their default is."""
    fields = spelled.config_class.__dataclass_fields__
    return [
        our
        for our, their in spelled.names.items()
        if their in raw and raw[their] is None and fields[our].type.endswith("| None")
    ]


def config_fields(config: DecoderConfig, tokenizer=None) -> dict:
    """What config.json says about this model; it is read by Transformers 4 and 5."""
    spelled = layout(config.family)
    token_ids = {f"{name}_token_id": None for name in ("bos", "eos", "pad")}
    if tokenizer is not None:
        token_ids = {key: getattr(tokenizer, key[:-9] + "_id") for key in token_ids}
    one_way = {field: allowed[0] for field, allowed in spelled.one_way.items()}
    return {
        "architectures": [spelled.architecture],
        "model_type": config.family,
        **{their: getattr(config, our) for our, their in spelled.names.items()},
        **{field: value for field, value in one_way.items() if value is not None},
        **spelled.write(config),
        **token_ids,
    }


def refuse_unknown(path, raw: dict, spelled: Layout) -> None:
    """UserError for a field that could change the result and that nothing here follows."""
    known = NO_EFFECT | {*spelled.names.values(), *spelled.known, *THETA, *FRACTION, *ROPE}
    family = spelled.config_class.family
    for name, value in raw.items():
        allowed = spelled.one_way.get(name, (None, False))
        if name in known or value in allowed or value in ([], {}):
            continue
        raise UserError(
            f"{path}: {name} = {value!r} is not implemented for {family} and could change the "
            "result: choose another checkpoint, or take the field out if it has no effect."
        )


def _make(path, spelled: Layout, given: dict) -> DecoderConfig:
    config_class = spelled.config_class
    missing = [
        spelled.names.get(name, name)
        for name, field in config_class.__dataclass_fields__.items()
        if name not in given and field.default is MISSING
    ]
    if missing:
        raise UserError(f"{path} does not say {', '.join(missing)}: add what the model has.")
    try:
        return config_class(**given)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
