"""config.json of the Hugging Face layout, read into a config of ours and written from one.

Both forms are read: rope_theta and partial_rotary_factor at the top (Transformers up to 4) or
inside rope_parameters (5); hidden_act or hidden_activation. A field that would change the result
and that no code here follows is refused by its name.
"""

from dataclasses import MISSING
from pathlib import Path

from minimodels.architecture.configs import DecoderConfig, GemmaConfig, NemotronConfig
from minimodels.errors import UserError
from minimodels.files import read_json

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
FAMILY_NAMES = {
    "gemma": NAMES | {"norm_eps": "rms_norm_eps"},
    "nemotron": NAMES | {"norm_eps": "norm_eps"},
}
CONFIG_CLASSES = {"gemma": GemmaConfig, "nemotron": NemotronConfig}
ARCHITECTURES = {"gemma": "GemmaForCausalLM", "nemotron": "NemotronForCausalLM"}

DEFAULTS = {  # what Transformers takes where the file is silent
    "gemma": {"head_dim": 256, "max_length": 8192},
    "nemotron": {"max_length": 4096},
}
ONE_WAY = {  # fields for which one way is implemented; the first value is the one we write
    "gemma": {
        "hidden_act": ("gelu_pytorch_tanh", "gelu"),  # "gelu" is what Gemma's first release says
        "hidden_activation": (None, "gelu_pytorch_tanh"),
        "attention_bias": (False,),
        "attention_dropout": (0.0,),
        "use_bidirectional_attention": (None, False),
    },
    "nemotron": {
        "hidden_act": ("relu2",),
        "attention_bias": (False,),
        "mlp_bias": (False,),
        "attention_dropout": (0.0,),
    },
}
THETA = ("rope_theta",)
FRACTION = ("partial_rotary_factor", "rope_percent", "rope_percentage")
ROPE = ("rope_parameters", "rope_scaling")
NO_EFFECT = set(
    "architectures model_type dtype torch_dtype transformers_version use_cache auto_map "
    "bos_token_id eos_token_id pad_token_id sep_token_id decoder_start_token_id _name_or_path "
    "tokenizer_class id2label label2id return_dict chunk_size_feed_forward task_specific_params "
    "_attn_implementation_autoset unsloth_fixed unsloth_version".split()
)


def read_config(folder: Path) -> DecoderConfig:
    """The config of a checkpoint folder; UserError names what is missing or not supported."""
    path = Path(folder) / "config.json"
    raw = read_json(path)
    family = raw.get("model_type") if isinstance(raw, dict) else None
    if not isinstance(family, str) or family not in FAMILY_NAMES:
        known = ", ".join(FAMILY_NAMES)
        raise UserError(f"{path}: model_type {family!r} is not supported, only {known}.")
    _refuse_unknown(path, raw, family)
    fields = {our: raw.get(their) for our, their in FAMILY_NAMES[family].items()}
    fields |= _rope(path, raw)
    if family == "nemotron":
        fields["num_kv_heads"] = fields["num_kv_heads"] or fields["num_heads"]
        if not fields["head_dim"] and fields["num_heads"] and fields["hidden_size"]:
            fields["head_dim"] = fields["hidden_size"] // fields["num_heads"]
    given = DEFAULTS[family] | {k: v for k, v in fields.items() if v is not None}
    return _make(path, CONFIG_CLASSES[family], given)


def config_fields(config: DecoderConfig, tokenizer=None) -> dict:
    """What config.json says about this model; it is read by Transformers 4 and 5."""
    family = config.family
    token_ids = {f"{name}_token_id": None for name in ("bos", "eos", "pad")}
    if tokenizer is not None:
        token_ids = {key: getattr(tokenizer, key[:-9] + "_id") for key in token_ids}
    rope = {"rope_theta": config.rope_theta}
    if family == "nemotron":
        rope["partial_rotary_factor"] = config.rotary_fraction
    one_way = {field: allowed[0] for field, allowed in ONE_WAY[family].items()}
    return {
        "architectures": [ARCHITECTURES[family]],
        "model_type": family,
        **{their: getattr(config, our) for our, their in FAMILY_NAMES[family].items()},
        **{field: value for field, value in one_way.items() if value is not None},
        **rope,
        "rope_parameters": {"rope_type": "default", **rope},
        **token_ids,
    }


def _refuse_unknown(path, raw: dict, family: str) -> None:
    known = NO_EFFECT | set(FAMILY_NAMES[family].values()) | {*THETA, *FRACTION, *ROPE}
    for field, value in raw.items():
        allowed = ONE_WAY[family].get(field, (None, False))
        if field in known or value in allowed or value in ([], {}):
            continue
        raise UserError(
            f"{path}: {field} = {value!r} is not implemented for {family} and could change the "
            "result: choose another checkpoint, or take the field out if it has no effect."
        )


def _rope(path, raw: dict) -> dict:
    """rope_theta and rotary_fraction, from wherever the file says them."""
    rope = {}
    for field in ROPE:
        rope = raw.get(field) or rope
    if not isinstance(rope, dict):
        raise UserError(f"{path}: RoPE is given as {rope!r}, which is no table of settings.")
    kind = rope.get("rope_type", rope.get("type", "default"))
    extra = set(rope) - {"rope_type", "type", *THETA, *FRACTION}
    if kind != "default" or extra:
        raise UserError(f"{path}: RoPE scaling ({kind}, {sorted(extra)}) is not implemented.")
    theta, fraction = (_number(path, [raw, rope], names) for names in (THETA, FRACTION))
    if raw["model_type"] == "gemma" and fraction not in (None, 1.0):
        raise UserError(f"{path}: partial_rotary_factor = {fraction} is not implemented for gemma.")
    return {
        "rope_theta": theta,
        "rotary_fraction": fraction,
    }


def _number(path, places: list[dict], names: tuple[str, ...]) -> float | None:
    """The one number that all places give to a field of several names; None if none does."""
    values = [place[name] for place in places for name in names if place.get(name) is not None]
    for value in values:
        if not isinstance(value, int | float):
            raise UserError(f"{path}: {names[0]} = {value!r} is no number: change it.")
    if len(set(values)) > 1:
        raise UserError(f"{path}: {names[0]} is given as {' and as '.join(map(str, values))}.")
    return float(values[0]) if values else None


def _make(path, config_class, given: dict) -> DecoderConfig:
    missing = [
        FAMILY_NAMES[config_class.family][name]
        for name, field in config_class.__dataclass_fields__.items()
        if name not in given and field.default is MISSING
    ]
    if missing:
        raise UserError(f"{path} does not say {', '.join(missing)}: add what the model has.")
    try:
        return config_class(**given)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
