"""What counts as the student's code: their cells in the frame of the release.

The frame says everything but the answers: which cells there are, in which order, what the locked
ones hold, which are left out (tags visible-check, victory and play). What a file claims about
that (locked, points, tags, checksums) is never read. The rules:

- A student's cell is known by its grade_id, else its id, else its text, else by the functions
  and classes it defines, if the release asks for them. Where name and content disagree (names
  swapped, a test's name on an answer), what the cell defines decides.
- A locked cell holds what the release holds, deleted or changed as it may be. A cell that bears
  the name of a locked or left-out cell, resembles it in no way and defines functions or classes
  of its own is the student's and runs.
- Where an answer stands twice, the last one that is not the stub counts. Of earlier ones those
  go that define nothing more: a cell that was split is two halves, and both stay.
- An answer that was retyped as markdown or raw text is code if it reads like code and defines
  what is asked for.
- A cell the student added keeps its place behind the cell it followed, whatever tag it bears.
- Magics are taken out (see magics.py); cells without text do not count.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from minimodels.classroom.handed_in import reading
from minimodels.classroom.handed_in.frame import Frame, Slot, frame, is_code, of_release
from minimodels.classroom.handed_in.magics import plain_python
from minimodels.classroom.handed_in.reading import Handed, Piece, Unreadable
from minimodels.classroom.lab import Lab
from minimodels.classroom.normalize import Notebook


@dataclass(frozen=True)
class Rebuilt:
    """What runs of a file that was handed in."""

    cells: list[str]  # in order
    notes: tuple[str, ...] = ()  # what was mended, in a lecturer's words
    problem: str = ""  # why nothing can be run
    sha256: str = ""  # of the cells: same code, same hash, whatever the damage around it
    answers: dict[str, str] = field(default_factory=dict)  # of solution cells: grade_id -> source


def rebuild(raw: bytes, lab: Lab) -> Rebuilt:
    """The student's code in a file of any bytes; where nothing can be run, `problem` says why."""
    try:
        return _rebuild(frame(lab), lab.name, reading.read(raw))
    except Unreadable as problem:
        return Rebuilt([], problem=str(problem))
    except MemoryError:
        return Rebuilt([], problem="the file takes more memory than there is.")


def code(lab: Lab, notebook: Notebook) -> list[str]:
    """The cells that run of a notebook that is at hand as JSON; [] if it has none of the lab."""
    try:
        return _rebuild(frame(lab), lab.name, reading.cells(notebook)).cells
    except Unreadable:
        return []


def in_release(released: Notebook, notebook: Notebook) -> Rebuilt:
    """The same where the release is at hand and the master is not: at a student's."""
    try:
        name = released["metadata"]["minimodels"]["lab"]
        return _rebuild(of_release(released), name, reading.cells(notebook))
    except Unreadable as problem:
        return Rebuilt([], problem=str(problem))


def _rebuild(whole: Frame, name: str, handed: Handed) -> Rebuilt:
    pieces = [piece for piece in handed.pieces if piece.source.strip()]
    homes = _strangers(whole, pieces, [whole.home(piece) for piece in pieces])
    taken: dict[int, list[Piece]] = {number: [] for number in range(len(whole.slots))}
    for piece, home in zip(pieces, homes, strict=True):
        if home is not None:
            taken[home].append(piece)
    if not _belongs(whole, taken):
        short = name.rpartition("/")[2]
        return Rebuilt([], handed.notes, f"it is not {short}: none of its answer cells is there.")
    fillings = {n: _filling(slot, taken[n]) for n, slot in enumerate(whole.slots)}
    cells, notes = _run(whole, fillings, _added(pieces, homes))
    notes = [*handed.notes, *_mended(whole, taken, fillings, homes), *notes]
    answers = {slot.name: "\n\n".join(piece.source for piece in fillings[n])
               for n, slot in enumerate(whole.slots) if slot.kind == "answer"}  # fmt: skip
    answers |= {slot.name: _words(slot, taken[n])
                for n, slot in enumerate(whole.slots) if slot.kind == "essay"}  # fmt: skip
    digest = hashlib.sha256(json.dumps(cells).encode("ascii")).hexdigest()
    return Rebuilt(cells, tuple(dict.fromkeys(notes)), "", digest, answers)


