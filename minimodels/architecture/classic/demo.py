"""What the chapter shows beside its models: a table counted by definition, words to be translated,
colleagues among vectors, and a budget under a slider.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np
import torch

from minimodels.architecture.classic import figures
from minimodels.cluster.demo import live
from minimodels.data import vocabulary

BUDGETS = [10**6, 10**7, 3 * 10**10, 10**11, 3 * 10**11, 10**12, 3 * 10**13]


def discount(counts: list[int]) -> float:
    """D = n₁ / (n₁ + 2 n₂), from how many of the counts are 1 and 2."""
    once, twice = (sum(count == n for count in counts) for n in (1, 2))
    return once / (once + 2 * twice)


def bigrams(documents: list, V: int, company: Callable = lambda words: len(set(words))):
    """Kneser–Ney of order 2 by its formulas, slowly: a function, left word -> chances (V,)."""
    follows, before = defaultdict(Counter), defaultdict(list)
    for left, right in itertools.chain.from_iterable(map(itertools.pairwise, documents)):
        follows[left][right] += 1
        before[right].append(left)
    weight = torch.zeros(V, dtype=torch.float64)
    for word, lefts in before.items():
        weight[word] = company(lefts)
    D1 = discount(weight.tolist())
    D2 = discount([count for after in follows.values() for count in after.values()])
    single = ((weight - D1).clamp(min=0) + D1 * len(before) / V) / weight.sum()  # order 1, then 1/V

    def chances(left):
        counts, total = follows[left], follows[left].total()
        kept = torch.zeros(V, dtype=torch.float64)
        for word, count in counts.items():
            kept[word] = max(count - D2, 0) / total
        return kept + D2 * len(counts) / total * single

    return chances


def translations(known, language: str) -> dict[str, str]:
    """{English: the other} for values of the mini-world of one known word each that differ."""
    pairs = {}
    for attribute in ("pet", "food", "instrument", "profession"):
        for key in vocabulary.VALUES[attribute]:
            other = vocabulary.form(attribute, key, language).split()[-1]
            if {key, other} <= set(known) and key != other:
                pairs[key] = other
    return pairs


def nearer(likeness, groups) -> float:
    """How often two of one group are more alike than two of different groups; 1/2 by chance.

    likeness: (N, N); groups: (N,). It is the area under the ROC curve over all pairs.
    """
    one, other = np.triu_indices(len(groups), 1)
    ranks = np.argsort(np.argsort(np.asarray(likeness)[one, other])) + 1
    same = np.asarray(groups)[one] == np.asarray(groups)[other]
    n, m = same.sum(), (~same).sum()
    return float((ranks[same].sum() - n * (n + 1) / 2) / (n * m))


def budget_slider(values: dict, first: int = 10**11):
    """Perplexity by kind of document for a budget of FLOPs, from the stored results."""
    return live(lambda budget: figures.by_kind(values, budget), BUDGETS, first, "FLOPs")
