"""config.json in its old and new forms; fields that would change the result are refused by name."""

import json

import pytest
import torch
from peers import peer, tokens_for

import minimodels
from minimodels.architecture.configs import CONFIGS
from minimodels.architecture.hf.config_json import config_fields, read_config
from minimodels.errors import UserError

GEMMA_2024 = {  # as the first release of the 2B was written
    "architectures": ["GemmaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "bos_token_id": 2, "eos_token_id": 1, "head_dim": 256, "hidden_act": "gelu",
    "hidden_activation": None, "hidden_size": 2048, "initializer_range": 0.02,
    "intermediate_size": 16384, "max_position_embeddings": 8192, "model_type": "gemma",
    "num_attention_heads": 8, "num_hidden_layers": 18, "num_key_value_heads": 1,
    "pad_token_id": 0, "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 10000.0,
    "torch_dtype": "bfloat16", "transformers_version": "4.38.0.dev0", "use_cache": True,
    "vocab_size": 256000,
}  # fmt: skip
NEMOTRON_2024 = {
    "architectures": ["NemotronForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "bos_token_id": 2, "eos_token_id": 3, "hidden_act": "relu2", "hidden_size": 6144,
    "initializer_range": 0.0134, "intermediate_size": 24576, "max_position_embeddings": 4096,
    "mlp_bias": False, "model_type": "nemotron", "norm_eps": 1e-05, "num_attention_heads": 48,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "partial_rotary_factor": 0.5,
    "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "use_cache": True, "vocab_size": 256000,
}  # fmt: skip


def read(folder, fields):
    (folder / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    return read_config(folder)


def test_the_released_form(tmp_path):
    assert read(tmp_path, GEMMA_2024) == CONFIGS["gemma-2b"]
    assert read(tmp_path, NEMOTRON_2024) == CONFIGS["nemotron-4-15b"]


@pytest.mark.parametrize("name", CONFIGS)
def test_ours_comes_back(name, tmp_path):
    assert read(tmp_path, config_fields(CONFIGS[name])) == CONFIGS[name]


@pytest.mark.parametrize("old", [GEMMA_2024, NEMOTRON_2024], ids=lambda c: c["model_type"])
def test_transformers_reads_the_same(old, tmp_path):
    """What Transformers makes of the old form, written in its new form, is the same config."""
    import transformers

    wanted = read(tmp_path, old)
    transformers.AutoConfig.from_pretrained(tmp_path).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert "rope_theta" not in written and "rope_theta" in written["rope_parameters"]
    assert read_config(tmp_path) == wanted


def test_what_the_file_does_not_say(tmp_path):
    silent = {"partial_rotary_factor", "norm_eps", "rope_theta"}
    short = {key: value for key, value in NEMOTRON_2024.items() if key not in silent}
    config = read(tmp_path, short | {"num_key_value_heads": None, "head_dim": None})
    assert (config.rotary_fraction, config.norm_eps) == (0.5, 1e-5)
    assert (config.num_kv_heads, config.head_dim) == (48, 128)


REFUSED = [
    ("gemma", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "RoPE scaling"),
    ("gemma", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "yarn"),
    ("gemma", {"rope_parameters": {"full_attention": {"rope_theta": 1e4}}}, "full_attention"),
    ("nemotron", {"rope_parameters": {"rope_theta": 5e5}}, "rope_theta"),  # said twice
    ("nemotron", {"rope_percent": 0.25}, "partial_rotary_factor"),
    ("gemma", {"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
    ("gemma", {"attention_bias": True}, "attention_bias"),
    ("nemotron", {"mlp_bias": True}, "mlp_bias"),
    ("nemotron", {"attention_dropout": 0.1}, "attention_dropout"),
    ("gemma", {"hidden_act": "silu"}, "hidden_act"),
    ("gemma", {"hidden_activation": "gelu"}, "hidden_activation"),
    ("nemotron", {"hidden_act": "relu"}, "hidden_act"),
    ("gemma", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
    ("gemma", {"quantization_config": {"bits": 4}}, "quantization_config"),
    ("gemma", {"sliding_window": 4096}, "sliding_window"),
    ("gemma", {"final_logit_softcapping": 30.0}, "final_logit_softcapping"),
    ("gemma", {"model_type": "gpt_neox"}, "model_type 'gpt_neox'"),
    ("gemma", {"model_type": None}, "model_type None"),
    ("gemma", {"hidden_size": None}, "hidden_size"),
    ("gemma", {"num_hidden_layers": "18"}, "num_layers = '18'"),
    ("gemma", {"num_key_value_heads": 3}, "num_kv_heads"),
]


@pytest.mark.parametrize("family, change, named", REFUSED, ids=str)
def test_refused_by_name(family, change, named, tmp_path):
    base = {"gemma": GEMMA_2024, "nemotron": NEMOTRON_2024}[family]
    with pytest.raises(UserError, match=named) as error:
        read(tmp_path, base | change)
    assert "config.json" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null"])
def test_a_broken_file(text, tmp_path):
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="config.json"):
        read_config(tmp_path)


@pytest.mark.parametrize("family", ["gemma", "nemotron"])
def test_old_form_gives_the_same_logits(family, tmp_path):
    theirs = peer(family, "gqa")
    theirs.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    rope = fields.pop("rope_parameters")
    rope.pop("rope_type")
    if family == "gemma":
        fields["hidden_activation"] = fields["hidden_act"]
    path.write_text(json.dumps(fields | rope), encoding="utf-8")
    ours, _ = minimodels.load(tmp_path, device="cpu")
    tokens = tokens_for(theirs)
    with torch.no_grad():
        assert (ours(tokens) - theirs(tokens).logits).abs().max() <= 1e-5
