"""Pictures of byte-pair encoding: one for each piece that the lab builds, and the bill. Figures.

All words stand in the pictures, so that colors only repeat what is written. The data is written
down and not computed: computing it is what the lab asks for, and its checks use the same words.
"""


from minimodels.data.drawing import bare, box, canvas
from minimodels.data.figures import LANGUAGE_NAMES

BLUE, VERMILION, GREEN, SKY = "#0072B2", "#D55E00", "#009E73", "#56B4E9"  # Okabe & Ito 2008
SIZE = 13  # points of the letters in boxes

TEXT = ["M", "i", "r", "a", "␣", "i", "s", "␣", "2", "7", ".", "↵"]
MARKED = ["▁", "M", "i", "r", "a", "▁", "i", "s", "▁", "2", "7", ".", "↵"]
STARTS = [0, 5, 8, 9, 10, 11, 12]  # where a word of MARKED begins

WORDS = [("▁pan", 5), ("▁panda", 2), ("▁and", 3)]
PAIRS = [("a", "n", 10), ("▁", "p", 7), ("p", "a", 7), ("n", "d", 5), ("▁", "a", 3), ("d", "a", 2)]

STEPS = [  # the words after each step, and the piece that it learned
    ("", ["▁ p a n", "▁ p a n d a", "▁ a n d"]),
    ("an", ["▁ p an", "▁ p an d a", "▁ an d"]),
    ("▁p", ["▁p an", "▁p an d a", "▁ an d"]),
    ("▁pan", ["▁pan", "▁pan d a", "▁ an d"]),
    ("and", ["▁pan", "▁pan d a", "▁ and"]),
]

BY_RANK = [  # "▁little" in gemma-mini's vocabulary: pieces, and what was joined
    ("▁ l i t t l e", ""),
    ("▁l i t t l e", "▁l, rank 30"),
    ("▁l it t l e", "it, rank 67"),
    ("▁l it t le", "le, rank 98"),
]
BY_LENGTH = [
    ("▁ l i t t l e", ""),
    ("▁li t t l e", "▁li, rank 275"),
    ("▁li tt l e", "tt, rank 155"),
    ("▁li tt le", "le, rank 98"),
]


def words():
    """A text, the same text with marks, and the words into which it is cut."""
    figure, (axes,) = canvas(9, 2.7)
    _letters(axes, [0.5 + i for i in range(1, 13)], 0, TEXT, "white")
    _letters(axes, [0.5 + i for i in range(13)], 1.4, MARKED, "white", marks=True)
    left = 0.0
    for start, end in zip(STARTS, [*STARTS[1:], len(MARKED)], strict=True):
        word, width = "".join(MARKED[start:end]), end - start
        box(axes, left, 2.8, width, 1, SKY, word, size=SIZE)
        left += width + 0.35
    for row, name in enumerate(("text", "marked", "words")):
        axes.text(-0.4, 1.4 * row + 0.5, name, ha="right", va="center", fontsize=SIZE)
    axes.set(xlim=(-2.2, left), ylim=(4, -0.2))
    axes.set_title("A space becomes ▁ and begins a word. ␣ is a space, ↵ a newline")
    return bare(figure)


def pairs():
    """Three words with their counts, and how often each pair of neighbors occurs in them."""
    figure, (left, right) = canvas(9, 2.9, columns=2)
    for row, (word, times) in enumerate(WORDS):
        left.text(-0.3, 1.4 * row + 0.5, f"{times} ×", ha="right", va="center", fontsize=SIZE)
        _pieces(left, 0, 1.4 * row, " ".join(word))
    left.set(xlim=(-1.2, 6.2), ylim=(4, -0.3))
    left.set_title("three words")
    left.set_axis_off()
    names = [f"{a} + {b}" for a, b, _ in PAIRS]
    times = [count for *_, count in PAIRS]
    colors = [VERMILION] + [BLUE] * (len(PAIRS) - 1)
    right.bar_label(right.barh(names, times, color=colors), padding=3, fontsize=11)
    right.tick_params(axis="y", labelsize=SIZE)
    right.invert_yaxis()
    right.set(xlim=(0, 12), xlabel="times", title="a + n is the most frequent pair: 5 + 2 + 3")
    right.spines[["top", "right"]].set_visible(False)
    return figure


def learning():
    """The three words after each of the first four steps of training."""
    figure, (axes,) = canvas(9.5, 3.4)
    columns = [1.6, 6.6, 13.2]
    for (word, times), x in zip(WORDS, columns, strict=True):
        axes.text(x, -0.35, f"{times} × {word}", fontsize=SIZE)
    for row, (learned, texts) in enumerate(STEPS):
        y = 1.25 * row
        axes.text(1.1, y + 0.5, learned or "start", ha="right", va="center", fontsize=SIZE,
                  color=VERMILION if learned else "black")  # fmt: skip
        for text, x in zip(texts, columns, strict=True):
            _pieces(axes, x, y, text, new=learned)
    axes.set(xlim=(-1, 17.6), ylim=(6.2, -1))
    axes.set_title("Each step joins one pair everywhere. Orange: the piece that was learned")
    return bare(figure)


