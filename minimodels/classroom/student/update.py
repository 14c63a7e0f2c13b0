"""`minimodels update [NAME]`: a newer release of a lab beside the student's copy, answers and all.

Three notebooks meet: the new release, the student's copy, and the release it was made from. What
the student changed or added goes into the new frame; what the release changed comes from there.
The student's copy is never written.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from minimodels import files
from minimodels.classroom.normalize import Cell, Notebook, dumps, read, source
from minimodels.classroom.student import copies
from minimodels.classroom.student.copies import key, locked, nbgrader, text
from minimodels.classroom.student.start import copy_beside, keep_as_released
from minimodels.errors import UserError


@dataclass(frozen=True)
class Update:
    """What came of one lab. `path` is the copy to work on; `new` says whether it was written."""

    lab: str
    path: Path
    new: bool = False
    kept: tuple[str, ...] = ()  # cells with the student's text
    changed: tuple[str, ...] = ()  # cells that the release changed or brought
    both: tuple[str, ...] = ()  # cells that both changed: the student's text stands
    beside: tuple[Path, ...] = ()  # files that differ from those in labs/ and were left alone


def update(name: str = "") -> list[Update]:
    """Update one lab, or all that were started. UserError if it was not, or cannot be read."""
    known = copies.labs()
    started = [lab for lab in known.values() if any(_copies(lab))]
    return [_update(lab) for lab in ([copies.find(name)] if name else started)]


def words(done: Update) -> str:
    """What came of one lab, as a student reads it."""
    path = done.path.relative_to(files.repository())
    if not done.new:
        return f"{done.lab}: {path} is of the newest release."
    lines = [f"{done.lab}: go on in {path}, which `check` and `submit` take from now on; your old "
             "copy stays as it was."]  # fmt: skip
    beside = [path.name for path in done.beside]
    said = {"with your text": done.kept, "new or changed in this release": done.changed,
            "changed by both, your text stands (compare with labs/)": done.both,
            "files left as they are, though labs/ has others": beside}  # fmt: skip
    lines += [f"  {what}: {', '.join(each)}" for what, each in said.items() if each]
    return "\n".join(lines)


def carry(released: Notebook, mine: Notebook, base: Notebook | None) -> tuple[Notebook, dict]:
    """The release with the student's text in it, and the names of cells: {kept, changed, both}.

    Without `base` (a copy that `start` did not make) every answer counts as the student's.
    """
    old = {key(cell): cell for cell in base["cells"]} if base else {}
    names: dict[str, list[str]] = {"kept": [], "changed": [], "both": []}
    found = {key(cell): _same(cell, mine) for cell in released["cells"]}
    cells = [_merged(cell, found[key(cell)], old, names) for cell in released["cells"]]
    taken = {id(cell): name for name, cell in found.items() if cell}
    given = {text(cell) for cell in released["cells"]}
    before = -1  # the place of the cell that the student's last one became
    for cell in mine["cells"]:
        if id(cell) in taken:
            before = next(i for i, each in enumerate(cells) if key(each) == taken[id(cell)])
        elif _added(cell, old, given):
            before += 1
            cells.insert(before, _free(cell, cells))
            names["kept"].append(_first_line(cell))
    return {**released, "cells": cells}, names


def _update(lab: Path) -> Update:
    released, name = read(lab), copies.short(lab)
    version = copies.about(released)["version"]
    path = copies.all_of(lab)[0]
    mine = copies.whole(path)
    for copy in copies.all_of(lab):
        if copies.version(copies.whole(copy), released) == version:
            return Update(name, copy)
    other = copies.about(mine).get("lab", copies.about(released)["lab"])
    if other != copies.about(released)["lab"]:
        raise UserError(f"{path} holds {other}, not {name}: move it away, and put yours there.")
    kept = copies.base(lab, copies.about(mine).get("version", ""))
    notebook, names = carry(released, mine, read(kept) if kept.exists() else None)
    target = copies.newer(lab, version)
    if target.exists():
        raise UserError(f"{target} is in the way: move it away and run this again.")
    keep_as_released(lab)
    beside = copy_beside(lab)
    files.write_text(target, dumps(notebook))
    return Update(name, target, True, beside=tuple(beside),
                  **{part: tuple(each) for part, each in names.items()})  # fmt: skip


def _copies(lab: Path) -> list[Path]:
    plain = copies.plain(lab)
    return [plain] if plain.exists() else list(plain.parent.glob(f"{lab.stem}.new-*.ipynb"))


def _same(cell: Cell, mine: Notebook) -> Cell | None:
    """The student's cell that is this one of the release: by nbgrader's name, else by id."""
    for known in (key, lambda each: f"id {each.get('id')}"):
        for each in mine["cells"]:
            if known(each) == known(cell) and each["cell_type"] == cell["cell_type"]:
                return each
    return None


def _merged(cell: Cell, mine: Cell | None, old: dict[str, Cell], names: dict) -> Cell:
    """One cell of the release, with the student's text if they changed it."""
    before = old.get(key(cell))
    if before is None and mine is not None and locked(cell):
        before = mine  # nobody but a release changes it
    moved = before is not None and text(before) != text(cell)
    if mine is None or locked(cell) or not _changed(cell, mine, before):
        if moved or (before is None and mine is None):
            names["changed"].append(_first_line(cell))
        return cell
    names["kept"].append(_first_line(cell))
    checksums = [nbgrader(each).get("checksum") for each in (cell, mine)]
    if moved or (before is None and checksums[0] != checksums[1]):
        names["both"].append(_first_line(cell))
    return {**cell, "source": source(mine).splitlines(keepends=True)}


def _changed(cell: Cell, mine: Cell, before: Cell | None) -> bool:
    """Whether the student changed a cell."""
    if before is None:
        return bool(nbgrader(cell).get("solution"))
    return text(mine) != text(before)


def _added(cell: Cell, old: dict[str, Cell], given: set[str]) -> bool:
    """Whether a cell that the new release has not is worth keeping."""
    if locked(cell) or not text(cell) or text(cell) in given:
        return False
    return key(cell) not in old or text(old[key(cell)]) != text(cell)


def _free(cell: Cell, cells: list[Cell]) -> Cell:
    """A cell of the student's own, under an id that no other has."""
    metadata = {name: value for name, value in cell.get("metadata", {}).items()
                if name not in {"nbgrader", "deletable", "editable"}}  # fmt: skip
    name, taken = cell.get("id") or "", {each.get("id") for each in cells}
    while not name or name in taken:
        name = hashlib.sha256((name + text(cell)).encode("utf-8", "replace")).hexdigest()[:8]
    free = {**cell, "id": name, "metadata": metadata}
    if cell["cell_type"] == "code":
        free |= {"outputs": [], "execution_count": None}
    return free


def _first_line(cell: Cell) -> str:
    lines = text(cell).splitlines()
    return nbgrader(cell).get("grade_id") or (lines[0].strip()[:40] if lines else "empty")
