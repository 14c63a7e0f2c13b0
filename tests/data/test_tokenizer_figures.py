"""The pictures of the tokenizer lab, and numbers that its prose tells, agree with its solution."""

from collections import Counter

import pytest

from minimodels import files
from minimodels.classroom.normalize import read, source
from minimodels.data import tokenizer_figures as figures

LAB = read(files.repository() / "solutions" / "02_data" / "lab_tokenizer.ipynb")


@pytest.fixture(scope="module")
def lab():
    """The names of the lab: setup, answers, and the victory cell that trains."""
    names = {"__name__": "lab"}
    for cell in LAB["cells"]:
        grader = cell["metadata"].get("nbgrader", {})
        if grader.get("solution") or cell["id"] in ("setup", "train"):
            exec(source(cell), names)
    return names


def boxes(axes):
    return [text.get_text() for text in axes.texts]


def test_words_are_cut_as_in_the_picture(lab):
    text = "".join(figures.TEXT).replace("␣", " ").replace("↵", "\n")
    words = [word.replace("\n", "↵") for word in lab["split_words"](text)]
    assert boxes(figures.words().axes[0])[-3 - len(words) : -3] == words
    assert "".join(words) == "".join(figures.MARKED)


def test_pairs_and_steps_are_those_of_training(lab):
    split = {tuple(word): times for word, times in figures.WORDS}
    counts = lab["count_pairs"](split)
    assert counts == {(left, right): times for left, right, times in figures.PAIRS}
    learned, rows = [], []
    for piece, _ in figures.STEPS:
        if piece:
            pair = lab["best_pair"](lab["count_pairs"](split))
            learned.append("".join(pair))
            split = {lab["merge"](symbols, pair): times for symbols, times in split.items()}
        rows.append((learned[-1] if learned else "", [" ".join(symbols) for symbols in split]))
    assert rows == figures.STEPS
    assert learned == lab["train"](dict(figures.WORDS), len(learned))


def test_ranks_are_those_of_gemma_mini(lab):
    from minimodels.data.tokenizer import Tokenizer

    folder = files.repository() / "minimodels" / "shipped" / "gemma-mini"
    tokenizer = Tokenizer(folder / "tokenizer.model")
    first = tokenizer.id("<0xFF>") + 1
    for _, joined in figures.BY_RANK[1:] + figures.BY_LENGTH[1:]:
        piece, rank = joined.split(", rank ")
        assert tokenizer.id(piece) - first == int(rank)
    assert tokenizer.pieces("little") == figures.BY_RANK[-1][0].split()


def test_bills_and_vocabulary_show_every_number():
    costs = {name: dict.fromkeys(figures.LANGUAGE_NAMES, height)
             for name, height in (("one", 7), ("two", 9))}  # fmt: skip
    bars = [bar.get_height() for bar in figures.bills(costs).axes[0].patches]
    assert bars == [7] * len(figures.LANGUAGE_NAMES) + [9] * len(figures.LANGUAGE_NAMES)
    lines = figures.vocabulary([0, 10, 20], [80, 50, 40]).axes[0].lines
    assert [line.get_ydata()[0] for line in lines] == [80, 40, 20]
    assert boxes(figures.fallback().axes[0])[-3:] == [f"<0x{byte:02X}>" for byte in "€".encode()]


def test_the_numbers_of_the_harder_tasks(lab):
    learned, words = lab["learned"], lab["words"]
    ranks = {piece: rank for rank, piece in enumerate(learned)}
    used = Counter(symbol for word in words for symbol in lab["encode_word"](word, ranks))
    assert sum(not used[piece] for piece in learned) == 39 and not used["lv"] and not used["lva"]
    before = {piece: rank for piece, rank in ranks.items() if rank < 299}
    after = {piece: rank for piece, rank in ranks.items() if rank < 300}
    changed = [word for word in words
               if lab["encode_word"](word, before) != lab["encode_word"](word, after)]  # fmt: skip
    assert changed == ["▁loves"] and len(words) == 677
