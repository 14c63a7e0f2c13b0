import pytest
import torch

from minimodels.architecture.cache import KVCache
from minimodels.errors import UserError
from minimodels.inference import figures, stream
from minimodels.inference.stream import compare, token_forwards, with_cache, without_cache

PROMPT = [2, 5, 11, 7, 42]


def test_same_tokens_and_counted_costs(model):
    result = compare(model, PROMPT, 20)
    assert result["same"] and len(result["tokens"]) == 20
    assert result["logit_difference"] < 1e-4  # logits of about 1; float32, other order of sums
    for name, forwards in (("cached", 5 + 19), ("uncached", sum(range(5, 25)))):
        assert result[name]["token_forwards"] == forwards
        assert result[name]["key_rows"] == forwards * model.config.num_layers
        assert len(result[name]["milliseconds"]) == 20
        assert token_forwards(5, 20, cached=name == "cached") == forwards


def test_streams_equal_one_forward_over_the_finished_text(model):
    """Teacher forcing: the reference that knows nothing of steps or caches."""
    written = list(with_cache(model, PROMPT, 12))
    text = PROMPT + [token for token, _ in written]
    with torch.no_grad():
        logits = model(torch.tensor([text]))[0]  # (T, V)
    for step, (token, theirs) in enumerate(written):
        reference = logits[len(PROMPT) - 1 + step]
        assert token == reference.argmax() and torch.allclose(theirs, reference, atol=1e-4)
    assert [t for t, _ in without_cache(model, PROMPT, 12)] == text[len(PROMPT):]


def test_a_cache_that_forgets_the_offset_is_seen(model, monkeypatch):
    """The classic bug: the new token believes that it stands at position 0."""
    right = model.positions
    monkeypatch.setattr(model, "positions", lambda past, T, mask=None: right(0, T, mask))
    result = compare(model, PROMPT, 8)
    assert result["logit_difference"] > 1e-2


def test_a_cache_shared_by_two_texts_is_seen(model, monkeypatch):
    shared = KVCache(model.config, 1, 64, "cpu", torch.float32)
    monkeypatch.setattr(stream, "KVCache", lambda *given: shared)
    first = [token for token, _ in with_cache(model, PROMPT, 8)]
    second = list(with_cache(model, PROMPT, 8))  # the same prompt behind another text
    with torch.no_grad():
        alone = model(torch.tensor([PROMPT]))[0, -1]
    assert (second[0][1] - alone).abs().max() > 1e-2 and len(first) == 8


def test_hooks_are_taken_off(model):
    compare(model, PROMPT, 2)
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("prompt, new", [([], 3), (list(range(65)), 1), (PROMPT, 60), (PROMPT, 0)])
def test_what_does_not_fit(model, prompt, new):
    with pytest.raises(UserError):
        compare(model, prompt, new)


def test_the_whole_context_fits(model):
    assert len(compare(model, list(range(60)), 4)["tokens"]) == 4


def test_the_figure_counts(model):
    (axes,) = figures.stream_times(compare(model, [2], 20)).axes
    assert axes.get_title() == "Without a cache, the price of a token climbs"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [f"{way} tokens through the model" for way in ("uncached: 210", "cached: 20")]
