"""The benchmark compares like with like; how fast either is, is not asserted."""

import torch

from minimodels.bench import throughput
from minimodels.bench.throughput import Row, decoders, in_turns, pair, table, training_step


def test_both_do_the_same_work(monkeypatch):
    monkeypatch.setattr(throughput, "NEW", 5)
    monkeypatch.setattr(throughput, "LENGTH", 16)
    ours, theirs = pair("nemotron-mini")
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        assert (ours(tokens) - theirs(tokens).logits).abs().max() <= 1e-5
    assert [decode() for decode in decoders(ours, theirs)] == [5, 5]
    assert training_step(ours)() == training_step(theirs)() == 8 * 16


def test_turns_and_table():
    calls = []
    speeds = in_turns(lambda: calls.append("a") or 10, lambda: calls.append("b") or 10, rounds=3)
    assert calls == ["b", "a", "a", "b", "b", "a", "a", "b"]
    assert all(speed > 0 for speed in speeds)
    text = table([Row("gemma-mini", "training", 1200.0, 1000.0)])
    assert "1,200" in text and "1.20" in text
