"""`minimodels grades delete FOLDER STUDENT`: a student's data leave a grades folder.

Records, feedback, answers, rows of tables, the gradebook's entries and its notebooks go, and the
reports too, which the next run writes anew. Then every byte below the folder is searched, and what
still holds the name is said, as is what lies out of reach.
"""

import csv
import difflib
import html
import io
import json
import re
import shutil
import sqlite3
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from minimodels.classroom.reports import gradebook
from minimodels.classroom.grading.records import all_in, file_name
from minimodels.classroom.reports.tables import one_line, plain, write_table
from minimodels.errors import UserError

COLUMNS = ("student", "Student", "Full name")  # which name a student in our tables
OUT_OF_REACH = (
    "the submissions as they were handed in (delete them, or the next run grades them again)",
    "the LMS and what was uploaded to it",
    "overrides.csv, groups.csv and late.csv beside cohort.toml",
    "exports and backups of this folder, and deleted blocks of the disk",
)


@dataclass(frozen=True)
class Forgotten:
    """What went, where the name still stands, and what this command cannot reach."""

    removed: tuple[str, ...]
    left: tuple[str, ...]
    out_of_reach: tuple[str, ...] = OUT_OF_REACH


def delete(grades: Path, student: str) -> Forgotten:
    """Remove all that a grades folder holds of a student; UserError if it holds nothing."""
    student = unicodedata.normalize("NFC", student)
    names = sorted({record.student for record in all_in(grades)} | _in_tables(grades))
    if student not in names:
        near = difflib.get_close_matches(student, names, n=3)
        words = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UserError(f"{grades} holds nothing of {student!r}: write the full name.{words}")
    removed = [*_drop_files(grades, student), *_drop_rows(grades, student)]
    removed += _drop_from_gradebook(grades, student)
    for path in grades.glob("report*.html"):
        path.unlink()
        removed.append(f"{path.name} (the next run writes it anew)")
    return Forgotten(tuple(removed), tuple(traces(grades, student)))


def traces(grades: Path, student: str) -> list[str]:
    """Files below a folder whose bytes or path hold a student's name in any form we write it.

    The name stands there as a word of its own: `doe` is not in `does`.
    """
    forms = {student, unicodedata.normalize("NFD", student), file_name(student),
             html.escape(student), json.dumps(student)[1:-1], one_line(student),
             student.replace('"', '""')}  # fmt: skip
    words = b"|".join(re.escape(form.encode("utf-8", "replace")) for form in sorted(forms))
    wanted = re.compile(rb"(?<![A-Za-z0-9])(?:" + words + rb")(?![A-Za-z0-9])")
    paths = sorted(path for path in grades.rglob("*") if path.is_file())
    found = []
    for path in tqdm(paths, desc="search", leave=False, disable=len(paths) < 2000):
        data = str(path.relative_to(grades)).encode("utf-8", "replace") + b"\n" + path.read_bytes()
        if wanted.search(data):
            found.append(str(path.relative_to(grades)))
    return found


def _drop_files(grades: Path, student: str) -> list[str]:
    """Files and folders that bear the student's file name, wherever they lie."""
    name = file_name(student)
    found = [path for path in grades.rglob("*") if name in (path.name, path.stem)]
    removed = []
    for path in sorted(found):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.exists() or path.is_symlink():
            path.unlink()
        else:
            continue  # it went with its folder
        removed.append(str(path.relative_to(grades)))
    return removed


def _in_tables(grades: Path) -> set[str]:
    """Every student that a table below the folder names."""
    return {plain(row[column]) for path in grades.glob("*.csv")
            for column, row in _named(path) if row[column]}  # fmt: skip


def _named(path: Path):
    """(name of the column with students, row as a dict) for each row of a table."""
    header, rows = _read(path)
    column = next((name for name in COLUMNS if name in header), None)
    for row in rows if column else []:
        if len(row) == len(header):
            yield column, dict(zip(header, row, strict=True))


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    return (rows[0], rows[1:]) if rows else ([], [])


def _drop_rows(grades: Path, student: str) -> list[str]:
    removed = []
    for path in sorted(grades.glob("*.csv")):
        header, rows = _read(path)
        column = next((header.index(name) for name in COLUMNS if name in header), None)
        if column is None:
            continue
        shown = unicodedata.normalize("NFC", one_line(student))
        kept = [row for row in rows if len(row) <= column or plain(row[column]) != shown]
        if len(kept) < len(rows):
            write_table(path, header, [[plain(cell) for cell in row] for row in kept])
            removed.append(f"{path.name}: {len(rows) - len(kept)} rows")
    return removed


def _drop_from_gradebook(grades: Path, student: str) -> list[str]:
    """Remove the student from nbgrader's database, and the freed pages from its file."""
    place = grades / "nbgrader"
    if not (place / "gradebook.db").exists():
        return []
    from nbgrader.api import Gradebook, MissingEntry

    with Gradebook(gradebook.url(place)) as book:
        try:
            book.remove_student(file_name(student))
        except MissingEntry:
            return []
    with sqlite3.connect(place / "gradebook.db") as database:
        database.execute("VACUUM")
    database.close()
    return ["nbgrader/gradebook.db"]
