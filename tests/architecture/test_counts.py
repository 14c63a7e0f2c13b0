"""Parameter counts of the published models, on the meta device, against the publications."""

import dataclasses
from functools import cache

import pytest
import torch

import minimodels
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs import CONFIGS
from minimodels.architecture.count import cache_bytes, count


@cache
def counted(config):
    """(embedding and untied head, all others) of a module that takes no memory."""
    model = minimodels.build(config, device="meta")
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    embedding = sum(n for name, n in sizes.items() if name.startswith(("embed", "lm_head")))
    return embedding, sum(sizes.values()) - embedding


GEMMA = {  # arXiv 2403.08295, table 2: embedding, other
    "gemma-2b": (524_550_144, 1_981_884_416),
    "gemma-7b": (786_825_216, 7_751_248_896),
}
NEMOTRON = {"nemotron-4-15b": (3.2e9, 12.5e9), "nemotron-4-340b": (9.4e9, 331.6e9)}


@pytest.mark.parametrize("name", GEMMA)
def test_gemma_to_the_unit(name):
    """The paper counts 256,128 entries, the release has 256,000."""
    config, (embedding, other) = CONFIGS[name], GEMMA[name]
    assert counted(dataclasses.replace(config, vocab_size=256_128)) == (embedding, other)
    assert counted(config) == (256_000 * config.hidden_size, other)


@pytest.mark.parametrize("name", NEMOTRON)
def test_nemotron_as_published(name):
    """Published in billions with one digit (arXiv 2402.16819, 2406.11704).

    One does not round: the shapes of the 15B give 3.146B for its embeddings, the report prints 3.2.
    """
    got, published = counted(CONFIGS[name]), NEMOTRON[name]
    assert abs(got[0] - published[0]) <= 0.06e9
    assert abs(got[1] - published[1]) <= 0.05e9


def test_nemotron_to_the_unit():
    assert counted(CONFIGS["nemotron-4-15b"]) == (3_145_728_000, 12_483_047_424)
    assert counted(CONFIGS["nemotron-4-340b"]) == (9_437_184_000, 331_592_011_776)


EXACT = {  # name: embedding, other; printed to the unit, or by arithmetic from printed shapes
    "gemma-2-2b": (589_824_000, 2_024_517_888),  # 2408.00118; printed with 256,128 entries
    "gemma-2-9b": (917_504_000, 8_324_201_984),
    "gemma-2-27b": (1_179_648_000, 26_047_480_320),
    "gemma-3-1b": (301_989_888, 697_896_064),  # 2503.19786
    "gemma-3-4b": (671_252_480, 3_209_010_688),
    "gemma-3-12b": (1_006_878_720, 10_759_155_456),
    "gemma-3-27b": (1_409_630_208, 25_599_716_096),
}
TOTAL = {
    "llama-2-7b": 6_738_415_616,  # 2307.09288, by arithmetic
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,  # 2407.21783, by arithmetic
    "llama-3-70b": 70_553_706_496,
    "llama-3.1-405b": 405_853_388_800,
    "mixtral-8x7b": 46_702_792_704,  # 2401.04088, by arithmetic
}
ROUNDED = {  # billions, as printed
    "minitron-4b": 4.19,  # 2407.14679, by arithmetic
    "minitron-8b": 8.27,
    "mixtral-8x22b": 140.6,
    "nemotron-h-8b": 8,  # 2504.03624
    "nemotron-h-56b": 56,
    "nemotron-3-nano-30b-a3b": 31.6,  # its report
}


@pytest.mark.parametrize("name", EXACT)
def test_embedding_and_other_to_the_unit(name):
    assert counted(CONFIGS[name]) == EXACT[name]


@pytest.mark.parametrize("name", TOTAL)
def test_total_to_the_unit(name):
    assert sum(counted(CONFIGS[name])) == TOTAL[name]


@pytest.mark.parametrize("name", ROUNDED)
def test_total_as_printed(name):
    digits = len(str(ROUNDED[name]).partition(".")[2])
    assert round(sum(counted(CONFIGS[name])) / 1e9, digits) == ROUNDED[name]


def test_active_parameters():
    """12.9B of Mixtral work on a token (2401.04088), 3.6B of Nemotron 3 Nano with embeddings."""
    assert round(count(CONFIGS["mixtral-8x7b"]).active / 1e9, 1) == 12.9
    assert round(count(CONFIGS["nemotron-3-nano-30b-a3b"]).active / 1e9, 1) == 3.6
    assert count(CONFIGS["gemma-7b"]).active is None


@pytest.mark.parametrize("name", [n for n, c in CONFIGS.items() if c.family != "bert"])
@pytest.mark.parametrize("length", [50, 5000])
def test_cache_formula_of_every_family(name, length):
    """Shorter than the windows, and longer."""
    config = CONFIGS[name]
    cache = KVCache(config, 2, length, device="meta", dtype=torch.bfloat16)
    assert cache.nbytes == cache_bytes(config, length, batch_size=2)


def test_windows_and_states_stop_growing():
    """Gemma 3 27B grows by its ten full layers alone, Nemotron-H by its four."""
    for name, full in (("gemma-3-27b", 10), ("nemotron-h-8b", 4)):
        config = CONFIGS[name]
        growth = cache_bytes(config, 5001) - cache_bytes(config, 5000)
        assert growth == full * 2 * config.num_kv_heads * config.head_dim * 2


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("tied", [True, False])
def test_formula_equals_module(name, tied):
    if CONFIGS[name].family == "bert" and not tied:
        return  # refused: its head is its embedding
    config = dataclasses.replace(CONFIGS[name], tie_embeddings=tied)
    formula = count(config)
    assert (formula.embedding, formula.other + formula.vision) == counted(config)
    assert formula.total == sum(counted(config))


def test_cache_formula():
    config = CONFIGS["nemotron-mini"]
    cache = KVCache(config, batch_size=3, max_length=50, dtype=torch.bfloat16)
    assert cache.nbytes == cache_bytes(config, 50, batch_size=3)
    assert KVCache(config, 3, 50).nbytes == cache_bytes(config, 50, 3, bytes_per_number=4)


def test_table_of_models():
    rows = {row.name: row for row in minimodels.models()}
    assert set(CONFIGS) <= set(rows)
    assert rows["gemma-7b"].parameters == 8_537_680_896
    assert rows["nemotron-4-340b"].embedding_parameters == 2 * 256_000 * 18_432
    assert not rows["gemma-7b"].shipped
