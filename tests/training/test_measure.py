"""Counting FLOPs and bytes, against torch's own counter and against what is allocated."""

import pytest
import torch
from tiny import TinyModel, batches, config
from torch.utils.flop_counter import FlopCounterMode

from minimodels.architecture.attention import attention_by_hand
from minimodels.architecture.build import build
from minimodels.architecture.configs import GemmaConfig, NemotronConfig
from minimodels.training import figures, measure
from minimodels.training.measure import flops_per_token, peak_flops, what_pays
from minimodels.training.memory import training_memory
from minimodels.training.trainer import cross_entropy_sum, make_optimizer, train

SHAPE = dict(vocab_size=96, hidden_size=32, intermediate_size=64, num_layers=3, num_heads=4,
             num_kv_heads=2, head_dim=16, max_length=64)


@pytest.mark.parametrize("config_class", [GemmaConfig, NemotronConfig])
def test_flops_equal_those_that_torch_counts(config_class, monkeypatch):
    monkeypatch.setattr("minimodels.architecture.attention.attend", attention_by_hand)
    model = build(config_class(**SHAPE), device="cpu")
    tokens = torch.randint(0, 96, (2, 48))
    with FlopCounterMode(display=False) as counter:
        cross_entropy_sum(model, tokens, tokens).backward()
    assert flops_per_token(model, 48) * tokens.numel() == counter.get_total_flops()
    assert flops_per_token(model, 24) < flops_per_token(model, 48)


def test_frozen_weights_cost_less():
    model = build(GemmaConfig(**SHAPE), device="meta")
    full = flops_per_token(model, 16)
    model.requires_grad_(False)
    assert 0.6 < flops_per_token(model, 16) / full < 0.8


def test_memory_equals_what_is_allocated():
    model = TinyModel()
    optimizer = make_optimizer(model, config())
    cross_entropy_sum(model, *batches(0)).backward()
    optimizer.step()
    expected = training_memory(model)
    states = [t for s in optimizer.state.values() for t in s.values() if torch.is_tensor(t)]
    assert expected.weights == sum(p.nbytes for p in model.parameters())
    assert expected.gradients == sum(p.grad.nbytes for p in model.parameters())
    assert expected.optimizer == sum(t.nbytes for t in states)
    assert expected.total == training_memory(model, 2).total == 16 * sum(
        p.numel() for p in model.parameters()
    )
    model.requires_grad_(False)
    assert training_memory(model).total == expected.weights


def test_peak_is_measured_once_and_leaves_random_numbers_alone():
    torch.manual_seed(3)
    first = next(train(TinyModel(), batches, config(), progress=False))
    peak_flops.cache_clear()
    again = next(train(TinyModel(), batches, config(), progress=False))
    assert first["loss"] == again["loss"]
    assert peak_flops("float32") > 1e8
    assert 0 < first["share_of_peak"] < 1


def test_compile_pays_in_long_runs_and_bf16_where_it_is_fast(monkeypatch):
    model = build(GemmaConfig(**SHAPE), device="cpu")
    monkeypatch.setattr(measure, "peak_flops", lambda *_: 1e11)
    monkeypatch.setattr(measure, "can_compile", lambda: (True, ""))
    monkeypatch.setattr(measure, "autocast_dtype", lambda: torch.bfloat16)
    a_minute = 60 * 0.4 * 1e11 / flops_per_token(model, 64)
    assert what_pays(model, a_minute, 64) == {"dtype": "bfloat16", "compile": False}
    assert what_pays(model, 10 * a_minute, 64)["compile"]
    monkeypatch.setattr(measure, "can_compile", lambda: (False, "no compiler"))
    assert not what_pays(model, 10 * a_minute, 64)["compile"]


def test_figures_show_the_rows():
    rows = list(train(TinyModel(), batches, config(steps=12), progress=False))
    axes = figures.loss_curve(rows, held_out=[(0, 4.0), (11, 3.0)])
    thin, mean, points = axes.get_lines()
    assert thin.get_ydata()[5] == rows[5]["loss"]
    assert mean.get_ydata()[-1] == pytest.approx(sum(r["loss"] for r in rows) / 12)
    assert list(points.get_xdata()) == [rows[0]["tokens"], rows[11]["tokens"]]
    rates = figures.schedule_curve(config(steps=12)).get_lines()[0].get_ydata()
    assert list(rates) == pytest.approx([row["learning_rate"] for row in rows])
