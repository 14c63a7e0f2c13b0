"""nbgrader's gradebook, made afresh by each run, so that a person can mark and look in formgrader.

    grades/nbgrader/  gradebook.db  nbgrader_config.py
                      source/  release/    the labs, with and without answers
                      autograded/doe/03_architecture/lab_attention.ipynb
                      submitted/doe/03_architecture/timestamp.txt

`cd grades/nbgrader && jupyter lab` shows it under Formgrader. An assignment is a stage's folder and
a notebook a lab, as in solutions/. Points are the judge's. What a person gave in formgrader is
taken over from the gradebook before as long as the answer it was given for is the same; otherwise
the cell waits to be marked again. The folder is swapped as a whole: close formgrader before a run.
The notebooks shown are the lab with the student's answers in it. nothing runs them, and there is
nothing in submitted/ that nbgrader's own autograder, which has no sandbox, could run.
"""

import json
import os
import re
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from minimodels import files
from minimodels.classroom.cohort import Cohort, Plan
from minimodels.classroom.reports import handmade
from minimodels.classroom.reports.people import Key, Mark
from minimodels.classroom.grading.records import Record, Verdict, file_name
from minimodels.classroom.reports.tables import number
from minimodels.classroom.reports.tasks import tasks
from minimodels.classroom.lab import Lab
from minimodels.classroom.normalize import Notebook, dumps, source
from minimodels.classroom.release import release

CONFIG = """\
# Read by nbgrader and JupyterLab when they are started in this folder.
c = get_config()  # noqa: F821
c.CourseDirectory.course_id = {name!r}
# A student's text shows in these pages and does not act.
c.HTMLExporter.filters = {{"strip_files_prefix": "minimodels.classroom.reports.inert.shown"}}
"""


def write(
    grades: Path,
    records: Iterable[Record],
    cohort: Cohort,
    labs: Mapping[str, Lab],
    answers: Callable[[Record], Mapping[str, str]],
) -> dict[Key, Mark]:
    """Write the folder `nbgrader` anew; returns what a person gave or has yet to give.

    `records` are in the points of the term. A record of a lab that `labs` lacks is left out.
    """
    place = grades / "nbgrader"
    before = handmade.read(place)
    records = [record for record in records if record.lab in labs]
    given = {short: _given(lab) for short, lab in labs.items()}
    with files.atomic_folder(place) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nbgrader fills its tables in an order that they tell of
        with _open(folder) as book:
            _add_labs(folder, book, records, cohort, labs)
            marks: dict[Key, Mark] = {}
            for record in tqdm(records, desc="gradebook", leave=False, disable=len(records) < 50):
                lab, empty = labs[record.lab], given[record.lab]
                own = {**empty, **answers(record)}
                _write_notebook(folder, record, lab, own)
                found = _add_grades(book, record, lab, own, empty, before)
                marks |= {(record.student, record.lab, task): mark for task, mark in found.items()}
        _write_config(folder, place, cohort)
    return marks


def url(folder: Path) -> str:
    """The address of a gradebook for nbgrader."""
    return f"sqlite:///{folder.resolve() / 'gradebook.db'}"


def shown(name: str) -> str:
    """A student's name as nbgrader can hold it: its CSV has no quotes, its pages no escapes."""
    kept = re.sub(r"[^\w .'’-]+", " ", unicodedata.normalize("NFC", name))
    return " ".join(kept.split()).lstrip("-' ")


def _open(folder: Path):
    """A new gradebook. nbgrader asks the command `alembic` for the version of its tables, which
    is beside this Python and not on the path of somebody who did not activate the environment."""
    from nbgrader.api import Gradebook

    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        return Gradebook(url(folder))
    finally:
        os.environ["PATH"] = before


def _write_config(folder: Path, place: Path, cohort: Cohort) -> None:
    """A config that a lecturer has changed stays."""
    old = place / "nbgrader_config.py"
    text = old.read_text(encoding="utf-8") if old.exists() else CONFIG.format(name=cohort.name)
    files.write_text(folder / "nbgrader_config.py", text)


def _add_labs(
    folder: Path, book, records: list[Record], cohort: Cohort, labs: Mapping[str, Lab]
) -> None:
    """Write source/ and release/, and tell the gradebook of each lab's cells and points."""
    import nbformat
    from nbgrader.preprocessors import SaveCells

    for short in sorted({record.lab for record in records}):
        lab = labs[short]
        stage, notebook = lab.name.split("/")
        plan = cohort.plan(short) or Plan()
        book.update_or_create_assignment(stage, **({"duedate": _utc(plan.due)} if plan.due else {}))
        given = release(lab.master)
        for cell in given["cells"]:
            about = cell["metadata"].get("nbgrader", {})
            if about.get("grade"):
                about["points"] = plan.points.get(about["grade_id"], about["points"])
        about = {"notebook": notebook, "assignment": stage, "db_url": url(folder)}
        SaveCells().preprocess(nbformat.reads(dumps(given), 4), {"nbgrader": about})
        files.write_text(folder / "release" / stage / f"{notebook}.ipynb", dumps(given))
        files.write_text(folder / "source" / stage / f"{notebook}.ipynb", dumps(lab.master))
    book.db.expire_all()  # SaveCells wrote through a connection of its own


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")


def _write_notebook(folder: Path, record: Record, lab: Lab, answers: Mapping[str, str]) -> None:
    """The lab with the student's answers, and under each check what the judge said."""
    stage, name = lab.name.split("/")
    rows = {row.task: row for row in record.verdicts}
    notebook: Notebook = json.loads((folder / "release" / stage / f"{name}.ipynb").read_bytes())
    for cell in notebook["cells"]:
        known = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if known in answers:
            cell["source"] = answers[known]
        if known in rows and cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout",
                                "text": _said(rows[known])}]  # fmt: skip
    student = file_name(record.student)
    files.write_text(folder / "autograded" / student / stage / f"{name}.ipynb", dumps(notebook))
    if record.submitted:
        time = _utc(datetime.fromisoformat(record.submitted))
        files.write_text(folder / "submitted" / student / stage / "timestamp.txt", f"{time} UTC\n")


def _said(row: Verdict) -> str:
    points = f"{number(row.points)} of {number(row.max_points)}"
    return "\n".join([f"{row.status}: {points}", *(row.details or (row.message,))]).rstrip() + "\n"


def _add_grades(
    book,
    record: Record,
    lab: Lab,
    answers: Mapping[str, str],
    empty: Mapping[str, str],
    before: handmade.Before,
) -> dict[str, Mark]:
    """Add one submission with the judge's points and what a person gave before."""
    stage, notebook = lab.name.split("/")
    student = file_name(record.student)
    ids = record.ids.get("canvas") or record.ids.get("moodle")
    book.update_or_create_student(student, last_name=shown(record.student), lms_user_id=ids)
    when = {"timestamp": f"{_utc(datetime.fromisoformat(record.submitted))} UTC"} \
        if record.submitted else {}  # fmt: skip
    book.update_or_create_submission(stage, student, **when)
    submitted = book.find_submission_notebook(notebook, stage, student)
    rows = {row.task: row for row in record.verdicts}
    old = before.get((student, stage, notebook))
    marks = handmade.fill(submitted, rows, tasks(lab), answers, empty, old)
    book.db.commit()
    return marks


def _given(lab: Lab) -> dict[str, str]:
    """What a student is given in each answer cell."""
    return {cell["metadata"]["nbgrader"]["grade_id"]: source(cell)
            for cell in release(lab.master)["cells"]
            if cell["metadata"].get("nbgrader", {}).get("solution")}  # fmt: skip
