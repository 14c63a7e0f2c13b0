"""Gemma 4: each of its ideas by itself, and files as they are published.

That ours equals Transformers' is a row of test_parity.py; here is what shows that each part counts.
"""

import dataclasses
import json

import pytest
import torch
from peers import peer, tokens_for, unsettle

import minimodels
from minimodels.architecture.attention import attend
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs import CONFIGS, FULL, SLIDING
from minimodels.architecture.count import cache_bytes, count
from minimodels.architecture.hf.config_json import config_from, layout, read_config
from minimodels.architecture.rope import frequencies, rotate
from minimodels.architecture.routing import SoftmaxRouter, watch
from minimodels.errors import UserError
from minimodels.experiments import parity
from minimodels.experiments.peers import fields

TOLERANCE = 1e-5
SMALL = {"mha": "told and shared keys", "gqa": "experts, keys as values"}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """{shape: (theirs, its folder)}: one as E2B is made, one as 26B-A4B."""
    found = {}
    for shape in SMALL:
        found[shape] = peer("gemma4_text", shape), tmp_path_factory.mktemp(shape)
        found[shape][0].save_pretrained(found[shape][1])
    return found


def without_scale(self, x, rotation, mask, cache, told, shared):
    saved, self.layer_scalar = self.layer_scalar, torch.ones(1)
    try:
        return type(self).original(self, x, rotation, mask, cache, told, shared)
    finally:
        self.layer_scalar = saved


WRONG = {  # what is taken away -> shape, where, and what stands there instead
    "numbers of layers": ("mha", "families.gemma4.Gemma4Block.forward", without_scale),
    "scores divided by sqrt(d)": (
        "mha",
        "families.per_layer.attend",
        lambda q, k, v, mask, scale: attend(q, k, v, mask),
    ),
    "values turned as keys are": (
        "gqa",
        "families.gemma4.Gemma4Attention.keys_and_values",
        lambda self, x, r: (rotate(self.k_norm(self.heads(self.k_proj(x))), *r),) * 2,
    ),
    "experts weighed without their scale": (
        "gqa",
        "families.gemma4.ScaledRouter.forward",
        lambda self, x: SoftmaxRouter.forward(
            self, self.norm(x) * self.scale * x.shape[-1] ** -0.5
        ),
    ),
    "routed by the stream as it is": (
        "gqa",
        "families.gemma4.ScaledRouter.forward",
        lambda self, x: SoftmaxRouter.forward(self, x),
    ),
    "no experts": ("gqa", "families.gemma4.MixtureBeside.forward", lambda self, x, dense: dense),
}


@pytest.mark.parametrize("what", WRONG)
def test_control_one_thing_wrong(what, pairs, monkeypatch):
    from minimodels.architecture.families.gemma4 import Gemma4Block

    shape, where, wrong = WRONG[what]
    theirs, folder = pairs[shape]
    ours, _ = minimodels.load(folder, device="cpu")
    assert parity.logits(theirs, ours) <= TOLERANCE
    monkeypatch.setattr(Gemma4Block, "original", Gemma4Block.forward, raising=False)
    monkeypatch.setattr(f"minimodels.architecture.{where}", wrong)
    assert parity.logits(theirs, ours) > 100 * TOLERANCE


CHANGES = [
    ("mha", {"sliding_window": 9}),
    ("mha", {"full_rotary_fraction": 1.0}),
    ("mha", {"rope_theta": 200.0}),
    ("mha", {"rope_local_theta": 300.0}),
    ("mha", {"logit_softcap": None}),
    ("gqa", {"experts_per_token": 1}),
]


@pytest.mark.parametrize("shape, change", CHANGES, ids=str)
def test_control_other_config(shape, change, pairs):
    theirs, folder = pairs[shape]
    ours, _ = minimodels.load(folder, device="cpu")
    other = minimodels.build(dataclasses.replace(ours.config, **change), device="cpu")
    other.load_state_dict(ours.state_dict())
    assert parity.logits(theirs, other) > 100 * TOLERANCE


def test_full_layers_turn_the_fast_quarter_with_the_whole_heads_frequencies():
    """Of 256 pairs of a head of 512 the first 64 turn, i with i + 256, by theta^(−2i/512)."""
    model = minimodels.build("gemma-4-31b", device="meta")
    cos, sin = model.angles(FULL, torch.tensor([[0, 1, 1000]]), torch.float32)
    assert cos.shape == (1, 1, 3, 256)
    angle = torch.tensor([0.0, 1.0, 1000.0])[:, None] * frequencies(512, 1e6)[:64]
    torch.testing.assert_close(sin[0, 0, :, :64], angle.sin())
    assert (cos[..., 64:] == 1).all() and (sin[..., 64:] == 0).all()
    x = torch.randn(1, 1, 3, 512)
    turned = rotate(x, cos, sin) != x
    assert turned[0, 0, 1:].nonzero()[:, 1].unique().tolist() == [*range(64), *range(256, 320)]
    whole = model.angles(SLIDING, torch.tensor([[5]]), torch.float32)[1]
    assert whole.shape[-1] == 128 and (whole != 0).all()


