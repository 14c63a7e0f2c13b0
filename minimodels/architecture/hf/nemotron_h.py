"""Nemotron-H and Nemotron 3 Nano in the Hugging Face layout: experts lie one by one on disk."""

from minimodels.architecture.configs.base import FULL
from minimodels.architecture.configs.nemotron_h import LETTERS, MAMBA, NemotronHConfig
from minimodels.architecture.hf.layout import NAMES, Layout
from minimodels.errors import UserError

OLDER = {"mamba": MAMBA, "attention": FULL}


def _read(path, raw: dict, fields: dict) -> dict:
    """The kinds of the blocks, listed or as a word of letters."""
    letters, listed = raw.get("hybrid_override_pattern"), raw.get("layers_block_type")
    if listed is None and isinstance(letters, str):
        if set(letters) - set(LETTERS):
            raise UserError(f"{path}: hybrid_override_pattern = {letters!r} is not implemented.")
        listed = [LETTERS[letter] for letter in letters]
    if not isinstance(listed, list):
        raise UserError(f"{path} does not say layers_block_type: add what the model has.")
    kinds = tuple(OLDER.get(kind, kind) for kind in listed)
    found = {"layer_types": kinds, "num_layers": len(kinds)}
    return found | {"num_kv_heads": fields["num_kv_heads"] or fields["num_heads"]}


def _write(config) -> dict:
    return {"layers_block_type": list(config.kinds)}


def _split(name: str, tensor):
    """embed_tokens and the last norm have other names, experts (E, …) are cut apart."""
    if name.startswith("lm_head."):
        yield name, tensor
    elif name.endswith((".experts.up_proj", ".experts.down_proj")):
        start, _, part = name.rpartition(".")
        for expert, matrix in enumerate(tensor):
            yield f"backbone.{start}.{expert}.{part}.weight", matrix
    else:
        other = {"embed_tokens.weight": "embeddings.weight", "norm.weight": "norm_f.weight"}
        yield "backbone." + other.get(name, name), tensor


def _rename(name: str) -> str:
    return "backbone." + name.removeprefix("model.") if name.startswith("model.") else name


LAYOUTS = {
    "nemotron_h": Layout(
        NemotronHConfig,
        "NemotronHForCausalLM",
        names=NAMES
        | {
            "norm_eps": "layer_norm_epsilon",
            "mamba_num_heads": "mamba_num_heads",
            "mamba_head_dim": "mamba_head_dim",
            "mamba_groups": "n_groups",
            "ssm_state_size": "ssm_state_size",
            "conv_kernel": "conv_kernel",
            "chunk_size": "chunk_size",
            "time_step_min": "time_step_min",
            "num_experts": "n_routed_experts",
            "experts_per_token": "num_experts_per_tok",
            "moe_intermediate_size": "moe_intermediate_size",
            "shared_intermediate_size": "moe_shared_expert_intermediate_size",
            "moe_latent_size": "moe_latent_size",
            "routed_scale": "routed_scaling_factor",
            "expert_groups": "n_group",
            "top_groups": "topk_group",
            "renormalize": "norm_topk_prob",
        },
        read=_read,
        write=_write,
        one_way={
            "mlp_hidden_act": ("relu2",),
            "mamba_hidden_act": ("silu",),
            "attention_bias": (False,),
            "mlp_bias": (False,),
            "use_bias": (False,),
            "mamba_proj_bias": (False,),
            "use_conv_bias": (True,),
            "attention_dropout": (0.0,),
            "hidden_dropout": (0.0,),
            "n_shared_experts": (1,),
            "num_nextn_predict_layers": (0,),
            "residual_in_fp32": (False,),
        },
        defaults={"max_length": 4096, "head_dim": 128},
        known=(
            "layers_block_type", "hybrid_override_pattern", "expand", "time_step_max",
            "time_step_floor", "time_step_limit", "mamba_ssm_cache_dtype", "num_logits_to_keep",
            "use_mamba_kernels", "rescale_prenorm_residual", "mtp_layers_block_type",
            "mtp_hybrid_override_pattern", "moe_shared_expert_overlap", "output_router_logits",
        ),
        split=_split,
        rename=_rename,
    )
}  # fmt: skip
