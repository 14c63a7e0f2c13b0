"""LLaMA and Mixtral in the Hugging Face layout.

Mixtral's files hold each expert by itself as w1 (gate), w3 (up) and w2 (down); here they are fused.
"""

from minimodels.architecture.configs import LlamaConfig, MixtralConfig
from minimodels.architecture.hf.layout import NAMES, Layout, plain, read_rope, write_rope
from minimodels.errors import UserError

ONE_WAY = {
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "attention_dropout": (0.0,),
    "pretraining_tp": (None, 1),  # how a matrix product was cut in training: no effect
}


def _read(path, raw: dict, fields: dict) -> dict:
    found = read_rope(path, raw)
    found["num_kv_heads"] = fields["num_kv_heads"] or fields["num_heads"]
    if not fields["head_dim"] and fields["num_heads"] and fields["hidden_size"]:
        found["head_dim"] = fields["hidden_size"] // fields["num_heads"]
    return found


def _write(config) -> dict:
    rope = write_rope(config.rope_theta, config.rope_scaling)
    older = {} if config.rope_scaling is None else {"rope_scaling": rope}
    return {"rope_theta": config.rope_theta, **older, "rope_parameters": rope}


def _read_mixtral(path, raw: dict, fields: dict) -> dict:
    found = _read(path, raw, fields)
    if found.pop("rope_scaling") is not None:
        raise UserError(f"{path}: RoPE scaling is not implemented for mixtral.")
    return found


def _split_mixtral(name: str, tensor):
    """gate_up_proj (E, 2F, D) and down_proj (E, D, F) are cut into the experts."""
    start, _, last = name.partition(".mlp.")
    home = f"model.{start}.block_sparse_moe"
    if last == "gate.weight":
        yield f"{home}.gate.weight", tensor
    elif last == "experts.gate_up_proj":
        for expert, both in enumerate(tensor):
            gate, up = both.chunk(2)
            yield f"{home}.experts.{expert}.w1.weight", gate
            yield f"{home}.experts.{expert}.w3.weight", up
    elif last == "experts.down_proj":
        for expert, down in enumerate(tensor):
            yield f"{home}.experts.{expert}.w2.weight", down
    else:
        yield from plain(name, tensor)


LAYOUTS = {
    "llama": Layout(
        LlamaConfig,
        "LlamaForCausalLM",
        names=NAMES | {"norm_eps": "rms_norm_eps"},
        read=_read,
        write=_write,
        one_way=ONE_WAY,
        defaults={"max_length": 2048, "norm_eps": 1e-6},
    ),
    "mixtral": Layout(
        MixtralConfig,
        "MixtralForCausalLM",
        names=NAMES
        | {
            "norm_eps": "rms_norm_eps",
            "num_experts": "num_local_experts",
            "experts_per_token": "num_experts_per_tok",
        },
        read=_read_mixtral,
        write=_write,
        one_way=ONE_WAY | {"sliding_window": (None,), "router_jitter_noise": (0.0, None)},
        known=("output_router_logits", "router_aux_loss_coef", "num_experts"),  # of training
        split=_split_mixtral,
    ),
}
