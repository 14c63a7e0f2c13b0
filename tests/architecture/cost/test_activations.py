"""Bytes kept for backward by formula equal those that autograd keeps, to the byte."""

import dataclasses
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from toy_models import TOYS, built, loss, texts, toy

from minimodels.architecture.cost.activations import activations, megatron, recomputed
from minimodels.architecture.cost.counted import peak_bytes, saved_bytes, saved_tensors
from minimodels.architecture.cost.memory import training_here
from minimodels.errors import UserError


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", TOYS)
def test_activations_equal_what_autograd_saves(name, dtype):
    config, model = built(name, dtype)
    for length in (12, 33):  # within the window of the toys, and beyond it
        tokens, targets = texts(config, 2, length)
        counted = saved_bytes(partial(loss, model, tokens, targets), model)
        assert counted == sum(activations(config, length, 2, dtype.itemsize).values())


@pytest.mark.parametrize("change", [
    dict(num_layers=2), dict(num_kv_heads=1), dict(intermediate_size=113), dict(vocab_size=302),
    dict(head_dim=10), dict(hidden_size=42), dict(num_heads=4),
])  # fmt: skip
def test_a_wrong_size_is_noticed(change):
    """A control: any one size changed, and the bytes disagree by more than their tolerance of 0."""
    config, model = built("llama 3")
    tokens, targets = texts(config, 2, 12)
    counted = saved_bytes(lambda: loss(model, tokens, targets), model)
    wrong = dataclasses.replace(config, **change)
    assert counted != sum(activations(wrong, 12, 2, 4).values())


def test_saved_tensors_are_counted_once_and_weights_are_not():
    x, w = torch.ones(10, requires_grad=True), nn.Parameter(torch.ones(10))
    model = nn.ParameterList([w])

    def run():
        y = x * w  # keeps x and w
        return (y * y).sum()  # keeps y, twice

    saved = saved_tensors(run, model)
    assert [(one.shape, one.bytes) for one in saved] == [((10,), 40), ((10,), 40)]
    assert saved_bytes(run) == 120
    half = torch.ones(100, requires_grad=True)[:50]
    assert saved_bytes(lambda: half * half) == 400  # a view keeps its whole storage alive


@pytest.mark.parametrize("name", ["gemma", "nemotron", "llama 3", "mixtral"])
def test_the_peak_of_a_training_step(name):
    """What is kept, and at the loss the scores and their gradient: within 2%, measured 0.2%."""
    config, model = built(name)
    tokens, targets = texts(config, 4, 64)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)

    def step():
        loss(model, tokens, targets).backward()
        optimizer.step()

    step()  # now gradients and the optimizer's state are there
    counted = peak_bytes(step)
    formula = training_here(config, 64, 4)
    assert counted == pytest.approx(formula.activations + formula.loss, rel=0.005)
    state = sum(p.nbytes + p.grad.nbytes for p in model.parameters())
    state += sum(t.nbytes for s in optimizer.state.values() for t in s.values() if t.dim())
    assert state == formula.weights + formula.state


@pytest.mark.parametrize("name", ["gemma", "llama 3"])
def test_recomputed_blocks_keep_their_inputs(name):
    config, model = built(name)
    tokens, targets = texts(config, 2, 12)
    for layer in model.layers:
        whole = layer.forward
        layer.forward = lambda *given, whole=whole: checkpoint(whole, *given, use_reentrant=False)
    counted = saved_bytes(lambda: loss(model, tokens, targets), model)
    formula = recomputed(config, 12, 2, 4)
    del formula["one block"]
    last_norm = activations(config, 12, 2, 4)["norms"] // (2 * config.num_layers + 1)
    assert counted == sum(formula.values()) + last_norm


class GPT3Layer(nn.Module):
    """The layer of arXiv 2205.05198, figure 2, in plain steps, with dropout and no fused kernel.

    torch.native_dropout keeps a mask of one byte, as the paper counts; F.dropout on a CPU two.
    """

    def __init__(self, h: int, a: int):
        super().__init__()
        self.a = a
        self.norm1, self.norm2 = nn.LayerNorm(h), nn.LayerNorm(h)
        self.qkv, self.out = nn.Linear(h, 3 * h), nn.Linear(h, h)
        self.up, self.down = nn.Linear(h, 4 * h), nn.Linear(4 * h, h)

    def forward(self, x):
        def drop(y):
            return torch.native_dropout(y, 0.1, True)[0]

        heads = self.qkv(self.norm1(x)).unflatten(-1, (3, self.a, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = (one.contiguous() for one in heads)  # (b, a, s, h/a)
        scores = (q @ k.transpose(2, 3)) * q.shape[-1] ** -0.5
        y = drop(scores.softmax(-1)) @ v
        x = x + drop(self.out(y.transpose(1, 2).flatten(2)))
        return x + drop(self.down(F.gelu(self.up(self.norm2(x)))))


@pytest.mark.parametrize("s, b, h, a", [(128, 2, 256, 8), (64, 3, 384, 4), (256, 1, 256, 16)])
def test_megatrons_formula_counts_megatrons_layer(s, b, h, a):
    """sbh(34 + 5as/h), to 2%: it leaves out the means and deviations of the norms."""
    layer = GPT3Layer(h, a).to(torch.bfloat16)
    x = torch.randn(b, s, h, dtype=torch.bfloat16, requires_grad=True)
    counted = saved_bytes(lambda: layer(x), layer)
    assert counted == pytest.approx(megatron(s, b, h, a), rel=0.02)
    assert counted != pytest.approx(megatron(s, b, h, 2 * a), rel=0.02)  # a control


def test_megatrons_ways():
    """The published table at 22B: s 2048, b 4, h 6144, a 64, t 8 (arXiv 2205.05198, table 2)."""
    sizes = dict(s=2048, b=4, h=6144, a=64)
    sbh = 2048 * 4 * 6144
    assert megatron(**sizes) == pytest.approx(sbh * (34 + 5 * 64 * 2048 / 6144))
    assert megatron(**sizes, t=8, way="tensor") == pytest.approx(
        sbh * (10 + 24 / 8 + (5 * 64 * 2048 / 6144) / 8)
    )
    assert megatron(**sizes, t=8, way="sequence") == pytest.approx(megatron(**sizes) / 8)
    assert megatron(**sizes, t=8, way="selective") == pytest.approx(34 * sbh / 8)
    assert megatron(**sizes, way="full") == 2 * sbh
    with pytest.raises(UserError, match="no way 'none of'"):
        megatron(**sizes, way="none of")


def test_soft_caps_write_the_table_down():
    """Gemma 2's bytes grow with the square of the length, Gemma 3's do not (but for its masks)."""
    config = dataclasses.replace(toy("gemma 2"), max_length=4096)
    no_cap = dataclasses.replace(config, attention_softcap=None)
    for with_cap, ratio in ((config, 3.5), (no_cap, 2.1)):
        one, two = (activations(with_cap, T)["attention"] for T in (1000, 2000))
        assert two / one > ratio if with_cap is config else two / one < 3.5
