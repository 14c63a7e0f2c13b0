"""DeepSeek-V3 as a family: equal to Transformers in logits, gradients, caches, padding and files.

Tolerance 1e-5 in float32 with the checks of minimodels/experiments/parity.py.
"""

import json

import pytest
import torch
from peers import tokens_for, unsettle

import minimodels
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs.deepseek import CONFIGS, DeepseekConfig
from minimodels.architecture.count import cache_bytes, count
from minimodels.errors import UserError
from minimodels.experiments import parity

TOLERANCE = 1e-5
SHAPES = {  # hidden, heads, q latent, latent, plain, rotated, value, dense, experts, k, groups, top
    "groups": (36, 3, 20, 12, 8, 4, 6, 1, 8, 3, 4, 2),
    "no query latent": (32, 4, None, 16, 6, 8, 10, 2, 6, 2, 1, 1),
    "all mixtures": (24, 2, 9, 30, 5, 2, 7, 0, 4, 1, 2, 1),
}


def peer(shape: str):
    import transformers

    D, H, rank, r, plain, turned, value, dense, E, k, groups, top = SHAPES[shape]
    config = transformers.DeepseekV3Config(
        vocab_size=97, hidden_size=D, intermediate_size=40, moe_intermediate_size=12,
        num_hidden_layers=3, num_attention_heads=H, num_key_value_heads=H, n_routed_experts=E,
        n_shared_experts=2, num_experts_per_tok=k, n_group=groups, topk_group=top,
        first_k_dense_replace=dense, q_lora_rank=rank, kv_lora_rank=r, qk_nope_head_dim=plain,
        qk_rope_head_dim=turned, v_head_dim=value, max_position_embeddings=64, pad_token_id=None,
        norm_topk_prob=shape != "all mixtures", num_mtp_layers=0)  # fmt: skip
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="sdpa", experts_implementation="eager"
    )
    unsettle(model)
    return model.float().eval()


@pytest.fixture(params=SHAPES)
def pair(request, tmp_path):
    theirs = peer(request.param)
    theirs.save_pretrained(tmp_path)
    return theirs, minimodels.load(tmp_path, device="cpu")[0]


def test_parity(pair, tmp_path):
    theirs, ours = pair
    for name, check in parity.CHECKS.items():
        assert check(theirs, ours) <= TOLERANCE, name
    assert parity.saved(ours, tmp_path / "saved") <= TOLERANCE
    assert parity.bf16(theirs, tmp_path / "bf16") <= TOLERANCE


def test_counts_and_cache(pair):
    """The formula counts what is there, and the cache holds latents."""
    _, ours = pair
    config = ours.config
    assert count(config).total == sum(weight.numel() for weight in ours.parameters())
    cache = KVCache(config, 2, 10)
    assert cache.nbytes == cache_bytes(config, 10, 2, 4)
    assert cache.layers[0].keys.shape[-1] == config.kv_lora_rank


def test_published_sizes():
    """671B parameters, 37B a token (2412.19437); 67.5 KiB of cache a token in V2's 60 layers."""
    v3 = CONFIGS["deepseek-v3"]
    model = minimodels.build(v3, device="meta")
    assert count(v3).total == sum(weight.numel() for weight in model.parameters())
    assert round(count(v3).total / 1e9) == 671
    assert round((count(v3).active - v3.vocab_size * v3.hidden_size) / 1e9) == 37  # one row is read
    assert cache_bytes(v3, 1) == 61 * (512 + 64) * 2
    assert cache_bytes(v3, 1) / 61 * 60 == 67.5 * 1024


@torch.no_grad()
def test_controls_differ(tmp_path):
    theirs = peer("groups")
    theirs.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    right, tokens = json.loads(path.read_text(encoding="utf-8")), tokens_for(theirs)
    for wrong in (
        {"n_group": 1, "topk_group": 1},
        {"routed_scaling_factor": 1.0},
        {"rope_theta": 100.0, "rope_parameters": None},
        {"num_experts_per_tok": 2},
    ):
        path.write_text(json.dumps(right | wrong), encoding="utf-8")
        ours, _ = minimodels.load(tmp_path, device="cpu")
        assert (ours(tokens) - theirs(tokens).logits).abs().max() > 1e-3, wrong


def test_refusals(tmp_path):
    theirs = peer("groups")
    theirs.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    right = json.loads(path.read_text(encoding="utf-8"))
    yarn = {"rope_type": "yarn", "factor": 40, "rope_theta": 10000.0}
    for wrong, told in (
        ({"rope_parameters": yarn}, "yarn"),
        ({"topk_method": "greedy"}, "topk_method"),
        ({"qk_rope_head_dim": None}, "qk_rope_head_dim"),
        ({"num_experts_per_tok": 7}, "7 experts"),
    ):
        path.write_text(json.dumps(right | wrong), encoding="utf-8")
        with pytest.raises(UserError, match=told):
            minimodels.load(tmp_path, device="cpu")
    with pytest.raises(UserError, match="cannot use 200"):
        DeepseekConfig(**{**vars(CONFIGS["deepseek-v3"]), "experts_per_token": 200})
