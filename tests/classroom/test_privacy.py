"""Grades without names, and a student's data gone: searched for byte by byte."""

import json
import shutil
import stat
import sys
from dataclasses import replace

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from typer.testing import CliRunner

from minimodels import cli
from minimodels.classroom.cohort import Cohort
from minimodels.classroom.grading import records as store
from minimodels.classroom.grading.records import Verdict, file_name
from minimodels.classroom.reports import anonymous, forget, outputs
from minimodels.errors import UserError
from tests.classroom import graded

JANE = "Jane Dörfler"
ME = "def scaled(x, d):\n    jane_doerfler = 'j.dörfler, JDOERFLER'\n    return max(x, 4711007)\n"


def class_of_eleven():
    said = f"scale: NameError: name 'jane' is not defined (at `{JANE}`)"
    rows = (Verdict("mean", 3, 3, "pass", ""), Verdict("scale", 0, 2, "fail", said, (said,)))
    jane = replace(graded.record(JANE), verdicts=rows, notes=(f"{JANE} handed in twice",),
                   ids={"canvas": "4711007"}, submitted=graded.LATE)  # fmt: skip
    max_ = replace(graded.record("Max Lee"), notes=("asked Jane Dörfler for max(x)",))
    return [*graded.records(), jane, max_]


def answers(record):
    return {**graded.RIGHT, "scaled": ME} if record.student == JANE else graded.answers(record)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A grades folder with everything in it."""
    lab = graded.lab(tmp_path_factory.mktemp("lab"))
    grades = tmp_path_factory.mktemp("class") / "grades"
    for record in class_of_eleven():
        store.save(grades, record)
    one = outputs.people.Override(JANE, "mean", "", 4, "oral", "line 2")
    outputs.write(grades, class_of_eleven(), Cohort("nlp"), {"mean": lab}, answers, [one])
    return grades


@pytest.fixture
def grades(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "grades")


def holding(folder, *words):
    """Files below a folder that hold one of the words in any case."""
    found = []
    for path in sorted(folder.rglob("*")):
        data = str(path.relative_to(folder)) + (
            path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
        )
        if any(word.lower() in data.lower() for word in words):
            found.append(str(path.relative_to(folder)))
    return found


def test_an_export_names_nobody_anywhere(grades, tmp_path):
    out = anonymous.export(grades, tmp_path / "study")
    assert holding(grades, "Dörfler", "doerfler", "4711007")  # the control
    assert not holding(out, "dörfler", "doerfler", "jane", "4711007", graded.LATE, "lab_mean.ipynb")
    names = ["doe", "Müller", "Jörg", "李小龍", "Zoë", "O'Neil", "alert(1)", "max lee"]
    assert not holding(out, *names, *map(file_name, graded.NAMES))
    assert len(list((out / "records" / "mean").iterdir())) == 12
    assert len(list((out / "code" / "mean" / "scale").iterdir())) == 12
    rows = (out / "grades.csv").read_text("utf-8").splitlines()
    assert len(rows) == len((grades / "grades.csv").read_text("utf-8").splitlines())
    assert rows[1:] == sorted(rows[1:])


def test_code_still_means_something_without_names(grades, tmp_path):
    out = anonymous.export(grades, tmp_path / "study")
    secret = anonymous.key(grades)
    path = out / "code" / "mean" / "scale" / f"{anonymous.pseudonym(JANE, secret)}.py"
    text = path.read_text("utf-8")
    assert text == (
        "def scaled(x, d):\n    REDACTED = 'REDACTED, REDACTED'\n    return max(x, REDACTED)\n"
    )
    kept = anonymous.anonymize(class_of_eleven(), secret)
    [note] = [note for each in kept for note in each.notes if "asked" in note]
    assert note == "asked REDACTED for max(x)"  # a whole name, of somebody else; Max is a word


def test_pseudonyms_are_stable_and_need_the_secret(grades, tmp_path):
    one = anonymous.export(grades, tmp_path / "one")
    two = anonymous.export(grades, tmp_path / "two")
    assert (one / "grades.csv").read_bytes() == (two / "grades.csv").read_bytes()
    path = grades / "pseudonyms.key"
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    three = anonymous.export(grades, tmp_path / "three")
    before, after = ({file.name for file in (each / "records" / "mean").iterdir()}
                     for each in (one, three))  # fmt: skip
    assert not before & after


def test_equal_code_stays_equal_and_cannot_be_looked_up():
    one, two = graded.record("ann", code_sha256="c"), graded.record("bob", code_sha256="c")
    done = anonymous.anonymize([one, two, graded.record("cy")], b"secret")
    hashes = [record.code_sha256 for record in done]
    assert len(set(hashes)) == 2 and "c" not in hashes
    assert {record.file_sha256 for record in done} == {""}
    other = anonymous.anonymize([one], b"another")
    assert other[0].code_sha256 not in hashes and other[0].student != done[0].student


def test_an_export_never_writes_over_anything(grades, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years", encoding="utf-8")
    with pytest.raises(UserError, match="mine is not empty"):
        anonymous.export(grades, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    with pytest.raises(UserError, match="holds no records"):
        anonymous.export(tmp_path / "mine", tmp_path / "new")


@pytest.fixture
def careless_sqlite():
    """SQLite as most systems build it: what is deleted stays in the file until it is packed."""

    def connected(connection, _):
        connection.execute("PRAGMA secure_delete = OFF")

    event.listen(Engine, "connect", connected)
    yield
    event.remove(Engine, "connect", connected)


@pytest.mark.usefixtures("careless_sqlite")
@pytest.mark.parametrize("student", [JANE, "=cmd()", "<script>alert(1)</script>", "a/b\\c",
                                     'Ann "the" Lee', "李小龍"])  # fmt: skip
def test_a_student_is_gone_from_every_byte(grades, student):
    others = sorted(path.name for path in grades.glob("records/*/*"))
    assert forget.traces(grades, student)  # the control
    (grades / "nbgrader" / "feedback" / file_name(student)).mkdir(parents=True)
    done = forget.delete(grades, student)
    # another's note may name the student: it is said, and it is all
    note = f"records/mean/{file_name('Max Lee')}.json"
    expected = [note] if student == JANE else []
    assert [each for each in done.left if each.startswith("records")] == expected
    raw = [form.encode("utf-8") for form in (student, file_name(student))]
    left = [str(path.relative_to(grades)) for path in grades.rglob("*")
            if path.is_file() and any(form in path.read_bytes() for form in raw)]  # fmt: skip
    assert sorted(left) == sorted(done.left) and not holding(
        grades / "nbgrader", file_name(student)
    )
    assert not holding(grades / "nbgrader", "4711007") or student != JANE
    assert sorted(path.name for path in grades.glob("records/*/*")) == [
        name for name in others if name != f"{file_name(student)}.json"
    ]
    assert "the LMS and what was uploaded to it" in done.out_of_reach


def test_the_others_keep_their_rows_and_marks(grades):
    before = (grades / "grades.csv").read_text("utf-8").splitlines()
    forget.delete(grades, "doe")
    after = (grades / "grades.csv").read_text("utf-8").splitlines()
    assert after == [line for line in before if not line.startswith("doe,")]
    with pytest.raises(UserError, match="holds nothing of 'doe'"):
        forget.delete(grades, "doe")
    with pytest.raises(UserError, match="Did you mean Max Lee"):
        forget.delete(grades, "Max Leo")


def test_a_name_that_stands_elsewhere_is_said(grades):
    (grades / "log.json").write_text(json.dumps({"last": JANE}), encoding="utf-8")
    assert "log.json" in forget.delete(grades, JANE).left


def test_the_verbs(grades, tmp_path):
    run = CliRunner().invoke
    shown = run(cli.app, ["grades", "export", str(grades), "--anonymous", str(tmp_path / "out")])
    assert shown.exit_code == 0 and "look through it" in shown.output
    shown = run(cli.app, ["grades", "delete", str(grades), "doe"])
    assert shown.exit_code == 0, shown.output
    assert (
        "removed records/mean/doe.json" in shown.output and "out of reach: the sub" in shown.output
    )
    shown = run(cli.app, ["grades", "delete", str(grades), JANE])
    assert shown.exit_code == 1 and "STILL NAMED in records/mean/Max_Lee" in shown.output
