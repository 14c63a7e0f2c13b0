"""Sampling equals Transformers' processors, and our greedy text theirs, token by token."""

import pytest
import torch
from toys import Bytes, Scripted

from minimodels.architecture.configs import CONFIGS
from minimodels.architecture.generate import generate, generate_batch
from minimodels.architecture.sampling import Sampling, filtered, next_token, penalized
from minimodels.errors import UserError
from minimodels.experiments import parity
from minimodels.experiments.peers import FAMILIES

LOGITS = 3 * torch.randn(40, 50, generator=torch.Generator().manual_seed(0))


def theirs(**options):
    from transformers import (
        LogitsProcessorList,
        MinPLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    classes = {"top_k": TopKLogitsWarper, "top_p": TopPLogitsWarper, "min_p": MinPLogitsWarper}
    return LogitsProcessorList(classes[name](value) for name, value in options.items())


@pytest.mark.parametrize("options", [
    {"top_k": 1}, {"top_k": 7}, {"top_k": 80}, {"top_p": 0.9}, {"top_p": 0.01}, {"top_p": 1.0},
    {"min_p": 0.1}, {"min_p": 0.0}, {"min_p": 1.0}, {"top_k": 20, "top_p": 0.8, "min_p": 0.05},
], ids=str)  # fmt: skip
def test_filters_equal_transformers(options):
    wanted = theirs(**options)(None, LOGITS.clone())
    got = filtered(LOGITS, **options)
    assert torch.equal(got, wanted)
    if options not in ({"top_k": 80}, {"top_p": 1.0}, {"min_p": 0.0}):
        assert got.isinf().any()  # control: something was cut off


def test_penalty_equals_transformers():
    from transformers import RepetitionPenaltyLogitsProcessor

    ids = torch.randint(50, (40, 12), generator=torch.Generator().manual_seed(1))
    wanted = RepetitionPenaltyLogitsProcessor(1.7)(ids, LOGITS.clone())
    seen = torch.zeros(40, 50, dtype=torch.bool).scatter(1, ids, True)
    assert torch.equal(torch.where(seen, penalized(LOGITS, 1.7), LOGITS), wanted)
    assert not torch.equal(LOGITS.argmax(-1), wanted.argmax(-1))
    assert torch.equal(next_token(LOGITS, repetition_penalty=1.7, seen=seen), wanted.argmax(-1))


def test_drawn_as_often_as_the_softmax_says():
    """Within 5 standard deviations of the counts, for all 50 tokens."""
    row, draws = LOGITS[:1], 40_000
    generator = torch.Generator().manual_seed(2)
    drawn = next_token(row.expand(draws, -1), 1.3, top_p=0.9, generator=generator)
    wanted = filtered(row / 1.3, top_p=0.9).softmax(-1)[0]
    counts = drawn.bincount(minlength=50)
    assert ((counts - draws * wanted).abs() <= 5 * (draws * wanted * (1 - wanted)).sqrt()).all()


@pytest.mark.parametrize("wrong, named", [
    ({"temperature": -1.0}, "temperature"), ({"top_k": 0}, "top_k"), ({"top_p": 0.0}, "top_p"),
    ({"top_p": 1.5}, "top_p"), ({"min_p": 2.0}, "min_p"),
    ({"repetition_penalty": 0.0}, "repetition_penalty"),
], ids=str)  # fmt: skip
def test_nonsense_is_refused(wrong, named):
    with pytest.raises(UserError, match=named):
        Sampling(**wrong)
    with pytest.raises(UserError, match=named):  # at once, before the first piece is asked for
        generate(Scripted(CONFIGS["gemma-mini"], []), Bytes(), "a", **wrong)


class Spaced:
    """All that generate_batch asks of a tokenizer."""

    pad_id = 0


@pytest.mark.parametrize("penalty", [None, 1.3])
@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_equals_transformers(family, penalty, tmp_path):
    """Three prompts of different lengths, left-padded there: the same tokens, one by one."""
    their, ours = parity.twins(family, "gqa", tmp_path)
    prompts = [[5, 9, 33], [7] * 2 + [60, 61, 12, 9, 8, 33, 50, 3, 41], [80]]
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    how = Sampling(repetition_penalty=penalty)
    got = generate_batch(ours, Spaced, prompts, 20, stop_ids=[], how=how)
    if penalty is None:
        out = their.generate(ids, attention_mask=mask, max_new_tokens=20, do_sample=False,
                             pad_token_id=0, eos_token_id=None)  # fmt: skip
        assert got == out[:, longest:].tolist()
    for row, prompt in enumerate(prompts):  # theirs would count padding as seen: one at a time
        out = their.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False,
                             pad_token_id=0, eos_token_id=None,
                             repetition_penalty=penalty)  # fmt: skip
        assert got[row] == out[0, len(prompt) :].tolist()
    assert len(set(map(tuple, got))) == 3


def say(text, stop):
    ids = Bytes().encode(text)
    model = Scripted(CONFIGS["gemma-mini"], ids)
    return list(generate(model, Bytes(), "a", max_new_tokens=len(ids), stop=stop))


def test_stop_strings():
    assert "".join(say("one two three", "two")) == "one "
    assert "".join(say("one two three", ["xyz", "thr", "two t"])) == "one "
    assert "".join(say("one two", "four")) == "one two"
    assert "".join(say("one tw", "two")) == "one tw"  # what could have begun a stop comes at last
    assert "".join(say("ttwo", "two")) == "t"


def test_what_could_begin_a_stop_waits():
    """No piece ever shows a part of the stop string."""
    pieces = say("a</tool>b", "</tool>")
    assert pieces == ["a"]
    assert say("a</to", "</tool>") == ["a", "</to"]
