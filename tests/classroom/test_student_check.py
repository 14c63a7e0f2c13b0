"""`minimodels check`: what the grader would run, in a clean process, one line a check."""

import json

import pytest
from typer.testing import CliRunner

from minimodels import cli
from minimodels.classroom.normalize import read
from minimodels.classroom.student import copies, frame, memory
from minimodels.classroom.student.check import Line, Report, check
from minimodels.errors import UserError
from tests.classroom import desks

WRONG = "def masked_mean(x, mask):\n    return x.mean(0) + 1"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    desks.clone(tmp_path, monkeypatch)
    return desks.begun()


def ask(*words):
    return CliRunner().invoke(cli.app, ["check", *words])


def said(report):
    return {line.task: line.message or "passed" for line in report.lines}


def test_nothing_written_is_said_so_and_is_no_try(mine):
    done = ask("mean")
    assert done.exit_code == 1
    assert done.output.splitlines()[1:] == [
        "mean: not written yet", "scale: not written yet", "0 of 2 checks pass"
    ]  # fmt: skip
    assert memory.read()["labs"]["mean"]["tries"] == {}


def test_a_right_notebook_passes_whatever_its_editor_made_of_it(mine):
    """Windows newlines, an editor's metadata, magics, a deleted locked cell, a renamed answer."""
    desks.write(mine, {name: text.replace("\n", "\r\n") for name, text in desks.RIGHT.items()})
    desks.add(mine, "%time\n!ls\nnoted = 1", at=2)

    def change(notebook, cells):
        notebook["metadata"] = {"kernelspec": {"name": ".venv"}, "vscode": {"languageId": "python"}}
        cells["masked_mean"]["metadata"]["nbgrader"]["grade_id"] = "cell-8f2"

    desks.edit(mine, change)
    before = mine.read_bytes(), mine.stat().st_mtime_ns
    done = ask("mean", "--json")
    assert done.exit_code == 0, done.output
    table = json.loads(done.output)
    assert table["passed"] == table["of"] == 2 and not table["cells"]
    assert (mine.read_bytes(), mine.stat().st_mtime_ns) == before
    assert memory.read()["labs"]["mean"]["passed"]["version"] == table["version"]


def test_the_closing_line_names_the_checks_as_public(mine):
    lines = Line("mean", True), Line("scale", True)
    assert Report("mean", "v", mine, lines).closing() == "public checks passed"
    assert Report("mean", "v", mine, (*lines, Line("x", False))).closing() == "2 of 3 checks pass"
    assert not Report("mean", "v", mine, ()).all_passed


def test_a_check_that_was_changed_or_deleted_runs_as_released(mine):
    desks.write(mine, {**desks.RIGHT, "masked_mean": WRONG, "mean": "print('fine')"})

    def change(notebook, cells):
        notebook["cells"] = [cell for cell in notebook["cells"] if cell is not cells["setup"]]
        cells["mean"]["metadata"]["nbgrader"]["locked"] = False

    desks.edit(mine, change)
    report = check("mean")
    assert said(report)["mean"].startswith("AssertionError") and said(report)["scale"] == "passed"


def test_what_is_forbidden_is_refused_in_functions_too_and_free_for_the_check(mine):
    """The check calls softmax itself; an answer that calls it, at any time, is refused."""
    free = "import colorsys\nassert torch.nn.functional.softmax(torch.ones(2), 0)[0] == 0.5\n"
    free += "assert torch.ones(2).cumsum(0)[1] == 2\n"

    def method_too(notebook, _):
        notebook["metadata"]["minimodels"]["forbidden"].append("torch.Tensor.cumsum")

    desks.edit(desks.lab(), method_too)
    desks.edit(desks.lab(), lambda _, cells: cells["mean"].update(source=free + "masked_mean(0, 0)")
               or cells["scale"].update(source=free + "scaled(4.0, 4)"))  # fmt: skip
    late = "def masked_mean(x, mask):\n    import torch.nn.functional as F\n"
    desks.add(mine, "from torch.nn.functional import softmax\nsoftmax(torch.ones(2), 0)", at=2)
    desks.add(mine, "sums = torch.ones(2).cumsum(0)", at=3)
    desks.write(mine, {"masked_mean": late + "    return F.softmax(torch.ones(2), 0)",
                       "scaled": "def scaled(x, d):\n    import colorsys"})  # fmt: skip
    report = check("mean")
    assert "softmax is what this lab asks you to write (at `return F." in said(report)["mean"]
    assert "colorsys holds what this lab asks you to write" in said(report)["scale"]
    words = [trouble.message for trouble in report.troubles]
    assert "softmax is what this lab asks you to write" in words[0]
    assert "torch.Tensor.cumsum is what this lab asks you to write" in words[1]
    desks.write(mine, {"masked_mean": "def masked_mean(x, mask):\n    pass",
                       "scaled": "def scaled(x, d):\n    pass"})  # fmt: skip
    assert check("mean").all_passed  # a control: the check alone may


