"""`minimodels solution NAME`: open the solution of a lab that is passed or was tried five times."""

import re
from dataclasses import dataclass
from pathlib import Path

from minimodels import files
from minimodels.classroom.normalize import Cell, Notebook, dumps, read, source
from minimodels.classroom.student import copies, memory
from minimodels.errors import UserError

TRIES = 5  # answers of different text that a check refused
HONOR = "solutions/ has held it all along: in a public clone it is your honor that keeps it shut."
MARKER = re.compile(r"^[ \t]*### (BEGIN|END) (SOLUTION|HIDDEN TESTS|MARK SCHEME)[^\n]*\n?", re.M)


@dataclass(frozen=True)
class Opened:
    """The notebook to look at; `new` is False if it was open before."""

    path: Path
    new: bool


def solution(name: str) -> Opened:
    """Copy the solution of a lab to work/; UserError says how many tries are left before that."""
    lab = copies.find(name)
    short = copies.short(lab)
    master = files.repository() / "solutions" / lab.parent.name / lab.name
    if copies.term() or not master.exists():
        raise UserError(f"the solution of {short} is not part of a graded term: ask your lecturer.")
    target = copies.plain(lab).with_name(f"{lab.stem}_solution.ipynb")
    if target.exists():
        return Opened(target, new=False)
    if left := tries_left(short):
        tries = "another try" if left == 1 else f"{left} more tries"
        raise UserError(f"the solution of {short} opens when `minimodels check {short}` passes, "
                        f"or after {tries} with other answers.")  # fmt: skip
    files.write_text(target, dumps(without_markers(read(master))))
    return Opened(target, new=True)


def tries_left(name: str) -> int:
    """How many more failing tries open a solution; 0 if it is open."""
    entry = memory.read()["labs"].get(name, {})
    if entry.get("passed"):
        return 0
    return max(0, TRIES - len(entry.get("tries", {})))


def without_markers(master: Notebook) -> Notebook:
    """A master to read: without nbgrader's marks, so that nobody takes it for a hand-in."""
    return {**master, "cells": [_plain(cell) for cell in master["cells"]]}


def _plain(cell: Cell) -> Cell:
    metadata = {name: value for name, value in cell["metadata"].items() if name != "nbgrader"}
    text = MARKER.sub("", source(cell)).rstrip("\n")
    return {**cell, "metadata": metadata, "source": text.splitlines(keepends=True)}
