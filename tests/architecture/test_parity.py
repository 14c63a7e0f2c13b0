"""Ours equals Transformers: logits, gradients, caches, padding and files, in both directions.

Tolerance 1e-5 in float32 (measured: equal to the bit without padding or cache). The controls show
that a model with one thing wrong is far outside of it.
"""

import dataclasses
import json

import pytest
import torch
from peers import SHAPES, peer, tokens_for, unsettle
from torch.nn import functional as F

import minimodels
from minimodels.architecture.attention import attention_by_hand
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs import GemmaConfig, NemotronConfig, RopeScaling
from minimodels.experiments import parity

TOLERANCE = 1e-5
FAMILIES = ["gemma", "nemotron"]  # those whose plain paths agree to the bit even in bf16
CASES = [(family, shape) for family in FAMILIES for shape in SHAPES]


@pytest.fixture(params=CASES, ids="-".join)
def pair(request, tmp_path):
    """(theirs, ours) with the same weights, through files written by save_pretrained."""
    family, shape = request.param
    return twins(family, shape, tmp_path)


def twins(family, shape, folder, max_shard_size="50GB"):
    theirs = peer(family, shape)
    theirs.save_pretrained(folder, max_shard_size=max_shard_size)
    ours, tokenizer = minimodels.load(folder, device="cpu")
    assert tokenizer is None
    return theirs, ours


def difference(theirs, ours, tokens):
    with torch.no_grad():
        return (theirs(tokens).logits - ours(tokens)).abs().max().item()


def loss_of(logits, tokens):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def test_logits_and_gradients(pair):
    theirs, ours = pair
    tokens = tokens_for(theirs)
    assert difference(theirs, ours, tokens) <= TOLERANCE
    loss_of(theirs(tokens).logits, tokens).backward()
    loss_of(ours(tokens), tokens).backward()
    gradients = {name: weight.grad for name, weight in ours.named_parameters()}
    checked = 0
    for name, weight in theirs.named_parameters():
        gradient = gradients[name.removeprefix("model.")]
        assert (gradient - weight.grad).abs().max() <= TOLERANCE, name
        assert gradient.abs().max() > 100 * TOLERANCE, f"{name}: too small to show anything"
        checked += 1
    assert checked == len(gradients)


def test_bf16(pair, tmp_path):
    """Rounded in the same places, so that even bf16 agrees."""
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    ours, _ = minimodels.load(tmp_path, device="cpu", dtype=torch.bfloat16)
    assert ours.dtype == torch.bfloat16
    assert difference(theirs, ours, tokens_for(theirs)) <= TOLERANCE


def test_attention_in_plain_steps(pair, monkeypatch):
    """The readable attention in the place of the fused one: the same model."""
    theirs, ours = pair
    monkeypatch.setattr("minimodels.architecture.attention.attend", attention_by_hand)
    assert difference(theirs, ours, tokens_for(theirs)) <= 3 * TOLERANCE  # other order of sums


@pytest.mark.parametrize("family, shape", [(f, s) for f in parity.FAMILIES for s in SHAPES])
def test_table(family, shape):
    """Each check of `minimodels experiment parity`; its stored table has the same rows."""
    found = parity.differences(family, shape)
    too_far = {name: apart for name, apart in found.items() if not apart <= TOLERANCE}
    assert not too_far
    stored = json.loads(parity.RESULT.read_text(encoding="utf-8"))["values"]["families"]
    assert set(stored[family][shape]) == set(found)
    assert max(stored[family][shape].values()) <= TOLERANCE


CONTROLS = [  # family, shape, and what is changed in ours: each must be seen
    ("gemma2", "mha", {"sliding_window": 9}),
    ("gemma2", "mha", {"attention_softcap": None}),
    ("gemma2", "mha", {"logit_softcap": None}),
    ("gemma2", "mha", {"query_scale": 8.0}),
    ("gemma2", "gqa", {"layer_types": ("full_attention",) * 3}),
    ("gemma3_text", "gqa", {"sliding_window": 6}),
    ("gemma3_text", "gqa", {"rope_theta": 200.0, "rope_local_theta": 300.0}),
    ("gemma3_text", "gqa", {"rope_scaling": None}),
    ("gemma3_text", "gqa", {"query_scale": 8.0}),
    ("llama", "gqa", {"rope_scaling": None}),
    ("llama", "gqa", {"rope_scaling": RopeScaling(kind="linear", factor=4.0)}),
    ("llama", "mha", {"rope_theta": 300.0}),
    ("mixtral", "gqa", {"experts_per_token": 1}),
]


@pytest.mark.parametrize("family, shape, change", CONTROLS, ids=str)
def test_control_other_config(family, shape, change, tmp_path):
    theirs, ours = twins(family, shape, tmp_path)
    assert parity.logits(theirs, ours) <= TOLERANCE
    other = minimodels.build(dataclasses.replace(ours.config, **change), device="cpu")
    other.load_state_dict(ours.state_dict())
    assert parity.logits(theirs, other) > 100 * TOLERANCE


@pytest.mark.parametrize("family", parity.FAMILIES)
def test_gradients_show_something(family, tmp_path):
    """Control of the table's gradients: none of them is so small that 1e-5 says nothing."""
    theirs, ours = twins(family, "mha", tmp_path)
    tokens = tokens_for(theirs)
    loss_of(ours(tokens), tokens).backward()
    for name, weight in ours.named_parameters():
        assert weight.grad.abs().max() > 50 * TOLERANCE, name


