"""BERT equals Transformers' BertModel and BertForMaskedLM: states, logits, gradients, files.

Tolerance 1e-5 in float32. A masked forward of GLM equals one forward for each token on what it may
see, so the mask says what it should.
"""

import dataclasses

import pytest
import torch
import toys
from torch.nn import functional as F

import minimodels
from minimodels.architecture import masks
from minimodels.architecture.blanks import Marks, blank
from minimodels.architecture.configs import BertConfig
from minimodels.architecture.families.bert import EncoderBlock
from minimodels.errors import UserError

TOLERANCE = 1e-5
SHAPES = {  # vocab, hidden, intermediate, layers, heads
    "one": (97, 20, 57, 1, 1),
    "three": (101, 36, 40, 2, 3),
    "eight": (64, 64, 111, 3, 8),
}


def peer(shape, seed=0, **changes):
    import transformers

    names = "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads".split()
    fields = dict(zip(names, SHAPES[shape], strict=True))
    fields |= {"max_position_embeddings": 40, "pad_token_id": None}
    torch.manual_seed(seed)
    model = transformers.BertForMaskedLM(transformers.BertConfig(**fields, **changes))
    return unsettle(model).float().eval()


@torch.no_grad()
def unsettle(model):
    """Every part matters; not more, for where norms stand behind the sums, large matrices drown
    the token under its neighbors.
    """
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            weight.copy_(torch.randn_like(weight) / weight.shape[1] ** 0.5)
        else:
            one = name.lower().endswith("norm.weight")
            weight.copy_(one + 0.3 * torch.randn_like(weight))
    return model


@pytest.fixture(params=SHAPES)
def pair(request, tmp_path):
    return twins(request.param, tmp_path)


def twins(shape, folder):
    theirs = peer(shape)
    theirs.save_pretrained(folder)
    ours, tokenizer = minimodels.load(folder, device="cpu")
    assert tokenizer is None and ours.config.family == "bert"
    return theirs, ours


def inputs(model, batch=3, length=17):
    """Tokens, which of them are real (right and left padding), and which text they belong to."""
    seeded = torch.Generator().manual_seed(7)
    tokens = torch.randint(model.config.vocab_size, (batch, length), generator=seeded)
    real = torch.ones(batch, length, dtype=torch.bool)
    real[0, 11:] = real[1, :2] = False
    types = (torch.arange(length) > 6).long().expand(batch, -1)
    return tokens, real, types


def test_states_and_logits(pair):
    theirs, ours = pair
    tokens, real, types = inputs(theirs)
    with torch.no_grad():
        wanted = theirs.bert(tokens, attention_mask=real.long(), token_type_ids=types)
        got = ours.hidden(tokens, real, types)
        assert (got - wanted.last_hidden_state)[real].abs().max() <= TOLERANCE
        wanted = theirs(tokens, attention_mask=real.long(), token_type_ids=types).logits
        got = ours(tokens, real, types)
        assert (got - wanted)[real].abs().max() <= TOLERANCE
        assert (ours(tokens) - theirs(tokens).logits).abs().max() <= TOLERANCE
        # controls: types or padding forgotten
        assert (ours(tokens, real) - wanted)[real].abs().max() > 100 * TOLERANCE
        assert (ours(tokens, None, types) - wanted)[real].abs().max() > 100 * TOLERANCE


def test_gradients(pair):
    """By the names that the files have. A masked token is predicted, as in training."""
    from minimodels.architecture.checkpoint import split
    from minimodels.architecture.hf.config_json import layout

    theirs, ours = pair
    tokens, real, types = inputs(theirs)
    targets = torch.where(real, tokens, -100)
    mask = real.long()
    logits = theirs(tokens, attention_mask=mask, token_type_ids=types).logits
    F.cross_entropy(logits.transpose(1, 2), targets).backward()
    F.cross_entropy(ours(tokens, real, types).transpose(1, 2), targets).backward()
    gradients = {name: weight.grad for name, weight in ours.named_parameters()}
    ours_there = dict(split(gradients, layout("bert")))
    wanted = {name: weight.grad for name, weight in theirs.named_parameters()}
    assert ours_there.keys() == wanted.keys() - {"cls.predictions.decoder.bias"}
    for name, gradient in ours_there.items():
        assert (wanted[name] - gradient).abs().max() <= TOLERANCE, name
        if not name.endswith("key.bias"):  # one number more for all keys of a softmax: no effect
            assert gradient.abs().max() > 20 * TOLERANCE, f"{name}: too small to show anything"


