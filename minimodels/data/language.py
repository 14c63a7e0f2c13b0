"""Which language is a text in? Counting character trigrams (Cavnar and Trenkle 1994), with the
trigrams' log-probabilities in place of their ranks.

The score of a text under a language is the mean of log p(trigram | language). Chinese characters
count as one and the same letter: that there are any tells more than which, and so does any digit.
Trigrams are hashed into a table, so that a text is scored in one look-up.
"""

import pydoc_data.topics
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

import numpy as np

from minimodels.data.documents import documents
from minimodels.data.vocabulary import LANGUAGES
from minimodels.data.world import World

BUCKETS = 1 << 16
HAN, FIRST_HAN, LAST_HAN = ord("汉"), 0x4E00, 0x9FFF
SMOOTHING = 0.01  # added to each trigram's count: unseen ones keep a little probability

# some everyday words, since the world's sentences hold few
EVERYDAY = {
    "en": """It was late when we came home, and nobody had made dinner yet. Which of these books
        would you like to read first? They should have told her that the train does not stop here.
        If you want to know more, please ask at the office. All people are born free and equal in
        dignity and rights. Yesterday it rained a lot, so there was not much we could do. Could you
        help me, please? My brother lives near the school and goes to work by bicycle. What is your
        name, and where do you live? I do not know whether the shop opens on Monday or on Tuesday.
        The most important things are often the ones that nobody talks about.""",
    "zh": """我们回到家的时候已经很晚了，晚饭还没有做好。这些书你想先读哪一本？如果您想了解更多，
        请到办公室询问。人人生而自由，在尊严和权利上一律平等。昨天下了很大的雨。请问，您能帮我一下吗？我哥哥住在学校附近，
        骑自行车上班。你叫什么名字，住在哪里？我不知道商店是星期一还是星期二开门。""",
    "es": """Era tarde cuando llegamos a casa y nadie había hecho la cena todavía. ¿Cuál de estos
        libros te gustaría leer primero? Deberían haberle dicho que el tren no para aquí. Si quiere
        saber más, pregunte en la oficina. Todos los seres humanos nacen libres e iguales en
        dignidad y derechos. Ayer llovió mucho, así que no pudimos hacer gran cosa. ¿Podría
        ayudarme, por favor? Mi hermano vive cerca de la escuela y va al trabajo en bicicleta.
        ¿Cómo te llamas y dónde está tu casa? No sé si la tienda abre el lunes o el martes. Las
        cosas más importantes son a menudo aquellas de las que nadie habla. El niño sueña con la
        montaña, pero mañana tiene que estudiar otra vez.""",
    "de": """Es war spät, als wir nach Hause kamen, und niemand hatte schon das Abendessen gemacht.
        Welches von diesen Büchern möchtest du zuerst lesen? Man hätte ihr sagen sollen, dass der
        Zug hier nicht hält. Wenn Sie mehr wissen wollen, fragen Sie bitte im Büro. Alle Menschen
        sind frei und gleich an Würde und Rechten geboren. Gestern hat es so viel geregnet.
        Können Sie mir bitte helfen? Mein Bruder wohnt in der Nähe der Schule und fährt mit dem
        Fahrrad zur Arbeit. Wie heißt du, und wo wohnst du? Ich weiß nicht, ob das Geschäft am
        Montag oder am Dienstag öffnet. Die wichtigsten Dinge sind oft die, über die
        niemand spricht. Morgen müssen wir früh aufstehen, sonst verpassen wir die Straßenbahn.""",
}


class LanguageID:
    """Learned from {language: texts}. `languages` in order of the columns of the scores."""

    def __init__(self, samples: dict[str, Iterable[str]]):
        self.languages = list(samples)
        self._table = np.empty((BUCKETS, len(samples)))  # log p(trigram | language)
        for column, language in enumerate(self.languages):
            seen = np.concatenate([_trigrams(text) for text in samples[language]])
            counts = np.bincount(seen, minlength=BUCKETS) + SMOOTHING
            self._table[:, column] = np.log(counts / counts.sum())

    def scores(self, text: str) -> dict[str, float]:
        """Mean log-probability of a trigram under each language, in nats."""
        return dict(zip(self.languages, self._mean(text).tolist(), strict=True))

    def identify(self, text: str) -> tuple[str, float]:
        """The likeliest language and its score; text in no language at all scores low in each."""
        mean = self._mean(text)
        best = int(mean.argmax())
        return self.languages[best], float(mean[best])

    def _mean(self, text: str) -> np.ndarray:
        return self._table[_trigrams(text)].mean(0)


@lru_cache(maxsize=1)
def default_identifier() -> LanguageID:
    """Learned from documents of a small world, Python's prose and a few everyday sentences."""
    samples = {language: [everyday] * 5 for language, everyday in EVERYDAY.items()}
    world = World(seed=0, people=50)
    for language in LANGUAGES:
        told = documents(world, kinds={"biography": 9, "place": 1}, tongues={language: 1})
        samples[language] += [document["text"] for document in islice(told, 300)]
    chatting = documents(world, kinds={"dialogue": 1, "log": 1})
    samples["en"] += [document["text"] for document in islice(chatting, 100)]
    samples["en"] += [text for _, text in sorted(pydoc_data.topics.topics.items())][:20]
    return LanguageID(samples)


def _trigrams(text: str) -> np.ndarray:
    """Bucket of each trigram of a text padded with spaces, (length,)."""
    letters = np.frombuffer(f"  {text.lower()} ".encode("utf-32-le", "replace"), np.uint32)
    letters = np.where((letters >= FIRST_HAN) & (letters <= LAST_HAN), HAN, letters)
    letters = np.where((letters >= ord("0")) & (letters <= ord("9")), ord("0"), letters)
    letters = letters.astype(np.uint64)
    mixed = (letters[:-2] * 31 + letters[1:-1]) * 1_000_003 + letters[2:]
    return ((mixed * 0x9E3779B97F4A7C15) >> 48).astype(np.int64)  # the 16 best mixed bits
