"""Grade a lab: run a student's code elsewhere, compare its values with the master's, here.

The judge never imports or executes the student's code. It sends cells and inputs to the server of
child.py, gets plain values back, and alone writes the verdict.
"""

import inspect
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minimodels.classroom.compare import difference
from minimodels.classroom.grading import plain
from minimodels.classroom.grading.rebuild import code
from minimodels.classroom.grading.records import Verdict
from minimodels.classroom.lab import Check, Lab
from minimodels.classroom.normalize import Notebook
from minimodels.errors import UserError

MEMORY = 2 * 2**30  # bytes beyond what torch takes
WORST = ("timeout", "crash", "invalid", "fail")  # what a task without points is called


@dataclass(frozen=True)
class Answer:
    """What a notebook answered to one check: a status of its own, or values."""

    status: str  # "values", or one of WORST
    value: Any = None  # the values, or words


class Judge:
    """`with Judge() as judge: judge.grade(lab, notebook)`: one server for many notebooks."""

    def __init__(self):
        self._server: subprocess.Popen | None = None
        self._expected: dict[tuple[str, int], list[Answer]] = {}

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *_) -> None:
        if self._server:
            self._server.stdin.close()
            self._server.wait()
            self._server.stdout.close()
            self._server = None

    def grade(self, lab: Lab, notebook: Notebook, seed: int = 0) -> list[Verdict]:
        """One Verdict a task, in the order of the lab. `seed` makes the private inputs."""
        expected = self._solution(lab, seed)
        answers = self._ask(lab, code(lab, notebook), seed)
        return [
            _verdict(task, most, [row for row in zip(lab.checks, answers, expected, strict=True)
                                  if row[0].task == task])
            for task, most in lab.points().items()
        ]  # fmt: skip

    def _solution(self, lab: Lab, seed: int) -> list[Answer]:
        key = (lab.name, seed)
        if key not in self._expected:
            answers = self._ask(lab, code(lab, lab.master), seed)
            for check, answer in zip(lab.checks, answers, strict=True):
                if answer.status != "values":
                    words = f"the master of {lab.name} fails at {check.task}: {answer.value}."
                    raise UserError(words)
            self._expected[key] = answers
        return self._expected[key]

    def _ask(self, lab: Lab, cells: list[str], seed: int) -> list[Answer]:
        """Have cells run with every check of a lab; one Answer a check."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            folder = Path(name)
            _write_request(folder, lab, cells, seed)
            status = self._request(folder, lab)
            if status == "gone":  # somebody ended the server: what lies there is no answer
                return [_without_values("crash")] * len(lab.checks)
            errors = _cell_errors(folder)
            return [_answer(folder, index, status, errors) for index in range(len(lab.checks))]

    def _request(self, folder: Path, lab: Lab) -> str:
        request = {"folder": str(folder), "seconds": lab.seconds, "memory": MEMORY,
                   "checks": len(lab.checks)}  # fmt: skip
        if self._server is None or self._server.poll() is not None:
            self._server = _start_server()
        try:
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            return json.loads(self._server.stdout.readline())["status"]
        except (OSError, ValueError):  # the next request starts another
            self._server.kill()
            return "gone"


def _write_request(folder: Path, lab: Lab, cells: list[str], seed: int) -> None:
    drivers = [_driver(check.call) for check in lab.checks]
    request = {"cells": cells, "drivers": drivers, "forbidden": list(lab.forbidden)}
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    for index, check in enumerate(lab.checks):
        inputs = check.inputs(np.random.default_rng([seed, index]))
        plain.save(folder / f"inputs-{index}", inputs)


def _driver(call: Callable) -> dict[str, str]:
    """The source of a driver, which is all of it that the other process gets."""
    return {"name": call.__name__, "source": textwrap.dedent(inspect.getsource(call))}


def _start_server() -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "minimodels.classroom.grading.child"]
    return subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)  # fmt: skip


def _cell_errors(folder: Path) -> list[str]:
    """What the notebook's own cells said when they failed."""
    try:
        errors = json.loads((folder / "cells.json").read_text(encoding="utf-8"))
        return [str(error) for error in errors]
    except (OSError, ValueError, TypeError):
        return []


def _answer(folder: Path, index: int, status: str, errors: list[str]) -> Answer:
    """Read one answer; whatever the other process wrote, this ends in an Answer."""
    own = folder / f"status-{index}"
    if own.exists():
        status = own.read_text(encoding="utf-8")[:10]
    if not (folder / f"values-{index}.json").exists():
        return _without_values(status)
    try:
        result = plain.load(folder / f"values-{index}")
        if "values" in result:
            return Answer("values", result["values"])
        if "missing" in result:
            because = f" (a cell failed: {errors[0]})" if errors else ""
            return Answer("invalid", f"`{result['missing']}` is not defined{because}")
        return Answer("crash" if "memory" in result else "fail", str(result["error"]))
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        return Answer("invalid", str(problem))


def _without_values(status: str) -> Answer:
    if status == "timeout":
        return Answer("timeout", "it takes too long: does a loop never end?")
    return Answer("crash", "the process ended without an answer")


def _verdict(task: str, most: float, rows: list[tuple[Check, Answer, Answer]]) -> Verdict:
    points, messages, statuses = 0.0, [], []
    for check, answer, expected in rows:
        status, what = _judge_one(check, answer, expected)
        if status == "pass":
            points += check.points
            continue
        statuses.append(status)
        messages.append(_sentence(task, check, what))
    if not statuses:
        return Verdict(task, points, most, "pass", "")
    status = "partial" if points else min(statuses, key=WORST.index)
    return Verdict(task, points, most, status, messages[0])


def _judge_one(check: Check, answer: Answer, expected: Answer) -> tuple[str, str]:
    if answer.status != "values":
        return answer.status, str(answer.value)
    what = difference(answer.value, expected.value, check.rtol, check.atol)
    return ("fail", what) if what else ("pass", "")


def _sentence(task: str, check: Check, what: str) -> str:
    """`task: what differs [property]. Hint.`"""
    why = f" [{check.why}]" if check.why else ""
    hint = f" {check.message}" if check.message else ""
    return f"{task}: {what}{why}.{hint}"
