"""A world of pictures with known truth: one or two groups of shapes, and questions about them.

    pictures = draw_pictures(8, seed=1)            # 48 × 48 pixels each, and what is on it
    questions(pictures[0])                         # "Where are the blue shapes?" -> "top left"

A group is one to four equal shapes of one color in one quarter of the picture; two groups of a
picture differ in shape, color and quarter. Some groups are never drawn for training: the 4 pairs of
PAIRS_HELD_OUT (a shape in a color), and of the others every fourth combination of shape, color,
count and place, so that a learner who only remembers what it saw cannot answer about them.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from minimodels.errors import UserError

COLORS = {  # Okabe & Ito 2008: told apart by color-blind eyes, too
    "orange": (230, 159, 0), "blue": (0, 114, 178), "green": (0, 158, 115),
    "yellow": (240, 228, 66), "pink": (204, 121, 167), "black": (0, 0, 0),
}  # fmt: skip
SHAPES = ("circles", "squares", "triangles", "crosses")
COUNTS = ("one", "two", "three", "four")
PLACES = ("top left", "top right", "bottom left", "bottom right")
PAIRS_HELD_OUT = set(zip(SHAPES, COLORS, strict=False))  # orange circles, blue squares, …

SIZE, PAPER = 48, 255  # pixels of a side; the background
CELL, SHAPE = 12, 9  # a quarter has 2 × 2 cells, each holds one shape somewhere inside
SPLITS = ("train", "combinations", "pairs")

QUESTIONS = (  # wording, what it names, what it asks for
    ("How many {} are there?", "shape", "count"),
    ("How many {} shapes are there?", "color", "count"),
    ("What color are the {}?", "shape", "color"),
    ("What are the {} shapes?", "color", "shape"),
    ("Where are the {}?", "shape", "place"),
    ("Where are the {} shapes?", "color", "place"),
)
ANSWERS = {"count": COUNTS, "color": tuple(COLORS), "shape": SHAPES, "place": PLACES}


@dataclass(frozen=True)
class Group:
    """Equal shapes side by side; every value is a word of ANSWERS."""

    shape: str
    color: str
    count: str
    place: str

    @property
    def split(self) -> str:
        """Which of SPLITS may draw it."""
        if (self.shape, self.color) in PAIRS_HELD_OUT:
            return "pairs"
        numbers = (ANSWERS[kind].index(getattr(self, kind)) for kind in ANSWERS)
        return "train" if sum(numbers) % 4 else "combinations"


@dataclass(frozen=True)
class Picture:
    """Pixels (48, 48, 3) uint8 and the groups they show, one or two."""

    pixels: np.ndarray
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Question:
    """One question about a picture; `kind` (a key of ANSWERS) is what it asks for."""

    text: str
    answer: str
    kind: str


def draw_pictures(
    count: int, seed: int | np.random.Generator, split="train", groups=(1, 2)
) -> list[Picture]:
    """Random pictures whose groups all belong to `split`; how many is drawn from `groups`.

    Raises UserError for an unknown split.
    """
    if split not in SPLITS:
        raise UserError(f"there is no split {split!r}: choose one of {', '.join(SPLITS)}.")
    draw = np.random.default_rng(seed)
    return [paint(_groups(draw, split, draw.choice(groups)), draw) for _ in range(count)]


def paint(groups, draw: np.random.Generator) -> Picture:
    """A picture of these groups; `draw` chooses cells and where in its cell each shape lies."""
    pixels = np.full((SIZE, SIZE, 3), PAPER, dtype=np.uint8)
    for group in groups:
        row, column = divmod(PLACES.index(group.place), 2)
        for cell in draw.permutation(4)[: COUNTS.index(group.count) + 1]:
            top, left = draw.integers(CELL - SHAPE, size=2)  # so that neighbors never touch
            top += (2 * row + cell // 2) * CELL
            left += (2 * column + cell % 2) * CELL
            pixels[top : top + SHAPE, left : left + SHAPE][stamp(group.shape)] = COLORS[group.color]
    return Picture(pixels, tuple(groups))


@cache
def stamp(shape: str) -> np.ndarray:
    """Which of SHAPE × SHAPE pixels a shape covers, bool."""
    y, x = np.mgrid[:SHAPE, :SHAPE] - (SHAPE - 1) / 2  # from the middle
    return {
        "circles": x**2 + y**2 <= (SHAPE / 2) ** 2,
        "squares": np.ones_like(x, dtype=bool),
        "triangles": 2 * np.abs(x) <= y + (SHAPE - 1) / 2,
        "crosses": np.minimum(np.abs(x), np.abs(y)) <= 1,
    }[shape]


def questions(picture: Picture) -> list[Question]:
    """All questions about a picture, six for each group."""
    return [
        Question(wording.format(getattr(group, named)), getattr(group, kind), kind)
        for group in picture.groups
        for wording, named, kind in QUESTIONS
    ]


@cache
def groups_of(split: str) -> list[Group]:
    """All groups that `split` may draw: 240, 80 and 64 of the 384 there are."""
    every = (Group(*values) for values in product(SHAPES, COLORS, COUNTS, PLACES))
    return [group for group in every if group.split == split]


def _groups(draw: np.random.Generator, split: str, count: int) -> list[Group]:
    """Groups of this split that differ in shape, color and place."""
    known = groups_of(split)
    while True:
        groups = [known[i] for i in draw.integers(len(known), size=count)]
        apart = ({getattr(group, kind) for group in groups} for kind in ("shape", "color", "place"))
        if all(len(values) == count for values in apart):
            return groups
