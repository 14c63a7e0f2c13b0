"""What a lab is: a master notebook with answers, and beside it `NAME_checks.py` with plain data.

The checks module holds CHECKS, MUTANTS, ALTERNATIVES and FORBIDDEN:

    CHECKS = [Check("attention", call, inputs, points=4, rtol=1e-4, atol=1e-5, why=…, message=…)]
    MUTANTS = [Mutant("attention", {"/ math.sqrt(d)": ""}, points=1, message="scale")]
    ALTERNATIVES = [Alternative("with einsum", {"q @ k.mT": "torch.einsum(…)"})]
    FORBIDDEN = ["minimodels.architecture.attention", "torch.nn.functional.softmax"]

It never leaves solutions/: a release holds the notebook without answers and nothing of this.
"""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from minimodels import files
from minimodels.classroom.normalize import Notebook, read, source
from minimodels.errors import UserError


@dataclass(frozen=True)
class Check:
    """One private check of a task; points are given for values alone.

    `inputs(rng)` makes the inputs from a numpy Generator, in the judge's process: a dict of
    numbers, strings, lists and numpy arrays. `call(namespace, inputs)` runs beside the student's
    code, in another process: its source is sent there, so that it is a plain `def` which imports
    what it needs and uses nothing around it. `namespace` is the dict of the student's names. It
    returns numbers, strings, lists, dicts, arrays or tensors; the judge compares them with what
    the master returns, elementwise within `atol + rtol * |expected|`, shapes and dtypes exactly.
    """

    task: str  # the grade_id of the task's grade cell
    call: Callable[[dict, dict], Any]
    inputs: Callable[[Any], dict]
    points: float
    rtol: float = 1e-4
    atol: float = 1e-6
    why: str = ""  # the property that is checked: "a token sees no later token"
    message: str = ""  # one hint, never the answer: "Compare row 1 of your mask with the drawing."


@dataclass(frozen=True)
class Mutant:
    """A typical wrong answer: the master with some text replaced, and what it must get.

    Each key of `replace` stands exactly once in the master's answers. `points` are what `task`
    gets, and `message` is a part of what is said about it.
    """

    task: str
    replace: Mapping[str, str]
    points: float
    message: str


@dataclass(frozen=True)
class Alternative:
    """A right answer written otherwise; it gets all points."""

    name: str
    replace: Mapping[str, str]


@dataclass(frozen=True)
class Lab:
    """A lab as its author wrote it. `name` is "03_architecture/lab_attention"."""

    name: str
    master: Notebook
    checks: tuple[Check, ...]
    mutants: tuple[Mutant, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    forbidden: tuple[str, ...] = ()
    seconds: float = 20.0  # for the cells, and for each check
    survivors: Mapping[str, str] = field(default_factory=dict)  # see mutation.py: name -> reason
    path: Path = field(default=Path(), compare=False)

    @property
    def triton(self) -> bool:
        """Whether its cells run Triton's kernels in the interpreter."""
        cells = self.master["cells"]
        return any(cell["cell_type"] == "code" and "interpret_triton()" in source(cell)
                   for cell in cells)  # fmt: skip

    def points(self) -> dict[str, float]:
        """The points of each task that checks decide, from the master's grade cells, in order.

        A grade cell that is also the answer is left out: a person marks it, see grading/tasks.py.
        """
        cells = (cell["metadata"].get("nbgrader", {}) for cell in self.master["cells"])
        return {cell["grade_id"]: float(cell["points"]) for cell in cells
                if cell.get("grade") and not cell.get("solution")}  # fmt: skip


def load(path: str | Path) -> Lab:
    """Read a lab from its master notebook; UserError if its checks do not fit it."""
    path = Path(path).resolve()
    checks = _module(path.with_name(f"{path.stem}_checks.py"))
    lab = Lab(
        name=f"{path.parent.name}/{path.stem}",
        master=read(path),
        checks=tuple(checks.CHECKS),
        mutants=tuple(getattr(checks, "MUTANTS", ())),
        alternatives=tuple(getattr(checks, "ALTERNATIVES", ())),
        forbidden=tuple(getattr(checks, "FORBIDDEN", ())),
        seconds=getattr(checks, "SECONDS", 20.0),
        survivors=dict(getattr(checks, "SURVIVORS", {})),
        path=path,
    )
    _fits(lab)
    return lab


def masters(stage: str = "") -> list[Path]:
    """The master notebooks of solutions/, of one stage ("architecture") or of all."""
    found = (files.repository() / "solutions").glob("*_*/lab_*.ipynb")
    return sorted(path for path in found if not stage or path.parent.name.endswith(f"_{stage}"))


def by_name() -> dict[str, Path]:
    """The master notebooks by the names that people type: "attention"."""
    return {path.stem.removeprefix("lab_"): path for path in masters()}


def changed(notebook: Notebook, replace: Mapping[str, str]) -> Notebook:
    """A copy of a master with text of its answers replaced; each old text must stand there once."""
    cells = [dict(cell) for cell in notebook["cells"]]
    answers = [cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("solution")]
    for old, new in replace.items():
        holding = [cell for cell in answers if old in source(cell)]
        if len(holding) != 1 or source(holding[0]).count(old) != 1:
            raise UserError(f"{old!r} must stand exactly once in the answers: choose more of it.")
        holding[0]["source"] = source(holding[0]).replace(old, new)
    return {**notebook, "cells": cells}


def _module(path: Path) -> ModuleType:
    if not path.exists():
        raise UserError(f"{path} is missing: write the lab's checks there.")
    spec = importlib.util.spec_from_file_location(f"checks_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _fits(lab: Lab) -> None:
    """The points of the checks must be those of the grade cells, task by task."""
    sums: dict[str, float] = {}
    for check in lab.checks:
        sums[check.task] = sums.get(check.task, 0.0) + check.points
    if sums != lab.points():
        cells = lab.points()
        raise UserError(f"{lab.name}: checks give {sums} and grade cells {cells}: make them equal.")