def _strangers(whole: Frame, pieces: list[Piece], homes: list[int | None]) -> list[int | None]:
    """Homes for pieces without a name that answer what is missing, or stands there as the stub."""
    answered = {home for piece, home in zip(pieces, homes, strict=True)
                if home is not None and not whole.slots[home].is_stub(piece)}  # fmt: skip
    found = list(homes)
    for index, piece in enumerate(pieces):
        number = whole.asking(piece.defines) if homes[index] is None else None
        if number not in answered and number is not None and is_code(piece, whole.slots[number]):
            found[index] = number
    return found


def _belongs(whole: Frame, taken: dict[int, list[Piece]]) -> bool:
    """Whether the file holds an answer cell of this lab, or else a fair part of its frame."""
    answers = any(taken[n] for n, slot in enumerate(whole.slots) if slot.kind == "answer")
    return answers or 4 * sum(map(bool, taken.values())) >= len(taken)


def _filling(slot: Slot, pieces: list[Piece]) -> list[Piece]:
    """The pieces that run in the place of an answer, or of free code; copies count once."""
    if slot.kind not in ("answer", "free"):
        return []
    changed = [piece for piece in pieces if not slot.is_stub(piece)]
    if not changed:
        return pieces[:1]
    last = next((p for p in reversed(changed) if p.defines & slot.asked), changed[-1])
    kept, has = [last], last.defines
    for piece in reversed(changed):
        older = piece.defines & slot.asked and piece.defines <= has
        if not older and all(piece.source != each.source for each in kept):
            kept.insert(0, piece)
            has = has | piece.defines
    return [piece for piece in pieces if any(piece is each for each in kept)]


def _words(slot: Slot, pieces: list[Piece]) -> str:
    """What stands in an answer in words: the last copy that is not the stub."""
    written = [piece.source for piece in pieces if piece.source.strip() != slot.source.strip()]
    return written[-1] if written else ""


def _added(pieces: list[Piece], homes: list[int | None]) -> dict[int, list[Piece]]:
    """The code cells that the student added, by the slot they followed (-1: before all)."""
    added: dict[int, list[Piece]] = {}
    before, seen = -1, set()
    for piece, home in zip(pieces, homes, strict=True):
        if home is not None:
            before = home
        elif piece.kind == "code" and (not piece.id or (piece.id, piece.source) not in seen):
            added.setdefault(before, []).append(piece)
            seen.add((piece.id, piece.source))
    return added


def _run(
    whole: Frame, fillings: dict[int, list[Piece]], added: dict[int, list[Piece]]
) -> tuple[list[str], list[str]]:
    """What runs, in order, and notes on what could not."""
    cells, notes = [], []
    for number in range(-1, len(whole.slots)):
        if number >= 0 and whole.slots[number].kind == "locked":
            cells.append(whole.slots[number].source)
        for piece in [*fillings.get(number, []), *added.get(number, [])]:
            text, note = plain_python(piece.source)
            cells.append(text.rstrip())
            notes.append(note)
    return [cell for cell in cells if cell.strip()], [note for note in notes if note]


def _mended(
    whole: Frame,
    taken: dict[int, list[Piece]],
    fillings: dict[int, list[Piece]],
    homes: list[int | None],
) -> Iterator[str]:
    """What a lecturer may want to know about the damage."""
    slots = list(enumerate(whole.slots))
    locked = [(n, slot) for n, slot in slots if slot.locked]
    answers = [(n, slot) for n, slot in slots if slot.kind == "answer"]
    changed = [slot.name for n, slot in locked
               if taken[n] and all(piece.source != slot.source for piece in taken[n])]  # fmt: skip
    for words, names in (
        ("locked cells were missing and put back", [s.name for n, s in locked if not taken[n]]),
        ("locked cells were changed and the release's count", changed),
        ("answer cells are missing", [slot.name for n, slot in answers if not taken[n]]),
        ("answer cells stood there more than once",
         [slot.name for n, slot in answers if len(taken[n]) > 1]),
        ("answer cells were no code cells and are taken for code",
         [slot.name for n, slot in answers if any(p.kind != "code" for p in fillings[n])]),
    ):  # fmt: skip
        if names:
            yield f"{words}: {', '.join(names)}"
    order = [home for home in homes if home is not None]
    if order != sorted(order):
        yield "cells stood in another order than in the release"
