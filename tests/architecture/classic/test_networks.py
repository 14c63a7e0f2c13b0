"""The LSTM against torch's, attention against torch's, word2vec's gradient against autograd."""

import itertools
import random

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from minimodels.architecture.classic.lstm import LSTM, LSTMModel, embed
from minimodels.architecture.classic.seq2seq import Seq2Seq, attend, exact, fit, loss
from minimodels.architecture.classic.translation import BEGIN, END, PAD, Pairs
from minimodels.architecture.classic.window import WindowModel
from minimodels.architecture.classic.word2vec import SkipGram, words_of
from minimodels.data.documents import documents
from minimodels.data.vocabulary import VALUES
from minimodels.data.world import World
from minimodels.errors import UserError
from minimodels.evaluation.metrics import wilson_interval


def torch_lstm(ours):
    theirs = torch.nn.LSTM(ours.weight_ih.shape[1], ours.hidden_size, batch_first=True)
    theirs.load_state_dict({f"{name}_l0": w for name, w in ours.state_dict().items()})
    return theirs


@pytest.mark.parametrize("B, T, D, H", [(1, 1, 3, 5), (3, 7, 5, 4), (2, 20, 8, 8)])
def test_the_lstm_equals_torch(B, T, D, H):
    torch.manual_seed(B)
    ours, x = LSTM(D, H), torch.randn(B, T, D)
    theirs, state = torch_lstm(ours), (torch.randn(B, H), torch.randn(B, H))
    out, (h, c) = ours(x, state)
    want, (h_want, c_want) = theirs(x, (state[0][None], state[1][None]))
    for a, b in ((out, want), (h, h_want[0]), (c, c_want[0])):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    out.pow(2).sum().backward()
    want.pow(2).sum().backward()
    for name, weight in ours.named_parameters():
        other = getattr(theirs, f"{name}_l0").grad
        torch.testing.assert_close(weight.grad, other, rtol=1e-4, atol=1e-5)


def test_gates_in_another_order_are_another_lstm():
    """A control: the comparison above would find i and f exchanged."""
    torch.manual_seed(0)
    ours, x = LSTM(5, 4), torch.randn(3, 7, 5)
    theirs = torch_lstm(ours)
    with torch.no_grad():
        for weight in ours.parameters():
            i, f, g, o = weight.chunk(4)
            weight.copy_(torch.cat([f, i, g, o]))
    assert (ours(x)[0] - theirs(x)[0]).abs().max() > 0.01


def test_padding_before_a_text_changes_nothing():
    torch.manual_seed(0)
    model = LSTM(5, 4)
    x = torch.randn(2, 6, 5)
    real = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]).float()
    padded, _ = model(x, real=real)
    torch.testing.assert_close(padded[:1, 2:], model(x[:1, 2:])[0], rtol=0, atol=1e-6)
    assert (model(x)[0][0, 2:] - padded[0, 2:]).abs().max() > 1e-3  # without it


@pytest.mark.parametrize("model", [LSTMModel(11, 8, 2), WindowModel(11, 8, 16)])
def test_language_models_do_not_see_the_future(model):
    tokens = torch.randint(11, (2, 9))
    changed = tokens.clone()
    changed[:, 6] = (changed[:, 6] + 1) % 11
    before, after = model(tokens), model(changed)
    assert before.shape == (2, 9, 11)
    assert torch.equal(before[:, :6], after[:, :6]) and not torch.equal(before[:, 6], after[:, 6])


def test_a_window_forgets_and_a_state_does_not():
    tokens = torch.randint(11, (1, 9))
    changed = tokens.clone()
    changed[:, 2] = (changed[:, 2] + 1) % 11
    window, state = WindowModel(11, 8, 16), LSTMModel(11, 8)
    assert torch.equal(window(tokens)[:, 6:], window(changed)[:, 6:])  # 2 is 5 words back from 6 on
    assert not torch.equal(window(tokens)[:, 5], window(changed)[:, 5])
    assert (state(tokens) - state(changed))[:, 8].abs().max() > 0


def test_attention_equals_torch_and_sums_to_one():
    torch.manual_seed(0)
    s, memory = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    real = torch.tensor([[False, False, True, True, True], [True] * 5])
    out, weights = attend(s, memory, real)
    want = F.scaled_dot_product_attention(s, memory, memory, real[:, None], scale=1.0)
    torch.testing.assert_close(out, want, rtol=1e-5, atol=1e-6)
    assert weights.sum(-1) == pytest.approx(torch.ones(2, 3).numpy())
    assert (weights[0, :, :2] == 0).all() and (weights[1] > 0).all()
    scaled = F.scaled_dot_product_attention(s, memory, memory, real[:, None])
    assert (out - scaled).abs().max() > 1e-2  # a control: torch's usual 1/sqrt(H) is not ours


@pytest.mark.parametrize("attention", [True, False])
def test_the_gradient_reaches_every_word_that_was_read(attention):
    torch.manual_seed(0)
    model = Seq2Seq(12, 8, attention)
    source = torch.tensor([[PAD, PAD, 3, 4, 5], [6, 7, 8, 9, 10]])
    target = torch.tensor([[BEGIN, 4, END, PAD], [BEGIN, 3, 11, END]])
    x = embed(model.embed_tokens, source).detach().requires_grad_()
    memory, state = model.reader(x, real=(source != PAD).float())
    logits, _ = model.write(target[:, :-1], memory, source != PAD, state)
    F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD).backward()
    size = x.grad.abs().sum(-1)
    assert (size[0, :2] == 0).all() and (size[0, 2:] > 0).all() and (size[1] > 0).all()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_word_by_word_equals_all_at_once():
    torch.manual_seed(0)
    pairs = Pairs(names=6, attributes=("pet",))
    model = Seq2Seq(len(pairs.words), 16)
    source, _ = pairs.batch(0, 4, (1, 3))
    written = model.translate(source, longest=12)
    rows = [[BEGIN, *row, END][:13] for row in written]
    target = torch.tensor([row + [PAD] * (13 - len(row)) for row in rows])
    again = model(source, target[:, :-1]).argmax(-1).tolist()
    for row, other in zip(written, again, strict=True):
        assert row == other[: len(row)]


