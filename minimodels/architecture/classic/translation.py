"""A language pair whose every translation is known: sentences of the mini-world in English and
German, about people who are invented on the spot.

    "Mira Voss keeps an otter as a pet."  ->  "Mira Voss hat einen Otter als Haustier."

Words are whole words here; both languages share one vocabulary.
Legend: B batch, S source length, T target length.
"""

import random
import re

import torch

from minimodels.data import vocabulary
from minimodels.data.vocabulary import form
from minimodels.data.wordings import STATEMENTS

PAD, BEGIN, END = 0, 1, 2
SPECIAL = ["<pad>", "<begin>", "<end>"]
TRANSLATIONS = {  # of each attribute: numbers of wordings that say the same, English and German
    "birthplace": ((0, 0), (1, 1), (3, 2), (4, 3)),
    "profession": ((0, 0), (1, 2), (3, 1), (6, 3)),
    "pet": ((0, 0), (1, 1), (4, 2)),
    "instrument": ((0, 0), (1, 1), (2, 3), (3, 2)),
    "food": ((0, 0), (1, 1), (3, 3)),
    "mentor": ((0, 0), (1, 2), (3, 1)),
}


class Pairs:
    """Sentences and translations about people of `names` first names and as many last names.

    words: the shared vocabulary. Of all pairs of a first and a last name, every fifth is kept for
    tests, so that a name in a test was never read as a whole.
    """

    def __init__(self, names: int = 24, attributes: tuple[str, ...] = tuple(TRANSLATIONS)):
        half = names // 2
        self.first = {gender: vocabulary.FIRST_NAMES[gender][:half] for gender in "fm"}
        self.last = vocabulary.LAST_NAMES[:names]
        self.attributes = attributes
        self.words = SPECIAL + sorted(self._all_words())
        self.index = {word: i for i, word in enumerate(self.words)}

    def name(self, rng: random.Random, test: bool) -> tuple[str, str]:
        """A name and its gender, of those for tests or of the others."""
        while True:
            gender = rng.choice("fm")
            first, last = rng.randrange(len(self.first[gender])), rng.randrange(len(self.last))
            if ((first + last) % 5 == 0) == test:
                return f"{self.first[gender][first]} {self.last[last]}", gender

    def pair(self, rng: random.Random, sentences: int, test: bool = False) -> tuple[str, str]:
        """So many sentences in English, and the same in German."""
        told = [self._sentence(rng, test) for _ in range(sentences)]
        english, german = zip(*told, strict=True)
        return " ".join(english), " ".join(german)

    def batch(self, seed, size: int, sentences: tuple[int, int], test: bool = False):
        """`size` pairs of a random number of sentences: source (B, S), target (B, T)."""
        rng = random.Random(f"pairs {seed}")
        pairs = [self.pair(rng, rng.randint(*sentences), test) for _ in range(size)]
        sources = [self.encode(english) for english, _ in pairs]
        targets = [[BEGIN, *self.encode(german), END] for _, german in pairs]
        long, wide = max(map(len, sources)), max(map(len, targets))
        source = torch.tensor([[PAD] * (long - len(row)) + row for row in sources])
        target = torch.tensor([row + [PAD] * (wide - len(row)) for row in targets])
        return source, target

    def encode(self, text: str) -> list[int]:
        return [self.index[word] for word in split(text)]

    def decode(self, ids: list[int]) -> str:
        return " ".join(self.words[i] for i in ids)

    def _sentence(self, rng, test):
        attribute = rng.choice(self.attributes)
        (name, gender), numbers = self.name(rng, test), rng.choice(TRANSLATIONS[attribute])
        key = self._value(rng, attribute, test)
        return tuple(
            STATEMENTS[attribute][lang][number].format(n=name, v=form(attribute, key, lang, gender))
            for lang, number in zip(("en", "de"), numbers, strict=True)
        )

    def _value(self, rng, attribute, test):
        if attribute == "mentor":
            return self.name(rng, test)[0]
        if attribute == "birthplace":
            return rng.choice(vocabulary.CITIES)
        return rng.choice(list(vocabulary.VALUES[attribute]))

    def _all_words(self) -> set[str]:
        words = {*self.last, *self.first["f"], *self.first["m"], *vocabulary.CITIES}
        for attribute in self.attributes:
            for numbers in TRANSLATIONS[attribute]:
                for lang, number in zip(("en", "de"), numbers, strict=True):
                    words.update(split(STATEMENTS[attribute][lang][number].format(n="", v="")))
            for key in vocabulary.VALUES.get(attribute, ()):
                for lang, gender in (("en", "f"), ("de", "f"), ("de", "m")):
                    words.update(split(form(attribute, key, lang, gender)))
        return words


def split(text: str) -> list[str]:
    """Words, and marks as words of their own."""
    return re.findall(r"\w+|[^\w\s]", text)
