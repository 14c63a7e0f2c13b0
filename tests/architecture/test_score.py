"""Scores against plain cross-entropy, one text at a time."""

import math

import numpy as np
import pytest
import torch
from peers import unsettle
from torch.nn import functional as F
from toys import Bytes

import minimodels
from minimodels.architecture.score import choose, completion_logprobs, perplexity, token_logprobs
from minimodels.errors import UserError

PROMPTS = [[2, 5, 7], [2, 9], [2, *range(30, 50)], [2]]
COMPLETIONS = [[4, 5], [6], [7, 8, 9], [10] * 5]


@pytest.fixture(params=["gemma-mini", "nemotron-mini"])
def model(request):
    torch.manual_seed(3)
    model = minimodels.build(request.param, device="cpu")
    unsettle(model)
    return model


@torch.no_grad()
def plain(model, ids):
    """−cross-entropy of each token of one text, (T−1,)"""
    tokens = torch.tensor(ids)
    return -F.cross_entropy(model(tokens[None])[0, :-1], tokens[1:], reduction="none")


def test_token_logprobs(model):
    tokens = torch.randint(0, 2048, (3, 12))
    got = token_logprobs(model, tokens)
    assert got.shape == (3, 11)
    for row, ids in zip(got, tokens.tolist(), strict=True):
        torch.testing.assert_close(row, plain(model, ids), rtol=0, atol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_completions_whatever_the_padding(model, batch_size):
    got = completion_logprobs(model, Bytes(), PROMPTS, COMPLETIONS, batch_size)
    for prompt, completion, value in zip(PROMPTS, COMPLETIONS, got, strict=True):
        wanted = plain(model, prompt + completion)[len(prompt) - 1 :].sum().item()
        assert value == pytest.approx(wanted, abs=1e-3)
    assert len(set(got)) == len(got)


def test_choose(model):
    choices = [[[4, 5], [6], [7, 8]], [[300], [301, 302]], [[9], [8]], [[5, 5]]]
    got = choose(model, Bytes(), PROMPTS, choices)
    for prompt, options, chosen in zip(PROMPTS, choices, got, strict=True):
        sums = [plain(model, prompt + o)[len(prompt) - 1 :].sum().item() for o in options]
        assert chosen == sums.index(max(sums))


@pytest.mark.parametrize("length", [2, 50, 97, 98, 99])
def test_perplexity_scores_each_token_once(model, length):
    tokens = np.random.default_rng(0).integers(0, 2048, length).astype(np.uint16)
    ids = tokens.tolist()
    parts = [plain(model, ids[i : i + 17]) for i in range(0, length - 1, 16)]
    logprobs = torch.cat(parts).double()
    assert len(logprobs) == length - 1
    wanted = math.exp(-logprobs.mean().item())
    assert perplexity(model, tokens, window=16, batch_size=2) == pytest.approx(wanted, rel=1e-4)


def test_a_model_that_knows_nothing_is_as_perplexed_as_its_vocabulary():
    model = minimodels.build("gemma-mini", device="cpu")
    with torch.no_grad():
        model.embed_tokens.weight.zero_()
    assert perplexity(model, torch.randint(0, 2048, (300,)), 128) == pytest.approx(2048)


def test_bad_input(model):
    with pytest.raises(UserError, match="at least two tokens"):
        perplexity(model, [5], window=8)
    with pytest.raises(UserError, match="empty"):
        completion_logprobs(model, Bytes(), [[]], [[5]])
    with pytest.raises(UserError, match="tokens but the model reads"):
        completion_logprobs(model, Bytes(), [[2] * 600], [[5]])
