"""grades.csv: one row for each student, lab and task; final.csv: one for each student and lab.

grades.csv holds points in the term's measure, before lateness. What lateness leaves is in
final.csv and in the files for an LMS.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from pathlib import Path

from minimodels.classroom.cohort import Cohort
from minimodels.classroom.grading.records import Record
from minimodels.classroom.reports.tables import write_table


@dataclass(frozen=True)
class Row:
    """A line of grades.csv. The whole lab's override has an empty task and max_points 0."""

    student: str
    lab: str
    task: str
    points: float
    max_points: float
    status: str
    message: str
    lab_version: str
    code_sha256: str


@dataclass(frozen=True)
class Final:
    """A line of final.csv: what a student takes home from a lab."""

    student: str
    lab: str
    points: float
    max_points: float
    late_days: int
    final: float  # points × what lateness leaves, to two decimals


def rows(records: Iterable[Record]) -> list[Row]:
    """The rows of records that went through groups, the term's points and overrides."""
    return [
        Row(record.student, record.lab, row.task, row.points, row.max_points, row.status,
            row.message, record.lab_version, record.code_sha256)
        for record in records for row in record.verdicts
    ]  # fmt: skip


def finals(records: Iterable[Record], cohort: Cohort) -> list[Final]:
    """What lateness leaves of each record's points."""
    return [_final(record, cohort) for record in records]


def late(record: Record, cohort: Cohort) -> tuple[int, float]:
    """(days late, share of the points that is left) of a record; late.csv goes before the clock."""
    days = cohort.told.get((record.student, record.lab))
    if days is not None:
        return days, cohort.left(days)
    time = datetime.fromisoformat(record.submitted) if record.submitted else None
    if time is not None and time.tzinfo is None:
        time = time.astimezone()
    return cohort.late(record.lab, time)


def write_csv(path: Path, table: Iterable[Row]) -> Path:
    """Write grades.csv."""
    return write_table(path, [field.name for field in fields(Row)], map(astuple, table))


def write_finals(path: Path, table: Iterable[Final]) -> Path:
    """Write final.csv, for a place that is neither Canvas nor Moodle."""
    return write_table(path, [field.name for field in fields(Final)], map(astuple, table))


def _final(record: Record, cohort: Cohort) -> Final:
    days, share = late(record, cohort)
    final = round(max(0.0, record.points) * share + 1e-9, 2)
    return Final(record.student, record.lab, record.points, record.max_points, days, final)