@pytest.mark.parametrize("family", FAMILIES)
def test_shards(family, tmp_path):
    theirs, ours = twins(family, "gqa", tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 3
    assert difference(theirs, ours, tokens_for(theirs)) <= TOLERANCE


@torch.no_grad()
def test_cached_steps(pair):
    """Prompt, a piece of several tokens, then token by token: as their cache does it."""
    theirs, ours = pair
    tokens = tokens_for(theirs)
    cache = KVCache(ours.config, len(tokens), 64)
    past = None
    for start, end in [(0, 9), (9, 14), *((i, i + 1) for i in range(14, 23))]:
        piece = tokens[:, start:end]
        wanted = theirs(piece, past_key_values=past, use_cache=True)
        past = wanted.past_key_values
        assert (ours(piece, cache) - wanted.logits).abs().max() <= TOLERANCE
        assert cache.length == end


@torch.no_grad()
def test_left_padded_batch(pair):
    """Padding changes nothing: as theirs with mask and positions, and as each row by itself."""
    theirs, ours = pair
    tokens = tokens_for(theirs, batch=3)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[0, :8] = mask[1, :1] = False
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    wanted = theirs(tokens, attention_mask=mask.long(), position_ids=positions).logits
    got = ours(tokens, mask=mask)
    assert (got - wanted)[mask].abs().max() <= TOLERANCE
    alone = ours(tokens[:1, 8:])
    assert (got[:1, 8:] - alone).abs().max() <= TOLERANCE
    assert (ours(tokens)[0, 8:] - alone[0]).abs().max() > 0.1  # control: the mask forgotten


WRONG = {
    "no embedding scale": ("gemma", "minimodels.architecture.families.gemma.Gemma.embed"),
    "exact gelu": ("gemma", "torch.nn.functional.gelu"),
    "RMSNorm without offset": ("gemma", "minimodels.architecture.norms.RMSNorm.forward"),
    "LayerNorm without offset": ("nemotron", "minimodels.architecture.norms.LayerNorm1p.forward"),
    "relu not squared": ("nemotron", "torch.nn.functional.relu"),
}


def wrong_version(what):
    gelu = F.gelu
    return {
        "no embedding scale": lambda self, tokens: self.embed_tokens(tokens),
        "exact gelu": lambda x, approximate="none": gelu(x),
        "RMSNorm without offset": lambda n, x: F.rms_norm(x, n.weight.shape, n.weight, n.eps),
        "LayerNorm without offset": lambda n, x: F.layer_norm(
            x, n.weight.shape, n.weight, n.bias, n.eps
        ),
        "relu not squared": lambda x: x.clamp(min=0).sqrt(),
    }[what]


@pytest.mark.parametrize("what", WRONG)
def test_control_one_thing_wrong(what, tmp_path, monkeypatch):
    family, target = WRONG[what]
    theirs, ours = twins(family, "gqa", tmp_path)
    tokens = tokens_for(theirs)
    with torch.no_grad():
        wanted = theirs(tokens).logits
        monkeypatch.setattr(target, wrong_version(what))
        assert (ours(tokens) - wanted).abs().max() > 100 * TOLERANCE


@pytest.mark.parametrize("change", [{"rotary_fraction": 1.0}, {"rope_theta": 9000.0}], ids=str)
def test_control_wrong_config(change, tmp_path):
    theirs, ours = twins("nemotron", "mha", tmp_path)
    ours.config = dataclasses.replace(ours.config, **change)
    assert difference(theirs, ours, tokens_for(theirs)) > 100 * TOLERANCE


OURS = [
    GemmaConfig(vocab_size=90, hidden_size=36, intermediate_size=50, num_layers=2, num_heads=4,
                num_kv_heads=1, head_dim=14, max_length=40, rope_theta=500.0, norm_eps=1e-3),
    GemmaConfig(vocab_size=90, hidden_size=36, intermediate_size=50, num_layers=2, num_heads=4,
                num_kv_heads=2, head_dim=14, max_length=40, tie_embeddings=False),
    NemotronConfig(vocab_size=90, hidden_size=36, intermediate_size=50, num_layers=2, num_heads=4,
                   num_kv_heads=2, head_dim=16, max_length=40, rope_theta=500.0, norm_eps=1e-3),
    NemotronConfig(vocab_size=90, hidden_size=36, intermediate_size=50, num_layers=2, num_heads=4,
                   num_kv_heads=4, head_dim=8, max_length=40, rotary_fraction=0.25,
                   tie_embeddings=True),
]  # fmt: skip


@pytest.mark.parametrize("config", OURS, ids=lambda c: f"{c.family}-tied-{c.tie_embeddings}")
@pytest.mark.parametrize("shard", [5_000_000_000, 10_000])
def test_transformers_loads_what_we_save(config, shard, tmp_path):
    from transformers import AutoModelForCausalLM

    ours = minimodels.build(config, device="cpu")
    unsettle(ours)
    minimodels.save(ours, None, tmp_path / "saved", max_shard_bytes=shard)
    theirs, report = AutoModelForCausalLM.from_pretrained(
        tmp_path / "saved", output_loading_info=True
    )
    assert not any(report.values())
    assert difference(theirs.float(), ours, tokens_for(theirs)) <= TOLERANCE
    again, _ = minimodels.load(tmp_path / "saved", device="cpu")
    assert again.config == config
    assert difference(theirs, again, tokens_for(theirs)) <= TOLERANCE
