"""BERT in the Hugging Face layout: the files of BertForMaskedLM, and of the released pretraining.

The release also holds a pooler and a head that says whether one text follows another; both are left
out. Its norms say gamma and beta.
"""

from minimodels.architecture.configs.bert import BertConfig
from minimodels.architecture.hf.gpt2 import home, share_heads
from minimodels.architecture.hf.layout import Layout

HOMES = {  # our module -> theirs
    "embed_tokens": "bert.embeddings.word_embeddings",
    "embed_positions": "bert.embeddings.position_embeddings",
    "embed_token_types": "bert.embeddings.token_type_embeddings",
    "input_norm": "bert.embeddings.LayerNorm",
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "self_attn.o_proj": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up_proj": "intermediate.dense",
    "down_proj": "output.dense",
    "mlp_norm": "output.LayerNorm",
    "head": "cls.predictions",
    "head.dense": "cls.predictions.transform.dense",
    "head.norm": "cls.predictions.transform.LayerNorm",
}
OTHERS = ("bert.pooler.", "cls.seq_relationship.", "cls.predictions.decoder.")


def _split(name: str, tensor):
    yield home(name, HOMES, "", ("layers.", "bert.encoder.layer.")), tensor


def _rename(name: str) -> str | None:
    if name.startswith(OTHERS) or name.endswith(".position_ids"):
        return None
    ends = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
    for old, new in ends.items():
        name = name.removesuffix(old) + new if name.endswith(old) else name
    return name


def _read(path, raw: dict, fields: dict) -> dict:
    return share_heads(path, fields["hidden_size"], fields["num_heads"])


def _write(config) -> dict:
    return {}


LAYOUTS = {
    "bert": Layout(
        BertConfig,
        "BertForMaskedLM",
        names={
            "vocab_size": "vocab_size",
            "hidden_size": "hidden_size",
            "intermediate_size": "intermediate_size",
            "num_layers": "num_hidden_layers",
            "num_heads": "num_attention_heads",
            "max_length": "max_position_embeddings",
            "num_token_types": "type_vocab_size",
            "norm_eps": "layer_norm_eps",
            "init_std": "initializer_range",
        },
        read=_read,
        write=_write,
        one_way={
            "hidden_act": ("gelu",),
            "position_embedding_type": (None, "absolute"),
            "is_decoder": (False,),
            "add_cross_attention": (False,),
            "tie_word_embeddings": (True,),
        },
        defaults={"max_length": 512},
        known=(
            "attention_probs_dropout_prob", "hidden_dropout_prob", "classifier_dropout",
            "gradient_checkpointing",
        ),
        split=_split,
        rename=_rename,
    )
}  # fmt: skip
