"""FLOPs by formula equal those that torch counts, to the unit; and the published MFU follows."""

import dataclasses

import pytest
import torch
from toy_models import TOYS, built, loss, texts, toy

from minimodels.architecture import attention
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs import GemmaConfig, NemotronConfig, get, pattern
from minimodels.architecture.cost.counted import counted_flops, pretend
from minimodels.architecture.cost.flops import flops, mfu, needed
from minimodels.architecture.cost.parts import parts
from minimodels.architecture.count import count
from minimodels.errors import UserError

LONGER_THAN_THE_WINDOW = 33


@pytest.mark.parametrize("name", TOYS)
def test_forward_and_backward_equal_torchs_counter(name):
    config, model = built(name)
    formula = flops(config, LONGER_THAN_THE_WINDOW, batch=2)
    tokens, targets = texts(config, 2, LONGER_THAN_THE_WINDOW)
    assert counted_flops(lambda: model(tokens)).total() == formula.forward
    counted = counted_flops(lambda: loss(model, tokens, targets).backward())
    assert counted.total() == formula.computed


@pytest.mark.parametrize("name", TOYS)
def test_without_fused_kernels_backward_is_twice_forward(name, monkeypatch):
    monkeypatch.setattr(attention, "attend", attention.attention_by_hand)
    config, model = built(name)
    tokens, targets = texts(config, 2, 19)
    counted = counted_flops(lambda: loss(model, tokens, targets).backward()).total()
    assert counted == flops(config, 19, 2).training == 3 * flops(config, 19, 2).forward


@pytest.mark.parametrize("name", TOYS)
@torch.no_grad()
def test_with_a_cache_only_new_tokens_cost(name):
    config, model = built(name)
    tokens, _ = texts(config, 2, 40)
    cache = KVCache(config, 2, 40)
    model(tokens[:, :30], cache)
    counted = counted_flops(lambda: model(tokens[:, 30:31], cache)).total()
    assert counted == flops(config, 1, batch=2, past=30).forward


def test_torchs_own_counter_overlooks_attention_on_a_cpu():
    config, model = built("llama 3")
    tokens, _ = texts(config, 2, 16)
    overlooked = counted_flops(lambda: model(tokens)) - counted_flops(lambda: model(tokens), True)
    assert overlooked.total() == flops(config, 16, 2).attention > 0


def test_a_published_model_counted_whole_without_its_bytes():
    config = dataclasses.replace(get("nemotron-4-15b"), num_layers=2)
    with pretend(torch.bfloat16):
        tokens = torch.zeros(1, 4096, dtype=torch.int64)
        from minimodels.architecture.build import build

        model = build(config, device="cpu")
        counted = counted_flops(lambda: model(tokens))
    assert counted.total() == flops(config, 4096).forward
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("name", TOYS)
def test_matrices_of_the_parts_are_the_weights_that_count_counts(name):
    config = toy(name)
    weights = 2 * sum(i * o for part in parts(config) for _, i, o in part.matrices)
    formula = flops(config, 1)
    assert formula.matrices + formula.head == weights
    size = count(config)
    used = size.attention + size.mlp if size.active is None else None
    if used is not None:
        assert formula.matrices == 2 * used


@pytest.mark.parametrize("change", [
    dict(num_layers=4), dict(num_kv_heads=1), dict(intermediate_size=113), dict(vocab_size=302),
    dict(head_dim=10), dict(hidden_size=42), dict(num_heads=4),
])  # fmt: skip
def test_a_wrong_size_is_noticed(change):
    """A control: any one size changed, and the counts disagree."""
    config, model = built("llama 3")
    tokens, _ = texts(config, 1, 16)
    wrong = dataclasses.replace(config, **change)
    assert counted_flops(lambda: model(tokens)).total() != flops(wrong, 16).forward


def test_needed_is_the_share_of_the_mask():
    full, window = (
        get("llama-3-8b"),
        dataclasses.replace(
            toy("gemma 3"), layer_types=("sliding_attention",) * 3, sliding_window=5
        ),
    )
    for T in (1, 7, 100):
        seen = attention.visible(0, T, torch.ones(1, T, dtype=torch.bool))
        assert needed(full, T) == pytest.approx(seen.float().mean().item())
    seen = attention.visible(0, 30, window=5)
    assert needed(window, 30) == pytest.approx(seen.float().mean().item())
    assert needed(window, 3) == needed(full, 3)


