"""Which documents are worth learning from? Rules in a first form, each with a name.

Quality and repetition follow MassiveText (Rae et al. 2021, arXiv:2112.11446, section A.1.1 and
table A1), boilerplate lines C4 (Raffel et al. 2020, section 2.2), leaks of a benchmark the n-gram
overlap of GPT-3 (Brown et al. 2020, appendix C). The world's documents are short, so rules that
need fifty words are left out and a phrase counts as repeated from its third time on; code, sums
and logs are held only to the rules for all kinds.

    judge(document)             -> (kept, reason)
    filter_documents(documents) -> (kept documents, Counter of reasons)
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable

from minimodels.data.language import default_identifier

FORMAL = ("code", "arithmetic", "log")  # kinds that do not follow the rules of prose
KEPT, CUT = "kept", "kept, boilerplate cut"

FEWEST_WORDS = 3
WORDS_FOR_A_STOP_WORD = 6  # a shorter text may do without
SYMBOLS = re.compile(r"[#$%&*+=<>@^~|{}\[\]…•■◆]")
MOST_SYMBOLS = 0.10  # of all characters
LEAST_ALPHABETIC = 0.80  # of all words
WORD_LENGTH = (2.0, 10.0)  # mean, in languages with spaces; MassiveText has 3 to 10
MOST_DUPLICATE_LINES = 0.30
TOP_PHRASE = (4, 0.16)  # the most frequent 4-gram covers at most this share of the letters
DUPLICATE_PHRASES = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}  # n: share of letters
REPEATED = 3  # times
LEAST_SCORE = -12.0  # mean log-probability of a trigram in the likeliest language
MARGIN = 1.0  # by which another language must be likelier: names say little
LEAST_SHARE_IN_LANGUAGE = 0.80  # of the letters in lines long enough to tell
LINE_TO_TELL = 20  # characters
LEAK = 8  # words in a row that a document shares with a benchmark

STOP_WORDS = {
    "en": """a an the be is are was were to of and or that have has had with in on at as by for from
        it its his her he she they you i my this not if who when whenever every after can will
        than more""",
    "es": """el la los las un una de del que y en es con por para se su al lo como más no a viene
        siempre""",
    "de": """der die das ein eine einen und von ist in im zu mit hat wurde den dem als am bei aus
        auf nicht es sich jeden gern man""",
    "zh": "的 是 在 了 一 不 我 有 人 这 他 她 们 来 会 每 和 着 上 到 过 学",
}
STOP_WORDS = {language: set(text.split()) for language, text in STOP_WORDS.items()}
BOILERPLATE = re.compile(
    r"cookie|newsletter|subscribe|privacy policy|terms of use|rights reserved|derechos reservados"
    r"|rechte vorbehalten|版权所有|enable javascript|lorem ipsum|log in|sign up|advertisement"
    r"|read more|阅读全文|skip to|©|\S \| \S",
    re.IGNORECASE,
)
LONGEST_BOILERPLATE = 100  # characters; a longer line has something to say
INSULTS = re.compile(
    r"\b(?:nincompoop|blockhead|numbskull|dunderhead|nitwit|dimwit|halfwit|tonto|bobo|zoquete"
    r"|dummkopf|trottel|idiot)s?\b|笨蛋|傻瓜",
    re.IGNORECASE,
)
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
PHONE = re.compile(
    r"(?<![\d.])(?:\+\d{1,3}[ .-])?(?:\(\d{3}\)|\d{3})[ .-]\d{3}[ .-]\d{4}(?![\d.]*\d)"
)
CARD = re.compile(r"(?<!\d)\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}(?!\d)")


class Filter:
    """The rules, with the benchmarks that must not leak and a language identifier."""

    def __init__(self, benchmark: Iterable[str] = (), identifier=None):
        self.identifier = identifier or default_identifier()
        self._leaks: dict[int, set] = {}  # length -> word n-grams of the benchmark
        for item in benchmark:
            words = split_words(item)
            n = min(LEAK, len(words))
            self._leaks.setdefault(n, set()).update(ngrams(words, n))

    def judge(self, document: dict) -> tuple[bool, str]:
        """(True, "kept") or (False, the first rule that objects)."""
        words = split_words(document["text"])
        rules = ALWAYS if document["kind"] in FORMAL else ALWAYS | PROSE
        for name, objects in rules.items():
            if objects(self, document, words):
                return False, name
        return True, KEPT

    def __call__(self, documents: Iterable[dict]) -> tuple[list[dict], Counter]:
        """Kept documents, without boilerplate lines, and how often each reason was given."""
        kept, reasons = [], Counter()
        for document in documents:
            text = document["text"]
            if document["kind"] not in FORMAL:
                text = without_boilerplate(text)
            cut = text != document["text"]
            document = document | {"text": text} if cut else document
            good, reason = self.judge(document)
            reasons[CUT if good and cut else reason] += 1
            if good:
                kept.append(document)
        return kept, reasons


def judge(document: dict) -> tuple[bool, str]:
    """(True, "kept") or (False, the first rule that objects), with no benchmark to guard."""
    return Filter().judge(document)


def filter_documents(
    documents: Iterable[dict], benchmark: Iterable[str] = ()
) -> tuple[list[dict], Counter]:
    """Documents worth keeping, boilerplate lines cut, and a count of each reason; they add up."""
    return Filter(benchmark)(documents)


def without_boilerplate(text: str) -> str:
    """The text without lines of menus, banners and notices."""
    lines = text.split("\n")
    kept = [s for s in lines if len(s) > LONGEST_BOILERPLATE or not BOILERPLATE.search(s)]
    return text if len(kept) == len(lines) else "\n".join(kept).strip("\n")


def split_words(text: str) -> list[str]:
    """Lower-case words; each Chinese character is one."""
    return re.findall(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+", text.lower())


def ngrams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def personal_data(text: str) -> str | None:
    """"email", "phone" or "card" if the text holds one, else None."""
    if EMAIL.search(text):
        return "email"
    if any(luhn(match[0]) for match in CARD.finditer(text)):
        return "card"
    return "phone" if PHONE.search(text) else None


def luhn(number: str) -> bool:
    """The check digit of card numbers: from the right, every second digit counts twice."""
    digits = [int(letter) for letter in number if letter.isdigit()][::-1]
    return sum(d if i % 2 == 0 else d * 2 - 9 * (d > 4) for i, d in enumerate(digits)) % 10 == 0


def top_phrase_share(words: list[str], n: int) -> float:
    """Share of the letters in the most frequent n-gram, if it is REPEATED."""
    counts = Counter(ngrams(words, n))
    if not counts:
        return 0.0
    phrase, count = counts.most_common(1)[0]
    return count * len("".join(phrase)) / len("".join(words)) if count >= REPEATED else 0.0


def duplicate_phrase_share(words: list[str], n: int) -> float:
    """Share of the letters that lie in n-grams that are REPEATED."""
    grams = ngrams(words, n)
    counts = Counter(grams)
    if len(grams) - len(counts) < REPEATED - 1:
        return 0.0
    repeated = [i for i, gram in enumerate(grams) if counts[gram] >= REPEATED]
    covered = {i + k for i in repeated for k in range(n)}
    return sum(len(words[i]) for i in covered) / len("".join(words))


def _symbols(self, document, words):
    text = document["text"]
    return len(SYMBOLS.findall(text)) > MOST_SYMBOLS * len(text)


def _not_words(self, document, words):
    alphabetic = sum(any(letter.isalpha() for letter in word) for word in words)
    return alphabetic < LEAST_ALPHABETIC * len(words)


def _word_length(self, document, words):
    shortest, longest = WORD_LENGTH
    mean = len("".join(words)) / len(words)
    return document["lang"] != "zh" and not shortest <= mean <= longest


def _repeated_lines(self, document, words):
    lines = [line for line in document["text"].split("\n") if line.strip()]
    return len(lines) - len(set(lines)) > MOST_DUPLICATE_LINES * len(lines)


def _repeated_phrases(self, document, words):
    n, most = TOP_PHRASE
    if top_phrase_share(words, n) > most:
        return True
    for n, most in DUPLICATE_PHRASES.items():
        share = duplicate_phrase_share(words, n)
        if share > most:
            return True
        if share == 0:  # no repeated n-gram, so no longer one either
            return False
    return False


def _no_stop_words(self, document, words):
    stop_words = STOP_WORDS.get(document["lang"])
    long_enough = stop_words is not None and len(words) >= WORDS_FOR_A_STOP_WORD
    return long_enough and not stop_words.intersection(words)


def _gibberish(self, document, words):
    return self.identifier.identify(document["text"])[1] < LEAST_SCORE


def _wrong_language(self, document, words):
    """Line by line, so that a page that changes its language is noticed as well."""
    if document["lang"] not in self.identifier.languages:
        return False
    lines = [line for line in document["text"].split("\n") if len(line) >= LINE_TO_TELL]
    told = right = 0
    for line in lines or [document["text"]]:
        scores = self.identifier.scores(line)
        best = max(scores.values())
        if best >= LEAST_SCORE:
            told += len(line)
            right += len(line) * (scores[document["lang"]] > best - MARGIN)
    return right < LEAST_SHARE_IN_LANGUAGE * told


def _leak(self, document, words):
    return any(not grams.isdisjoint(ngrams(words, n)) for n, grams in self._leaks.items())


Rule = Callable[[Filter, dict, list[str]], bool]  # does it object?
ALWAYS: dict[str, Rule] = {
    "too short": lambda self, document, words: len(words) < FEWEST_WORDS,
    "personal data": lambda self, document, words: personal_data(document["text"]) is not None,
    "insult": lambda self, document, words: INSULTS.search(document["text"]) is not None,
    "benchmark leak": _leak,
}
PROSE: dict[str, Rule] = {
    "too many symbols": _symbols,
    "too few words with letters": _not_words,
    "odd word length": _word_length,
    "repeated lines": _repeated_lines,
    "repeated phrases": _repeated_phrases,
    "gibberish": _gibberish,
    "wrong language": _wrong_language,
    "no stop words": _no_stop_words,
}
