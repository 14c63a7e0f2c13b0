"""The pictures and tables of the chapters say what the formulas say."""

import dataclasses

import pytest
import torch

from minimodels.architecture import demo, figures
from minimodels.architecture.configs import get
from minimodels.architecture.count import cache_bytes, count


def test_checks_names_what_differs_and_where(capsys):
    right, wrong = torch.zeros(2, 3), torch.zeros(2, 3)
    wrong[1, 2] = 0.5
    assert demo.checks({"a": (right, right), "b": (wrong, right)}) == ["b"]
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("✓ a") and "equal to the bit" in first
    assert second.startswith("✗ b") and "[1, 2]" in second


def test_checks_does_not_pass_nan():
    broken = torch.tensor([0.0, float("nan")])
    assert demo.checks({"nan": (broken, torch.zeros(2))}) == ["nan"]


def test_lively_weights_repeat_and_matter():
    config = dataclasses.replace(get("nemotron-mini"), vocab_size=50, num_layers=1)
    one, two = demo.lively(config), demo.lively(config)
    tokens = torch.arange(12)[None]
    assert torch.equal(one(tokens), two(tokens))
    assert not torch.equal(one(tokens), demo.lively(config, seed=1)(tokens))
    with torch.no_grad():
        one.norm.bias.zero_()
    assert (one(tokens) - two(tokens)).abs().max() > 0.5


@torch.no_grad()
def test_streams_add_up():
    """The last stream plus what its block writes, normed, is the hidden state."""
    model = demo.lively(get("gemma-mini"))
    tokens = torch.arange(10)[None]
    logits, streams = demo.our_streams(model, tokens)
    assert len(streams) == model.config.num_layers + 1
    assert torch.equal(logits, model(tokens))
    assert torch.equal(streams[0], model.embed(tokens))
    sizes = demo.written(model, tokens)
    assert sizes["attention"] > 0 and sizes["MLPs"] > 0
    assert not any(layer.mlp._forward_hooks for layer in model.layers)


def test_texts_that_fit():
    config = get("gemma-2b")
    weights, text = 2 * count(config).total, cache_bytes(config, 100)
    assert figures.texts_that_fit(config, 100, (weights + 3 * text) / 1e9 + 1e-6) == 3
    assert figures.texts_that_fit(config, 100, (weights + 3 * text) / 1e9 - 1e-6) == 2


def test_heads_draws_one_line_a_query():
    panels = figures.heads({"MHA": 8, "GQA": 2}).axes
    assert [len(panel.lines) for panel in panels] == [8, 8]
    assert [len(panel.collections[1].get_offsets()) for panel in panels] == [8, 2]


def test_parameter_bars_fill_the_row():
    (axes,) = figures.parameters({"a": get("gemma-7b")}, "title").axes
    assert sum(bar.get_width() for bar in axes.patches) == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize("name", ["gemma-mini", "nemotron-mini"])
def test_the_decoder_shows_its_config(name):
    config = get(name)
    words = " ".join(text.get_text() for text in figures.decoder(config).axes[0].texts)
    assert f"{config.vocab_size:,}" in words and f"{config.num_heads} query heads" in words


@pytest.mark.parametrize("slider, option", [
    (lambda: demo.std_slider(lambda config: 7.6), 0.1),
    (demo.memory_slider, 1024),
    (demo.conversation_slider, 1024),
])  # fmt: skip
def test_sliders_draw_again(slider, option, monkeypatch):
    pytest.importorskip("ipywidgets")
    display = pytest.importorskip("IPython.display")
    shown = []

    class Handle:
        def update(self, figure):
            shown.append(figure.axes[0].get_title())

    def show(thing, display_id=False):
        if display_id:
            shown.append(thing.axes[0].get_title())
        return Handle()

    monkeypatch.setattr(display, "display", show)
    slider().value = option
    assert len(shown) == 2 and shown[0] != shown[1]
