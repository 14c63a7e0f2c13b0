"""Gemma 3n: each of its ideas by itself, and files as they are published.

That ours equals Transformers' is a row of test_parity.py; here is what shows that each part counts.
"""

import dataclasses
import json
import math

import pytest
import torch
from peers import peer, tokens_for, unsettle
from safetensors.torch import load_file, save_file

import minimodels
from minimodels.architecture.altup import AltUp, Spread, rms
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs import CONFIGS, Gemma3nConfig
from minimodels.architecture.families.gemma3n import SparseGeGLU
from minimodels.errors import UserError
from minimodels.experiments import parity

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random Gemma 3n of five layers, of which two share keys, as save_pretrained writes it."""
    folder = tmp_path_factory.mktemp("gemma3n")
    peer("gemma3n_text", "gqa").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def theirs():
    return peer("gemma3n_text", "gqa")


def changed(folder, **fields):
    """config.json with other fields; None takes one out."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | fields
    config = {name: value for name, value in config.items() if value is not None}
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder


def copied(folder, to):
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


WRONG = {  # what is taken away -> where, and what stands there instead
    "no prediction": ("altup.AltUp.predict", lambda self, h: h),
    "correction of the active stream alone": (
        "altup.AltUp.correct",
        lambda self, p, y: torch.cat((y[:, :, None], p[:, :, 1:]), 2),
    ),
    "other streams of any size": ("altup.Spread.sized", lambda self, x, size: x),
    "no low-rank path": ("families.gemma3n.Laurel.forward", lambda self, x: x),
    "values not normed": (
        "families.per_layer.SharingAttention.keys_and_values",
        lambda self, x, r: (keys(self, x, r), self.heads(self.v_proj(x))),
    ),
    "scores divided by sqrt(d)": (
        "families.per_layer.attend",
        lambda q, k, v, mask, scale: minimodels.architecture.attention.attend(q, k, v, mask),
    ),
    "told nothing": (
        "families.per_layer.PerLayerGate.forward",
        lambda self, x, told: torch.zeros_like(x),
    ),
    "told by the table alone": (
        "families.per_layer.PerLayerDecoder.told",
        lambda self, tokens, x: (
            self.embed_tokens_per_layer(tokens.clamp(max=93)).unflatten(-1, (5, 9)).unbind(2)
        ),
    ),
}


def keys(self, x, rotation):
    from minimodels.architecture.rope import rotate

    return rotate(self.k_norm(self.heads(self.k_proj(x))), *rotation)


@pytest.mark.parametrize("what", WRONG)
def test_control_one_thing_wrong(what, folder, theirs, monkeypatch):
    ours, _ = minimodels.load(folder, device="cpu")
    assert parity.logits(theirs, ours) <= TOLERANCE
    where, wrong = WRONG[what]
    monkeypatch.setattr(f"minimodels.architecture.{where}", wrong)
    assert parity.logits(theirs, ours) > 100 * TOLERANCE