def test_heads_differ_by_the_kind_of_a_layer():
    """31B: 16 key heads of 256 in windows, 4 of 512 in full layers, which have no v_proj."""
    model = minimodels.build("gemma-4-31b", device="meta")
    sliding, full = model.layers[0].self_attn, model.layers[5].self_attn
    assert sliding.q_proj.weight.shape == (32 * 256, 5376)
    assert sliding.v_proj.weight.shape == sliding.k_proj.weight.shape == (16 * 256, 5376)
    assert full.q_proj.weight.shape == (32 * 512, 5376)
    assert full.k_proj.weight.shape == (4 * 512, 5376) and not hasattr(full, "v_proj")
    assert model.config.kv_shape(0) == (16, 256, 256) and model.config.kv_shape(5) == (4, 512, 512)


@torch.no_grad()
def test_values_are_keys_before_they_turn(pairs):
    """In a full layer k = turned (weight · v): one product makes both."""
    ours, _ = minimodels.load(pairs["gqa"][1], device="cpu")
    attention, x = ours.layers[1].self_attn, torch.randn(2, 7, 48)
    still = (torch.ones(1, 1, 7, 8), torch.zeros(1, 1, 7, 8))
    k, v = attention.keys_and_values(x, still)
    torch.testing.assert_close(k, v * attention.k_norm.weight)


@torch.no_grad()
def test_the_router_can_be_watched(pairs):
    ours, _ = minimodels.load(pairs["gqa"][1], device="cpu")
    with watch(ours) as routes:
        ours(tokens_for(ours))
    assert len(routes) == 4 and routes[0].experts.shape == (46, 2)
    scale = ours.layers[0].moe.router.per_expert_scale[routes[0].experts]
    torch.testing.assert_close((routes[0].weights / scale).sum(-1), torch.ones(46))


