"""Transformers' own models as the reference, tiny and random, with weights that hide nothing.

Fresh weights are so small that many mistakes change nothing visible: matrices are scaled up and
norms moved away from identity. Caps and windows are small for the same reason.
"""

import torch

SHAPES = {  # vocab, hidden, intermediate, layers, heads, kv heads, head_dim
    "mha": (97, 36, 57, 2, 3, 3, 20),
    "gqa": (101, 48, 40, 3, 6, 2, 8),
    "mqa": (64, 40, 111, 2, 5, 1, 12),
    "wide": (130, 24, 64, 1, 4, 2, 16),  # heads wider together than the residual stream
}
NAMES = (
    "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads "
    "num_key_value_heads head_dim"
).split()
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16, "rope_theta": 500.0}  # fmt: skip
LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 300.0}
PLAIN = {"rope_type": "default", "rope_theta": 200.0}
CLASSES = {
    "gemma": "GemmaConfig",
    "gemma2": "Gemma2Config",
    "gemma3_text": "Gemma3TextConfig",
    "gemma3n_text": "Gemma3nTextConfig",
    "gemma4_text": "Gemma4TextConfig",
    "llama": "LlamaConfig",
    "mixtral": "MixtralConfig",
    "nemotron": "NemotronConfig",
    "nemotron_h": "NemotronHConfig",
}
FAMILIES = tuple(CLASSES)
CALM = {"nemotron_h": 0.8}  # at 1.5 their own answers differ by 3e-5 between one go and pieces


def fields(family: str, shape: str) -> dict:
    """What a family's config says in a shape: small sizes, and the family's own options."""
    given = dict(zip(NAMES, SHAPES[shape], strict=True))
    given |= {"max_position_embeddings": 64, "pad_token_id": None}
    return given | OPTIONS.get(family, lambda shape, layers: {})(shape, given["num_hidden_layers"])


def _nemotron(shape: str, layers: int) -> dict:
    return {"partial_rotary_factor": {"gqa": 0.25, "mqa": 1.0}.get(shape, 0.5)}


def _gemma2(shape: str, layers: int) -> dict:
    return {
        "sliding_window": {"mha": 8, "gqa": 5, "mqa": 4, "wide": 2}[shape],
        "attn_logit_softcapping": None if shape == "wide" else 2.0,
        "final_logit_softcapping": None if shape == "mqa" else 3.0,
        "query_pre_attn_scalar": 7,
    }


def _gemma3(shape: str, layers: int) -> dict:
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    return {
        "sliding_window": {"mha": 8, "gqa": 5, "mqa": 30, "wide": 3}[shape],
        "query_pre_attn_scalar": 7,
        "layer_types": kinds[:layers],
        "final_logit_softcapping": 3.0 if shape == "mqa" else None,
        "rope_parameters": {
            "sliding_attention": dict(PLAIN),
            "full_attention": dict(PLAIN if shape == "mha" else LINEAR),
        },
    }


def _gemma3n(shape: str, layers: int) -> dict:
    kinds = {
        "mha": "sfsf", "gqa": "ssfsf", "mqa": "sfssf", "wide": "fs",
    }[shape]  # fmt: skip
    L, width = len(kinds), SHAPES[shape][2]
    return {
        "num_hidden_layers": L,
        "layer_types": _kinds(kinds),
        "num_kv_shared_layers": {"mha": 2, "gqa": 2, "mqa": 3, "wide": 0}[shape],
        "sliding_window": {"mha": 8, "gqa": 5, "mqa": 4, "wide": 3}[shape],
        "intermediate_size": width if shape == "mha" else [width + 8 * (i % 2) for i in range(L)],
        "activation_sparsity_pattern": None if shape == "mha" else [0.7, 0.4] + [0.0] * (L - 2),
        "hidden_size_per_layer_input": {"mha": 10, "gqa": 9, "mqa": 14, "wide": 12}[shape],
        "vocab_size_per_layer_input": SHAPES[shape][0] - 7,
        "altup_num_inputs": {"mha": 2, "gqa": 4, "mqa": 3, "wide": 4}[shape],
        "laurel_rank": 4,
        "final_logit_softcapping": 3.0,
        "rope_parameters": {
            "sliding_attention": dict(PLAIN),
            "full_attention": dict(LINEAR if shape == "gqa" else PLAIN),
        },
    }


