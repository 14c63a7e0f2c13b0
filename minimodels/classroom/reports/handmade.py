"""What a person gave in formgrader, read from one gradebook and put into the next.

A mark, extra credit or comment belongs to an answer. It stands as long as the answer cells of its
task hold the same text and the task the same points. Else the mark is gone, the cell waits for a
person, and an old comment says that it was to an earlier answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from minimodels.classroom.reports.people import Mark
from minimodels.classroom.grading.records import Verdict
from minimodels.classroom.reports.tasks import Task
from minimodels.classroom.normalize import read as read_notebook
from minimodels.classroom.normalize import source
from minimodels.errors import UserError

EARLIER = "(to an earlier answer) "


@dataclass(frozen=True)
class Given:
    """What a person gave one student's notebook, and for which answers."""

    answers: Mapping[str, str]  # by grade_id
    scores: dict[str, tuple] = field(default_factory=dict)  # task: (score, extra, points, waits)
    comments: dict[str, str] = field(default_factory=dict)  # by grade_id of the answer


Before = dict[tuple[str, str, str], Given]  # by student, assignment and notebook


def read(place: Path) -> Before:
    """What stands in the gradebook of a folder; {} if there is none, UserError if it is broken."""
    path = place / "gradebook.db"
    if not path.exists():
        return {}
    from nbgrader.api import Gradebook
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with Gradebook(f"sqlite:///{path.resolve()}") as book:
            return _all(place, book)
    except SQLAlchemyError as problem:
        words = f"{path} cannot be read ({type(problem).__name__})"
        raise UserError(f"{words}: mend it, or move it away and lose the marks in it.") from None


def _all(place: Path, book) -> Before:
    found: Before = {}
    for assignment in book.assignments:
        for submission in assignment.submissions:
            for notebook in submission.notebooks:
                key = (submission.student.id, assignment.name, notebook.name)
                given = _given(place, key, notebook)
                if given.scores or given.comments:
                    found[key] = given
    return found


def fill(
    notebook,
    rows: Mapping[str, Verdict],
    known: Mapping[str, Task],
    answers: Mapping[str, str],
    empty: Mapping[str, str],
    old: Given | None,
) -> dict[str, Mark]:
    """Fill nbgrader's grades and comments of one notebook; returns the marks that are a person's.

    `answers` holds every answer cell, `empty` what was given in it, `old` what a person gave
    before.
    """
    marks = {}
    for grade in notebook.grades:
        task, row = known[grade.name], rows.get(grade.name)
        grade.auto_score = row.points if row else None
        grade.needs_manual_grade = row is None
        _take_over_score(grade, task, answers, old)
        if grade.manual_score is not None or grade.extra_credit or row is None:
            score = grade.manual_score if grade.manual_score is not None else grade.auto_score or 0
            points, comment = score + (grade.extra_credit or 0), _comment(task, answers, old)
            marks[grade.name] = Mark(points, task_points(grade), comment, grade.needs_manual_grade)
    said = {cell: _automatic(rows.get(task.name), cell, answers, empty)
            for task in known.values() for cell in task.answers}  # fmt: skip
    for comment in notebook.comments:
        comment.auto_comment = said.get(comment.name)
        comment.manual_comment = _old_comment(comment.name, answers, old)
    return marks


def task_points(grade) -> float:
    """The most points of a grade, before and after the database has computed it."""
    return float(grade.cell.max_score)


def _given(place: Path, key: tuple[str, str, str], notebook) -> Given:
    student, stage, name = key
    path = place / "autograded" / student / stage / f"{name}.ipynb"
    cells = read_notebook(path)["cells"] if path.exists() else []
    answers = {about["grade_id"]: source(cell) for cell in cells
               if (about := cell["metadata"].get("nbgrader", {})).get("solution")}  # fmt: skip
    given = Given(answers)
    for grade in notebook.grades:
        if grade.manual_score is not None or grade.extra_credit is not None:
            given.scores[grade.name] = (grade.manual_score, grade.extra_credit,
                                        task_points(grade), grade.needs_manual_grade)  # fmt: skip
    for comment in notebook.comments:
        if comment.manual_comment:
            given.comments[comment.name] = comment.manual_comment
    return given


def _take_over_score(grade, task: Task, answers: Mapping[str, str], old: Given | None) -> None:
    if old is None or grade.name not in old.scores:
        return
    score, extra, most, waits = old.scores[grade.name]
    if most == task_points(grade) and all(_same(cell, answers, old) for cell in task.answers):
        grade.manual_score, grade.extra_credit, grade.needs_manual_grade = score, extra, waits
    else:
        grade.needs_manual_grade = True


def _same(cell: str, answers: Mapping[str, str], old: Given) -> bool:
    return answers[cell].strip() == old.answers.get(cell, "").strip()


def _comment(task: Task, answers: Mapping[str, str], old: Given | None) -> str:
    if old is None:
        return ""
    return " ".join(old.comments[cell] for cell in task.answers
                    if cell in old.comments and _same(cell, answers, old))  # fmt: skip


def _old_comment(cell: str, answers: Mapping[str, str], old: Given | None) -> str | None:
    if old is None or cell not in old.comments:
        return None
    text = old.comments[cell]
    return text if _same(cell, answers, old) or text.startswith(EARLIER) else EARLIER + text


def _automatic(
    row: Verdict | None, cell: str, answers: Mapping[str, str], empty: Mapping[str, str]
) -> str | None:
    """The comment under an answer: nbgrader's words if there is none, else the judge's."""
    if answers[cell].strip() in ("", empty[cell].strip()):
        return "No response."
    return row.message or None if row else None
