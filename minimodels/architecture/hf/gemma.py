"""Gemma 1, 2 and the text of 3 in the Hugging Face layout."""

from minimodels.architecture.configs import (
    FULL,
    SLIDING,
    Gemma2Config,
    Gemma3Config,
    GemmaConfig,
    pattern,
)
from minimodels.architecture.hf.layout import (
    NAMES,
    Layout,
    number,
    read_rope,
    read_scaling,
    write_rope,
)
from minimodels.errors import UserError

ONE_WAY = {
    "hidden_act": ("gelu_pytorch_tanh", "gelu"),  # "gelu" is what Gemma's first release says
    "hidden_activation": (None, "gelu_pytorch_tanh"),
    "attention_bias": (False,),
    "attention_dropout": (0.0,),
    "use_bidirectional_attention": (None, False),
}
LATER = ONE_WAY | {
    "hidden_activation": ("gelu_pytorch_tanh",),
    "hidden_act": (None, "gelu_pytorch_tanh"),
}
SHARED = NAMES | {
    "norm_eps": "rms_norm_eps",
    "sliding_window": "sliding_window",
    "query_scale": "query_pre_attn_scalar",
    "attention_softcap": "attn_logit_softcapping",
    "logit_softcap": "final_logit_softcapping",
}


def _read(path, raw: dict, fields: dict) -> dict:
    found = read_rope(path, raw)
    if found.pop("rope_scaling") is not None:
        raise UserError(f"{path}: RoPE scaling is not implemented for {raw['model_type']}.")
    return found


def _write(config) -> dict:
    rope = {"rope_theta": config.rope_theta}
    return {**rope, "rope_parameters": {"rope_type": "default", **rope}}


def layer_types(path, raw: dict, every: int) -> tuple[str, ...] | None:
    """The kinds of the layers: listed by Transformers 5, elsewhere each `every`-th is full."""
    listed = raw.get("layer_types")
    if listed is None:
        layers = raw.get("num_hidden_layers")
        return pattern(layers, every) if isinstance(layers, int) else None
    if not isinstance(listed, list) or not set(listed) <= {FULL, SLIDING}:
        raise UserError(
            f"{path}: layer_types = {listed!r} is not implemented: only {FULL}, {SLIDING}."
        )
    return tuple(listed)


def _read_2(path, raw: dict, fields: dict) -> dict:
    return _read(path, raw, fields) | {"layer_types": layer_types(path, raw, every=2)}


def _write_2(config) -> dict:
    return _write(config) | {"layer_types": list(config.kinds)} | write_scale(config)


def write_scale(config) -> dict:
    """query_pre_attn_scalar as a whole number where it is one: Transformers takes no 256.0."""
    scale = config.query_scale
    return {"query_pre_attn_scalar": int(scale) if scale == int(scale) else scale}


def _read_3(path, raw: dict, fields: dict) -> dict:
    every = raw.get("sliding_window_pattern") or raw.get("_sliding_window_pattern") or 6
    return {"layer_types": layer_types(path, raw, every)} | two_ropes(path, raw)


def two_ropes(path, raw: dict) -> dict:
    """Two tables of RoPE, one a kind of layer (Transformers 5), or the older flat fields."""
    tables = raw.get("rope_parameters")
    if not (isinstance(tables, dict) and {FULL, SLIDING} & set(tables)):
        local = number(path, [raw], ("rope_local_base_freq",))
        return read_rope(path, raw) | {"rope_local_theta": local}
    full, local = tables.get(FULL) or {}, tables.get(SLIDING) or {}
    if read_scaling(path, local) is not None:
        raise UserError(f"{path}: RoPE scaling in sliding layers is not implemented.")
    older = number(path, [raw, local], ("rope_local_base_freq",))
    return {
        "rope_theta": number(path, [raw, full], ("rope_theta",)),
        "rope_scaling": read_scaling(path, full),
        "rope_local_theta": number(path, [local], ("rope_theta",)) or older,
    }


def _write_3(config) -> dict:
    return write_two_ropes(config) | write_scale(config)


def write_two_ropes(config) -> dict:
    full = write_rope(config.rope_theta, config.rope_scaling)
    scaled = {key: value for key, value in full.items() if key != "rope_theta"}
    older = {} if config.rope_scaling is None else {"rope_scaling": scaled}
    return {
        "rope_theta": config.rope_theta,
        "rope_local_base_freq": config.rope_local_theta,
        **older,
        "rope_parameters": {FULL: full, SLIDING: write_rope(config.rope_local_theta, None)},
        "layer_types": list(config.kinds),
    }


LAYOUTS = {
    "gemma": Layout(
        GemmaConfig,
        "GemmaForCausalLM",
        names=NAMES | {"norm_eps": "rms_norm_eps"},
        read=_read,
        write=_write,
        one_way=ONE_WAY,
        defaults={"head_dim": 256, "max_length": 8192},
    ),
    "gemma2": Layout(
        Gemma2Config,
        "Gemma2ForCausalLM",
        names=SHARED,
        read=_read_2,
        write=_write_2,
        one_way=LATER,
        defaults={"head_dim": 256, "max_length": 8192},
        known=("layer_types",),
    ),
    "gemma3_text": Layout(
        Gemma3Config,
        "Gemma3ForCausalLM",
        names=SHARED,
        read=_read_3,
        write=_write_3,
        one_way=LATER,
        defaults={"head_dim": 256, "max_length": 131_072, "sliding_window": 4096},
        known=(
            "layer_types", "rope_local_base_freq", "sliding_window_pattern",
            "_sliding_window_pattern",
        ),
    ),
}  # fmt: skip