@torch.no_grad()
@pytest.mark.parametrize("shape", ["mha", "mqa"])
def test_bf16(shape, tmp_path):
    """Rounded in the same places: equal to the bit (their experts need other shapes in bf16)."""
    from transformers import AutoModelForCausalLM

    peer("gemma4_text", shape).save_pretrained(tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    ours, _ = minimodels.load(tmp_path, device="cpu", dtype=torch.bfloat16)
    tokens = tokens_for(theirs)
    assert torch.equal(theirs(tokens).logits, ours(tokens))


@torch.no_grad()
def test_multimodal_folder(tmp_path):
    """The text's part of a whole Gemma 4 that sees pictures, as save_pretrained writes it."""
    import transformers

    text = transformers.Gemma4TextConfig(**fields("gemma4_text", "mha") | {"pad_token_id": 0})
    vision = {"hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 1, "head_dim": 8}
    vision |= {"num_attention_heads": 2, "num_key_value_heads": 2, "position_embedding_size": 16}
    config = transformers.Gemma4Config(text_config=text, vision_config=vision, image_token_id=96)
    torch.manual_seed(0)
    theirs = transformers.Gemma4ForConditionalGeneration(config).float().eval()
    unsettle(theirs)
    theirs.save_pretrained(tmp_path)
    ours, _ = minimodels.load(tmp_path, device="cpu")
    tokens = tokens_for(ours).clamp(max=95)
    assert (theirs(tokens).logits - ours(tokens)).abs().max() <= TOLERANCE


PUBLISHED = {  # text_config of google's files, as far as it differs between them
    "gemma-4-e2b": {
        "hidden_size": 1536, "intermediate_size": 6144, "num_hidden_layers": 35,
        "num_attention_heads": 8, "num_key_value_heads": 1, "num_kv_shared_layers": 20,
        "use_double_wide_mlp": True, "sliding_window": 512, "max_position_embeddings": 131_072,
    },
    "gemma-4-26b-a4b": {
        "hidden_size": 2816, "intermediate_size": 2112, "num_hidden_layers": 30,
        "num_attention_heads": 16, "num_key_value_heads": 8, "num_global_key_value_heads": 2,
        "attention_k_eq_v": True, "enable_moe_block": True, "num_experts": 128,
        "top_k_experts": 8, "moe_intermediate_size": 704, "sliding_window": 1024,
        "hidden_size_per_layer_input": 0, "max_position_embeddings": 262_144,
        "use_bidirectional_attention": "vision",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_config_reads_as_transformers_reads_it(name, tmp_path):
    """global_head_dim is how released files say it; 5.23 writes per_layer_config instead."""
    import transformers

    kinds = list(CONFIGS[name].kinds)
    released = PUBLISHED[name] | {
        "layer_types": kinds, "global_head_dim": 512, "final_logit_softcapping": 30.0,
        "vocab_size": 262_144,
    }  # fmt: skip
    assert config_from("config.json", released, layout("gemma4_text")) == CONFIGS[name]
    transformers.Gemma4TextConfig(**released).save_pretrained(tmp_path)
    assert "per_layer_config" in json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert read_config(tmp_path) == CONFIGS[name]


REFUSED = [
    ({"use_bidirectional_attention": "all"}, "use_bidirectional_attention = 'all' is not"),
    ({"hidden_activation": "silu"}, "hidden_activation = 'silu' is not implemented"),
    ({"something_new": 3}, "something_new = 3 is not implemented"),
    ({"per_layer_config": {"0": {"head_dim": 24}}}, "per_layer_config = .* is not implemented"),
    ({"per_layer_config": {"1": {"head_dim": 24}, "3": {"head_dim": 8}}}, "per_layer_config"),
    (
        {"per_layer_config": {"1": {"num_attention_heads": 1}, "3": {"num_attention_heads": 1}}},
        "per_layer_config",
    ),
    ({"rope_parameters": {FULL: {"rope_type": "yarn", "factor": 2.0}}}, "rope_parameters = "),
    (
        {
            "layer_types": [SLIDING] * 4,
            "per_layer_config": None,
            "num_kv_shared_layers": 0,
        },
        "the last layer of a Gemma 4 sees everything",
    ),
    ({"num_kv_shared_layers": 3}, "not each kind of them stands below"),
    ({"enable_moe_block": True, "num_experts": 4}, "belong together"),
]


@pytest.mark.parametrize("fields, message", REFUSED, ids=[str(list(f)[0]) for f, _ in REFUSED])
def test_what_is_not_implemented_is_refused_by_name(fields, message, pairs, tmp_path):
    raw = json.loads((pairs["mha"][1] / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(raw | fields), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_config(tmp_path)


TABLE = {  # arXiv 2607.02770, table 1, in millions: embedder, embedder of the layers, einsums
    "gemma-4-e2b": (400, 2340, 1870),
    "gemma-4-e4b": (670, 2820, 3940),
    "gemma-4-12b": (1000, 0, 10_890),
    "gemma-4-26b-a4b": (740, 0, 24_500),
    "gemma-4-31b": (1410, 0, 29_290),
}


@pytest.mark.parametrize("name", TABLE)
def test_counts_of_the_report(name):
    """Within 10M of each printed number, but for E4B's layers: 3,973M are printed as 3,940M.

    (27.5M of the difference are the projection of per_layer_model_projection, which may be counted
    with the embedder; the same would not do for E2B.)
    """
    config, counted = CONFIGS[name], count(CONFIGS[name])
    rows = config.vocab_size * config.hidden_size
    table = counted.embedding - rows
    far = [abs(n / 1e6 - m) for n, m in zip((rows, table, counted.other), TABLE[name], strict=True)]
    assert max(far[:2]) < 10
    assert far[2] < (34 if name == "gemma-4-e4b" else 11)


def test_names_say_the_size():
    """2.3B effective of 5.1B; 30.7B; 25.2B of which 3.8B work on a token, the embedding with them.

    The card's 4.5B for E4B is none of our sums: without the tables of the layers they are 4.6B.
    """
    counted = {name: count(config) for name, config in CONFIGS.items() if name in TABLE}
    billions = {name: round(c.total / 1e9, 1) for name, c in counted.items()}
    assert billions == {"gemma-4-e2b": 4.6, "gemma-4-e4b": 7.5, "gemma-4-12b": 11.9,
                        "gemma-4-26b-a4b": 25.2, "gemma-4-31b": 30.7}  # fmt: skip
    assert round(counted["gemma-4-26b-a4b"].active / 1e9, 1) == 3.8
    encoders = 0.305 + 0.150  # of sounds and pictures, table 1
    for name, whole, effective in (("gemma-4-e2b", 5.1, 2.3), ("gemma-4-e4b", 7.9, 4.6)):
        table = 262_144 * CONFIGS[name].num_layers * 256
        assert round(counted[name].total / 1e9 + encoders, 1) == whole
        assert round((counted[name].total - table) / 1e9, 1) == effective


def test_cache_of_a_long_text():
    """A token more costs three full layers of E2B (4, 9, 14), one head of 2 · 512 numbers each."""
    config = CONFIGS["gemma-4-e2b"]
    assert cache_bytes(config, 100_001) - cache_bytes(config, 100_000) == 3 * 2 * 512 * 2
    own = sum(config.kv_shape(layer) is not None for layer in range(35))
    assert own == 15
    cache = KVCache(config, 1, 1000, device="meta", dtype=torch.bfloat16)
    assert cache.nbytes == cache_bytes(config, 1000) == 2 * 2 * (12 * 511 * 256 + 3 * 1000 * 512)
