"""Parameter counts of the published models, on the meta device, against the publications."""

import dataclasses

import pytest
import torch

import minimodels
from minimodels.architecture.cache import KVCache
from minimodels.architecture.configs import CONFIGS
from minimodels.architecture.count import cache_bytes, count


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


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("tied", [True, False])
def test_formula_equals_module(name, tied):
    if CONFIGS[name].family == "bert" and not tied:
        return  # refused: its head is its embedding
    config = dataclasses.replace(CONFIGS[name], tie_embeddings=tied)
    formula = count(config)
    assert (formula.embedding, formula.other) == counted(config)
    assert formula.total == formula.embedding + formula.other


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
