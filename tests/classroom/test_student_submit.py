"""`minimodels submit` and `solution`: what is packed, what is refused, and when answers open."""

import json
import os
import signal
import subprocess
import sys
import zipfile

import pytest
from typer.testing import CliRunner

from minimodels import cli, files
from minimodels.classroom.normalize import read, source
from minimodels.classroom.student import check, copies, memory, submit
from minimodels.classroom.student.check import Line, Report, Trouble
from minimodels.classroom.student.solution import MARKER, solution, tries_left
from minimodels.errors import UserError
from tests.classroom import desks

RECEIPT = submit.Receipt("mean", "0123456789ab", "", "", "2026-11-21T22:10:03+01:00", 1, 2, "0.1.0")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    desks.clone(tmp_path, monkeypatch)
    return desks.begun()


@pytest.fixture
def quick(monkeypatch):
    """Checks that need no process: one passes, one fails, and what `troubles` holds."""
    troubles = []

    def run(path, released, notebook, tell):
        about = copies.about(released)
        lines = Line("mean", True), Line("scale", False, "no")
        return Report("mean", about["version"], path, lines, tuple(troubles))

    monkeypatch.setattr(check, "run", run)
    return troubles


def zips():
    return sorted((files.repository() / "work").rglob("*.zip"))


def test_a_lab_with_large_outputs_and_a_failing_check_is_packed(mine):
    desks.write(mine, {"masked_mean": desks.RIGHT["masked_mean"]})
    shown = {"output_type": "stream", "name": "stdout", "text": "x" * 60_000_000}
    desks.edit(mine, lambda _, cells: cells["scaled"].update(outputs=[shown], execution_count=7))
    before = desks.state(mine.parent)
    done = CliRunner().invoke(cli.app, ["submit", "mean"])
    assert done.exit_code == 0, done.output
    assert "1 of 2 public checks pass; it can be handed in all the same" in done.output
    (path,) = zips()
    assert str(path) in done.output and path.stat().st_size < 10_000
    receipt = submit.verify(path)
    assert (receipt.lab, receipt.passed, receipt.of) == ("mean", 1, 2)
    assert receipt.sha256 in done.output
    with zipfile.ZipFile(path) as archive:
        packed = json.loads(archive.read("lab_mean.ipynb"))
    sources = [source(cell) for cell in packed["cells"]]
    assert sources == [source(cell) for cell in read(mine)["cells"]]
    assert not any(cell.get("outputs") for cell in packed["cells"])
    assert desks.state(mine.parent) == before
    shown = CliRunner().invoke(cli.app, ["submit", "--verify", str(path)])
    assert shown.exit_code == 0 and receipt.sha256 in shown.output


def test_twice_in_a_second_gives_two_files_of_the_same_notebook(mine, quick, monkeypatch):
    monkeypatch.setattr(memory, "now", lambda: RECEIPT.time)
    first, one = submit.submit("mean")
    second, other = submit.submit("mean")
    assert [path.name for path in zips()] == [
        "mean-20261121-221003-2.zip",
        "mean-20261121-221003.zip",
    ]
    assert first != second and one == other
    assert first.read_bytes() == second.read_bytes()  # all but the time is the same
    assert memory.read()["labs"]["mean"]["submitted"]["sha256"] == one.sha256


def test_a_notebook_that_its_editor_changed_is_packed_as_of_its_lab(mine, quick):
    desks.edit(mine, lambda notebook, _: notebook.update(metadata={"vscode": {"a": "/home/me"}}))
    path, receipt = submit.submit("mean")
    assert submit.verify(path) == receipt
    with zipfile.ZipFile(path) as archive:
        assert b"/home/me" not in archive.read("lab_mean.ipynb")


@pytest.mark.parametrize("how", ["timeout", "gone"])
def test_a_cell_that_does_not_end_is_not_packed(mine, quick, how):
    quick.append(Trouble("while True:", how, "it ran longer than 3 s"))
    with pytest.raises(UserError, match="nothing was packed, because cell `while True:`"):
        submit.submit("mean")
    assert zips() == []
    quick[:] = [Trouble("oops", "error", "NameError")]  # a control: an error is no reason
    submit.submit("mean")
    assert len(zips()) == 1


def test_what_is_too_large_or_of_an_old_release_is_refused_before_it_runs(mine):
    desks.add(mine, "data = '" + "x" * 6_000_000 + "'")
    with pytest.raises(UserError, match="6.0 MB without outputs, and 5 are allowed"):
        submit.submit("mean")
    about = {"lab": "00_toy/lab_mean", "version": "000000000000"}
    desks.edit(mine, lambda notebook, _: notebook["metadata"].update(minimodels=about))
    with pytest.raises(UserError, match="minimodels update mean"):
        submit.submit("mean")
    assert zips() == []


KILLED = """
import os, signal
from minimodels.classroom.student import check, copies, submit
check.run = lambda path, released, notebook, tell: check.Report(
    "mean", copies.about(released)["version"], path, (check.Line("mean", True),))
real = os.replace
os.replace = lambda one, other: (os.kill(os.getpid(), signal.SIGKILL) if KILL in str(other)
                                 else real(one, other))
submit.submit("mean")
"""


