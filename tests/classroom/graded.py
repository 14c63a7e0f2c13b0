"""A class of ten with awkward names, graded by hand: what the tests of outputs start from."""

from dataclasses import replace
from pathlib import Path

from minimodels.classroom.grading.records import Record, Verdict
from minimodels.classroom.lab import Lab, load
from minimodels.classroom.normalize import normalize
from tests.classroom import toys

NAMES = (
    "doe", "Müller, Jörg", 'Ann "the" Lee', "=cmd()", "a/b\\c", "<script>alert(1)</script>",
    "-1+2", "李小龍", "O'Neil; DROP", "Zoë Ångström",
)  # fmt: skip
RIGHT = {
    "masked_mean": "def masked_mean(x, mask):\n    return x[mask].mean(0)\n",
    "scaled": "def scaled(x, d):\n    return x / math.sqrt(d)\n",
    "essay": "Because padding is no token.",
}
LATE = "2026-12-03T10:00:00+01:00"
WHOM = "Whom do you count?"


def lab(tmp_path: Path) -> Lab:
    """The toy lab with a third task that a person marks."""
    loaded = load(toys.write(tmp_path))
    notebook = toys.notebook()
    by_hand = toys.graded("essay", grade=True, solution=True, points=4)
    essay = {"cell_type": "markdown", "id": "", "source": "## 3. Say why\nYour words here.",
             "metadata": {"nbgrader": by_hand}}  # fmt: skip
    head = {"cell_type": "markdown", "id": "", "metadata": {}, "source": "## 1. The mean"}
    cells = [*notebook["cells"][:2], head, *notebook["cells"][2:], essay]
    return replace(loaded, master=normalize({**notebook, "cells": cells}))


def record(student: str, mean: float = 3, scale: float = 2, **more) -> Record:
    """A record of the toy lab; what is wrong says how."""
    status = {3: "pass", 0: "fail"}.get(mean, "partial")
    off = 0.8 + len(student) / 100
    said = f"mean: values differ (largest error {off:.2f} at [0, {len(student)}]). {WHOM}"
    rows = (
        Verdict("mean", mean, 3, status, "" if mean == 3 else said),
        Verdict("scale", scale, 2, "pass" if scale == 2 else "fail",
                "" if scale == 2 else "scale: NameError: name 'np' is not defined"),
    )  # fmt: skip
    about = {"student": student, "lab": "mean", "lab_version": "v1", "file_sha256": f"f-{student}",
             "code_sha256": f"c-{student}", "checks_sha256": "k1", "submitted": None,
             "source": f"{student}/lab_mean.ipynb", "environment": {"torch": "2.13"}}  # fmt: skip
    return Record(verdicts=rows, **{**about, **more})


def records() -> list[Record]:
    """Ten students: some right, some wrong, one crash, one late, some with ids of an LMS."""
    crash = (Verdict("mean", 0, 3, "crash", "the process ended without an answer"),
             Verdict("scale", 0, 2, "crash", "the process ended without an answer"))  # fmt: skip
    made = [record(name, mean=3 if index % 2 else 1) for index, name in enumerate(NAMES)]
    made[1] = record(NAMES[1], submitted=LATE, ids={"canvas": "4711"})
    made[2] = record(NAMES[2], 0, ids={"canvas": "4712"})
    made[3] = replace(record(NAMES[3]), verdicts=crash, notes=("=2+3 was mended",))
    made[4] = record(NAMES[4], ids={"moodle": "Participant 99"})
    made[5] = record(NAMES[5], 1, 0, ids={"moodle": "Participant 100"})
    return sorted(made, key=lambda each: each.student)


def answers(record: Record) -> dict[str, str]:
    """What a student wrote; two of them wrote something that wants to act."""
    own = {name: f"{text}# by {record.student}\n" for name, text in RIGHT.items()}
    if record.student.startswith("<script"):
        own["masked_mean"] = "x = '<script>document.title = 1</script></pre><img src=x>'"
        own["essay"] = "<script>document.title = 'taken'</script> I count."
    if record.student == "a/b\\c":
        own["scaled"] = "def scaled(x, d:\n  return"  # no Python
    return own
