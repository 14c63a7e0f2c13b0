"""Generation: cached equals uncached, batched equals single, text streams in whole letters."""

import dataclasses

import pytest
import torch
from peers import unsettle
from toys import Bytes, Scripted

import minimodels
from minimodels.architecture.configs import CONFIGS
from minimodels.architecture.generate import generate, generate_batch, next_token
from minimodels.errors import UserError

SMALL = [
    dataclasses.replace(
        CONFIGS[name], vocab_size=261, hidden_size=32, intermediate_size=48, num_layers=2,
        head_dim=8, max_length=40,
    )
    for name in ("gemma-mini", "nemotron-mini")
]  # fmt: skip
PROMPTS = [[2, 5, 7], [2, 9], [2, *range(30, 50)], [2]]


@pytest.fixture(params=SMALL, ids=lambda config: config.family)
def model(request):
    torch.manual_seed(3)
    model = minimodels.build(request.param, device="cpu")
    unsettle(model)
    return model


@torch.no_grad()
def greedy(model, prompt, steps):
    """The reference: the whole text through the model again for each token, no cache."""
    ids = list(prompt)
    for _ in range(steps):
        ids.append(model(torch.tensor([ids]))[0, -1].argmax().item())
    return ids[len(prompt) :]


def test_batch_equals_uncached_single(model):
    wanted = [greedy(model, prompt, 9) for prompt in PROMPTS]
    for batch_size in (4, 3, 1):
        got = generate_batch(model, Bytes(), PROMPTS, 9, stop_ids=[], batch_size=batch_size)
        assert got == wanted
    assert len({tuple(row) for row in wanted}) > 1


def test_batch_ends_each_row_at_its_own_stop(model):
    rows = [greedy(model, prompt, 9) for prompt in PROMPTS]
    stop = rows[0][4]
    wanted = [row[: row.index(stop)] if stop in row else row for row in rows]
    assert generate_batch(model, Bytes(), PROMPTS, 9, stop_ids=[stop]) == wanted


def test_stream_equals_greedy(model):
    ids = [2, *Bytes().encode("abc")]
    new = greedy(model, ids, 12)
    new = new[: min([new.index(stop) for stop in (1, 4) if stop in new], default=12)]
    text = Bytes().decode(ids + new)[3:]
    assert "".join(generate(model, Bytes(), "abc", max_new_tokens=12)) == text
    assert "".join(generate(model, Bytes(), ids, max_new_tokens=12)) == text


def test_seed_makes_sampling_repeatable(model):
    def sample(seed):
        return "".join(generate(model, Bytes(), "a", 20, temperature=2.0, seed=seed))

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(5)}) > 1


def test_the_cache_is_used():
    """The prompt goes in once, then one token at a time."""
    model = Scripted(SMALL[0], Bytes().encode("hello") + [1])
    assert "".join(generate(model, Bytes(), "say it")) == "hello"
    assert model.fed == [7, 1, 1, 1, 1, 1]


def test_letters_come_whole():
    """'é' is two bytes, '中' three: nothing is shown until the last of them is there."""
    model = Scripted(SMALL[0], Bytes().encode("é中!") + [4])
    assert list(generate(model, Bytes(), "x")) == ["é", "中", "!"]
    broken = Scripted(SMALL[0], Bytes().encode("中")[:2] + [1])
    assert list(generate(broken, Bytes(), "x")) == ["\ufffd"]


def test_generation_stops_where_the_context_ends(model):
    prompt = [2] * 35
    assert len(generate_batch(model, Bytes(), [prompt], 99, stop_ids=[])[0]) == 5
    scripted = Scripted(SMALL[0], [70] * 99)
    assert len("".join(generate(scripted, Bytes(), prompt, 99))) == 5


def test_next_token():
    logits = torch.tensor([[0.0, 3.0, 1.0, 2.0]]).repeat(4000, 1)
    assert (next_token(logits) == 1).all()
    generator = torch.Generator().manual_seed(0)
    drawn = next_token(logits, temperature=2.0, top_k=3, generator=generator)
    share = torch.bincount(drawn, minlength=4) / 4000
    wanted = torch.tensor([-torch.inf, 1.5, 0.5, 1.0]).softmax(-1)
    assert share[0] == 0
    assert (share - wanted).abs().max() < 0.03  # 4 standard errors of 4000 draws


def test_bad_prompts(model):
    with pytest.raises(UserError, match="41 tokens but the model reads 40"):
        generate(model, Bytes(), "x" * 40)  # at the call, before the first piece is asked for
    with pytest.raises(UserError, match="41 tokens but the model reads 40"):
        generate_batch(model, Bytes(), [[2], [2] * 41], 3)
    with pytest.raises(UserError, match="empty"):
        generate_batch(model, Bytes(), [[2], []], 3)
    with pytest.raises(UserError, match="41 tokens but the model reads 40"):
        model(torch.zeros(1, 41, dtype=torch.long))
    with pytest.raises(UserError, match="no tokenizer"):
        generate(model, None, "x")
