"""Kneser–Ney against a table worked by hand and against the definition, written once more with
dictionaries; chances sum to one; what must not be equal is not."""

import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest

from minimodels.architecture.classic.ngram import KneserNey, perplexity
from minimodels.errors import UserError

BOS, EOS = 0, 1


def corpus(seed, documents=30, vocab=7, longest=12):
    rng = np.random.default_rng(seed)
    return [[BOS, *rng.integers(2, vocab, rng.integers(1, longest)).tolist(), EOS]
            for _ in range(documents)]  # fmt: skip


class ByDefinition:
    """The formula with dictionaries of tuples, order by order, one word at a time."""

    def __init__(self, documents, vocab_size, order, lower="continuations"):
        self.vocab_size, self.order = vocab_size, order
        raw = [Counter() for _ in range(order + 1)]
        for document in documents:
            for k in range(1, order + 1):
                for end in range(k, len(document) + 1):
                    raw[k][tuple(document[end - k : end])] += 1
        self.counts = [Counter() for _ in range(order + 1)]
        for k in range(1, order + 1):
            for gram in raw[k]:
                if gram == (BOS,):
                    continue  # never predicted
                left = {longer[0] for longer in raw[k + 1] if longer[1:] == gram} if (
                    k < order) else set()  # fmt: skip
                top = k == order or gram[0] == BOS or lower == "raw"
                self.counts[k][gram] = raw[k][gram] if top else len(left)
        self.discounts = [0.0]
        for k in range(1, order + 1):
            of = Counter(self.counts[k].values())
            self.discounts.append(of[1] / (of[1] + 2 * of[2]) if of[1] else 0.5)

    def chance(self, word, context):
        context = tuple(context[max(0, len(context) - self.order + 1) :])
        if not context:
            below = 1 / self.vocab_size
        else:
            below = self.chance(word, context[1:])
        k = len(context) + 1
        after = {gram[-1]: c for gram, c in self.counts[k].items() if gram[:-1] == context}
        total = sum(after.values())
        if not total:
            return below
        discount = self.discounts[k]
        kept = max(after.get(word, 0) - discount, 0) / total
        return kept + discount * len(after) / total * below


def test_a_table_worked_by_hand():
    """Bigrams of "a b", "a c", "b": ids a=2, b=3, c=4; V = 5.

    Bigrams: ^a 2, ^b 1, ab 1, ac 1, b$ 2, c$ 1. Once: ^b, ab, ac, c$ (4); twice: ^a, b$ (2):
    D2 = 4 / (4 + 4) = 1/2. A word's company to the left: a {^}, b {^, a}, c {a}, $ {b, c}; counted
    once: a, c (2); twice: b, $ (2): D1 = 2 / 6 = 1/3. Six continuations in all, of four words.
    """
    documents = [[BOS, 2, 3, EOS], [BOS, 2, 4, EOS], [BOS, 3, EOS]]
    model = KneserNey(documents, 5, order=2)
    assert [table.discount for table in model.tables] == pytest.approx([1 / 3, 1 / 2])
    spread = 1 / 3 * 4 / 6 / 5  # what the first order gives every one of the five ids
    unigram = {0: spread, 1: 5 / 18 + spread, 2: 1 / 9 + spread, 3: 5 / 18 + spread,
               4: 1 / 9 + spread}  # fmt: skip
    assert model.next([]) == pytest.approx([unigram[i] for i in range(5)])
    # after a: b and c once each, so (1 − 1/2)/2 each, and 1/2 · 2/2 goes to the unigrams
    after_a = [0.5 * unigram[i] + (0.25 if i in (3, 4) else 0) for i in range(5)]
    assert model.next([BOS, 2]) == pytest.approx(after_a)
    assert model.next([BOS, 2])[3] == pytest.approx(0.25 + 0.5 * (5 / 18 + 2 / 45))
    assert model.tokens == 8 and model.size == 5 + 6
    assert model.flops == 2 * 8 + 3 * 11


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_equals_the_definition_with_dictionaries(order):
    train, held_out = corpus(0), corpus(1, documents=6, vocab=8)
    model, slow = KneserNey(train, 9, order), ByDefinition(train, 9, order)
    for document, found in zip(held_out, model.logprobs(held_out), strict=True):
        wanted = [slow.chance(word, document[:place])
                  for place, word in enumerate(document) if place]  # fmt: skip
        assert np.exp(found) == pytest.approx(wanted, rel=1e-12)
        for place in (1, len(document) // 2, len(document)):
            chances = model.next(document[:place])
            assert chances == pytest.approx(
                [slow.chance(word, document[:place]) for word in range(9)], rel=1e-12
            )


def test_controls_differ():
    """Raw counts below the highest order, or another order, are other models."""
    train, held_out = corpus(0), corpus(1, documents=6)
    ours = perplexity(KneserNey(train, 9, 3).logprobs(held_out))
    for other in (ByDefinition(train, 9, 3, lower="raw"), ByDefinition(train, 9, 2)):
        logs = [np.log([other.chance(word, document[:place])
                        for place, word in enumerate(document) if place])
                for document in held_out]  # fmt: skip
        assert abs(perplexity(logs) - ours) > 1e-3


@pytest.mark.parametrize("order", [1, 2, 4])
def test_chances_sum_to_one_after_every_context(order):
    model = KneserNey(corpus(3), 9, order)
    for words in itertools.product(range(2, 9), repeat=2):  # 7 and 8 were never read
        for context in ([BOS], [BOS, *words], [*words, *words]):
            chances = model.next(context)
            assert chances.sum() == pytest.approx(1) and chances.min() > 0


def test_nltk_agrees_where_both_are_defined():
    """nltk has one fixed discount and another floor, so bigram chances of seen words are compared
    by its own formula: max(c − D, 0)/c(h) + D·N/c(h) · (continuations, undiscounted)."""
    lm = pytest.importorskip("nltk.lm")
    documents = [[str(i) for i in document] for document in corpus(5)]
    theirs = lm.KneserNeyInterpolated(2, discount=0.5)
    grams = [[g for d in documents for g in ([(w,) for w in d] + list(itertools.pairwise(d)))]]
    theirs.fit(grams, vocabulary_text=[w for d in documents for w in d])
    counts, lefts = defaultdict(Counter), defaultdict(set)
    for document in documents:
        for left, right in itertools.pairwise(document):
            counts[left][right] += 1
            lefts[right].add(left)
    pairs = sum(map(len, lefts.values()))
    for left, right in (("2", "3"), ("4", "5"), ("0", "2"), ("6", "1")):
        total = counts[left].total()
        wanted = (max(counts[left][right] - 0.5, 0)
                  + 0.5 * len(counts[left]) * len(lefts[right]) / pairs) / total  # fmt: skip
        assert theirs.score(right, [left]) == pytest.approx(wanted, rel=1e-9)


def test_what_cannot_be_counted_is_told():
    with pytest.raises(UserError, match="two tokens"):
        KneserNey([[0]], 5, 2)
    with pytest.raises(UserError, match="order"):
        KneserNey([[0, 2]], 5, 0)
