"""LoRA by hand: no change at the start, equal to PEFT on Transformers' model, merged equals not."""

import pytest
import torch
from peft import LoraConfig as PeftConfig
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from minimodels.architecture import checkpoint
from minimodels.architecture.build import build
from minimodels.errors import UserError
from minimodels.files import read_json, write_json
from minimodels.finetuning import lora
from minimodels.training.trainer import TrainConfig, train

TOKENS = torch.randint(0, 400, (2, 17), generator=torch.Generator().manual_seed(0))
TARGETS = [None, ("q_proj", "v_proj"), ("o_proj", "down_proj")]


def shaken(model, *settings):
    """The model with adapters whose B is not zero, as after training."""
    torch.manual_seed(1)
    lora.apply(model, *settings)
    with torch.no_grad():
        for layer in lora.adapters(model).values():
            layer.lora_B.normal_(0, 0.3)
    return model


@pytest.mark.parametrize("targets", TARGETS)
def test_no_change_at_the_start_and_equal_after_merging(model, targets):
    with torch.no_grad():
        plain = model(TOKENS)
        lora.apply(model, 4, 8, targets)
        assert torch.equal(model(TOKENS), plain)
        lora.merge(model)
        adapted = shaken(model, 4, 8, targets)(TOKENS)
        assert (adapted - plain).abs().max() > 0.1
        names = [name for name, _ in build(model.config, device="meta").named_parameters()]
        merged = lora.merge(model)
        assert (merged(TOKENS) - adapted).abs().max() < 1e-4 * adapted.abs().max()
    assert [name for name, _ in merged.named_parameters()] == names
    assert all(p.requires_grad for p in merged.parameters())


@pytest.mark.parametrize("targets", TARGETS)
def test_peft_loads_what_we_save(model, targets, tmp_path):
    checkpoint.save(model, None, tmp_path / "base")
    shaken(model, 4, 12, targets)
    lora.save(model, tmp_path / "adapter", base=tmp_path / "base")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    with torch.no_grad():
        plain = theirs(TOKENS).logits
        theirs = PeftModel.from_pretrained(theirs, tmp_path / "adapter")
        ours, peft = model(TOKENS), theirs(TOKENS).logits
    assert (ours - peft).abs().max() <= 1e-5
    assert (plain - peft).abs().max() > 0.1


def test_we_load_what_peft_saves(model, tmp_path):
    checkpoint.save(model, None, tmp_path / "base")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    settings = PeftConfig(r=3, lora_alpha=5, target_modules="all-linear", init_lora_weights=False,
                          task_type="CAUSAL_LM")
    theirs = get_peft_model(theirs, settings).eval()
    theirs.save_pretrained(tmp_path / "adapter")
    with torch.no_grad():
        peft = theirs(TOKENS).logits
        assert (lora.load(model, tmp_path / "adapter")(TOKENS) - peft).abs().max() <= 1e-5
        merged, _ = checkpoint.load(tmp_path / "adapter", device="cpu")
        assert (merged(TOKENS) - peft).abs().max() <= 1e-5
    counts = theirs.get_nb_trainable_parameters()
    assert lora.trainable_parameters(model) == counts[0]
    assert set(lora._tensors(lora.adapters(model))) == set(
        load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    )


def test_training_moves_the_adapter_and_nothing_else(model):
    before = {name: p.clone() for name, p in model.named_parameters()}
    lora.apply(model, 4, 8)
    batches = lambda step: (TOKENS[:, :-1].contiguous(), TOKENS[:, 1:].contiguous())  # noqa: E731
    rows = list(train(model, batches, TrainConfig(30, 1e-2, warmup_steps=3), progress=False))
    assert rows[-1]["loss"] < rows[0]["loss"] - 1
    after = {n.replace(".base.", "."): p for n, p in model.named_parameters() if "lora_" not in n}
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_gradients_equal_pefts(model, tmp_path):
    checkpoint.save(model, None, tmp_path / "base")
    shaken(model, 4, 12)
    lora.save(model, tmp_path / "adapter", base="base")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    theirs = PeftModel.from_pretrained(theirs, tmp_path / "adapter", is_trainable=True)
    model(TOKENS).square().mean().backward()
    theirs(TOKENS).logits.square().mean().backward()
    ours = {lora._stored_name(n, part): getattr(layer, part).grad
            for n, layer in lora.adapters(model).items() for part in ("lora_A", "lora_B")}
    peft = {n.replace(".default", ""): p.grad for n, p in theirs.named_parameters() if "lora_" in n}
    assert set(ours) == set(peft)
    for name, gradient in ours.items():
        assert (gradient - peft[name]).abs().max() <= 1e-5 * max(1, gradient.abs().max())


def test_the_head_stays_out(model):
    lora.apply(model)
    assert not any("lm_head" in name for name in lora.adapters(model))


def test_bad_use_is_one_sentence(model, tmp_path):
    with pytest.raises(UserError, match="rank 0"):
        lora.apply(model, rank=0)
    with pytest.raises(UserError, match="no linear layer query: it has"):
        lora.apply(model, targets=("q_proj", "query"))
    with pytest.raises(UserError, match="no LoRA adapter to save"):
        lora.save(model, tmp_path / "none", "base")
    lora.apply(model)
    with pytest.raises(UserError, match="already"):
        lora.apply(model)


def test_a_bad_folder_is_one_sentence_and_leaves_the_model(model, tiny, tmp_path):
    wide, deep = tiny(hidden_size=64), tiny(num_layers=3)
    lora.save(lora.apply(deep, 4, 8, ("q_proj",)), tmp_path / "deep", "base")
    lora.save(lora.apply(wide, 4, 8, ("q_proj",)), tmp_path / "wide", "base")
    with torch.no_grad():
        plain = model(TOKENS)
        with pytest.raises(UserError, match="its shapes are others"):
            lora.load(model, tmp_path / "wide")
        with pytest.raises(UserError, match="no linear layer layers.2"):
            lora.load(model, tmp_path / "deep")
        assert torch.equal(model(TOKENS), plain) and not lora.adapters(model)
    with pytest.raises(UserError, match="missing"):
        lora.load(model, tmp_path / "nowhere")
    settings = tmp_path / "wide" / "adapter_config.json"
    for field, value in (("use_dora", True), ("peft_type", "IA3"), ("r", None)):
        good = read_json(settings)
        write_json(settings, good | {field: value})
        with pytest.raises(UserError):
            lora.load(model, tmp_path / "wide")
        write_json(settings, good)
    (tmp_path / "wide" / "adapter_model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError):
        lora.load(model, tmp_path / "wide")
