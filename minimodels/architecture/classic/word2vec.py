"""word2vec: skip-gram with negative sampling (Mikolov et al. 2013b, arXiv:1310.4546, section 2.2).

Each word has a vector v for itself and a vector u for itself as company. A pair of words that stood
near each other should have a high score u·v, and a pair drawn by chance a low one:

    loss = −log σ(u_o · v_c) − Σ_k log σ(−u_k · v_c)          k runs over K drawn words

so the gradient by a score is σ(score) minus 1 for the true company, minus 0 for a drawn one. Words
are drawn with their frequency to the power 3/4; very frequent words are left out at random (section
2.3), with the chance √(t/f).
Legend: B pairs at once, K drawn words, D width of a vector, V words.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch

from minimodels.errors import UserError


class SkipGram:
    """The two vectors of each word. words: the vocabulary, most frequent first; index: word -> row;
    vectors, company: (V, D)."""

    def __init__(self, texts: list[list[str]], width: int = 32, least: int = 3, seed: int = 0):
        counted = Counter(word for text in texts for word in text)
        self.words = [word for word, count in counted.most_common() if count >= least]
        if len(self.words) < 2:
            raise UserError(f"fewer than two words stand {least} times or more: give longer texts.")
        self.index = {word: row for row, word in enumerate(self.words)}
        self.counts = np.array([counted[word] for word in self.words])
        generator = torch.Generator().manual_seed(seed)
        shape = (len(self.words), width)
        self.vectors = (torch.rand(shape, generator=generator) - 0.5) / width
        self.company = torch.zeros(shape)

    def train(
        self,
        texts: list[list[str]],
        epochs: int = 3,
        window: int = 5,
        drawn: int = 5,
        batch_size: int = 1024,
        learning_rate: float = 0.05,
        frequent: float = 1e-3,
        seed: int = 0,
    ) -> Iterator[float]:
        """Stochastic gradient descent, its rate falling to 0; yields the mean loss of each batch.

        Words with a share of the text above `frequent` are thinned out.
        """
        rng = np.random.default_rng(seed)
        chances = self.counts**0.75 / (self.counts**0.75).sum()
        done, total = 0, None
        for _ in range(epochs):
            pairs = self.pairs(texts, window, frequent, rng)  # (pairs, 2)
            rng.shuffle(pairs)
            total = total or epochs * len(pairs)
            for start in range(0, len(pairs), batch_size):
                batch = torch.from_numpy(pairs[start : start + batch_size])
                others = rng.choice(len(self.words), (len(batch), drawn), p=chances)
                rate = learning_rate * max(1 - done / total, 0.01)
                yield self.step(batch[:, 0], batch[:, 1], torch.from_numpy(others), rate)
                done += len(batch)

    def step(self, centers, true, others, rate: float) -> float:
        """One update by centers (B,), their true company (B,) and drawn words (B, K)."""
        rows = torch.cat([true[:, None], others], 1)  # (B, 1+K)
        v, u = self.vectors[centers], self.company[rows]  # (B, D), (B, 1+K, D)
        scores = torch.einsum("bd,bkd->bk", v, u)
        signs = torch.full_like(scores, -1.0)
        signs[:, 0] = 1.0
        loss = -torch.nn.functional.logsigmoid(signs * scores).sum(1).mean().item()
        slope = -rate * (scores.sigmoid() - (signs > 0).float())  # (B, 1+K)
        self.vectors.index_add_(0, centers, torch.einsum("bk,bkd->bd", slope, u))
        self.company.index_add_(0, rows.flatten(), (slope[..., None] * v[:, None]).flatten(0, 1))
        return loss

    def pairs(self, texts: list[list[str]], window: int, frequent: float, rng) -> np.ndarray:
        """(center, company) of all words at most `window` apart, after thinning: (pairs, 2)."""
        ids = [[self.index.get(word, -1) for word in text] + [-1] * window for text in texts]
        ids = np.concatenate([np.array(row) for row in ids])
        share = self.counts / self.counts.sum()
        stays = rng.random(len(ids)) < np.sqrt(frequent / share)[ids]
        ids = ids[(ids < 0) | stays]  # the gaps between texts remain
        found = []
        for apart in range(1, window + 1):
            left, right = ids[:-apart], ids[apart:]
            both = (left >= 0) & (right >= 0)
            found += [np.stack([left, right], 1)[both], np.stack([right, left], 1)[both]]
        return np.concatenate(found)

    def nearest(self, vector, among: list[str], count: int = 1) -> list[str]:
        """The words of `among` whose vectors point most nearly as `vector` (D,) does."""
        rows = self.of(among)  # (words, D)
        scores = torch.nn.functional.cosine_similarity(rows, vector[None], dim=1)
        return [among[i] for i in scores.topk(min(count, len(among))).indices]

    def of(self, words: list[str]):
        """The vectors of words (words, D). Raises UserError for a word that is not known."""
        unknown = [word for word in words if word not in self.index]
        if unknown:
            raise UserError(f"no vector for {', '.join(unknown[:5])}: ask for words of the texts.")
        return self.vectors[[self.index[word] for word in words]]


def words_of(text: str, phrases: list[str] = ()) -> list[str]:
    """The words of a text; each of `phrases` ("Mira Voss") is one word ("Mira_Voss")."""
    import re

    for phrase in phrases:
        text = text.replace(phrase, phrase.replace(" ", "_"))
    return re.findall(r"\w+", text)