def test_controls_one_thing_wrong(tmp_path, monkeypatch):
    theirs, ours = twins("eight", tmp_path)
    tokens, _, _ = inputs(theirs)
    gelu = F.gelu
    with torch.no_grad():
        wanted = theirs(tokens).logits
        with monkeypatch.context() as patch:
            patch.setattr(F, "gelu", lambda x: gelu(x, approximate="tanh"))
            assert (ours(tokens) - wanted).abs().max() > 10 * TOLERANCE
        with monkeypatch.context() as patch:
            patch.setattr(EncoderBlock, "forward", pre_norm)
            assert (ours(tokens) - wanted).abs().max() > 100 * TOLERANCE
        at = torch.arange(tokens.shape[1])[None] + 1
        assert (ours(tokens, positions=at) - wanted).abs().max() > 100 * TOLERANCE
        causal = ours(tokens, seen=masks.causal(tokens.shape[1]))
        assert (causal - wanted).abs().max() > 100 * TOLERANCE


def pre_norm(block, x, mask=None):
    """GPT-2's order in the place of BERT's."""
    x = x + block.self_attn(block.attention_norm(x), mask)
    return x + block.down_proj(F.gelu(block.up_proj(block.mlp_norm(x))))


@pytest.mark.parametrize("shard", [5_000_000_000, 10_000])
def test_transformers_loads_what_we_save(shard, tmp_path):
    from transformers import AutoModelForMaskedLM

    config = BertConfig(vocab_size=90, hidden_size=36, intermediate_size=50, num_layers=2,
                        num_heads=3, num_kv_heads=3, head_dim=12, max_length=40, norm_eps=1e-3,
                        num_token_types=5)  # fmt: skip
    ours = unsettle(minimodels.build(config, device="cpu"))
    minimodels.save(ours, None, tmp_path / "saved", max_shard_bytes=shard)
    theirs, report = AutoModelForMaskedLM.from_pretrained(
        tmp_path / "saved", output_loading_info=True
    )
    assert not report["unexpected_keys"] and not report["mismatched_keys"]
    assert set(report["missing_keys"]) <= {"cls.predictions.decoder.bias"}  # tied to another
    tokens, real, types = inputs(theirs)
    with torch.no_grad():
        wanted = theirs.eval()(tokens, attention_mask=real.long(), token_type_ids=types).logits
        assert (ours(tokens, real, types) - wanted)[real].abs().max() <= TOLERANCE
    again, _ = minimodels.load(tmp_path / "saved", device="cpu")
    assert again.config == config
    assert torch.equal(again(tokens, real, types), ours(tokens, real, types))


def test_the_released_form(tmp_path):
    """Pooler and the head of next sentences beside what we use; norms say gamma and beta."""
    import transformers
    from safetensors.torch import load_file, save_file

    masked = peer("three")
    torch.manual_seed(1)
    theirs = unsettle(transformers.BertForPreTraining(masked.config)).eval()
    theirs.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, name in old.items():
        weights = {key.replace(new, name): weight for key, weight in weights.items()}
    weights["bert.embeddings.position_ids"] = torch.arange(40)[None]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ours, _ = minimodels.load(tmp_path, device="cpu")
    tokens, real, types = inputs(masked)
    with torch.no_grad():
        wanted = theirs(tokens, attention_mask=real.long(), token_type_ids=types).prediction_logits
        assert (ours(tokens, real, types) - wanted)[real].abs().max() <= TOLERANCE