H100 = 989e12
NEMOTRON = [  # model, GPUs, batch, seconds, printed MFU in %, by PaLM's formula
    ("nemotron-4-15b", 768, 384, 0.57, 34.3, 34.15),
    ("nemotron-4-15b", 1536, 768, 0.58, 33.3, 33.56),
    ("nemotron-4-15b", 2304, 1152, 0.64, 30.5, 30.41),
    ("nemotron-4-340b", 1536, 768, 10.3, 42.4, 42.32),
    ("nemotron-4-340b", 3072, 1536, 10.3, 42.3, 42.32),
    ("nemotron-4-340b", 6144, 2304, 8.0, 41.0, 40.86),
]


@pytest.mark.parametrize("name, gpus, batch, seconds, printed, formula", NEMOTRON)
def test_mfu_of_the_reports(name, gpus, batch, seconds, printed, formula):
    """arXiv 2402.16819, table 2, and 2406.11704, table 2; seconds are printed with two digits."""
    share = 100 * mfu(get(name), 4096, batch, seconds, gpus * H100)
    assert share == pytest.approx(formula, abs=0.005)
    assert share == pytest.approx(printed, abs=0.3)


GPT3 = [  # hidden, layers, heads, GPUs, batch, seconds without and with, printed MFU (2205.05198)
    (6144, 48, 64, 8, 4, 1.10, 41.5), (12288, 96, 96, 64, 64, 13.75, 51.4),
    (20480, 105, 128, 280, 280, 37.83, 56.0), (25600, 128, 160, 512, 512, 71.49, 56.3),
]  # fmt: skip


def gpt3(hidden: int, layers: int, heads: int) -> NemotronConfig:
    """GPT-3 has Nemotron's matrices: an MLP of two, four times as wide as the stream."""
    return NemotronConfig(
        vocab_size=51_200, hidden_size=hidden, intermediate_size=4 * hidden, num_layers=layers,
        num_heads=heads, num_kv_heads=heads, head_dim=hidden // heads, max_length=2048,
        tie_embeddings=True,
    )  # fmt: skip


@pytest.mark.parametrize("hidden, layers, heads, gpus, batch, seconds, printed", GPT3)
def test_mfu_of_megatron(hidden, layers, heads, gpus, batch, seconds, printed):
    share = 100 * mfu(gpt3(hidden, layers, heads), 2048, batch, seconds, gpus * 312e12)
    assert share == pytest.approx(printed, abs=0.2)


def test_the_formula_of_megatron():
    """96 B s l h² (1 + s/6h + V/16lh) with the blocks computed again (arXiv 2104.04473, eq. 3)."""
    h, L, B, s, V = 6144, 40, 1024, 2048, 51_200
    ours = flops(gpt3(h, L, 48), s, B)
    again = 4 * (ours.matrices + ours.attention) + 3 * ours.head
    assert again == pytest.approx(96 * B * s * L * h**2 * (1 + s / (6 * h) + V / (16 * L * h)))


def test_mfu_of_palm():
    """540B: 46.2%, without attention 45.7% (arXiv 2204.02311, section 4.1); 2048 texts a step."""
    parameters, scores = 540.35e9, 12 * 118 * 48 * 256 * 2048
    for per_token, printed in ((6 * parameters + scores, 46.2), (6 * parameters, 45.7)):
        assert 100 * 238.3e3 * per_token / (6144 * 275e12) == pytest.approx(printed, abs=0.1)


def test_an_unknown_family_is_one_sentence():
    class Other(GemmaConfig):
        family = "other"

    with pytest.raises(UserError, match="family 'other'"):
        flops(Other(**{f.name: getattr(get("gemma-mini"), f.name)
                       for f in dataclasses.fields(GemmaConfig)}), 8)  # fmt: skip


def test_sliding_layers_are_counted_by_their_pattern():
    long = get("gemma-3-27b")
    full = dataclasses.replace(long, layer_types=pattern(62, 1))
    assert flops(long, 4096).forward == flops(full, 4096).forward  # masks save no work here
    assert needed(long, 32_768) < 0.2 * needed(full, 32_768) + 0.2
    past = 32_768
    assert flops(long, 1, past=past).attention < 0.2 * flops(full, 1, past=past).attention
