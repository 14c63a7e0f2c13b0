"""Of which lab a notebook is: by what is in it, then by what it claims, then by its name."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from minimodels import files
from minimodels.classroom.handed_in import reading
from minimodels.classroom.handed_in.choose import Item
from minimodels.classroom.handed_in.magics import defined
from minimodels.classroom.normalize import read, source
from minimodels.errors import UserError


@dataclass(frozen=True)
class Known:
    """The labs that are graded: their versions, and names that only this one of them has."""

    versions: Mapping[str, str]
    names: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, labs: Mapping[str, str]) -> "Known":
        """Learn the names of cells and of what they define from the masters of this clone."""
        names = {lab: _names(lab) for lab in labs}
        counts = Counter(name for each in names.values() for name in each)
        own = {lab: frozenset(name for name in each if counts[name] == 1)
               for lab, each in names.items()}  # fmt: skip
        return cls(labs, own)


def _names(lab: str) -> set[str]:
    """Ids, grade_ids, and what answers define."""
    found: set[str] = set()
    try:
        paths = list((files.repository() / "solutions").glob(f"*_*/lab_{lab}.ipynb"))
        for cell in (cell for path in paths for cell in read(path)["cells"]):
            about = cell["metadata"].get("nbgrader", {})
            found |= {cell.get("id", ""), about.get("grade_id", "")}
            found |= defined(source(cell)) if about.get("solution") else set()
    except UserError:
        pass
    return found - {""}


def recognized(item: Item, known: Known) -> Item:
    """The item with its lab, how many cells of it there are, and what is wrong with the file."""
    try:
        handed = reading.read(item.path.read_bytes()) if not item.problem else None
        problem = item.problem
    except (reading.Unreadable, MemoryError) as error:
        handed, problem = None, f"{item.who.name}: {error or 'it takes too much memory.'}"
    if handed is None:
        lab = _named(item, known) or _only(known)
        return replace(item, lab=lab, problem=problem)
    scores = {lab: _score(handed, names) for lab, names in known.names.items()}
    best = max(scores, key=scores.get, default="")
    claim = handed.lab.rpartition("/")[2].removeprefix("lab_")
    notes = list(item.notes)
    if claim in scores and 2 * scores[claim] >= scores[best]:
        lab = claim
    elif best and scores[best]:
        lab = best
        notes += [f"it says it is lab {claim} and holds the cells of {best}"] if claim else []
    else:
        lab = _named(item, known) or _only(known)
        problem = "" if lab else f"{item.who.name} is none of the labs that are graded."
    if lab and handed.version and handed.version != known.versions[lab]:
        notes.append(f"it was made from release {handed.version} of the lab, "
                     f"and is graded as {known.versions[lab]}")  # fmt: skip
    return replace(item, lab=lab, cells=scores.get(lab, 0), problem=problem, notes=tuple(notes))


def _score(handed: reading.Handed, names: frozenset[str]) -> int:
    have: set[str] = set()
    for piece in handed.pieces:
        have |= {piece.id, piece.grade_id} | piece.defines
    return len(have & names)


def _named(item: Item, known: Known) -> str:
    """The lab that a file's name speaks of, the longest name first."""
    for words in (item.who.name.lower(), item.source.lower()):
        for lab in sorted(known.versions, key=len, reverse=True):
            if re.search(rf"(?<![a-z]){re.escape(lab.lower())}(?![a-z])", words):
                return lab
    return ""


def _only(known: Known) -> str:
    return next(iter(known.versions)) if len(known.versions) == 1 else ""