def _gemma4(shape: str, layers: int) -> dict:
    kinds = {"mha": "sfsf", "gqa": "sfsf", "mqa": "ssfssf", "wide": "sff"}[shape]
    told, shared = {"mha": (10, 2), "gqa": (0, 0), "mqa": (14, 3), "wide": (12, 1)}[shape]
    given = {
        "num_hidden_layers": len(kinds),
        "layer_types": _kinds(kinds),
        "num_kv_shared_layers": shared,
        "use_double_wide_mlp": shape == "mqa",
        "sliding_window": {"mha": 8, "gqa": 5, "mqa": 4, "wide": 3}[shape],
        "global_head_dim": {"mha": 24, "gqa": 16, "mqa": 16, "wide": 8}[shape],
        "attention_k_eq_v": shape in ("gqa", "wide"),
        "num_global_key_value_heads": {"gqa": 3, "wide": 1}.get(shape),
        "hidden_size_per_layer_input": told,
        "vocab_size_per_layer_input": SHAPES[shape][0],
        "final_logit_softcapping": None if shape == "wide" else 3.0,
        "rope_parameters": {
            "sliding_attention": dict(PLAIN),
            "full_attention": {
                "rope_type": "proportional", "partial_rotary_factor": 0.5, "rope_theta": 300.0,
            },
        },
    }  # fmt: skip
    experts = {"num_experts": 5, "top_k_experts": 2, "moe_intermediate_size": 12}
    return given | (experts | {"enable_moe_block": True} if shape in ("gqa", "wide") else {})


def _kinds(letters: str) -> list[str]:
    return [{"s": "sliding_attention", "f": "full_attention"}[letter] for letter in letters]


def _llama(shape: str, layers: int) -> dict:
    rope = {"mha": PLAIN, "gqa": LLAMA3, "mqa": LINEAR, "wide": LLAMA3}[shape]
    return {"rope_parameters": dict(rope), "tie_word_embeddings": shape == "mqa"}


def _mixtral(shape: str, layers: int) -> dict:
    experts = {"mha": (4, 2), "gqa": (5, 2), "mqa": (3, 1), "wide": (8, 3)}[shape]
    return {"num_local_experts": experts[0], "num_experts_per_tok": experts[1]}


def _nemotron_h(shape: str, layers: int) -> dict:
    letters = {"mha": "M-M*", "gqa": "ME*E", "mqa": "*M-M", "wide": "EM*"}[shape]
    return {
        "num_hidden_layers": len(letters),
        "hybrid_override_pattern": letters,
        "mamba_num_heads": 4, "mamba_head_dim": 6, "ssm_state_size": 5, "chunk_size": 8,
        "n_groups": {"mha": 1, "wide": 4}.get(shape, 2), "conv_kernel": 3 if shape == "mqa" else 4,
        "n_routed_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 12,
        "moe_shared_expert_intermediate_size": 20, "routed_scaling_factor": 2.5,
        "moe_latent_size": 16 if shape == "gqa" else None,
        "n_group": 2 if shape == "wide" else 1, "topk_group": 1,
    }  # fmt: skip


OPTIONS = {
    "nemotron_h": _nemotron_h,
    "nemotron": _nemotron,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "gemma3n_text": _gemma3n,
    "gemma4_text": _gemma4,
    "llama": _llama,
    "mixtral": _mixtral,
}


def peer(family: str, shape: str, seed: int = 0, **changes):
    """Transformers' model of a family in one of SHAPES, float32, with unsettled weights."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    config = getattr(transformers, CLASSES[family])(**(fields(family, shape) | changes))
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, **plain(family))
    unsettle(model, CALM.get(family, 1.5))
    return model.float().eval()


def plain(family: str) -> dict:
    """Implementations of theirs that do all that the config says, on any shape."""
    return {
        "attn_implementation": "eager" if family == "gemma2" else "sdpa",  # caps are eager's alone
        "experts_implementation": "eager",  # their grouped product wants widths in multiples of 4
    }


@torch.no_grad()
def unsettle(model, scale: float = 1.5) -> None:
    """Matrices to a size at which every part matters, norms away from identity."""
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            weight.copy_(0.5 * torch.randn_like(weight))
        elif "embed_tokens" in name or "lm_head" in name:
            weight.copy_(0.3 * torch.randn_like(weight))
        else:
            weight.copy_(scale * torch.randn_like(weight) / weight.shape[-1] ** 0.5)
    for name, number in model.named_buffers():
        if name.endswith("layer_scalar"):  # Gemma 4 multiplies what each layer leaves
            number.uniform_(0.5, 1.5)
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.copy_(0.2 * torch.randn_like(buffer))


def tokens_for(model, batch: int = 2, length: int = 23):
    vocab = model.config.vocab_size
    return torch.randint(0, vocab, (batch, length), generator=torch.Generator().manual_seed(7))