def test_a_translator_learns_and_names_are_new():
    pairs = Pairs(names=4, attributes=("pet",))
    torch.manual_seed(0)
    model = Seq2Seq(len(pairs.words), 32)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = list(fit(model, lambda step: pairs.batch(step, 16, (1, 1)), 40, optimizer))
    assert losses[-1] < losses[0] - 1
    assert loss(model, *pairs.batch("x", 16, (1, 1))).item() < losses[0] - 1
    assert len(exact(model, *pairs.batch("x", 16, (1, 1)))) == 16
    rng = random.Random(0)
    drawn = {test: {pairs.name(rng, test)[0] for _ in range(300)} for test in (True, False)}
    assert drawn[True] and not drawn[True] & drawn[False]
    parts = {test: {part for name in drawn[test] for part in name.split()} for test in drawn}
    assert parts[True] <= parts[False]  # only the pairs are new


def test_translations_are_the_worlds_own_sentences():
    pairs = Pairs()
    source, target = pairs.batch(1, 40, (1, 2))
    assert (source == PAD).any() and target[:, 0].eq(BEGIN).all() and target.eq(END).any(1).all()
    for english, german in (pairs.pair(random.Random(i), 1) for i in range(50)):
        for text in (english, german):
            assert pairs.decode(pairs.encode(text)).replace(" ", "") == text.replace(" ", "")
        assert english != german


def test_word2vec_step_is_the_gradient():
    torch.manual_seed(0)
    model = SkipGram([list("abcdabcdaabbccdd")], width=6, least=1)
    model.company.normal_()
    v, u = (t.clone().double().requires_grad_() for t in (model.vectors, model.company))
    centers, true = torch.tensor([0, 1, 1]), torch.tensor([2, 3, 0])
    others = torch.tensor([[1, 1], [0, 2], [3, 3]])
    good = (v[centers] * u[true]).sum(-1)
    bad = (v[centers][:, None] * u[others]).sum(-1)
    value = -F.logsigmoid(good).sum() - F.logsigmoid(-bad).sum()
    value.backward()
    told = model.step(centers, true, others, rate=0.1)
    assert told == pytest.approx(value.item() / 3, rel=1e-5)
    torch.testing.assert_close(model.vectors.double(), v - 0.1 * v.grad, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.company.double(), u - 0.1 * u.grad, rtol=1e-5, atol=1e-6)


def test_word2vec_pairs_stay_within_texts_and_windows():
    texts = [list("abc"), list("de")]
    model = SkipGram(texts, least=1)
    rng = np.random.default_rng(0)
    found = {tuple(model.words[i] for i in pair) for pair in model.pairs(texts, 1, 1.0, rng)}
    assert found == {tuple(pair) for word in ("ab", "bc", "de") for pair in (word, word[::-1])}
    assert len(model.pairs(texts, 2, 1.0, rng)) == 8  # and a with c, both ways
    assert len(model.pairs(texts * 50, 2, 0.05, rng)) < 100  # thinned out


def test_word2vec_brings_company_together():
    rng = np.random.default_rng(0)
    groups = [list("abcd"), list("wxyz")]
    texts = [rng.choice(groups[i % 2], 6).tolist() for i in range(600)]
    model = SkipGram(texts, width=8, seed=1)
    losses = list(model.train(texts, epochs=4, batch_size=64, seed=1, drawn=3, frequent=1.0))
    assert np.mean(losses[-50:]) < losses[0] - 0.2
    for word, other in itertools.product("abcdwxyz", repeat=2):
        same = any({word, other} <= set(group) for group in groups)
        if word != other:
            score = torch.cosine_similarity(*model.of([word, other])[:, None]).item()
            assert (score > 0.5) == same, (word, other, score)


def test_words_and_phrases():
    assert words_of("Mira Voss plays.", ["Mira Voss"]) == ["Mira_Voss", "plays"]
    with pytest.raises(UserError, match="no vector for q"):
        SkipGram([list("aabb")], least=1).of(["q"])


def test_word2vec_finds_who_shares_what_in_the_mini_world():
    """A person's vector scores the true pet above the others: far from one in 24 by chance."""
    world = World(1, people=60)
    told = documents(world, seed=1, kinds={"biography": 1.0}, tongues={"en": 1.0})
    names = [person.name for person in world.people]
    texts = [words_of(document["text"], names) for document in itertools.islice(told, 2_500)]
    model = SkipGram(texts, width=16)
    losses = list(model.train(texts, epochs=2, window=5, learning_rate=0.1, batch_size=512))
    assert np.mean(losses[-20:]) < losses[0] - 1
    pets = [pet for pet in VALUES["pet"] if pet in model.index]  # those that somebody keeps
    scores = (
        model.of([name.replace(" ", "_") for name in names])
        @ model.company[[model.index[pet] for pet in pets]].T
    )  # (60, 24)
    owned = [world.facts_of(person)["pet"].value for person in world.people]
    right = sum(pets[i] == pet for i, pet in zip(scores.argmax(1), owned, strict=True))
    assert wilson_interval(right, 60)[0] > 0.5
    dealt = sum(pets[i] == pet for i, pet in zip(scores.argmax(1), owned[::-1], strict=True))
    assert dealt < 15  # a control: other people's pets
