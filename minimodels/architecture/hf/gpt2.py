"""GPT-2 in the Hugging Face layout: matrices stand transposed, as (in, out).

The first release has no prefix "transformer." and stores the causal mask with each layer.
"""

from minimodels.architecture.configs.gpt2 import GPT2Config
from minimodels.architecture.hf.layout import Layout
from minimodels.errors import UserError

HOMES = {  # our module -> theirs
    "embed_tokens": "wte",
    "embed_positions": "wpe",
    "norm": "ln_f",
    "input_layernorm": "ln_1",
    "self_attn.qkv_proj": "attn.c_attn",
    "self_attn.o_proj": "attn.c_proj",
    "post_attention_layernorm": "ln_2",
    "mlp.up_proj": "mlp.c_fc",
    "mlp.down_proj": "mlp.c_proj",
}
PREFIX = "transformer."
LAYER = ("layers.", "h.")


def home(name: str, homes: dict[str, str], prefix: str, layer: tuple[str, str]) -> str:
    """Their name of one of our tensors, by a table of modules; `layer`: our and their "layers."."""
    module, _, last = name.rpartition(".")
    if not module.startswith(layer[0]):
        return f"{prefix}{homes[module]}.{last}"
    number, _, module = module.removeprefix(layer[0]).partition(".")
    return f"{prefix}{layer[1]}{number}.{homes[module]}.{last}"


def _split(name: str, tensor):
    if name.startswith("lm_head."):
        yield name, tensor
    elif name.endswith("_proj.weight"):
        yield home(name, HOMES, PREFIX, LAYER), tensor.T
    else:
        yield home(name, HOMES, PREFIX, LAYER), tensor


def _rename(name: str) -> str | None:
    if name.endswith((".attn.bias", ".attn.masked_bias")):
        return None  # the causal mask
    return name if name.startswith((PREFIX, "lm_head.")) else PREFIX + name


def share_heads(path, hidden_size, num_heads) -> dict:
    """num_kv_heads and head_dim of a model whose heads share the stream; {} if a size is absent."""
    if not (isinstance(hidden_size, int) and isinstance(num_heads, int) and num_heads > 0):
        return {}
    if hidden_size % num_heads:
        raise UserError(
            f"{path}: {hidden_size} numbers cannot be shared by {num_heads} heads: change one."
        )
    return {"num_kv_heads": num_heads, "head_dim": hidden_size // num_heads}


def _read(path, raw: dict, fields: dict) -> dict:
    D = fields["hidden_size"]
    found = share_heads(path, D, fields["num_heads"])
    if fields["intermediate_size"] is None and isinstance(D, int):
        found["intermediate_size"] = 4 * D
    return found


def _write(config) -> dict:
    return {"n_ctx": config.max_length}


LAYOUTS = {
    "gpt2": Layout(
        GPT2Config,
        "GPT2LMHeadModel",
        names={
            "vocab_size": "vocab_size",
            "hidden_size": "n_embd",
            "intermediate_size": "n_inner",
            "num_layers": "n_layer",
            "num_heads": "n_head",
            "max_length": "n_positions",
            "norm_eps": "layer_norm_epsilon",
            "tie_embeddings": "tie_word_embeddings",
            "init_std": "initializer_range",
        },
        read=_read,
        write=_write,
        one_way={
            "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
            "scale_attn_weights": (True,),
            "scale_attn_by_inverse_layer_idx": (False,),
            "reorder_and_upcast_attn": (False,),
            "add_cross_attention": (False,),
        },
        defaults={"max_length": 1024},
        known=(
            "n_ctx", "attn_pdrop", "embd_pdrop", "resid_pdrop", "summary_type", "summary_use_proj",
            "summary_activation", "summary_first_dropout", "summary_proj_to_labels",
        ),
        split=_split,
        rename=_rename,
    )
}  # fmt: skip
