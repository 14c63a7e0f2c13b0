"""Nemotron-4 and Minitron in the Hugging Face layout."""

from minimodels.architecture.configs import NemotronConfig
from minimodels.architecture.hf.layout import NAMES, Layout, read_rope


def _read(path, raw: dict, fields: dict) -> dict:
    found = read_rope(path, raw, fraction_too=True)
    found["num_kv_heads"] = fields["num_kv_heads"] or fields["num_heads"]
    if not fields["head_dim"] and fields["num_heads"] and fields["hidden_size"]:
        found["head_dim"] = fields["hidden_size"] // fields["num_heads"]
    return found


def _write(config) -> dict:
    rope = {"rope_theta": config.rope_theta, "partial_rotary_factor": config.rotary_fraction}
    return {**rope, "rope_parameters": {"rope_type": "default", **rope}}


LAYOUTS = {
    "nemotron": Layout(
        NemotronConfig,
        "NemotronForCausalLM",
        names=NAMES | {"norm_eps": "norm_eps"},
        read=_read,
        write=_write,
        one_way={
            "hidden_act": ("relu2",),
            "attention_bias": (False,),
            "mlp_bias": (False,),
            "attention_dropout": (0.0,),
        },
        defaults={"max_length": 4096},
    )
}