@pytest.mark.parametrize("change", [{"hidden_act": "gelu_new"}, {"is_decoder": True}], ids=str)
def test_what_is_not_implemented_is_refused(change, tmp_path):
    from minimodels.files import read_json, write_json

    peer("three").save_pretrained(tmp_path)
    write_json(tmp_path / "config.json", read_json(tmp_path / "config.json") | change)
    with pytest.raises(UserError, match=next(iter(change))):
        minimodels.load(tmp_path, device="cpu")


def test_a_text_longer_than_the_table():
    model = small()
    with pytest.raises(UserError, match="41 tokens but the model learned 40 positions: shorten it"):
        model(torch.zeros(1, 41, dtype=torch.int64))
    with pytest.raises(UserError, match="cannot continue a text"):
        list(minimodels.generate(model, toys.Bytes(), [1, 2, 3]))
    with pytest.raises(UserError, match="head is its embedding"):
        dataclasses.replace(model.config, tie_embeddings=False)


def test_published_counts():
    """With the pooler (D² + D) and the head of next sentences (2D + 2) as released: 110M, 336M.

    The paper says 110M and 340M. Transformers' BertModel has the pooler and no head.
    """
    for name, D, model_alone, released in (
        ("bert-base-uncased", 768, 109_482_240, 110_106_428),
        ("bert-large-uncased", 1024, 335_141_888, 336_226_108),
    ):
        built = minimodels.build(name, device="meta")
        count = sum(weight.numel() for weight in built.parameters())
        head = sum(weight.numel() for weight in built.head.parameters())
        assert count - head + D * D + D == model_alone
        assert count + D * D + D + 2 * D + 2 == released


def small():
    config = BertConfig(vocab_size=50, hidden_size=32, intermediate_size=48, num_layers=3,
                        num_heads=4, num_kv_heads=4, head_dim=8, max_length=40,
                        num_token_types=9)  # fmt: skip
    torch.manual_seed(3)
    return unsettle(minimodels.build(config, device="cpu")).eval()


TEXT = list(range(10, 26))
SPANS = [(2, 4), (7, 8), (11, 15)]


@torch.no_grad()
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)], ids=str)
def test_blank_infilling_equals_a_forward_for_each_token(order):
    """Part A by itself; then each token of part B behind A and what was written before it."""
    model, text = small(), blank(TEXT, SPANS, Marks(mask=1, start=2, end=3), order)
    whole = run(model, text, slice(None), text.mask)[0]  # (T, V)
    part_a = run(model, text, slice(0, text.context), None)[0]
    assert (whole[: text.context] - part_a).abs().max() <= TOLERANCE
    for row in range(text.context, len(text.tokens)):
        # every token of the short text sees what it saw in the long one: A sees A, B looks back
        alone = run(model, text, slice(0, row + 1), text.mask[: row + 1, : row + 1])[0, row]
        assert (whole[row] - alone).abs().max() <= TOLERANCE


@torch.no_grad()
def test_nothing_hidden_leaks():
    """Change a token of part B: only what is written after it changes. Change one of A: all do."""
    model, text = small(), blank(TEXT, SPANS, Marks(mask=1, start=2, end=3), (1, 0, 2))
    before = run(model, text, slice(None), text.mask)[0]
    for changed in range(len(text.tokens)):
        tokens = text.tokens.clone()
        tokens[changed] = 40
        after = run(model, dataclasses.replace(text, tokens=tokens), slice(None), text.mask)[0]
        moved = (after - before).abs().amax(-1) > TOLERANCE
        if changed < text.context:
            assert moved.all()
        else:
            assert moved[changed:].all() and not moved[:changed].any()


def run(model, text, part, seen):
    """Logits (1, t, V) of a part of a text, with GLM's two positions."""
    return model(text.tokens[None, part], token_types=text.inside[None, part],
                 positions=text.positions[None, part], seen=seen)  # fmt: skip
