"""Gemma 4 in the Hugging Face layout: the text's model, alone or out of the multimodal folder.

Published files say how full layers differ in global_head_dim and num_global_key_value_heads,
Transformers 5.23 writes it layer by layer into per_layer_config. Both are read, the first written.
"""

from minimodels.architecture.configs import FULL, SLIDING
from minimodels.architecture.configs.gemma4 import Gemma4Config
from minimodels.architecture.hf import gemma, gemma3n
from minimodels.architecture.hf.layout import Layout, Tensors, number
from minimodels.errors import UserError

EXPERTS = {
    "num_experts": "num_experts",
    "experts_per_token": "top_k_experts",
    "expert_size": "moe_intermediate_size",
}
ROPE = {  # where the file is silent
    FULL: {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1_000_000.0},
    SLIDING: {"rope_type": "default", "rope_theta": 10_000.0},
}


def split(name: str, tensor) -> Tensors:
    yield from gemma3n.split(name.replace(".router.weight", ".router.proj.weight"), tensor)


def _read(path, raw: dict, fields: dict) -> dict:
    kinds = gemma.layer_types(path, raw, every=6)
    found = {
        "layer_types": kinds,
        "per_layer_size": raw.get("hidden_size_per_layer_input", 256) or None,
        "num_shared_layers": raw.get("num_kv_shared_layers") or None,
        **_full_layers(path, raw, kinds or ()),
        **_rope(path, raw.get("rope_parameters") or ROPE),
    }
    if not raw.get("enable_moe_block"):  # then what is said of experts has no effect
        return found | dict.fromkeys(EXPERTS)
    return found


def _full_layers(path, raw: dict, kinds) -> dict:
    """How full layers differ from sliding ones; one way for all of them."""
    listed = raw.get("per_layer_config")
    if listed is None:
        heads = raw.get("num_global_key_value_heads") if raw.get("attention_k_eq_v") else None
        return {"full_head_dim": raw.get("global_head_dim", 512), "full_kv_heads": heads}
    way = _only_way(listed, {layer for layer, kind in enumerate(kinds) if kind == FULL})
    if way is None:
        raise UserError(
            f"{path}: per_layer_config = {listed!r} is not implemented: only one head_dim and "
            "num_key_value_heads for all full layers."
        )
    heads = way.get("num_key_value_heads")
    return {
        "full_head_dim": way.get("head_dim", raw.get("head_dim")),
        "full_kv_heads": None if heads == raw.get("num_key_value_heads") else heads,
    }


def _only_way(listed, layers: set[int]) -> dict | None:
    """What is said of each of `layers` and of no other, if it is one thing that we follow."""
    if not isinstance(listed, dict) or not all(isinstance(w, dict) for w in listed.values()):
        return None
    named = {int(layer) for layer in listed if layer.isdecimal()}  # "05" in a model of ten or more
    way = next(iter(listed.values()), {})
    known = set(way) <= {"head_dim", "num_key_value_heads"}
    return way if named == layers and known and all(w == way for w in listed.values()) else None


def _rope(path, tables) -> dict:
    """Base of both kinds of layers and the share of pairs that turns in full ones."""
    full, local = (tables.get(kind) or {} for kind in (FULL, SLIDING))
    kinds = [table.get("rope_type", "default") for table in (full, local)]
    others = {*full, *local} - {"rope_type", "rope_theta", "partial_rotary_factor"}
    if others or kinds[0] not in ("default", "proportional") or kinds[1] != "default":
        raise UserError(f"{path}: rope_parameters = {tables!r} is not implemented for gemma4_text.")
    share = number(path, [full], ("partial_rotary_factor",))
    return {
        "rope_theta": number(path, [full], ("rope_theta",)),
        "rope_local_theta": number(path, [local], ("rope_theta",)),
        "full_rotary_fraction": share if share and kinds[0] == "proportional" else 1.0,
    }


def _write(config: Gemma4Config) -> dict:
    full = {
        "rope_type": "proportional",
        "partial_rotary_factor": config.full_rotary_fraction,
        "rope_theta": config.rope_theta,
    }
    return {
        "layer_types": list(config.kinds),
        "hidden_size_per_layer_input": config.per_layer_size or 0,
        "num_kv_shared_layers": config.num_shared_layers or 0,
        "num_global_key_value_heads": config.full_kv_heads,
        "enable_moe_block": config.num_experts is not None,
        "rope_parameters": {
            FULL: full,
            SLIDING: {"rope_type": "default", "rope_theta": config.rope_local_theta},
        },
    }


LAYOUTS = {
    "gemma4_text": Layout(
        Gemma4Config,
        "Gemma4ForCausalLM",
        names=gemma3n.PER_LAYER
        | EXPERTS
        | {
            "full_head_dim": "global_head_dim",
            "k_eq_v": "attention_k_eq_v",
            "wide_shared": "use_double_wide_mlp",
        },
        read=_read,
        write=_write,
        one_way={
            "hidden_activation": ("gelu_pytorch_tanh",),
            "attention_bias": (False,),
            "attention_dropout": (0.0,),
            "use_bidirectional_attention": (None, "vision"),  # no effect on text
        },
        defaults={
            "head_dim": 256, "max_length": 131_072, "sliding_window": 512, "logit_softcap": None,
        },
        known=(
            "layer_types", "num_kv_shared_layers", "hidden_size_per_layer_input",
            "num_global_key_value_heads", "per_layer_config", "enable_moe_block",
        ),
        split=split,
        rename=gemma3n.rename,
        unused=gemma3n.unused,
    ),
    "gemma4": Layout(
        Gemma4Config,
        "Gemma4ForConditionalGeneration",
        names={},
        read=gemma3n.text_of("gemma4_text"),
        write=_write,
        known=tuple(gemma3n.AROUND),
    ),
}  # fmt: skip
