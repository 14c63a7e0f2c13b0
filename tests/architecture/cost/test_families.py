"""Every family of decoders, small: parameters, FLOPs, bytes kept and cache as they are counted."""

import dataclasses

import pytest
import torch

from minimodels.architecture import build as building
from minimodels.architecture.build import build
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs import CONFIGS, deepseek, get
from minimodels.architecture.cost.activations import activations
from minimodels.architecture.cost.compare import compared, small, training_step
from minimodels.architecture.cost.counted import counted_flops, peak_bytes
from minimodels.architecture.cost.flops import flops
from minimodels.architecture.cost.memory import training_here
from minimodels.architecture.cost.parts import BLOCKS, Experts, parts
from minimodels.architecture.count import count

MEMBERS = (
    "gemma-7b", "gemma-2-9b", "gemma-3-4b", "gemma-3n-e2b", "gemma-4-e2b", "gemma-4-12b",
    "gemma-4-26b-a4b", "gpt2", "bloom-560m", "llama-3-8b", "mixtral-8x7b", "nemotron-4-15b",
    "minitron-8b", "nemotron-h-8b", "nemotron-3-nano-30b-a3b",
)  # fmt: skip
DEEPSEEK = small(deepseek.CONFIGS["deepseek-v3"])
LATENT = dataclasses.replace(small(get("nemotron-3-nano-30b-a3b")), moe_latent_size=24)


def named(name: str):
    """The small config of that name."""
    if name == "latent experts":
        return LATENT
    return DEEPSEEK if name == "deepseek-v3" else small(get(name))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", [*MEMBERS, "bert-base-uncased", "deepseek-v3", "latent experts"])
def test_formulas_equal_counts(name, dtype):
    config = named(name)
    bills = compared(config, dtype=dtype)
    formula, counted = bills.pop("bytes kept")
    assert formula == pytest.approx(
        counted, rel=0.005
    )  # 0 apart when written: see test_activations
    for what, (formula, counted) in bills.items():
        assert formula == counted, what


@pytest.mark.parametrize("name", [*MEMBERS, "deepseek-v3"])
@torch.no_grad()
def test_one_more_token_with_a_cache(name):
    config = named(name)
    model, tokens = build(config, device="cpu").eval(), torch.randint(290, (2, 40))
    cache = KVCache(config, 2, 41)
    model(tokens, cache)
    counted = counted_flops(lambda: model(tokens[:, :1], cache)).total()
    assert counted == flops(config, 1, batch=2, past=40).forward


@pytest.mark.parametrize("name", ["gemma-2-9b", "nemotron-h-8b", "gemma-3n-e2b", "gpt2"])
def test_the_peak_is_the_sum_within_two_percent(name):
    """What is kept, the logits and their gradient; the rest of a layer's backward is smaller."""
    config = small(get(name))
    model = build(config, device="cpu")
    step = training_step(model, 2, 33)
    step().backward()
    bill = training_here(config, 33, 2)
    formula = bill.activations + bill.loss
    assert peak_bytes(lambda: step().backward()) == pytest.approx(formula, rel=0.02)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_published_decoder_has_its_formulas(name):
    config = get(name)
    work = flops(config, 128)
    weights = sum(i * o for part in parts(config) for _, i, o in part.matrices)
    assert work.matrices + work.head == 2 * 128 * weights
    assert sum(activations(config, 128).values()) > 0
    size = count(config)
    used = size.active or size.total
    looked_up = size.embedding if not config.tie_embeddings else 0
    assert weights < used + config.vocab_size * config.hidden_size
    assert weights > 0.5 * (used - looked_up - size.embedding)


def test_no_family_is_without_a_formula():
    known = {*BLOCKS, "gemma3n_text", "gemma4_text"}
    assert set(building.FAMILIES) <= known


def test_a_mixture_pays_for_the_experts_it_uses():
    mixture = next(p for p in parts(get("mixtral-8x7b")) if isinstance(p, Experts))
    one = mixture.expert.matrices
    assert len(mixture.matrices) == 1 + 2 * len(one)
