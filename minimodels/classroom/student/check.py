"""`minimodels check NAME`: the visible checks in a clean process, as the grader would run them.

The notebook in work/ is taken as it is saved. Locked cells come from labs/; each cell has the
seconds, the memory and the forbidden modules of grading. One line says how each check went.
"""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from minimodels import files
from minimodels.classroom.normalize import Notebook, read
from minimodels.classroom.student import copies, frame, memory
from minimodels.classroom.student.frame import Step
from minimodels.classroom.student.process import events
from minimodels.errors import UserError
from minimodels.sandbox import Limits

SECONDS = 20.0  # a cell, where the lab does not say


@dataclass(frozen=True)
class Line:
    """How one check went; `message` is "" if it passed."""

    task: str
    passed: bool
    message: str = ""


@dataclass(frozen=True)
class Trouble:
    """A cell that failed. `how` is error, or what ends a run: timeout, gone."""

    cell: str
    how: str
    message: str


@dataclass(frozen=True)
class Report:
    """What came out of one run of the checks."""

    lab: str  # "attention"
    version: str
    path: Path
    lines: tuple[Line, ...]
    troubles: tuple[Trouble, ...] = ()
    notes: tuple[str, ...] = ()  # what grading would mend in the notebook

    @property
    def passed(self) -> int:
        return sum(line.passed for line in self.lines)

    @property
    def all_passed(self) -> bool:
        return bool(self.lines) and self.passed == len(self.lines)

    def closing(self) -> str:
        """The last line of what a student reads."""
        if self.all_passed:
            return "public checks passed"
        return f"{self.passed} of {len(self.lines)} checks pass"

    def table(self) -> dict:
        """The same for a program to read."""
        checks, cells = map(asdict, self.lines), map(asdict, self.troubles)
        return {"lab": self.lab, "version": self.version, "notebook": str(self.path),
                "passed": self.passed, "of": len(self.lines), "checks": list(checks),
                "cells": list(cells), "notes": list(self.notes)}  # fmt: skip


def check(name: str, tell: Callable[[str], None] = lambda line: None) -> Report:
    """Run the visible checks of the student's copy of a lab, and note the try.

    `tell` gets each line as soon as it is known. UserError if there is no such lab, or if the
    copy is of an older release.
    """
    lab = copies.find(name)
    released = read(lab)
    path, notebook = copies.current(lab)
    return examine(path, released, notebook, tell)


def examine(path: Path, released: Notebook, notebook: Notebook, tell) -> Report:
    """Run a notebook that was read, and note the try."""
    tell(f"checking {path.relative_to(files.repository())}, as it was last saved")
    report = run(path, released, notebook, tell)
    answers = frame.answers(released, notebook)
    memory.tried(report.lab, report.version, answers, report.passed, len(report.lines))
    return report


def run(path: Path, released: Notebook, notebook: Notebook, tell=lambda line: None) -> Report:
    """Run a notebook in the frame of its release."""
    about = copies.about(released)
    cells, rebuilt = frame.cells(released, notebook)
    if rebuilt.problem:
        raise UserError(f"{path}: {rebuilt.problem} `minimodels update` brings a whole one.")
    for note in rebuilt.notes:
        tell(f"note: {note}")
    run = _Run(cells, frame.checks(released), about, tell)
    run.go()
    lines = tuple(run.lines[number] for number in range(len(run.checks)))
    return Report(copies.short(path.name.split(".")[0]), about["version"], path, lines,
                  tuple(run.troubles), rebuilt.notes)  # fmt: skip


class _Run:
    """One run; it begins anew behind a check that ends the process."""

    def __init__(self, cells: list[Step], checks: list[Step], about: dict, tell: Callable):
        self.cells, self.checks, self.tell = cells, checks, tell
        self.seconds = float(about.get("seconds", SECONDS))
        self.forbidden = list(about.get("forbidden", ()))
        self.lines: dict[int, Line] = {}
        self.troubles: list[Trouble] = []

    def go(self) -> None:
        ended = self._once()
        while not ended and len(self.lines) < len(self.checks):
            ended = self._once()
        for number, step in enumerate(self.checks):
            if number not in self.lines:
                self._line(number, Line(step.name, False, f"not run, because {ended}"))

    def _once(self) -> str:
        """Run the cells, then the checks that have no line yet; returns what ended it for good."""
        left = [(number, step.code) for number, step in enumerate(self.checks)
                if number not in self.lines]  # fmt: skip
        first, at = len(left) == len(self.checks), None
        request = {"cells": [step.code for step in self.cells], "checks": left,
                   "forbidden": self.forbidden, "seconds": self.seconds,
                   "memory": Limits().memory}  # fmt: skip
        for event in events(request):
            if event["event"] == "begin":
                at = event
            elif event["event"] == "gone":
                return self._gone(at, event["how"])
            elif event["event"] == "end" and event["kind"] == "check":
                self._checked(event)
            elif event["event"] == "end" and event["how"] and first:
                self._failed(self.cells[event["number"]], event)
        return ""

    def _checked(self, event: dict) -> None:
        step = self.checks[event["number"]]
        self._line(event["number"], Line(step.name, not event["how"], self._words(event)))

    def _failed(self, step: Step, event: dict) -> None:
        self._trouble(Trouble(step.name, event["how"], self._words(event)))

    def _gone(self, at: dict | None, how: str) -> str:
        """A cell or check ended the process, or could not be stopped."""
        if at is None:
            return "Python with torch did not start: `minimodels doctor` looks for the reason"
        message = self._words({"how": "timeout", "message": ""})
        if how != "timeout":
            message = f"it ended the whole process ({how})"
        if at["kind"] == "check":
            self._line(at["number"], Line(self.checks[at["number"]].name, False, message))
            return ""
        step = self.cells[at["number"]]
        self._trouble(Trouble(step.name, "gone", message))
        verb = "never ended" if how == "timeout" else "ended the process"
        return f"cell `{step.name}` {verb}"

    def _words(self, event: dict) -> str:
        if event["how"] == "timeout":
            return f"it ran longer than {self.seconds:g} s: does a loop never end?"
        if event["how"] == "unwritten":
            return "not written yet"
        return re.sub(r"\(<\w+ \d+>, line", "(line", event["message"])  # of a SyntaxError

    def _line(self, number: int, line: Line) -> None:
        self.lines[number] = line
        self.tell(f"{line.task}: {line.message or 'passed'}")

    def _trouble(self, trouble: Trouble) -> None:
        self.troubles.append(trouble)
        self.tell(f"cell `{trouble.cell}`: {trouble.message}")