def test_cells_that_fail_hang_or_take_too_much_are_named_and_the_rest_is_checked(mine):
    desks.edit(
        desks.lab(), lambda notebook, _: notebook["metadata"]["minimodels"].update(seconds=1)
    )
    endless = "while True:\n    try:\n        1\n    except Exception:\n        pass"
    desks.write(mine, {"scaled": desks.RIGHT["scaled"], "masked_mean": "def masked_mean(x, mask)"})
    desks.add(mine, endless, at=2)
    desks.add(mine, "big = bytearray(4 * 2**30)", at=3)
    desks.add(mine, "import sys\nsys.exit()", at=4)
    report = check("mean")
    words = {trouble.cell: trouble.message for trouble in report.troubles}
    assert words["while True:"] == "it ran longer than 1 s: does a loop never end?"
    assert "MemoryError" in words["big = bytearray(4 * 2**30)"]
    assert words["import sys"].startswith("SystemExit")
    assert words["masked_mean"].endswith("(line 1)") and "SyntaxError" in words["masked_mean"]
    assert "'masked_mean' is not defined" in said(report)["mean"]
    assert said(report)["scale"] == "passed" and report.closing() == "1 of 2 checks pass"


def test_a_cell_that_ends_the_process_is_named(mine):
    desks.write(mine, {**desks.RIGHT, "scaled": "import os\nos._exit(0)"})
    report = check("mean")
    (trouble,) = report.troubles
    assert trouble.cell == "scaled" and trouble.how == "gone"
    assert set(said(report).values()) == {"not run, because cell `scaled` ended the process"}


def test_a_check_whose_answer_ends_the_process_leaves_the_others(mine):
    """And an answer does not lean on names of a check, which are not there where it is graded."""
    source = "wanted = 2.0\nassert scaled(4.0, 4) == wanted"
    desks.edit(desks.lab(), lambda _, cells: cells["scale"].update(source=source))
    crash = "def masked_mean(x, mask):\n    import os, signal\n    os.kill(os.getpid(), 11)"
    lean = "def scaled(x, d):\n    return wanted"
    desks.write(mine, {"scaled": lean, "masked_mean": crash})
    report = check("mean")
    assert said(report)["mean"] == "it ended the whole process (signal 11)"
    assert "'wanted' is not defined" in said(report)["scale"]


def test_cells_are_put_into_the_frame_of_the_release(mine):
    released = read(desks.lab())
    assert frame.answers(released, read(mine)) == ""
    desks.write(mine, {**desks.RIGHT, "setup": "import torch  # mine"})
    desks.add(mine, "scratch = 1", at=2)
    desks.add(mine, "copied = 1", at=3)
    steps, rebuilt = frame.cells(released, read(mine))
    assert [step.name for step in steps] == ["setup", "scratch = 1", "copied = 1", "masked_mean",
                                             "scaled"]  # fmt: skip
    assert "locked cells were changed and the release's count: setup" in rebuilt.notes
    assert steps[0].code == desks.toys.SETUP and not steps[0].yours
    assert frame.answers(released, read(mine)) != ""


def test_names_that_do_not_fit_are_told(mine):
    with pytest.raises(UserError, match="no lab 'maen': choose mean"):
        check("maen")
    mine.unlink()
    with pytest.raises(UserError, match="`minimodels start mean`"):
        check("mean")


@pytest.mark.parametrize(
    "about, words",
    [
        ({"lab": "00_toy/lab_mean", "version": "000000000000"}, "`minimodels update mean`"),
        ({"lab": "00_toy/lab_other", "version": "000000000000"}, "holds 00_toy/lab_other"),
    ],
)
def test_another_release_or_another_lab_is_refused(mine, about, words):
    desks.edit(mine, lambda notebook, _: notebook["metadata"].update(minimodels=about))
    with pytest.raises(UserError, match=words):
        check("mean")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"nbformat": 4, "cells": [1]}'])
def test_a_damaged_notebook_is_told(mine, text):
    mine.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=str(mine.name)):
        check("mean")


def test_without_its_metadata_an_old_copy_is_not_taken_for_a_new_one(mine):
    desks.edit(mine, lambda notebook, _: notebook["metadata"].pop("minimodels"))
    assert copies.current(desks.lab())[0] == mine
    desks.edit(desks.lab(), lambda _, cells: cells["setup"].update(source="import torch, math"))
    with pytest.raises(UserError, match="another release"):
        copies.current(desks.lab())
