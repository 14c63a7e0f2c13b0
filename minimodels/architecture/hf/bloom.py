"""BLOOM in the Hugging Face layout; the released files have no prefix "transformer."."""

from minimodels.architecture.configs.bloom import BloomConfig
from minimodels.architecture.hf.gpt2 import home, share_heads
from minimodels.architecture.hf.layout import Layout
from minimodels.errors import UserError

HOMES = {  # our module -> theirs
    "embed_tokens": "word_embeddings",
    "input_norm": "word_embeddings_layernorm",
    "norm": "ln_f",
    "input_layernorm": "input_layernorm",
    "self_attn.qkv_proj": "self_attention.query_key_value",
    "self_attn.o_proj": "self_attention.dense",
    "post_attention_layernorm": "post_attention_layernorm",
    "mlp.up_proj": "mlp.dense_h_to_4h",
    "mlp.down_proj": "mlp.dense_4h_to_h",
}
PREFIX = "transformer."


def _split(name: str, tensor):
    if name.startswith("lm_head."):
        yield name, tensor
    else:
        yield home(name, HOMES, PREFIX, ("layers.", "h.")), tensor


def _rename(name: str) -> str:
    return name if name.startswith((PREFIX, "lm_head.")) else PREFIX + name


def _read(path, raw: dict, fields: dict) -> dict:
    """The release says n_embed and num_attention_heads where Transformers 5 has other names."""
    D = fields["hidden_size"] or raw.get("n_embed")
    heads = fields["num_heads"] or raw.get("num_attention_heads")
    found = {"hidden_size": D, "num_heads": heads, **share_heads(path, D, heads)}
    found["num_layers"] = fields["num_layers"] or raw.get("num_hidden_layers")
    return found | ({"intermediate_size": 4 * D} if isinstance(D, int) else {})


def _write(config) -> dict:
    if config.intermediate_size != 4 * config.hidden_size:
        raise UserError(
            f"intermediate_size = {config.intermediate_size} is not 4 · hidden_size: a BLOOM "
            "folder has no place for it."
        )
    return {"pretraining_tp": 1, "slow_but_exact": False}


LAYOUTS = {
    "bloom": Layout(
        BloomConfig,
        "BloomForCausalLM",
        names={
            "vocab_size": "vocab_size",
            "hidden_size": "hidden_size",
            "num_layers": "n_layer",
            "num_heads": "n_head",
            "max_length": "seq_length",
            "norm_eps": "layer_norm_epsilon",
            "tie_embeddings": "tie_word_embeddings",
            "init_std": "initializer_range",
        },
        read=_read,
        write=_write,
        one_way={"apply_residual_connection_post_layernorm": (False,)},
        defaults={"max_length": 2048},
        known=(
            "n_embed", "num_attention_heads", "num_hidden_layers", "attention_dropout",
            "hidden_dropout", "pretraining_tp", "slow_but_exact", "attention_softmax_in_fp32",
            "bias_dropout_fusion", "masked_softmax_fusion", "offset_alibi", "skip_bias_add",
            "skip_bias_add_qkv", "unk_token_id",
        ),
        split=_split,
        rename=_rename,
    )
}  # fmt: skip
