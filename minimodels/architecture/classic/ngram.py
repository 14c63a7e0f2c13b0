"""Interpolated Kneser–Ney (Kneser & Ney 1995; Chen & Goodman 1998, section 4.1.6): the chance of a
word is how often it followed the last words, less a discount that pays for what was never seen.

    p(w | h) = max(c(hw) − D, 0) / c(h)  +  D · N(h) / c(h) · p(w | h')

    h    the context: the last k − 1 words          h'   the context without its oldest word
    c    at the highest order, how often; below it, after how many different words
    N    how many different words follow h          D    n1 / (n1 + 2 n2) of each order

Below the first order stands 1/V. A table holds the k-grams of one order, in the order of their
keys; the key of a k-gram is (number of its first k − 1 words) · V + its last word.
Legend: M tokens of all documents together, V vocabulary, G k-grams of a table.
"""

from dataclasses import dataclass

import numpy as np

from minimodels.errors import UserError

IF_NONE_IS_RARE = 0.5  # the discount where no k-gram was counted once, so that all chances stay > 0


@dataclass(frozen=True)
class Table:
    """The k-grams of one order, and of each context of the order below what follows it."""

    keys: np.ndarray  # (G,) sorted
    counts: np.ndarray  # (G,) c(hw)
    totals: np.ndarray  # (contexts,) c(h)
    types: np.ndarray  # (contexts,) N(h)
    discount: float


class KneserNey:
    """A language model of an order (2: bigrams) counted from documents, lists of ids below V.

    A document begins with an id that is never predicted (<bos>). Attributes: tables, one an order;
    tokens, counted; size, k-grams stored; flops, the additions that counting took (see count).
    Raises UserError without a document of two tokens, and for an order below 1.
    """

    def __init__(self, documents: list[list[int]], vocab_size: int, order: int = 5):
        if order < 1 or not any(len(document) > 1 for document in documents):
            raise UserError(
                "an n-gram model needs an order of 1 or more and documents of at least "
                "two tokens: give both."
            )
        self.vocab_size, self.order = vocab_size, order
        tokens, places = joined(documents)
        self.tokens = len(tokens) - len(documents)  # predicted ones
        self.tables: list[Table] = []
        self._count(tokens, places)
        self.size = sum(len(table.keys) for table in self.tables)

    def _count(self, tokens: np.ndarray, places: np.ndarray) -> None:
        """One table an order. `flops`: an addition for each token and order, as it is counted, and
        three for each k-gram: to its lower order's count, its context's total, and its types."""
        numbers, found = [np.zeros(len(tokens), np.int64)], []  # of the k-gram that ends at a token
        for k in range(1, self.order + 1):
            keys, complete = self._keys(numbers[-1], tokens, places, k)
            unique, first, inverse, raw = np.unique(
                keys[complete], return_index=True, return_inverse=True, return_counts=True
            )
            number = np.full(len(tokens), -1)
            number[complete] = inverse
            numbers.append(number)
            found.append((unique, np.flatnonzero(complete)[first], raw))
        self.flops = self.order * self.tokens + 3 * sum(len(keys) for keys, _, _ in found)
        for k, (keys, _, raw) in enumerate(found, start=1):
            counts = raw
            if k < self.order:  # one for each longer k-gram that ends in this one
                ends = found[k][1]
                counts = np.bincount(numbers[k][ends], minlength=len(keys))
                counts = np.where(counts > 0, counts, raw)  # what begins a document has none
            if k == 1:
                counts = np.where(np.isin(keys, tokens[places == 0]), 0, counts)  # <bos>
            contexts = 1 if k == 1 else len(found[k - 2][0])
            self.tables.append(self._table(keys, counts, contexts))

    def _keys(self, shorter: np.ndarray, tokens: np.ndarray, places: np.ndarray, k: int):
        """Keys (M,) of the k-grams that end at each token, and where k tokens stand (M,)."""
        before = np.zeros(len(tokens), np.int64)
        if k > 1:
            before[1:] = shorter[:-1]
        complete = (places >= k - 1) & (before >= 0)
        return before * self.vocab_size + tokens, complete

    def _table(self, keys: np.ndarray, counts: np.ndarray, contexts: int) -> Table:
        context = keys // self.vocab_size
        once, twice = (counts == 1).sum(), (counts == 2).sum()
        return Table(
            keys, counts,
            totals=np.bincount(context, counts, contexts),
            types=np.bincount(context, counts > 0, contexts),
            discount=float(once / (once + 2 * twice)) if once else IF_NONE_IS_RARE,
        )  # fmt: skip

    def logprobs(self, documents: list[list[int]]) -> list[np.ndarray]:
        """log p of each token but the first of each document, given those before it, in nats."""
        tokens, places = joined(documents)
        chances = np.full(len(tokens), 1 / self.vocab_size)
        number = np.zeros(len(tokens), np.int64)  # of the (k − 1)-gram that ends at a token, or −1
        for k, table in enumerate(self.tables, start=1):
            keys, complete = self._keys(number, tokens, places, k)
            context = np.where(complete, keys // self.vocab_size, -1)
            at, known = _find(table.keys, keys, complete)
            counts = np.where(known, table.counts[at], 0)
            chances = _interpolate(table, context, counts, chances)
            number = np.where(known, at, -1)
        ends = np.flatnonzero(places == 0)[1:]
        return [part[1:] for part in np.split(np.log(chances), ends)]

    def next(self, context: list[int]) -> np.ndarray:
        """The chance of each id after a context that begins with <bos>: (V,), sum 1."""
        chances = np.full(self.vocab_size, 1 / self.vocab_size)
        for k, table in enumerate(self.tables, start=1):
            if k > len(context) + 1:
                break
            number = self._number(context[len(context) - (k - 1) :])
            counts = np.zeros(self.vocab_size)
            edges = np.array([number, number + 1]) * self.vocab_size
            start, stop = np.searchsorted(table.keys, edges)
            if number >= 0:
                counts[table.keys[start:stop] % self.vocab_size] = table.counts[start:stop]
            chances = _interpolate(table, np.full(self.vocab_size, number), counts, chances)
        return chances

    def _number(self, words: list[int]) -> int:
        """The number of a k-gram in its table, −1 where it was never seen; 0 for no words."""
        number = 0
        for table, word in zip(self.tables, words, strict=False):
            key = np.array([number * self.vocab_size + word])
            at, known = _find(table.keys, key, key >= 0)
            if not known[0]:
                return -1
            number = int(at[0])
        return number


def joined(documents: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Documents end to end (M,), and the place of each token in its own document (M,)."""
    tokens = np.concatenate([np.asarray(document, np.int64) for document in documents])
    places = np.concatenate([np.arange(len(document)) for document in documents])
    return tokens, places


def perplexity(logprobs: list[np.ndarray]) -> float:
    """exp of the mean negative log p over all documents' tokens."""
    return float(np.exp(-np.concatenate(logprobs).mean()))


def _find(keys: np.ndarray, wanted: np.ndarray, possible: np.ndarray):
    """Where each wanted key stands among the sorted keys, and whether it does."""
    at = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return at, possible & (keys[at] == wanted)


def _interpolate(table: Table, context, counts, chances):
    """The formula above; where the context was never seen, the lower order's chances stand."""
    total, types = table.totals[context], table.types[context]
    seen = (context >= 0) & (total > 0)
    kept = np.maximum(counts - table.discount, 0) + table.discount * types * chances
    return np.where(seen, kept / np.where(seen, total, 1), chances)
