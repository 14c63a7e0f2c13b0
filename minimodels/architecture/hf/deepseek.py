"""DeepSeek-V3 in the Hugging Face layout: experts lie one by one on disk."""

from minimodels.architecture.configs.deepseek import DeepseekConfig
from minimodels.architecture.hf.layout import NAMES, Layout, plain, read_rope, write_rope
from minimodels.errors import UserError


def _read(path, raw: dict, fields: dict) -> dict:
    found = read_rope(path, raw)
    if found.pop("rope_scaling") is not None:
        raise UserError(f"{path}: RoPE scaling is not implemented for deepseek_v3.")
    if raw.get("qk_rope_head_dim") is None:
        raise UserError(f"{path} does not say qk_rope_head_dim: add what the model has.")
    found["num_dense_layers"] = raw.get("first_k_dense_replace") or None
    found["head_dim"] = raw["qk_rope_head_dim"]  # the file's own head_dim says the same, or nothing
    return found | {"num_kv_heads": fields["num_kv_heads"] or fields["num_heads"]}


def _write(config) -> dict:
    return {
        "qk_rope_head_dim": config.head_dim,
        "first_k_dense_replace": config.num_dense_layers or 0,
        "rope_theta": config.rope_theta,
        "rope_parameters": write_rope(config.rope_theta, None),
    }


def _split(name: str, tensor):
    """gate_up_proj (E, 2F, D) and down_proj (E, D, F) are cut into the experts."""
    home, _, last = name.partition(".experts.")
    if last == "gate_up_proj":
        for expert, both in enumerate(tensor):
            gate, up = both.chunk(2)
            yield f"model.{home}.experts.{expert}.gate_proj.weight", gate
            yield f"model.{home}.experts.{expert}.up_proj.weight", up
    elif last == "down_proj":
        for expert, down in enumerate(tensor):
            yield f"model.{home}.experts.{expert}.down_proj.weight", down
    else:
        yield from plain(name, tensor)


def _unused(name: str, config: DeepseekConfig) -> bool:
    """Layers behind the last one predict further tokens."""
    parts = name.split(".")
    return parts[:2] == ["model", "layers"] and int(parts[2]) >= config.num_layers


LAYOUTS = {
    "deepseek_v3": Layout(
        DeepseekConfig,
        "DeepseekV3ForCausalLM",
        names={our: theirs for our, theirs in NAMES.items() if our != "head_dim"}
        | {
            "norm_eps": "rms_norm_eps",
            "kv_lora_rank": "kv_lora_rank",
            "q_lora_rank": "q_lora_rank",
            "qk_nope_head_dim": "qk_nope_head_dim",
            "v_head_dim": "v_head_dim",
            "num_experts": "n_routed_experts",
            "experts_per_token": "num_experts_per_tok",
            "shared_experts": "n_shared_experts",
            "moe_intermediate_size": "moe_intermediate_size",
            "expert_groups": "n_group",
            "top_groups": "topk_group",
            "routed_scale": "routed_scaling_factor",
            "renormalize": "norm_topk_prob",
        },
        read=_read,
        write=_write,
        one_way={
            "hidden_act": ("silu",),
            "rope_interleave": (True,),
            "attention_bias": (False,),
            "attention_dropout": (0.0,),
            "scoring_func": (None, "sigmoid"),
            "topk_method": (None, "noaux_tc"),
            "moe_layer_freq": (None, 1),
            "pretraining_tp": (None, 1),
        },
        defaults={"max_length": 4096, "norm_eps": 1e-6},
        known=(
            "qk_rope_head_dim", "first_k_dense_replace", "qk_head_dim", "head_dim",
            "num_nextn_predict_layers", "num_mtp_layers", "output_router_logits", "ep_size",
            "aux_loss_alpha", "seq_aux",
        ),
        split=_split,
        unused=_unused,
    )
}  # fmt: skip
