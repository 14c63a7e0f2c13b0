"""GPT-2 and BLOOM equal Transformers: logits, gradients, caches, padding and files, both ways.

Tolerance 1e-5 in float32. The controls show that a model with one thing wrong is far outside of it.
"""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import minimodels
from minimodels.architecture import positions
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs import CONFIGS, BloomConfig, GPT2Config
from minimodels.architecture.hf.gpt2 import _rename
from minimodels.errors import UserError

TOLERANCE = 1e-5
SHAPES = {  # vocab, hidden, layers, heads; 3, 6 and 7 heads are no powers of two
    "three": (97, 36, 2, 3),
    "six": (101, 48, 3, 6),
    "eight": (64, 64, 2, 8),
    "seven": (90, 56, 1, 7),
}
CASES = [(family, shape) for family in ("gpt2", "bloom") for shape in SHAPES]


def peer(family, shape, seed=0):
    """A GPT2LMHeadModel or BloomForCausalLM with weights that hide nothing."""
    import transformers

    V, D, L, H = SHAPES[shape]
    if family == "gpt2":
        inner = None if shape == "six" else 2 * D + 1
        config = transformers.GPT2Config(vocab_size=V, n_embd=D, n_layer=L, n_head=H, n_inner=inner,
                                         n_positions=64)  # fmt: skip
    else:
        config = transformers.BloomConfig(vocab_size=V, hidden_size=D, n_layer=L, n_head=H)
    config.bos_token_id = config.eos_token_id = None
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config)
    return unsettle(model).float().eval()


@torch.no_grad()
def unsettle(model):
    """Matrices to a size at which every part matters, norms and biases away from their start."""
    for name, weight in model.named_parameters():
        if "wte" in name or "wpe" in name or "embed" in name:
            weight.copy_(0.3 * torch.randn_like(weight))
        elif weight.dim() == 1:
            weight.copy_(0.5 * torch.randn_like(weight))
        else:
            weight.copy_(1.5 * torch.randn_like(weight) / max(weight.shape) ** 0.5)
    return model


@pytest.fixture(params=CASES, ids="-".join)
def pair(request, tmp_path):
    """(theirs, ours) with the same weights, through files written by save_pretrained."""
    return twins(*request.param, tmp_path)


def twins(family, shape, folder):
    theirs = peer(family, shape)
    theirs.save_pretrained(folder)
    ours, tokenizer = minimodels.load(folder, device="cpu")
    assert tokenizer is None and ours.config.family == family
    return theirs, ours


def tokens_for(model, batch=2, length=23):
    seeded = torch.Generator().manual_seed(7)
    return torch.randint(model.config.vocab_size, (batch, length), generator=seeded)


def difference(theirs, ours, tokens):
    with torch.no_grad():
        return (theirs(tokens).logits - ours(tokens)).abs().max().item()


def loss_of(logits, tokens):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def test_logits_and_gradients(pair):
    """Every gradient, by the names that the files have: so a transposed or swapped matrix shows."""
    from minimodels.architecture.checkpoint import split
    from minimodels.architecture.hf.config_json import layout

    theirs, ours = pair
    tokens = tokens_for(theirs)
    assert difference(theirs, ours, tokens) <= TOLERANCE
    loss_of(theirs(tokens).logits, tokens).backward()
    loss_of(ours(tokens), tokens).backward()
    gradients = {name: weight.grad for name, weight in ours.named_parameters()}
    ours_there = dict(split(gradients, layout(ours.config.family)))
    wanted = {name: weight.grad for name, weight in theirs.named_parameters()}
    assert ours_there.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert (ours_there[name] - gradient).abs().max() <= TOLERANCE, name
        assert gradient.abs().max() > 100 * TOLERANCE, f"{name}: too small to show anything"


@torch.no_grad()
def test_cached_steps(pair):
    """Prompt, a piece of several tokens, then token by token: as their cache does it."""
    theirs, ours = pair
    tokens = tokens_for(theirs)
    cache, past = KVCache(ours.config, len(tokens), 64), None
    for start, end in [(0, 9), (9, 14), *((i, i + 1) for i in range(14, 23))]:
        piece = tokens[:, start:end]
        wanted = theirs(piece, past_key_values=past, use_cache=True)
        past = wanted.past_key_values
        assert (ours(piece, cache) - wanted.logits).abs().max() <= TOLERANCE
        assert cache.length == end


