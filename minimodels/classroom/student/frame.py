"""A student's notebook as it is graded: their cells in the frame of the release, then the checks.

What runs of a notebook is decided where grading decides it, in rebuild.py. The visible checks come
after it, as they were released: what a check defines is not there for the student's cells.
"""

import hashlib
import json
from dataclasses import dataclass

from minimodels.classroom.handed_in.rebuild import Rebuilt, in_release
from minimodels.classroom.normalize import Cell, Notebook, source, tags
from minimodels.classroom.student.copies import locked, nbgrader, text


@dataclass(frozen=True)
class Step:
    """One cell to run. `yours` is False for what the release locks."""

    name: str  # "causal_mask", or its first line if it has no name
    code: str
    yours: bool = True


def cells(released: Notebook, notebook: Notebook) -> tuple[list[Step], Rebuilt]:
    """What runs before the checks, and what grading says of the notebook."""
    rebuilt = in_release(released, notebook)
    named = {text(cell): _name(cell) for cell in [*_codes(released), *_codes(notebook)]}
    fixed = {text(cell) for cell in _codes(released) if locked(cell)}
    steps = [Step(named.get(text({"source": code})) or _first_line(code), code,
                  yours=text({"source": code}) not in fixed) for code in rebuilt.cells]  # fmt: skip
    return steps, rebuilt


def checks(released: Notebook) -> list[Step]:
    """The visible checks of a lab."""
    return [Step(_name(cell), source(cell), yours=False) for cell in _codes(released)
            if "visible-check" in tags(cell)]  # fmt: skip


def answers(released: Notebook, notebook: Notebook) -> str:
    """A hash of the student's code, "" as long as it is what was handed out."""
    mine, given = _digest(cells(released, notebook)[0]), _digest(cells(released, released)[0])
    return "" if mine == given else mine


def _digest(steps: list[Step]) -> str:
    yours = json.dumps([text({"source": step.code}) for step in steps if step.yours])
    return hashlib.sha256(yours.encode("ascii")).hexdigest()[:16]


def _codes(notebook: Notebook) -> list[Cell]:
    return [cell for cell in notebook["cells"] if cell.get("cell_type") == "code"]


def _name(cell: Cell) -> str:
    return nbgrader(cell).get("grade_id") or _first_line(source(cell))


def _first_line(code: str) -> str:
    lines = [line.strip() for line in code.splitlines() if line.strip()]
    return lines[0][:60] if lines else "empty"
