import pytest
import torch

from minimodels.architecture.cache import KVCache
from minimodels.cluster.hardware import accelerator
from minimodels.inference import demo, figures
from minimodels.inference.caches import SHAPES, CacheShape, step_bound

BY_NAME = {shape.name: shape for shape in SHAPES}
H100 = accelerator("H100").machine()


@pytest.mark.parametrize("name, kib", [
    ("Llama-1 7B", 512), ("Llama-3 8B", 128), ("Llama-3 70B", 320), ("gemma-7b", 448),
    ("gemma-2b", 18),
])
def test_bytes_of_a_token(name, kib):
    assert BY_NAME[name].bytes(1) == kib * 1024


def test_gemma_7b_with_a_full_context():
    assert BY_NAME["gemma-7b"].bytes(8192) == 3.5 * 2**30


def test_the_formula_is_what_a_real_cache_holds(model):
    config = model.config
    shape = CacheShape("toy", config.num_layers, config.num_kv_heads, config.head_dim, 0)
    for dtype in (torch.float32, torch.bfloat16):
        cache = KVCache(config, 3, 50, "cpu", dtype)
        assert cache.nbytes == shape.bytes(50, 3, dtype.itemsize)


@pytest.mark.parametrize("batch, tokens_per_second", [(1, 207), (32, 5267)])
def test_the_memory_wall_of_an_8b(batch, tokens_per_second):
    seconds, limit = step_bound(BY_NAME["Llama-3 8B"], 1024, batch, H100)
    assert batch / seconds == pytest.approx(tokens_per_second, abs=1) and limit == "memory"


def test_batch_64_at_8k_does_not_fit():
    shape = BY_NAME["Llama-3 8B"]
    assert 2 * shape.parameters + shape.bytes(8192, 64) > 80e9
    assert 2 * shape.parameters + shape.bytes(8192, 32) < 80e9


def test_the_figure_counts_who_is_outweighed():
    for length in (128, 2**20):
        larger = sum(shape.bytes(length) > 2 * shape.parameters for shape in SHAPES)
        (axes,) = figures.cache_sizes(length).axes
        assert f"weights of {larger} of 7" in axes.get_title()


def test_the_slider_starts_at_gemmas_context():
    pytest.importorskip("ipywidgets")
    assert demo.cache_slider().value == 8192
