"""Folders in and out: what comes back, what is refused in one sentence, what stays whole."""

import errno
import json

import pytest
import torch
from peers import peer, tokens_for, unsettle
from safetensors.torch import load_file, save_file

import minimodels
from minimodels.architecture import checkpoint
from minimodels.architecture.configs import NemotronConfig
from minimodels.data.tokenizer import train_tokenizer
from minimodels.errors import UserError

CONFIG = NemotronConfig(
    vocab_size=300, hidden_size=24, intermediate_size=32, num_layers=2, num_heads=2,
    num_kv_heads=1, head_dim=12, max_length=32,
)  # fmt: skip
TEXTS = ["Mira lives in Oslo. Ana lives in Rome. 12 and 30 make 42.\n"] * 3


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = minimodels.build(CONFIG, device="cpu")
    unsettle(model)
    return model


@pytest.fixture
def folder(model, tmp_path):
    minimodels.save(model, None, tmp_path / "model")
    return tmp_path / "model"


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def edit(folder, change):
    """Rewrite model.safetensors after change(tensors)."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def refused(folder, match):
    with pytest.raises(UserError, match=match) as error:
        minimodels.load(folder, device="cpu")
    assert "\n" not in str(error.value)


def test_what_is_saved_comes_back(model, folder):
    again, tokenizer = minimodels.load(folder, device="cpu")
    assert tokenizer is None and again.config == CONFIG and same(model, again)
    again.layers[0].mlp.up_proj.weight.data.zero_()  # a copy of the file, free to change
    assert same(model, minimodels.load(folder, device="cpu")[0])


def test_tokenizer_travels_along(model, folder, tmp_path):
    tokenizer = train_tokenizer(TEXTS, 290, tmp_path / "t.model")
    minimodels.save(model, tokenizer, folder)
    _, again = minimodels.load(folder, device="cpu")
    assert again.model_bytes == tokenizer.model_bytes
    fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (fields["bos_token_id"], fields["eos_token_id"], fields["pad_token_id"]) == (2, 1, 0)


def test_dtypes(model, folder):
    minimodels.save(model, None, folder, dtype=torch.bfloat16)
    assert minimodels.load(folder, device="cpu")[0].dtype == torch.float32
    half, _ = minimodels.load(folder, device="cpu", dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16 and same(half, model.to(torch.bfloat16))


@pytest.mark.parametrize("limit, files", [(1, 24), (20_000, 4), (10**9, 1)])
def test_shards(model, tmp_path, limit, files):
    minimodels.save(model, None, tmp_path / "new", max_shard_bytes=limit)
    sizes = [p.stat().st_size for p in (tmp_path / "new").glob("*.safetensors")]
    assert len(sizes) == files
    assert same(model, minimodels.load(tmp_path / "new", device="cpu")[0])


def test_others_may_read_what_is_saved(folder):
    """safetensors writes through a temporary file of mode 0600."""
    modes = {path.name: path.stat().st_mode for path in folder.iterdir()}
    assert modes["model.safetensors"] == modes["config.json"]


def test_compiled_models_save_as_themselves(model, tmp_path):
    minimodels.save(torch.compile(model, backend="eager"), None, tmp_path / "new")
    assert same(model, minimodels.load(tmp_path / "new", device="cpu")[0])


# ---- what load refuses


def test_missing_tensor(folder):
    edit(folder, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))
    refused(folder, r"lacks model\.layers\.1\.mlp\.up_proj\.weight")


def test_many_missing_tensors(folder):
    edit(folder, lambda tensors: [tensors.pop(key) for key in list(tensors)[5:]])
    refused(folder, r"and \d+ more tensors")


def test_extra_tensor(folder):
    edit(folder, lambda tensors: tensors.update({"model.layers.0.q_norm.weight": torch.ones(3)}))
    refused(folder, r"has model\.layers\.0\.q_norm\.weight, for which its config has no place")


def test_wrong_shape(folder):
    edit(folder, lambda tensors: tensors.update({"model.norm.weight": torch.ones(25)}))
    refused(folder, r"model\.norm\.weight has shape \(25,\), its config asks for \(24,\)")


def test_quantized_tensor(folder):
    norm = torch.ones(24, dtype=torch.int8)
    edit(folder, lambda tensors: tensors.update({"model.norm.weight": norm}))
    refused(folder, "quantized")


def test_tensors_that_rope_computes_are_passed_over(folder, model):
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    edit(folder, lambda tensors: tensors.update({name: torch.ones(3)}))
    assert same(model, minimodels.load(folder, device="cpu")[0])


def test_no_config(folder):
    (folder / "config.json").unlink()
    refused(folder, "has no config.json")


def test_folders_in_the_place_of_files(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    refused(folder, "model.safetensors is broken")
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    refused(folder, "config.json cannot be read")


NO_CONFIGS = [
    ({"model_type": ["nemotron"]}, "model_type .* is not supported"),
    ({"rope_parameters": ["default"]}, "no table of settings"),
    ({"rope_theta": "much", "rope_parameters": None}, "rope_theta = 'much' is no number"),
    ({"hidden_size": "24"}, "hidden_size = '24' is no positive int"),
    ({"partial_rotary_factor": [0.5]}, "partial_rotary_factor = .* is no number"),
]


@pytest.mark.parametrize("change, match", NO_CONFIGS, ids=str)
def test_fields_of_another_kind(folder, change, match):
    fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(fields | change), encoding="utf-8")
    refused(folder, match)


def test_no_weights(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, "has neither model.safetensors nor")


@pytest.mark.parametrize("size", [0, 4, 100, 5000])
def test_truncated_weights(folder, size):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    refused(folder, "model.safetensors is broken")


def test_missing_shard(model, folder):
    minimodels.save(model, None, folder, max_shard_bytes=20_000)
    (folder / "model-00002-of-00004.safetensors").unlink()
    refused(folder, "model-00002-of-00004.safetensors is missing")


@pytest.mark.parametrize("index", [[], {}, {"weight_map": {"model.norm.weight": "../x"}}])
def test_broken_index(folder, index):
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index), encoding="utf-8")
    refused(folder, "no proper weight_map")


@pytest.mark.parametrize("content", [b"no model", b""])
def test_broken_tokenizer(folder, content, capfd):
    (folder / "tokenizer.model").write_bytes(content)
    refused(folder, "tokenizer.model is not a SentencePiece model")
    assert capfd.readouterr().err == ""  # the library says nothing beside our sentence


def test_foreign_tokenizer(folder, tmp_path):
    train_tokenizer(TEXTS, 310, folder / "tokenizer.model")
    refused(folder, "310 pieces but the model embeds 300")


def test_unknown_names(folder):
    refused(folder.parent / "modle", "there is no folder and no shipped model called")
    refused("gemma-7b", "not shipped with weights")
    refused(folder / "config.json", "no config.json")


def test_near_names(folder, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHIPPED", folder.parent)
    assert minimodels.load("model", device="cpu")[0].config == CONFIG
    refused("mdel", "did you mean model")
    refused("zzz", "shipped are model")


# ---- what save refuses


def test_full_disk(model, folder, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = (folder / "model.safetensors").read_bytes()
    monkeypatch.setattr("minimodels.architecture.weights.save_file", full)
    with torch.no_grad():
        model.norm.weight.add_(1)
    with pytest.raises(UserError, match="disk is full"):
        minimodels.save(model, None, folder)
    assert (folder / "model.safetensors").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_full_disk_as_safetensors_tells_it(model, folder, monkeypatch):
    from safetensors import SafetensorError

    def full(*_, **__):
        raise SafetensorError("Error: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("minimodels.architecture.weights.save_file", full)
    with pytest.raises(UserError, match="disk is full"):
        minimodels.save(model, None, folder)
    minimodels.load(folder, device="cpu")


def test_a_folder_of_something_else_is_left_alone(model, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(UserError, match="no checkpoint"):
        minimodels.save(model, None, tmp_path)
    with pytest.raises(UserError, match="no checkpoint"):
        minimodels.save(model, None, tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_changed_models_are_not_saved_as_plain_ones(model, tmp_path):
    model.layers[0].mlp.up_proj.lora_A = torch.nn.Linear(24, 2)
    with pytest.raises(UserError, match="the model has .*lora_A"):
        minimodels.save(model, None, tmp_path / "new")
    assert not (tmp_path / "new").exists()


# ---- adapters


@pytest.fixture
def adapted(tmp_path, monkeypatch):
    """(PEFT's merged model, folder of its adapter); the base is shipped as "base"."""
    from peft import LoraConfig, get_peft_model

    theirs = peer("gemma", "gqa", tie_word_embeddings=False)
    theirs.save_pretrained(tmp_path / "base")
    settings = LoraConfig(
        r=3, lora_alpha=5, target_modules=["q_proj", "down_proj"], modules_to_save=["embed_tokens"]
    )
    lora = get_peft_model(theirs, settings)
    with torch.no_grad():
        for name, weight in lora.named_parameters():
            if "lora" in name or "modules_to_save" in name:
                weight.add_(0.2 * torch.randn_like(weight))
    lora.peft_config["default"].base_model_name_or_path = "base"
    lora.save_pretrained(tmp_path / "chat")
    monkeypatch.setattr(checkpoint, "SHIPPED", tmp_path)
    return lora.merge_and_unload(), tmp_path / "chat"


@torch.no_grad()
def test_adapter_equals_peft(adapted):
    theirs, _ = adapted
    tokens = tokens_for(theirs)
    wanted = theirs(tokens).logits
    assert (minimodels.load("chat", device="cpu")[0](tokens) - wanted).abs().max() <= 1e-5
    assert (minimodels.load("base", device="cpu")[0](tokens) - wanted).abs().max() > 0.1
    rows = {row.name: row for row in minimodels.models()}
    assert rows["chat"].shipped and rows["chat"].parameters == rows["base"].parameters


ADAPTER_FAULTS = [
    ({"use_dora": True}, "use_dora"),
    ({"alpha_pattern": {"q_proj": 2}}, "alpha_pattern"),
    ({"peft_type": "IA3"}, "LoRA"),
    ({"r": None}, "does not say r"),
    ({"lora_alpha": "16"}, "lora_alpha = '16' is no number"),
    ({"base_model_name_or_path": "bsae"}, "did you mean base"),
    ({"base_model_name_or_path": None}, "base_model_name_or_path"),
]


@pytest.mark.parametrize("change, match", ADAPTER_FAULTS, ids=str)
def test_other_adapters_are_refused(adapted, change, match):
    path = adapted[1] / "adapter_config.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(fields | change), encoding="utf-8")
    refused("chat", match)


@pytest.mark.parametrize("fault", ["no B", "no A", "elsewhere", "shape"])
def test_adapter_tensors_that_do_not_fit(adapted, fault):
    path = adapted[1] / "adapter_model.safetensors"
    tensors = load_file(path)
    one = next(name for name in tensors if "lora_A" in name)
    if fault == "no B":
        tensors.pop(one.replace("lora_A", "lora_B"))
    elif fault == "no A":
        tensors.pop(one)
    elif fault == "elsewhere":
        tensors["base_model.model.model.layers.9.mlp.up_proj.weight"] = torch.ones(2, 2)
    else:
        tensors[one] = torch.ones(3, 1)
    save_file(tensors, path)
    refused("chat", "no place" if fault != "shape" else "does not fit")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(number, tmp_path):
    model = minimodels.build("gemma-mini", device="cpu")
    with torch.no_grad():
        model.layers[2].mlp.up_proj.weight[3, 4] = number
    minimodels.save(model, None, tmp_path / "m")
    with pytest.raises(UserError, match="layers.2.mlp.up_proj.weight holds NaN or infinity"):
        minimodels.load(tmp_path / "m", device="cpu")
