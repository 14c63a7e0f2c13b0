"""The cells of a lab's release as slots, and which slot a student's cell stands for."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from minimodels.classroom.handed_in.magics import assigned, defined
from minimodels.classroom.handed_in.reading import Piece, lines
from minimodels.classroom.lab import Lab
from minimodels.classroom.normalize import Cell, Notebook, dumps, source, tags
from minimodels.classroom.release import release

DROPPED = {"visible-check", "victory", "play"}  # cells by tag that are not the student's code
NEAR = 0.6  # share of lines by which a changed cell is still taken for the one it was
CODE = re.compile(r"(async |def |class |import |from |[@#\s)\]}\"'%!]|\w[\w.]*\s*[=(\[.,:+*-])")


@dataclass(frozen=True)
class Slot:
    """A cell of the release, and what is asked for in it."""

    kind: str  # "answer", "essay" (an answer in words), "locked", "dropped", "free" (code that
    # anybody may change) or "text"
    locked: bool
    names: tuple[str, ...]  # its grade_id and its id
    source: str
    defines: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()  # of an answer: what it defines, or at least assigns

    @property
    def name(self) -> str:
        return self.names[0] if self.names else "without a name"

    def is_stub(self, piece: Piece) -> bool:
        """Whether a piece holds no line but those that the release gave."""
        return lines(piece.source) <= lines(self.source)


class Frame:
    """The slots of one lab in order, by name and by text."""

    def __init__(self, slots: Iterable[Slot]):
        self.slots = tuple(slots)
        backwards = list(enumerate(self.slots))[::-1]  # so that the first of two wins
        self._by_id = {name: n for n, slot in backwards for name in slot.names[::-1]}
        self._by_name = {**self._by_id, **{slot.names[0]: n for n, slot in backwards if slot.names}}
        self._by_text = {slot.source: n for n, slot in backwards}
        self._lines = [lines(slot.source) for slot in self.slots]

    def home(self, piece: Piece) -> int | None:
        """The slot that a piece stands for; None if it is the student's own (or no cell at all).

        The text decides if it is word for word the release's. Then the name: grade_id, else id.
        But where a piece defines what another answer asks for, and nothing of what its name says,
        the name went astray.
        """
        named = self._by_name.get(piece.grade_id, self._by_id.get(piece.id))
        if named is not None and self.slots[named].source == piece.source:
            return named
        if (alike := self._by_text.get(piece.source)) is not None:
            return alike
        if named is None:
            return self._near(piece)
        slot = self.slots[named]
        if slot.kind == "answer" and piece.defines & slot.asked:
            return named if is_code(piece, slot) else None
        other = self.asking(piece.defines - slot.defines)
        if other is not None and is_code(piece, self.slots[other]):
            return other
        if slot.kind in ("answer", "free"):
            return named if piece.kind == "code" or is_code(piece, slot) else None
        if slot.kind in ("text", "essay"):
            return None if piece.kind == "code" else named
        own = piece.defines - slot.defines and not _alike(lines(piece.source), self._lines[named])
        return None if own else named

    def asking(self, defines: Iterable[str]) -> int | None:
        """The answer slot that asks for most of these names."""
        counts = [(len(slot.asked & set(defines)), -n) for n, slot in enumerate(self.slots)]
        most, number = max(counts, default=(0, 0))
        return -number if most else None

    def _near(self, piece: Piece) -> int | None:
        """The locked or left-out cell that a nameless piece is a changed copy of."""
        mine = lines(piece.source)
        for number, slot in enumerate(self.slots):
            if slot.kind in ("locked", "dropped") and _alike(mine, self._lines[number]):
                return number
        return None


def frame(lab: Lab) -> Frame:
    """The frame of a lab's release; the same object for the same master."""
    return _frame(dumps(lab.master))


@lru_cache(maxsize=64)
def _frame(master: str) -> Frame:
    return of_release(release(json.loads(master)))


def of_release(released: Notebook) -> Frame:
    """The frame of a release that is at hand itself, as a student has it."""
    return Frame(_slot(cell) for cell in released["cells"])


def _slot(cell: Cell) -> Slot:
    about = cell["metadata"].get("nbgrader", {})
    locked = bool(about.get("locked"))
    names = tuple(name for name in (about.get("grade_id"), cell.get("id")) if name)
    text = source(cell).rstrip()
    if cell["cell_type"] != "code":
        return Slot("essay" if about.get("solution") else "text", locked, names, text)
    kind = ("dropped" if DROPPED & set(tags(cell)) else "locked" if locked
            else "answer" if about.get("solution") else "free")  # fmt: skip
    defines = frozenset(defined(text))
    asked = defines or frozenset(assigned(text))
    return Slot(kind, locked, names, text, defines, asked if kind == "answer" else frozenset())


def is_code(piece: Piece, slot: Slot) -> bool:
    """Whether a piece is code, or text that defines what the slot asks for and reads like code."""
    if piece.kind == "code":
        return True
    names = piece.defines | assigned(piece.source)
    written = [line for line in piece.source.splitlines() if line.strip()]
    return bool(names & slot.asked) and all(CODE.match(line) for line in written)


def _alike(one: set[str], other: set[str]) -> bool:
    """Whether two texts share most of their lines."""
    return len(one & other) >= NEAR * max(len(one), len(other), 1)