@pytest.mark.parametrize("kill, left", [(".zip", 0), ("never", 1)])
def test_a_killed_submit_leaves_no_half_zip(mine, kill, left):
    command = [sys.executable, "-c", f"KILL = {kill!r}\n{KILLED}"]
    path = os.pathsep.join(place for place in sys.path if place)
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True)
    assert done.returncode == (0 if left else -signal.SIGKILL), done.stderr.decode()
    assert len(zips()) == left


def rewritten(path, name, data):
    """The zip with one entry replaced or added."""
    with zipfile.ZipFile(path) as archive:
        entries = {each: archive.read(each) for each in archive.namelist()} | {name: data}
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in entries.items():
            archive.writestr(each, content)


def test_a_receipt_tells_what_does_not_fit(mine, quick):
    path, receipt = submit.submit("mean")
    good = path.read_bytes()
    assert submit.verify(path) == receipt
    with zipfile.ZipFile(path) as archive:
        notebook, said = archive.read("lab_mean.ipynb"), json.loads(archive.read("receipt.json"))
    wrong = {
        "not the one": ("lab_mean.ipynb", notebook.replace(b"# Means", b"# means")),
        "no hand-in": ("third.txt", b""),
        "no receipt": ("receipt.json", json.dumps({**said, "passed": "2"}).encode()),
        "two labs": ("receipt.json", json.dumps({**said, "lab": "other"}).encode()),
    }
    for words, (name, data) in wrong.items():
        path.write_bytes(good)
        rewritten(path, name, data)
        with pytest.raises(UserError, match=words):
            submit.verify(path)
    path.write_bytes(good)
    rewritten(path, "lab_mean.ipynb", b" " * (submit.MOST + 1))  # a small file that unpacks to more
    with pytest.raises(UserError, match="no hand-in"):
        submit.verify(path)
    for data in (b"", good[:200], good[:-40]):
        path.write_bytes(data)
        with pytest.raises(UserError, match="damaged"):
            submit.verify(path)
    with pytest.raises(UserError, match="is missing"):
        submit.verify(path.with_name("none.zip"))


def test_packing_depends_on_nothing_else():
    assert submit.pack("a.ipynb", b"{}", RECEIPT) == submit.pack("a.ipynb", b"{}", RECEIPT)
    assert submit.pack("a.ipynb", b"{}", RECEIPT) != submit.pack("a.ipynb", b"[]", RECEIPT)


def in_term(due="2027-02-01T23:59:00+01:00", labs=("mean",)):
    table = {"name": "nlp-2026", "labs": {name: {"due": due, "points": {}} for name in labs}}
    files.write_json(files.repository() / "release.json", table)


def test_in_a_graded_term_the_receipt_names_it_and_the_date_is_said(mine, quick):
    in_term()
    done = CliRunner().invoke(cli.app, ["submit", "mean"])
    assert "for nlp-2026" in done.output and "mean is due 2027-02-01 23:59+01:00." in done.output
    in_term(due="2020-02-01T23:59:00+01:00")
    assert copies.due("mean") == "mean was due 2020-02-01 23:59+01:00."
    in_term(due=None)
    assert copies.due("mean") == "" == copies.due("other")
    in_term(labs=("other",))
    with pytest.raises(UserError, match="mean is no lab of nlp-2026: hand in other"):
        submit.submit("mean")


def test_a_solution_opens_after_five_answers_of_different_text(mine):
    for answers in ("a", "b", "b", "c", "d"):
        memory.tried("mean", "v", answers, 1, 2)
    assert tries_left("mean") == 1  # the same text twice is one try
    with pytest.raises(UserError, match="or after another try with other answers"):
        solution("mean")
    memory.tried("mean", "v", "", 0, 2)  # what was handed out is no try
    assert tries_left("mean") == 1
    memory.tried("mean", "v", "e", 0, 2)
    opened = solution("mean")
    assert opened.new and opened.path.name == "lab_mean_solution.ipynb"
    text = opened.path.read_text(encoding="utf-8")
    assert "return x / math.sqrt(d)" in text
    assert "SOLUTION" not in text and "nbgrader" not in text
    opened.path.write_text("my notes", encoding="utf-8")
    assert solution("mean") == type(opened)(opened.path, new=False)
    assert opened.path.read_text(encoding="utf-8") == "my notes"


def test_a_solution_opens_at_once_when_the_checks_pass(mine):
    memory.tried("mean", "v", "a", 1, 2)
    assert tries_left("mean") == 4
    memory.tried("mean", "v", "b", 2, 2)
    memory.tried("mean", "v", "c", 0, 2)  # what was passed stays passed
    done = CliRunner().invoke(cli.app, ["solution", "mean"])
    assert done.exit_code == 0 and "honor" in done.output
    assert "honor" not in CliRunner().invoke(cli.app, ["solution", "mean"]).output  # said once


def test_a_graded_term_has_no_solutions(mine):
    memory.tried("mean", "v", "b", 2, 2)
    in_term()
    with pytest.raises(UserError, match="not part of a graded term"):
        solution("mean")
    (files.repository() / "release.json").unlink()
    (files.repository() / "solutions" / "00_toy" / "lab_mean.ipynb").unlink()
    with pytest.raises(UserError, match="not part of a graded term"):
        solution("mean")


def test_markers_go_and_code_stays():
    text = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n"
    assert MARKER.sub("", text) == "def f():\n    return 1\n"