CHANGES = [
    {"sliding_window": 6},
    {"sparsity": None},
    {"sparsity": (0.4, 0.7, 0.0, 0.0, 0.0)},
    {"logit_softcap": None},
    {"per_layer_vocab": 60},  # tokens from 60 on are told row 0
    {"rope_local_theta": 300.0},
    {"rope_scaling": None},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_control_other_config(change, folder, theirs):
    ours, _ = minimodels.load(folder, device="cpu")
    other = minimodels.build(dataclasses.replace(ours.config, **change), device="cpu")
    rows = change.get("per_layer_vocab")
    weights = ours.state_dict()
    if rows:
        weights["embed_tokens_per_layer.weight"] = weights["embed_tokens_per_layer.weight"][:rows]
    other.load_state_dict(weights)
    assert parity.logits(theirs, other) > 100 * TOLERANCE


def test_keys_come_from_the_last_layer_of_a_kind(folder):
    """Layers 3 (sliding) and 4 (full) of "ssfsf" read those of 1 and 2."""
    ours, _ = minimodels.load(folder, device="cpu")
    asked = {}

    def note(module, args, output):
        asked[module.layer] = args[4][module.kind][0]

    for layer in ours.layers:
        layer.self_attn.register_forward_hook(note)
    ours(tokens_for(ours))
    assert asked[3] is asked[1] and asked[4] is asked[2] and asked[0] is not asked[1]
    assert [hasattr(layer.self_attn, "k_proj") for layer in ours.layers] == [True] * 3 + [False] * 2


@torch.no_grad()
def test_cache_holds_three_of_five_layers(folder):
    ours, _ = minimodels.load(folder, device="cpu")
    tokens = tokens_for(ours)
    cache = KVCache(ours.config, len(tokens), 23)
    whole = ours(tokens, cache)
    assert [layer is None for layer in cache.layers] == [False, False, False, True, True]
    d, K, window = 8, 2, 5
    assert cache.nbytes == 2 * len(tokens) * K * d * 4 * (2 * (window - 1) + 23)
    assert (whole - ours(tokens)).abs().max() <= TOLERANCE


def test_sparse_gate_keeps_the_share_of_a_normal_one():
    """Of 16,384 normal numbers the threshold of 0.95 keeps 5%, without a sort; and their order."""
    torch.manual_seed(0)
    mlp = SparseGeGLU(4, 16_384, 0.95)
    x = torch.randn(8, 4)
    gate = mlp.gate_proj(x)
    kept = gate > gate.mean(-1, keepdim=True) + mlp.z * gate.std(-1, keepdim=True, unbiased=False)
    gate.retain_grad()
    assert mlp.z == pytest.approx(1.6449, abs=1e-4)
    assert kept.float().mean().item() == pytest.approx(0.05, abs=0.02)  # uniform weights: less tail
    for row, mask in zip(gate, kept, strict=True):
        assert row[mask].min() > row[~mask].max()
    normal = torch.randn(64, 16_384)
    z = SparseGeGLU(4, 8, 0.95).z
    share = (normal > normal.mean(-1, keepdim=True) + z * normal.std(-1, keepdim=True)).float()
    assert share.mean().item() == pytest.approx(0.05, abs=0.002)


def test_altup_without_coefficients_is_the_plain_residual():
    """The null case: C = c = 0 leaves the block's output in stream 0 and its change in the rest."""
    altup, h, y = AltUp(6, 3, 1e-6), torch.randn(2, 5, 3, 6), torch.randn(2, 5, 6)
    for linear in (altup.prediction_coefs, altup.correction_coefs):
        torch.nn.init.zeros_(linear.weight)
    assert torch.equal(altup.predict(h), h)
    corrected = altup.correct(h, y)
    torch.testing.assert_close(corrected[:, :, 0], y)
    torch.testing.assert_close(corrected[:, :, 1:], h[:, :, 1:] + (y - h[:, :, 0])[:, :, None])


def test_streams_begin_and_end_with_one_size():
    spread, x = Spread(6, 4), torch.randn(2, 5, 6)
    h = spread.into(x)
    assert h.shape == (2, 5, 4, 6) and torch.equal(h[:, :, 0], x)
    torch.testing.assert_close(rms(h), rms(x)[:, :, None].expand(2, 5, 4, 1))
    assert spread.out_of(h).shape == x.shape


@torch.no_grad()
def test_coefficients_are_clipped_in_training(tmp_path):
    """As theirs: in training alone, at altup_coef_clip."""
    theirs = peer("gemma3n_text", "mha", altup_coef_clip=0.3)
    theirs.save_pretrained(tmp_path)
    ours, _ = minimodels.load(tmp_path, device="cpu")
    tokens = tokens_for(theirs)
    free = ours.eval()(tokens)
    assert (theirs(tokens).logits - free).abs().max() <= TOLERANCE
    bound = ours.train()(tokens)
    assert (theirs.train()(tokens).logits - bound).abs().max() <= TOLERANCE
    assert (bound - free).abs().max() > 100 * TOLERANCE


@torch.no_grad()
@pytest.mark.parametrize("shape", ["mha", "gqa"])
def test_bf16(shape, tmp_path):
    """Rounded in the same places, its constants too: equal to the bit."""
    from transformers import AutoModelForCausalLM

    peer("gemma3n_text", shape).save_pretrained(tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    ours, _ = minimodels.load(tmp_path, device="cpu", dtype=torch.bfloat16)
    tokens = tokens_for(theirs)
    assert torch.equal(theirs(tokens).logits, ours(tokens))


def test_round_trip_of_the_config(folder, tmp_path):
    ours, _ = minimodels.load(folder, device="cpu")
    assert ours.config.widths == (40, 48, 40, 48, 40)
    minimodels.save(ours, None, tmp_path / "again")
    assert minimodels.load(tmp_path / "again", device="cpu")[0].config == ours.config


@torch.no_grad()
def test_multimodal_folder_as_first_released(folder, theirs, tmp_path):
    """Names with language_model, encoders beside, keys stored even where no layer uses them."""
    tensors = load_file(folder / "model.safetensors")
    tensors = {n.replace("model.", "model.language_model.", 1): t for n, t in tensors.items()}
    for layer in (3, 4):
        for name in ("k_proj", "v_proj"):
            home = "model.language_model.layers.{}.self_attn.{}.weight"
            tensors[home.format(layer, name)] = tensors[home.format(0, name)].clone()
        tensors[f"model.language_model.layers.{layer}.self_attn.k_norm.weight"] = torch.ones(8)
    tensors["model.vision_tower.conv.weight"] = torch.ones(3, 3)
    tensors["model.embed_audio.embedding.weight"] = torch.ones(3, 3)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    text = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    whole = {"model_type": "gemma3n", "text_config": text, "vision_config": {"hidden_size": 4}}
    whole |= {"audio_config": {}, "image_token_id": 99, "vision_soft_tokens_per_image": 256}
    (tmp_path / "config.json").write_text(json.dumps(whole), encoding="utf-8")
    ours, _ = minimodels.load(tmp_path, device="cpu")
    assert parity.logits(theirs, ours) <= TOLERANCE


def test_a_silent_config_means_what_transformers_means():
    """Of 12 layers: every fifth full, 15 shared is too many, so it is given; ten sparse."""
    import transformers

    from minimodels.architecture.hf.config_json import config_from, layout

    short = {"num_hidden_layers": 12, "num_kv_shared_layers": 2, "hidden_size": 32,
             "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 40,
             "vocab_size": 300}  # fmt: skip
    config = transformers.Gemma3nTextConfig(**short)
    ours = config_from("config.json", short, layout("gemma3n_text"))
    assert ours.kinds == tuple(config.layer_types)
    assert list(ours.sparsity) == config.activation_sparsity_pattern
    assert [ours.width(layer) for layer in range(12)] == config.intermediate_size
    assert (ours.head_dim, ours.max_length) == (config.head_dim, config.max_position_embeddings)
    assert (ours.sliding_window, ours.logit_softcap) == (512, config.final_logit_softcapping)
    assert ours.rope_theta == config.rope_parameters["full_attention"]["rope_theta"]
    assert ours.rope_local_theta == config.rope_parameters["sliding_attention"]["rope_theta"]
    streams = (config.altup_num_inputs, config.laurel_rank, config.hidden_size_per_layer_input)
    assert streams == (ours.num_streams, ours.laurel_rank, ours.per_layer_size)


REFUSED = [
    ({"altup_active_idx": 1}, "altup_active_idx = 1 is not implemented"),
    ({"altup_correct_scale": False}, "altup_correct_scale = False is not implemented"),
    ({"hidden_activation": "silu"}, "hidden_activation = 'silu' is not implemented"),
    ({"attention_bias": True}, "attention_bias = True is not implemented"),
    ({"something_new": 3}, "something_new = 3 is not implemented"),
    ({"intermediate_size": [40, 48]}, "widths names 2 layers but num_layers is 5"),
    ({"activation_sparsity_pattern": [0.5, 1.5, 0.0, 0.0, 0.0]}, "no share from 0 to 1"),
    ({"num_kv_shared_layers": 3}, "not each kind of them stands below"),
]


@pytest.mark.parametrize("fields, message", REFUSED, ids=[str(list(f)[0]) for f, _ in REFUSED])
def test_what_is_not_implemented_is_refused_by_name(fields, message, folder, tmp_path):
    with pytest.raises(UserError, match=message):
        minimodels.load(changed(copied(folder, tmp_path), **fields), device="cpu")


def test_published_sizes():
    """E4B: 8B with the encoders of pictures (0.3B) and sounds (0.68B); E2B: 1.91B of them in use.

    1.91B counts k_proj, v_proj and k_norm of the ten layers that do not use theirs, as stored.
    """
    from minimodels.architecture.count import count

    small, large = count(CONFIGS["gemma-3n-e2b"]), count(CONFIGS["gemma-3n-e4b"])
    assert round(small.total / 1e9, 2) == 4.44 and round(large.total / 1e9, 2) == 6.84
    idle = 10 * (2 * 2 * 256 * 2048 + 256)
    assert round((small.other + idle) / 1e9, 2) == 1.91
    table = 262_144 * 30 * 256
    assert small.embedding == 262_400 * 2048 + table
    assert math.isclose(table / small.total, 0.454, abs_tol=1e-3)  # nearly half of all is looked up


def test_config_says_what_is_impossible():
    with pytest.raises(UserError, match="share fewer layers"):
        dataclasses.replace(CONFIGS["gemma-3n-e2b"], num_shared_layers=30)
    assert isinstance(CONFIGS["gemma-3n-e2b"], Gemma3nConfig)
    ours = minimodels.build(
        dataclasses.replace(
            CONFIGS["gemma-3n-e2b"], vocab_size=64, per_layer_vocab=60, hidden_size=32,
            intermediate_size=48, num_layers=10, layer_types=CONFIGS["gemma-3n-e2b"].kinds[:10],
            num_heads=4, num_kv_heads=2, head_dim=8, num_shared_layers=5, sparsity=None,
        ),
        device="cpu",
    )  # fmt: skip
    unsettle(ours)
    assert ours(torch.tensor([[63, 1, 2]])).isfinite().all()
