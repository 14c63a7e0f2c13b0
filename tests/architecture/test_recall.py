"""The experiments of the chapter on cheaper attention: their task, their models, their results."""

from dataclasses import replace

import pytest
import torch

from minimodels.architecture import cheaper_demo, cheaper_figures
from minimodels.experiments import cheaper_attention, recall
from minimodels.experiments.mixers import (
    Latent,
    Mixed,
    Sizes,
    equal_size,
    mixer,
    numbers_kept,
    parameters,
)
from minimodels.files import read_json, repository
from minimodels.training.trainer import IGNORED, make_optimizer

SIZES = Sizes(32, hidden_size=16, num_heads=2, head_dim=8, intermediate_size=24, window=4)
KINDS = ("mha", "gqa", "mqa", "mla", "window", "linear", "delta", "mamba2")
RESULTS = repository() / "course/03_architecture/results"


def test_lists_ask_for_what_they_told():
    tokens, targets = recall.lists(8, 50, torch.Generator().manual_seed(0))
    assert tokens.shape == targets.shape == (50, 24)
    assert (targets[:, :16] == IGNORED).all()
    for row, asked in zip(tokens.tolist(), targets.tolist(), strict=True):
        told = dict(zip(row[:16:2], row[1:16:2], strict=True))
        assert len(told) == 8 and max(told) < recall.KEYS <= min(told.values())
        assert [told[key] for key in row[16:]] == asked[16:]
    assert torch.equal(recall.Lists(3)(5)[0], recall.Lists(3)(5)[0])
    assert not torch.equal(recall.Lists(3)(5)[0], recall.Lists(4)(5)[0])


@pytest.mark.parametrize("kind", [*KINDS, "shared"])
def test_no_model_sees_the_future(kind):
    torch.manual_seed(0)
    kinds = ("mha", kind) if kind == "shared" else (kind,)
    model = Mixed(kinds, SIZES).eval()
    tokens = torch.randint(32, (2, 12))
    changed = tokens.clone()
    changed[:, 7:] = (tokens[:, 7:] + 1) % 32
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    assert (before[:, :7] - after[:, :7]).abs().max() < 1e-5
    assert (before[:, 7:] - after[:, 7:]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["linear", "delta", "mamba2"])
def test_states_have_the_size_that_is_told(kind):
    layer = mixer(kind, SIZES).mixer
    state = {name: part for name, part in layer.fresh_state(1).items() if name != "conv"}
    assert sum(part.numel() for part in state.values()) == numbers_kept(kind, SIZES, 10**6)


def test_caches_have_the_size_that_is_told():
    x = torch.randn(1, 9, 16)
    layer = Latent(SIZES)
    angles = torch.ones(1, 1, 9, 2), torch.zeros(1, 1, 9, 2)
    assert sum(part.numel() for part in layer.latents(x, angles)) == numbers_kept("mla", SIZES, 9)
    for kind, heads in (("mha", 2), ("gqa", 1), ("mqa", 1)):
        assert mixer(kind, SIZES).k_proj.out_features == 8 * heads
        assert numbers_kept(kind, SIZES, 9) == 2 * 9 * 8 * heads
    assert numbers_kept("window", SIZES, 9) == 3 * 2 * 2 * 8
    assert numbers_kept("shared", SIZES, 9) == 0


def test_models_are_equally_large():
    base = cheaper_attention.BASE
    size = parameters(cheaper_attention.MODELS["multi-head"], base)
    for name, kinds in cheaper_attention.MODELS.items():
        assert abs(parameters(kinds, equal_size(kinds, base, size)) / size - 1) < 0.003, name


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_is_trained(kind):
    """By the optimizer of both recipes, convolutions included."""
    torch.manual_seed(0)
    model = Mixed((kind,), SIZES)
    optimizer = make_optimizer(model, recall.RECIPE)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    model(torch.randint(32, (4, 12))).square().sum().backward()
    optimizer.step()
    still = [n for n, weight in model.named_parameters() if torch.equal(weight, before[n])]
    assert still == []


def test_a_short_training_learns_to_recall():
    recipe = replace(recall.RECIPE, steps=60, warmup_steps=10)
    model = recall.learn("mha", 0, batches=recall.Lists(0, pairs=(2, 4), tokens=600), recipe=recipe)
    assert recall.accuracy(model, 2, asked=500) > 0.3 > 3 / recall.VALUES


def test_stored_results_show_what_is_told():
    found = read_json(RESULTS / "recall.json")["values"]
    at = {kind: {int(n): row["accuracy"][n] for n in row["accuracy"]}
          for kind, row in found["mixers"].items()}  # fmt: skip
    assert set(at) == set(recall.KINDS)
    for seed in (0, 1):
        assert min(at["mha"][64][seed], at["mla"][64][seed]) > 0.98
        assert at["linear"][64][seed] < at["delta"][64][seed] < 0.8
        assert at["window"][64][seed] < 0.2
    quality = read_json(RESULTS / "cheaper_attention.json")["values"]
    assert set(quality) == set(cheaper_attention.MODELS)


def test_figures_and_slider(monkeypatch):
    found = read_json(RESULTS / "recall.json")["values"]["mixers"]
    figure = cheaper_figures.recall(found, "t", {kind: kind for kind in found}, 1 / 16, 16)
    assert len(figure.axes[0].get_legend().get_texts()) == len(found) + 1
    quality = read_json(RESULTS / "cheaper_attention.json")["values"]
    assert len(cheaper_figures.quality(quality, "8192", "t").axes[0].patches) == len(quality)
    assert len(cheaper_figures.kept().axes) == 6
    assert "13 tokens" in cheaper_figures.receptive_field(4).axes[0].get_title()
    assert "cut by the text" in cheaper_figures.receptive_field(12).axes[0].get_title()
    shown = []
    monkeypatch.setattr(cheaper_demo, "live", lambda draw, choices, first, label: shown.append(
        (draw(first), first in choices)))  # fmt: skip
    cheaper_demo.window_slider()
    assert shown[0][1]
