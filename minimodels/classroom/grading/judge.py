"""Grade a lab: run a student's code in a box, compare its values with the master's, here.

The judge never imports or executes the student's code. It sends cells and inputs to a server in a
box, gets plain values back, and alone writes the verdict: points come from values and nothing
else. The master's own answers come from another server, so that no process that ever runs a
student's code has seen the solution.
"""

import hashlib
import inspect
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minimodels.classroom.compare import difference
from minimodels.classroom.grading import plain
from minimodels.classroom.grading.client import Server
from minimodels.classroom.grading.records import Verdict
from minimodels.classroom.handed_in.rebuild import code
from minimodels.classroom.lab import Check, Lab
from minimodels.classroom.normalize import Notebook, dumps
from minimodels.errors import UserError
from minimodels.sandbox import Limits, engine

WORST = ("timeout", "out of memory", "crash", "invalid", "fail")  # what a task without points is
ROUNDS = 4  # times that a notebook runs again without a cell that ended it
ENDED = {
    "timeout": ("timeout", "it takes too long: does a loop never end?"),
    "out of memory": ("out of memory", "it needs more memory than the limit"),
    "too many processes": ("crash", "it starts more processes than the limit"),
    "too much output": ("crash", "it sends more than the limit"),
}
CRASHED = ("crash", "the process ended without an answer")
UNWRITTEN = "NotImplementedError (at `raise NotImplementedError()`)"  # what a stub says


@dataclass(frozen=True)
class Answer:
    """What a notebook answered to one check: a status of its own, or values."""

    status: str  # "values", or one of WORST
    value: Any = None  # the values, or words


class Expected:
    """The master's answers, computed once a lab and seed and shared by many judges."""

    def __init__(self):
        self._known: dict[tuple[str, int], list[Answer]] = {}
        self._lock = threading.Lock()

    def of(self, lab: Lab, seed: int, engine: str) -> list[Answer]:
        """UserError if the master fails at its own checks."""
        with self._lock:
            key = (fingerprint(lab, seed), seed)
            if key not in self._known:
                with Judge(engine) as judge:
                    answers, _ = judge.answers(lab, code(lab, lab.master), seed)
                for check, answer in zip(lab.checks, answers, strict=True):
                    if answer.status != "values":
                        words = f"the master of {lab.name} fails at {check.task}: {answer.value}."
                        raise UserError(words)
                self._known[key] = answers
            return self._known[key]


class Judge:
    """`with Judge() as judge: judge.grade(lab, notebook)`: one server for many notebooks.

    `engine` names how the box is made, see sandbox.engine; "none" runs without one, which is for
    code that you trust. UserError where no box can be made.
    """

    def __init__(self, engine_name: str = "", expected: Expected | None = None):
        self.engine = engine_name or engine()
        self._expected = expected or Expected()
        self._server: Server | None = None
        self._made_for: tuple[tuple[Path, ...], bool] | None = None

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """End the server, if there is one; the next question starts another."""
        if self._server:
            self._server.close()
            self._server = None

    def grade(self, lab: Lab, notebook: Notebook, seed: int = 0) -> list[Verdict]:
        """One Verdict a task, in the order of the lab. `seed` makes the private inputs."""
        return self.judge(lab, code(lab, notebook), seed)

    def judge(self, lab: Lab, cells: list[str], seed: int = 0) -> list[Verdict]:
        """As `grade`, for cells that `rebuild` has put together."""
        expected = self._expected.of(lab, seed, self.engine)
        answers, _ = self.answers(lab, cells, seed)
        if len(answers) != len(lab.checks):
            raise AssertionError(f"{len(answers)} of {len(lab.checks)} checks were answered")
        rows = list(zip(lab.checks, answers, expected, strict=True))
        return [_verdict(task, most, [row for row in rows if row[0].task == task])
                for task, most in lab.points().items()]  # fmt: skip

    def answers(self, lab: Lab, cells: list[str], seed: int) -> tuple[list[Answer], int]:
        """Have cells run with every check of a lab: (one Answer a check, peak bytes).

        A cell that ends the process is left out of the next round, so that it costs its own
        names and not those of the other cells.
        """
        cells, lost = list(cells), []
        for _ in range(ROUNDS):
            status, heard, peak = self._ask(lab, cells, seed)
            ran, errors, at = _heard(heard, len(lab.checks), len(cells))
            if errors is not None or at is None or not cells[at]:
                break
            lost.append(f"cell {at + 1} ended everything: {_ended(status)[1]}")
            cells[at] = ""
        because = [*lost, *(errors or [])]
        ended = _ended(status)
        return [_answer(ran.get(n), ended, because) for n in range(len(lab.checks))], peak

    def _ask(self, lab: Lab, cells: list[str], seed: int):
        made_for = (*withheld(lab.forbidden), *_private(lab)), lab.triton
        if self._made_for != made_for:
            self.close()
        limits, request = Limits(seconds=4 * lab.seconds), _request(lab, cells, seed)
        reply = self._once(made_for, request, limits)
        if reply[0] == "gone":  # the server may have ended for reasons that are not this notebook's
            reply = self._once(made_for, request, limits)
        return reply

    def _once(self, made_for: tuple[tuple[Path, ...], bool], request: bytes, limits: Limits):
        if not self._server:
            hidden, triton = made_for
            self._server, self._made_for = Server(hidden, self.engine, triton), made_for
        reply = self._server.ask(request, limits)
        if reply[0] in ("gone", "too much output"):  # a late `stop` would meet the next notebook
            self.close()
        return reply