def ranks():
    """The word ▁little with lowest rank first, and with the longest piece first."""
    figure, panels = canvas(9.5, 3.1, columns=2)
    titles = ("lowest rank first: ▁l it t le", "longest piece first: another answer")
    for axes, title, steps in zip(panels, titles, (BY_RANK, BY_LENGTH), strict=True):
        for row, (text, joined) in enumerate(steps):
            _pieces(axes, 0, 1.25 * row, text, new=joined.split(",")[0])
            axes.text(7.4, 1.25 * row + 0.5, joined, va="center", fontsize=11, color=VERMILION)
        axes.set(xlim=(-0.2, 11), ylim=(5, -0.2))
        axes.set_title(title)
    return bare(figure)


def fallback():
    """The text "5 €" as words, symbols and pieces, for a vocabulary without the €."""
    figure, (axes,) = canvas(8.5, 2.7)
    rows = [("words", [(0, 1, "▁"), (1, 1, "5"), (2, 4, "▁€")]),
            ("symbols", [(0, 1, "▁"), (1, 1, "5"), (2, 1, "▁"), (3, 3, "€")]),
            ("pieces", [(0, 1, "▁"), (1, 1, "5"), (2, 1, "▁"),
             (3, 1, "<0xE2>"), (4, 1, "<0x82>"), (5, 1, "<0xAC>")])]  # fmt: skip
    for row, (name, boxes) in enumerate(rows):
        axes.text(-0.1, 1.4 * row + 0.5, name, ha="right", va="center", fontsize=SIZE)
        for x, width, piece in boxes:
            unknown = piece == "€" or piece.startswith("<")
            color, ink = (VERMILION, "white") if unknown else (SKY, "black")
            box(axes, x + 0.04, 1.4 * row, width - 0.08, 1, color, piece, ink=ink, size=SIZE)
    axes.set(xlim=(-2, 6.1), ylim=(4, -0.2))
    axes.set_title("A character that no piece holds is spelled by its bytes in UTF-8")
    return bare(figure)


def bills(costs):
    """What one fact costs in each language; `costs` maps a tokenizer's name to {language: tokens}.

    Two tokenizers, the one in hatched orange and the other in blue.
    """
    figure, (axes,) = canvas(8, 3.2)
    languages = list(LANGUAGE_NAMES)
    for offset, (name, bill), color, hatch in zip(
        (-0.2, 0.2), costs.items(), (VERMILION, BLUE), ("//", None), strict=True
    ):
        places = [place + offset for place in range(len(languages))]
        bars = axes.bar(places, [bill[language] for language in languages], 0.38, color=color,
                        hatch=hatch, edgecolor="white", label=f"pieces from {name}")  # fmt: skip
        axes.bar_label(bars, fmt="%.0f")
    axes.set_xticks(range(len(languages)), LANGUAGE_NAMES.values(), fontsize=11)
    most = max(max(bill.values()) for bill in costs.values())
    axes.set(ylabel="tokens per fact", ylim=(0, 1.15 * most))
    axes.set_title("Who is left out of the vocabulary pays")
    axes.legend(loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def vocabulary(sizes, tokens):
    """How many tokens a text takes with 0, 1, 2, … learned pieces; `sizes` and `tokens` are lists.

    The dotted lines are half and a quarter of the tokens without any learned piece.
    """
    figure, (axes,) = canvas(8, 3.2)
    axes.plot(sizes, tokens, "o-", color=BLUE, linewidth=2)
    for share, name in ((2, "half"), (4, "a quarter")):
        axes.axhline(tokens[0] / share, color="0.5", linestyle=":")
        axes.text(0, tokens[0] / share, name, va="bottom")
    axes.set(xlabel="learned pieces", ylabel="tokens", ylim=(0, None))
    axes.set_title("The first pieces save the most")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _letters(axes, places, y, letters, color, marks=False) -> None:
    for x, letter in zip(places, letters, strict=True):
        own = SKY if marks and letter == "▁" else color
        box(axes, x - 0.5, y, 1, 1, own, letter, size=SIZE)


def _pieces(axes, x, y, text, new="") -> None:
    """Pieces side by side, each as wide as its letters; the piece `new` in orange."""
    for piece in text.split():
        color, ink = (VERMILION, "white") if piece == new else (SKY, "black")
        box(axes, x + 0.04, y, len(piece) - 0.08, 1, color, piece, ink=ink, size=SIZE)
        x += len(piece)
