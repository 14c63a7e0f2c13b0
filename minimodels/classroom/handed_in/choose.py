"""One submission of many: what counts when a student hands in two notebooks, or one twice."""

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from minimodels.classroom.handed_in.forms import Who


@dataclass(frozen=True)
class Item:
    """A file that may be what a student handed in."""

    who: Who
    path: Path  # Path() if there is none
    source: str
    problem: str = ""
    notes: tuple[str, ...] = ()
    time: float = 0.0  # of the file, only to tell later from earlier
    lab: str = ""
    cells: int = 0  # how many names of the lab it holds

    @property
    def student(self) -> str:
        return self.who.student


def choose(items: list[Item]) -> list[Item]:
    """One item for each student and lab, sorted.

    A file that can be graded goes before one that cannot; of those that hold at least half as many
    of the lab's cells as the fullest, the latest counts. Files of no lab are told in a note, and
    stand alone only if the student handed in nothing else.
    """
    groups: dict[str, dict[str, list[Item]]] = defaultdict(lambda: defaultdict(list))
    for item in _told_apart(items):
        groups[item.student][item.lab].append(item)
    chosen = []
    for labs in groups.values():
        strays = labs.pop("", [])
        if not labs:
            labs, strays = {"": strays}, []
        others = tuple(f"also handed in: {stray.source} ({stray.problem})" for stray in strays[:3])
        for each in labs.values():
            one = _one(each)
            chosen.append(replace(one, notes=(*one.notes, *others)))
    return sorted(chosen, key=lambda item: (item.student, item.lab))


def _one(items: list[Item]) -> Item:
    good = [item for item in items if not item.problem] or items
    most = max(item.cells for item in good)
    one = max((item for item in good if 2 * item.cells >= most), key=_later)
    others = [item for item in items if item is not one]
    if not others:
        return one
    told = "; ".join(f"{item.source}{f' ({item.problem})' if item.problem else ''}"
                     for item in others[:3])  # fmt: skip
    told += f" and {len(others) - 3} more" if len(others) > 3 else ""
    ids = {key: value for item in items for key, value in item.who.ids.items()} | one.who.ids
    note = f"handed in {len(items)} times: {one.source} counts, not {told}"
    return replace(one, who=replace(one.who, ids=ids), notes=(*one.notes, note))


def _later(item: Item) -> tuple:
    """What orders two files in time, the most trusted first; the name breaks ties."""
    known = item.who.submitted.timestamp() if item.who.submitted else 0.0
    again = re.search(r"-(\d{1,4})\.ipynb", item.who.name)  # Canvas counts uploads: lab-2.ipynb
    return known, int(again[1]) if again else 0, item.time, item.source


def _told_apart(items: list[Item]) -> list[Item]:
    """Two students of one name keep their own: the number that the LMS gives joins the name."""
    numbers: dict[str, set[str]] = defaultdict(set)
    for item in items:
        numbers[item.student] |= set(item.who.ids.values())
    return [replace(item, who=replace(item.who, student=_numbered(item.who)))
            if len(numbers[item.student]) > 1 and item.who.ids else item
            for item in items]  # fmt: skip


def _numbered(who: Who) -> str:
    return f"{who.student} ({'; '.join(who.ids.values())})"
