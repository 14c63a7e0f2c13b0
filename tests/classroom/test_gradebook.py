"""nbgrader's gradebook: what the judge gave, what a person gave, and formgrader that shows both."""

import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from nbgrader import api
from nbgrader.api import Gradebook

from minimodels.classroom.cohort import Cohort, Plan
from minimodels.classroom.grading.records import file_name
from minimodels.classroom.reports import gradebook, inert, outputs, regrade
from minimodels.errors import UserError
from tests.classroom import graded

COHORT = Cohort("nlp", 7, {"mean": Plan(None, {"scale": 4.0})})
CELL = ("lab_mean", "00_toy")
SECONDS = 60


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return graded.lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def first(lab, tmp_path_factory):
    """A grades folder after its first run."""
    grades = tmp_path_factory.mktemp("grades")
    written = outputs.write(grades, graded.records(), COHORT, {"mean": lab}, graded.answers)
    assert all(path.exists() for path in written)
    return grades


@pytest.fixture
def grades(first, tmp_path):
    return Path(shutil.copytree(first, tmp_path / "grades"))


@pytest.fixture(scope="module", autouse=True)
def one_question():
    """nbgrader starts a process to learn the version of its tables; here it asks once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "get_alembic_version", functools.cache(api.get_alembic_version))
        yield


def again(grades, lab, answers=graded.answers, cohort=COHORT, records=None):
    """Another run, of three students if no others are given."""
    some = ("doe", "李小龍", "Zoë Ångström")
    records = records or [each for each in graded.records() if each.student in some]
    scaled = outputs._scaled(records, cohort, {"mean": lab})
    return gradebook.write(grades, scaled, cohort, {"mean": lab}, answers)


def book(grades):
    return Gradebook(gradebook.url(grades / "nbgrader"))


def mark(grades, student, task="essay", score=3.5, comment="Well said."):
    """What formgrader does when a person marks an answer."""
    with book(grades) as opened:
        grade = opened.find_grade(task, *CELL, file_name(student))
        grade.manual_score, grade.needs_manual_grade = score, False
        cell = {"mean": "masked_mean", "scale": "scaled"}.get(task, task)
        opened.find_comment(cell, *CELL, file_name(student)).manual_comment = comment
        opened.db.commit()


def test_nbgrader_reads_what_the_judge_gave(first):
    with book(first) as opened:
        scores = {row["student"]: row for row in opened.submission_dicts("00_toy")}
        assert len(scores) == 10 and opened.find_assignment("00_toy").max_score == 3 + 4 + 4
        doe = opened.find_submission("00_toy", "doe")
        assert doe.score == 1 + 4 and doe.needs_manual_grade
        grade = opened.find_grade("scale", *CELL, "doe")
        assert (grade.auto_score, grade.manual_score, grade.needs_manual_grade) == (4, None, False)
        essay = opened.find_grade("essay", *CELL, "doe")
        assert (essay.auto_score, essay.needs_manual_grade) == (None, True)
        assert "Whom do you count?" in opened.find_comment("masked_mean", *CELL, "doe").comment
        late = opened.find_submission("00_toy", file_name("Müller, Jörg"))
        assert late.timestamp.isoformat() == "2026-12-03T09:00:00"


def test_names_are_what_nbgrader_can_hold(first):
    with book(first) as opened:
        names = {student.last_name for student in opened.students}
    assert {"Müller Jörg", "李小龍", "Zoë Ångström", "script alert 1 script"} <= names
    assert not [name for name in names if set(name) & set('<>,"=\n')]


def test_the_notebook_shows_the_answer_and_what_the_judge_said(first):
    path = first / "nbgrader/autograded/doe/00_toy/lab_mean.ipynb"
    cells = {cell["metadata"].get("nbgrader", {}).get("grade_id"): cell
             for cell in json.loads(path.read_text("utf-8"))["cells"]}  # fmt: skip
    assert "return x[mask].mean(0)" in cells["masked_mean"]["source"]
    assert cells["mean"]["outputs"][0]["text"].startswith("partial: 1 of 3\n")
    assert "kept.sum" not in path.read_text("utf-8")  # the master's answer stays in source/
    assert not list((first / "nbgrader/submitted").rglob("*.ipynb"))  # nothing to run


def test_a_mark_stays_while_the_answer_is_the_same(grades, lab):
    mark(grades, "doe")
    mark(grades, "doe", "mean", 2, "You meant it right.")  # against the judge
    mark(grades, "李小龍")
    config = grades / "nbgrader" / "nbgrader_config.py"
    config.write_text(config.read_text("utf-8") + "# mine\n", encoding="utf-8")

    def changed(record):
        own = graded.answers(record)
        return {**own, "essay": "Another."} if record.student == "李小龍" else own

    marks = again(grades, lab, answers=changed)
    assert (marks["doe", "mean", "essay"].points, marks["doe", "mean", "mean"].points) == (3.5, 2)
    assert marks["doe", "mean", "mean"].comment == "You meant it right."
    assert marks["李小龍", "mean", "essay"].waiting
    with book(grades) as opened:
        assert opened.find_submission("00_toy", "doe").score == 2 + 4 + 3.5
        gone = opened.find_grade("essay", *CELL, file_name("李小龍"))
        assert gone.manual_score is None and gone.needs_manual_grade
        comment = opened.find_comment("essay", *CELL, file_name("李小龍"))
        assert comment.comment == "(to an earlier answer) Well said."
    assert config.read_text("utf-8").endswith("# mine\n")
    again(grades, lab, answers=changed)
    with book(grades) as opened:  # a third run says it once
        comment = opened.find_comment("essay", *CELL, file_name("李小龍"))
        assert comment.comment == "(to an earlier answer) Well said."


def test_scores_are_fresh_and_points_that_changed_are_marked_again(grades, lab):
    mark(grades, "doe")
    doe, *_ = [each for each in graded.records() if each.student == "doe"]
    worse = replace(doe, verdicts=(replace(doe.verdicts[0], points=0, status="fail"),
                                   doe.verdicts[1]))  # fmt: skip
    more = Cohort("nlp", 7, {"mean": Plan(None, {"essay": 8.0})})
    marks = again(grades, lab, cohort=more, records=[worse])
    assert marks["doe", "mean", "essay"].waiting and marks["doe", "mean", "essay"].most == 8
    with book(grades) as opened:
        assert [student.id for student in opened.students] == ["doe"]
        assert opened.find_grade("mean", *CELL, "doe").auto_score == 0


def test_a_broken_gradebook_is_said_and_kept(grades, lab):
    path = grades / "nbgrader" / "gradebook.db"
    path.write_bytes(b"no database at all, but long enough to be read as one")
    with pytest.raises(UserError, match="gradebook.db cannot be read"):
        again(grades, lab)
    assert path.read_bytes().startswith(b"no database")


def test_a_run_that_dies_leaves_the_old_gradebook(grades, lab):
    mark(grades, "doe")

    def dies(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        again(grades, lab, answers=dies)
    with book(grades) as opened:
        assert opened.find_grade("essay", *CELL, "doe").manual_score == 3.5
    assert not list(grades.glob(".nbgrader*"))


def test_marks_and_groups_reach_the_tables(grades, lab):
    mark(grades, "doe")
    made = [replace(each, submitted=graded.LATE) if each.student == "doe" else each
            for each in graded.records()[-3:]]  # fmt: skip
    groups = {"doe": "red", "李小龍": "red", "new, in no submission": "red"}
    before = outputs.last(grades)
    outputs.write(grades, made, COHORT, {"mean": lab}, graded.answers, groups=groups)
    text = (grades / "grades.csv").read_text("utf-8")
    for name in ("doe", "李小龍", '"new, in no submission"'):
        assert f"{name},mean,essay,3.5,4,marked,Well said.,v1,c-doe" in text
    page = grades / "feedback" / "mean" / f"{file_name('new, in no submission')}.html"
    assert "return x[mask].mean(0)" in page.read_text("utf-8")  # the group's answer
    assert "doe, " not in page.read_text("utf-8")
    told = [str(change) for change in regrade.changes(before, outputs.last(grades))]
    assert "doe mean essay 0 → 3.5 (marked by a person): Well said." in told
    assert "李小龍 mean mean 3 → 1 (group changed): mean: values differ" in " ".join(told)


@pytest.mark.parametrize("text", [
    "<script>alert(1)</script>", '<img src="x" onerror="alert(1)">', "[a](javascript:alert(1))",
    "<a href='java&#115;cript:alert(1)'>a</a>", "[a](data:text/html,<script>)", "<iframe src=x>",
    '<p style="background:url(https://x.y)" onclick="f()">a</p>', "![a](https://x.y/pixel.png)",
    "<svg onload=f()>", "<math><mi//xlink:href='javascript:f()'>", "<style>*{color:red}</style>",
])  # fmt: skip
def test_markdown_of_a_student_does_not_act(text):
    from nbconvert.filters.markdown import markdown2html

    html = inert.shown(markdown2html(text)).lower()
    assert not [word for word in ("<script", "<img", "<iframe", "<svg", "<style", "<math", "style=",
                                  'href="javascript', 'href="data', "onclick=", "onerror=\"")
                if word in html]  # fmt: skip
    assert "<strong>a</strong>" in inert.shown(markdown2html("**a** $x<y$"))


def nbgrader(folder, *words):
    environment = {**os.environ, "HOME": str(folder)}
    command = [sys.executable, "-m", "nbgrader", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nbgrader_exports_and_writes_its_feedback(grades):
    folder = grades / "nbgrader"
    nbgrader(folder, "export", "--to", "out.csv")
    lines = (folder / "out.csv").read_text("utf-8").splitlines()
    assert len(lines) == 11 and {len(line.split(",")) for line in lines} == {11}
    assert [line for line in lines if ",doe,doe," in line][0].endswith("5.0,0.0,5.0,11.0")
    evil = file_name("<script>alert(1)</script>")
    nbgrader(folder, "generate_feedback", "00_toy", "--student", evil)
    html = (folder / "feedback" / evil / "00_toy" / "lab_mean.html").read_text("utf-8")
    assert "I count." in html and "<script>document.title" not in html


@pytest.fixture
def formgrader(grades):
    """Jupyter in the folder, as `jupyter lab` starts it; yields ask(path, method, body)."""
    folder = grades / "nbgrader"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root",
               f"--port={port}", "--IdentityProvider.token=t"]  # fmt: skip
    log = open(grades / "jupyter.log", "wb")
    server = subprocess.Popen(command, cwd=folder, env={**os.environ, "HOME": str(grades)},
                              stdout=log, stderr=log)  # fmt: skip

    def ask(path, method="GET", body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/formgrader/{path}",
                                         data=body and json.dumps(body).encode(), method=method,
                                         headers={"Authorization": "token t"})  # fmt: skip
        return urllib.request.urlopen(request, timeout=SECONDS).read().decode("utf-8")

    try:
        _until(lambda: ask("api/status"), server)
        yield ask
    finally:
        server.terminate()
        server.wait()
        log.close()


def _until(call, server):
    end = time.monotonic() + SECONDS
    while True:
        try:
            return call()
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None and time.monotonic() < end, "jupyter did not start"
            time.sleep(0.2)


def test_formgrader_shows_the_submissions_and_takes_a_mark(formgrader, grades, lab):
    assert "nbgrader formgrade" in formgrader("manage_submissions/00_toy")
    submissions = json.loads(formgrader("api/submissions/00_toy"))
    assert len(submissions) == 10 and {row["autograded"] for row in submissions} == {True}
    notebooks = json.loads(formgrader("api/submitted_notebooks/00_toy/lab_mean"))
    own = {row["student"]: row["id"] for row in notebooks}
    page = formgrader(f"submissions/{own[file_name('<script>alert(1)</script>')]}/")
    assert "I count." in page and "<script>document.title" not in page
    grades_of_doe = json.loads(formgrader(f"api/grades?submission_id={own['doe']}"))
    [essay] = [row for row in grades_of_doe if row["name"] == "essay"]
    assert essay["needs_manual_grade"]
    formgrader(f"api/grade/{essay['id']}", "PUT", {"manual_score": 3, "extra_credit": 0.5})
    marks = again(grades, lab)
    assert marks["doe", "mean", "essay"].points == 3.5
    assert marks["Zoë Ångström", "mean", "essay"].waiting
