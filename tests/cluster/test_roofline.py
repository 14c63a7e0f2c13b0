import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from minimodels.cluster.hardware import ACCELERATORS, accelerator
from minimodels.cluster.layers import Attention, Linear, decoder_layers, gemma_layers
from minimodels.cluster.roofline import Bound, Machine, bound
from minimodels.errors import UserError

TOY = Machine("toy", flops=100.0, bandwidth=10.0)


def test_the_slower_of_the_two_sets_the_time():
    assert bound(1000, 1, TOY) == Bound(10.0, "compute")
    assert bound(1, 1000, TOY) == Bound(100.0, "memory")
    assert bound(100, 10, TOY) == Bound(1.0, "compute")  # on the ridge both take as long
    assert TOY.ridge == 10


def test_the_other_limit_has_the_name_of_what_it_goes_through():
    link = Machine("two cards", 989e12, 450e9, moves="NVLink")
    assert bound(1e9, 1e9, link) == Bound(1e9 / 450e9, "NVLink")


def test_linear_counts_what_torch_counts():
    layer = Linear("up", 48, 80, number_bytes=4)
    x, w = torch.ones(6, 48), torch.ones(48, 80)
    with FlopCounterMode(display=False) as counter:
        y = x @ w
    assert layer.cost(6) == (counter.get_total_flops(), x.nbytes + w.nbytes + y.nbytes)


def test_attention_counts_what_torch_counts():
    layer = Attention("attention", heads=8, kv_heads=2, head_dim=16, length=100, number_bytes=4)
    q, k, v = (torch.ones(3, 8, n, 16) for n in (1, 100, 100))
    with FlopCounterMode(display=False) as counter:
        (q @ k.mT) @ v
    cache = torch.ones(2, 3, 2, 100, 16)  # keys and values: (2, B, K, T, d)
    assert layer.cost(3) == (counter.get_total_flops(), cache.nbytes)


@pytest.mark.parametrize("inputs, outputs", [(3072, 24576), (3072, 256_000), (128, 512)])
def test_crossover_is_where_the_limit_changes(inputs, outputs):
    layer, h100 = Linear("any", inputs, outputs), accelerator("h100").machine()
    crossover = layer.crossover(h100)
    if math.isinf(crossover):  # too small a matrix: the rows cost more bytes than it saves
        assert bound(*layer.cost(10**9), h100).limit == "memory"
    else:
        assert bound(*layer.cost(math.floor(crossover)), h100).limit == "memory"
        assert bound(*layer.cost(math.ceil(crossover)), h100).limit == "compute"


def test_gemma_on_an_h100():
    h100 = accelerator("H100").machine()
    layers = {layer.name: layer for layer in gemma_layers()}
    assert round(h100.ridge) == 295  # 989e12 / 3.35e12
    assert all(bound(*layer.cost(1), h100).limit == "memory" for layer in layers.values())
    at_512 = {name: bound(*layer.cost(512), h100).limit for name, layer in layers.items()}
    assert at_512.pop("attention over 8,192") == "memory"
    assert set(at_512.values()) == {"compute"}
    assert layers["attention over 8,192"].crossover(h100) == math.inf


def test_attention_intensity_is_queries_for_each_key():
    flops, bytes = Attention("gqa", 64, 8, 128, 1000).cost(7)
    assert flops / bytes == 64 / 8  # 2 FLOPs a number and query, 2 bytes a number


def test_gemma_layers_hold_its_weights():
    weights = {
        layer.name: layer.inputs * layer.outputs
        for layer in gemma_layers() if isinstance(layer, Linear)
    }
    head, norms = weights.pop("head"), 2 * 28 * 3072 + 3072
    assert head == 3072 * 256_000
    assert 28 * sum(weights.values()) + norms == 7_751_248_896  # the paper's count


def test_without_a_gate_the_mlp_has_one_matrix_up():
    up = decoder_layers(6144, 24576, 48, 8, 128, 256_000, gated=False)[3]
    assert (up.inputs, up.outputs) == (6144, 24576)


def test_table_of_accelerators():
    names = [row.name for row in ACCELERATORS]
    assert len(set(names)) == len(names) >= 10
    for row in ACCELERATORS:
        assert row.source and (row.confirmed or row.note)
        if row.matmul_tflops:
            assert 0.5 < row.matmul_tflops / row.bf16_tflops < 1
        if row.fp8_tflops:
            assert row.fp8_tflops == pytest.approx(2 * row.bf16_tflops, rel=1e-3)


def test_an_unknown_card_and_an_undisclosed_one():
    with pytest.raises(UserError, match="H100"):
        accelerator("H1000")
    with pytest.raises(UserError, match="no agreed peak"):
        accelerator("Ascend 910B").machine()
