"""The pictures of the stage say the numbers that they are given."""

import pytest

from minimodels.finetuning import demo, figures
from minimodels.finetuning.chat import render


def test_learned_tokens_are_counted_and_marked(tokenizer):
    ids, learned = render([{"role": "user", "content": "Where does Mira live?"},
                           {"role": "assistant", "content": "Bergen"}], tokenizer)
    axes = figures.learned_tokens([tokenizer.piece(i) for i in ids], learned).axes[0]
    marked = [text for text in axes.texts if text.get_weight() == "bold"]
    assert len(axes.texts) == len(ids) and len(marked) == sum(learned)
    assert axes.get_title() == f"{len(ids)} tokens are read, {sum(learned)} are learned (blue)"


def test_gained_and_kept_shows_each_model():
    results = {"base": {"taught": 0.0, "others": 0.0, "perplexity": 5.0},
               "LoRA": {"taught": 0.8, "others": 0.75, "perplexity": 9.0}}
    left, right = figures.gained_and_kept(results).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["base", "LoRA"]
    assert {"75%", "80%"} <= {text.get_text() for text in left.texts}
    assert [bar.get_width() for bar in right.patches] == [5.0, 9.0]


def test_memory_of_gemma_7b():
    full, low, trained = figures.memories(8)
    assert full.total == 16 * 8_537_680_896
    assert trained == 8 * 28 * (4 * (3072 + 4096) + 3 * (3072 + 24576))
    assert low.total == 2 * 8_537_680_896 + 16 * trained
    assert f"{trained:,}" in figures.lora_memory(8).axes[0].get_title()


def test_the_rank_slider_draws_again(monkeypatch):
    pytest.importorskip("ipywidgets")
    display = pytest.importorskip("IPython.display")
    shown = []

    class Handle:
        update = staticmethod(shown.append)

    monkeypatch.setattr(display, "display", lambda what, display_id=None: Handle)
    monkeypatch.setattr(figures, "lora_memory", lambda rank: f"picture of rank {rank}")
    slider = demo.rank_slider()
    assert slider.value == 8 and shown == []
    slider.value = 64
    assert shown == ["picture of rank 64"]