def fingerprint(lab: Lab, seed: int) -> str:
    """A hash of what decides about points: the checks, the master, the seed."""
    checks = lab.path.with_name(f"{lab.path.stem}_checks.py").read_bytes()
    text = checks + dumps(lab.master).encode("utf-8") + str(seed).encode("ascii")
    return hashlib.sha256(text).hexdigest()


def withheld(forbidden: tuple[str, ...]) -> list[Path]:
    """The files of forbidden modules, source and bytecode, which the box does not show.

    torch is loaded in every server, so that its own parts can only be made impossible to call.
    """
    found: list[Path] = []
    for name in forbidden:
        if name.split(".")[0] == "torch":
            continue
        for place in map(Path, sys.path):
            path = place.joinpath(*name.split("."))
            cached = path.parent.glob(f"__pycache__/{path.name}.*.pyc")
            built = path.parent.glob(f"{path.name}.*.so")
            beside = [path, path.with_suffix(".py"), *cached, *built]
            found += [each for each in beside if each.exists()]
    return sorted(set(found))


def _private(lab: Lab) -> list[Path]:
    """What lies near a lab and is nobody's business: solutions, tests, and their work."""
    root = lab.path.parent.parent.parent
    return [root / name for name in ("solutions", "tests", "work", "grades") if lab.path.name]


def _request(lab: Lab, cells: list[str], seed: int) -> bytes:
    inputs = [check.inputs(np.random.default_rng([seed, n])) for n, check in enumerate(lab.checks)]
    drivers = [_driver(check.call) for check in lab.checks]
    return plain.dumps({"cells": cells, "drivers": drivers, "inputs": inputs,
                        "forbidden": list(lab.forbidden), "seconds": lab.seconds})  # fmt: skip


def _driver(call: Callable) -> dict[str, str]:
    """The source of a driver, which is all of it that the other process gets."""
    return {"name": call.__name__, "source": textwrap.dedent(inspect.getsource(call))}


def _heard(heard: Iterable[tuple[dict, bytes]], checks: int, cells: int):
    """(what came for each check, errors of the cells or None, the last cell that was begun)."""
    ran: dict[int, tuple[str, bytes]] = {}
    errors, at = None, None
    for head, values in heard:
        if isinstance(head.get("errors"), list):
            errors = [_words(each) for each in head["errors"][:20]]
        elif isinstance(head.get("cell"), int) and errors is None:
            at = head["cell"] if 0 <= head["cell"] < cells else at
        elif isinstance(head.get("check"), int) and 0 <= head["check"] < checks:
            number = head["check"]
            twice = number in ran
            ran[number] = ("twice", b"") if twice else (str(head.get("status")), values)
    return ran, errors, at


def _words(thing: Any) -> str:
    """One line, of a length that a message may have."""
    text = "".join(each if each.isprintable() else " " for each in str(thing)[:1000])
    return " ".join(text.split())[:500]


def _ended(status: str) -> tuple[str, str]:
    return ENDED.get(status, CRASHED)


def _answer(came: tuple[str, bytes] | None, ended: tuple[str, str], errors: list[str]) -> Answer:
    """One check's answer, from what came for it or from how the process ended."""
    if came is None:
        because = f" ({errors[0]})" if errors else ""
        return Answer(ended[0], ended[1] + because)
    status, data = came
    if status == "twice":
        return Answer("invalid", "it was answered twice")
    if status != "ended" or not data:
        return Answer(*_ended(status))
    try:
        result = plain.loads(data)
        if "values" in result:
            return Answer("values", result["values"])
        if "missing" in result:
            because = f" (a cell failed: {errors[0]})" if errors else ""
            return Answer("invalid", f"`{_words(result['missing'])}` is not defined{because}")
        if result["memory"] is True:
            return Answer("out of memory", f"it needs too much memory: {_words(result['error'])}")
        return Answer("fail", _words(result["error"]))
    except Exception as problem:  # a stranger wrote it, and plain data may be of any form
        return Answer("invalid", _words(problem))


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
    return Verdict(task, points, most, status, messages[0], tuple(messages))


def _judge_one(check: Check, answer: Answer, expected: Answer) -> tuple[str, str]:
    if answer.status != "values":
        return answer.status, str(answer.value)
    what = difference(answer.value, expected.value, check.rtol, check.atol)
    return ("fail", _words(what)) if what else ("pass", "")


def _sentence(task: str, check: Check, what: str) -> str:
    """`task: what differs [property]. Hint.`; a stub gets no hint, as in `minimodels check`."""
    if UNWRITTEN in what:
        return f"{task}: not written yet."
    why = f" [{check.why}]" if check.why else ""
    hint = f" {check.message}" if check.message else ""
    return f"{task}: {what}{why}.{hint}"