@torch.no_grad()
def test_left_padded_batch(pair):
    """As theirs with mask and positions, as generate sets them; and as each row by itself."""
    theirs, ours = pair
    tokens = tokens_for(theirs, batch=3)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[0, :8] = mask[1, :1] = False
    more = {}
    if ours.config.family == "gpt2":
        more["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
    wanted = theirs(tokens, attention_mask=mask.long(), **more).logits
    got = ours(tokens, mask=mask)
    assert (got - wanted)[mask].abs().max() <= TOLERANCE
    alone = ours(tokens[:1, 8:])
    assert (got[:1, 8:] - alone).abs().max() <= TOLERANCE
    assert (ours(tokens)[0, 8:] - alone[0]).abs().max() > 0.1  # control: the mask forgotten


@torch.no_grad()
def test_left_padded_steps_with_a_cache(pair):
    theirs, ours = pair
    tokens = tokens_for(theirs)
    real = torch.ones_like(tokens, dtype=torch.bool)
    real[0, :5] = False
    whole, cache = ours(tokens, mask=real), KVCache(ours.config, 2, 64)
    for start, end in [(0, 9), *((i, i + 1) for i in range(9, 23))]:
        step = ours(tokens[:, start:end], cache, mask=real[:, :end])
        assert (step - whole[:, start:end])[real[:, start:end]].abs().max() <= TOLERANCE


def test_positions_off_by_one_differ(tmp_path, monkeypatch):
    theirs, ours = twins("gpt2", "six", tmp_path)
    monkeypatch.setattr(type(ours), "placed", lambda self, x, at: x + self.embed_positions(at + 1))
    assert difference(theirs, ours, tokens_for(theirs)) > 100 * TOLERANCE


@pytest.mark.parametrize("shape", ["three", "six", "seven"])
def test_slopes_of_a_power_of_two_differ(shape, tmp_path, monkeypatch):
    """2^(−8i/n) for an n that is no power of two: the natural mistake. At n = 8 it is none."""
    theirs, ours = twins("bloom", shape, tmp_path)
    monkeypatch.setattr(positions, "alibi_slopes", positions.geometric)
    assert difference(theirs, ours, tokens_for(theirs)) > 100 * TOLERANCE
    theirs, ours = twins("bloom", "eight", tmp_path)
    assert difference(theirs, ours, tokens_for(theirs)) <= TOLERANCE


BLOOM = "minimodels.architecture.families.bloom"
WRONG = {
    "exact gelu": "torch.nn.functional.gelu",
    "no norm behind the embedding": f"{BLOOM}.Bloom.embed",
    "rows of qkv by kind, not by head": f"{BLOOM}.BloomAttention.split",
    "ALiBi forgotten": f"{BLOOM}.alibi",
}


@pytest.mark.parametrize("what", WRONG)
def test_control_one_thing_wrong(what, tmp_path, monkeypatch):
    from minimodels.architecture.families.gpt2 import FusedAttention

    gelu, alibi = F.gelu, positions.alibi
    wrong = {
        "exact gelu": lambda x, approximate="none": gelu(x),
        "no norm behind the embedding": lambda self, tokens: self.embed_tokens(tokens),
        "rows of qkv by kind, not by head": FusedAttention.split,
        "ALiBi forgotten": lambda *sizes: 0 * alibi(*sizes),
    }
    theirs, ours = twins("bloom", "six", tmp_path)
    monkeypatch.setattr(WRONG[what], wrong[what])
    least = 20 if what == "exact gelu" else 100  # the two gelus are never more than 5e-4 apart
    assert difference(theirs, ours, tokens_for(theirs)) > least * TOLERANCE


def test_norm_after_the_sum_differs(tmp_path):
    """GPT-2 norms before each part; the first transformer and BERT do it after the sum."""
    theirs, ours = twins("gpt2", "six", tmp_path)
    for block in ours.layers:
        block.forward = lambda x, turn, mask=None, cache=None, b=block: post_norm(b, x, mask)
    assert difference(theirs, ours, tokens_for(theirs)) > 100 * TOLERANCE


def post_norm(block, x, mask):
    x = block.input_layernorm(x + block.self_attn(x, None, mask))
    return block.post_attention_layernorm(x + block.mlp(x))


OURS = [
    GPT2Config(vocab_size=90, hidden_size=36, intermediate_size=50, num_layers=2, num_heads=3,
               num_kv_heads=3, head_dim=12, max_length=40, norm_eps=1e-3),
    GPT2Config(vocab_size=90, hidden_size=32, intermediate_size=50, num_layers=1, num_heads=4,
               num_kv_heads=4, head_dim=8, max_length=40, tie_embeddings=False),
    BloomConfig(vocab_size=90, hidden_size=40, intermediate_size=160, num_layers=2, num_heads=5,
                num_kv_heads=5, head_dim=8, max_length=40, norm_eps=1e-3),
    BloomConfig(vocab_size=90, hidden_size=24, intermediate_size=96, num_layers=1, num_heads=2,
                num_kv_heads=2, head_dim=12, max_length=40, tie_embeddings=False),
]  # fmt: skip


@pytest.mark.parametrize("config", OURS, ids=lambda c: f"{c.family}-tied-{c.tie_embeddings}")
@pytest.mark.parametrize("shard", [5_000_000_000, 10_000])
def test_transformers_loads_what_we_save(config, shard, tmp_path):
    from transformers import AutoModelForCausalLM

    ours = unsettle(minimodels.build(config, device="cpu"))
    minimodels.save(ours, None, tmp_path / "saved", max_shard_bytes=shard)
    theirs, report = AutoModelForCausalLM.from_pretrained(
        tmp_path / "saved", output_loading_info=True
    )
    assert not any(report.values())
    assert difference(theirs.float(), ours, tokens_for(theirs)) <= TOLERANCE
    again, _ = minimodels.load(tmp_path / "saved", device="cpu")
    assert again.config == config
    assert difference(theirs, again, tokens_for(theirs)) <= TOLERANCE


def test_older_folders(tmp_path):
    """The first releases: no prefix, the causal mask beside the weights, BLOOM's older fields."""
    from safetensors.torch import load_file, save_file

    from minimodels.files import read_json, write_json

    for family in ("gpt2", "bloom"):
        folder = tmp_path / family
        theirs = peer(family, "six")
        theirs.save_pretrained(folder)
        weights = load_file(folder / "model.safetensors")
        weights = {name.removeprefix("transformer."): w for name, w in weights.items()}
        fields = read_json(folder / "config.json")
        if family == "gpt2":
            weights["h.0.attn.bias"] = torch.ones(1, 1, 64, 64).tril()
            fields["n_ctx"] = 64
        else:
            fields |= {"n_embed": fields.pop("hidden_size"), "offset_alibi": 100,
                       "num_attention_heads": fields.pop("n_head"), "seq_length": 2048}  # fmt: skip
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        write_json(folder / "config.json", fields)
        ours, _ = minimodels.load(folder, device="cpu")
        assert difference(theirs, ours, tokens_for(theirs)) <= TOLERANCE
    assert _rename("lm_head.weight") == "lm_head.weight"


@pytest.mark.parametrize("family, field, value", [
    ("gpt2", "activation_function", "relu"), ("gpt2", "scale_attn_weights", False),
    ("gpt2", "scale_attn_by_inverse_layer_idx", True), ("gpt2", "add_cross_attention", True),
    ("bloom", "apply_residual_connection_post_layernorm", True), ("bloom", "n_inner", 50),
    ("gpt2", "n_head", 5), ("bloom", "n_head", 5),
])  # fmt: skip
def test_what_is_not_implemented_is_refused(family, field, value, tmp_path):
    from minimodels.files import read_json, write_json

    peer(family, "six").save_pretrained(tmp_path)
    write_json(tmp_path / "config.json", read_json(tmp_path / "config.json") | {field: value})
    with pytest.raises(UserError, match="5 heads" if field == "n_head" else field):
        minimodels.load(tmp_path, device="cpu")


def test_a_text_longer_than_the_table(tmp_path):
    """GPT-2 has no vector for position 64; BLOOM reads on when it is told that it may."""
    _, ours = twins("gpt2", "six", tmp_path / "gpt2")
    with pytest.raises(UserError, match="65 tokens but the model reads 64: shorten it"):
        ours(torch.zeros(1, 65, dtype=torch.int64))
    theirs, ours = twins("bloom", "six", tmp_path / "bloom")
    tokens = tokens_for(theirs, 1, 300)
    ours.config = dataclasses.replace(ours.config, max_length=64)
    with pytest.raises(UserError, match="300 tokens but the model reads 64"):
        ours(tokens)
    ours.config = dataclasses.replace(ours.config, max_length=300)
    assert difference(theirs, ours, tokens) <= TOLERANCE


PUBLISHED = {  # of the released files, as their model cards give them
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "bloom-560m": 559_214_592,
    "bloom-1b1": 1_065_314_304,
    "bloom-1b7": 1_722_408_960,
    "bloom-3b": 3_002_557_440,
    "bloom-7b1": 7_069_016_064,
    "bloom-176b": 176_247_271_424,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name):
    model = minimodels.build(name, device="meta")
    assert sum(weight.numel() for weight in model.parameters()) == PUBLISHED[name]


def test_a_fresh_model():
    """Biases 0, norms identity, matrices of std init_std; heads must share the stream."""
    config = dataclasses.replace(CONFIGS["gpt2"], vocab_size=500, num_layers=2)
    for model in (minimodels.build(config, device="cpu"), minimodels.build(OURS[2], device="cpu")):
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear):
                assert (module.bias == 0).all(), name
            if isinstance(module, nn.LayerNorm):
                assert (module.weight == 1).all() and (module.bias == 0).all(), name
    fresh = minimodels.build(config, device="cpu")
    assert abs(fresh.embed_positions.weight.std().item() / 0.02 - 1) < 0.02
    with pytest.raises(UserError, match="make num_heads · head_dim = hidden_size"):
        dataclasses.replace(config, num_kv_heads=4)


def test_compiles_without_a_graph_break():
    torch.compiler.reset()  # other tests compiled other lengths: these must not become symbols
    for config in (OURS[1], OURS[3]):
        model = minimodels.build(config, device="cpu")
        tokens = torch.randint(0, 90, (1, 3))
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        assert torch.equal(compiled(tokens), model(tokens))
