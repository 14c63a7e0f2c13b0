"""From what the judge measured to what counts: groups, the term's points, a person's decisions.

    records ── cohort.toml ──> scaled ── formgrader ──> marked
            ── groups.csv ──> shared ── overrides.csv ──> what grades.csv says

Each step maps records to records and leaves the files of the records as they are. A lecturer
keeps two optional files beside cohort.toml:

    overrides.csv   student,lab,task,points,reason    an empty task: the lab as a whole
    groups.csv      student,group
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from minimodels.classroom.cohort import Cohort, Plan
from minimodels.classroom.grading.records import Record, Verdict
from minimodels.classroom.reports.tables import Line, read_table
from minimodels.errors import UserError

Key = tuple[str, str, str]  # student, lab, task


@dataclass(frozen=True)
class Override:
    """A mark that a person sets, in the points of the term. The student reads the reason."""

    student: str
    lab: str
    task: str  # "" is the lab as a whole
    points: float
    reason: str
    where: str = ""  # "overrides.csv, line 3"


@dataclass(frozen=True)
class Mark:
    """What a person gave a cell in nbgrader's formgrader."""

    points: float
    most: float
    comment: str = ""
    waiting: bool = False  # nobody has marked it yet


def read_overrides(path) -> tuple[Override, ...]:
    """Read an overrides.csv; none if there is no file, UserError that names a line at fault."""
    columns = ("student", "lab", "task", "points", "reason")
    found: dict[Key, Override] = {}
    for line in read_table(path, columns):
        row = line.cells
        if not row["reason"]:
            raise UserError(f"{line.where} has no reason: write why the mark is set by hand.")
        key = (row["student"], row["lab"], row["task"])
        if key in found:
            raise UserError(f"{line.where} repeats {found[key].where}: keep one of the two.")
        found[key] = Override(*key, _points(line), row["reason"], line.where)
    return tuple(found.values())


def read_groups(path) -> dict[str, str]:
    """Read a groups.csv: the group of each student; {} if there is no file."""
    groups: dict[str, str] = {}
    for line in read_table(path, ("student", "group")):
        student, group = line.cells["student"], line.cells["group"]
        if not student or not group:
            raise UserError(f"{line.where} needs a student and a group: fill in both.")
        if student in groups:
            raise UserError(f"{line.where}: {student} is in {groups[student]} already: keep one.")
        groups[student] = group
    return groups


def shared(records: Iterable[Record], groups: Mapping[str, str]) -> list[Record]:
    """Give each member of a group what the group handed in last, with a note that says so.

    The last counts, as it does for a student who hands in twice: a group mends its own work. A
    submission whose time is not known stands behind those with one; of two at one time the one
    with more points counts. The notes name the group and no member.
    """
    records = list(records)
    by_place = {(record.student, record.lab): record for record in records}
    ids = {record.student: record.ids for record in records if record.ids}
    for lab in sorted({record.lab for record in records}):
        for group in sorted(set(groups.values())):
            members = sorted(name for name, own in groups.items() if own == group)
            handed_in = [by_place[name, lab] for name in members if (name, lab) in by_place]
            if not handed_in:
                continue
            counts = max(handed_in, key=lambda record: (_time(record), record.points))
            for name in members:
                note = _group_note(group, counts, own=name == counts.student)
                by_place[name, lab] = replace(
                    counts, student=name, ids=ids.get(name, {}), notes=(*counts.notes, note)
                )
    return sorted(by_place.values(), key=lambda record: (record.lab, record.student))


def scaled(
    records: Iterable[Record], cohort: Cohort, tasks: Mapping[str, Iterable[str]]
) -> list[Record]:
    """Points of the term instead of the lab's: points × (most in the term / most in the lab).

    `tasks` are the names of each lab's tasks; UserError if the term names another.
    """
    for lab, names in tasks.items():
        if strange := sorted(set(_plan(cohort, lab).points) - set(names)):
            words = f"cohort.toml gives points to {strange[0]!r}, which is no task of {lab}"
            raise UserError(f"{words}: its tasks are {', '.join(names)}.")
    return [
        replace(record, verdicts=tuple(_scale(row, _plan(cohort, record.lab).points)
                                       for row in record.verdicts))
        for record in records
    ]  # fmt: skip


def marked(records: Iterable[Record], marks: Mapping[Key, Mark]) -> list[Record]:
    """Put in what a person marked in formgrader, and what waits to be marked."""
    done = []
    for record in records:
        own = {task: mark for (name, lab, task), mark in marks.items()
               if (name, lab) == (record.student, record.lab)}  # fmt: skip
        rows = [_by_hand(row.task, own.pop(row.task)) if row.task in own else row
                for row in record.verdicts]  # fmt: skip
        rows += [_by_hand(task, mark) for task, mark in own.items()]
        done.append(replace(record, verdicts=tuple(rows)))
    return done


def overridden(records: Iterable[Record], overrides: Iterable[Override]) -> list[Record]:
    """Put in the marks that a person set; UserError if one fits no student, lab or task.

    The lab as a whole (an empty task) adds a row without a task that makes up the difference, so
    that the rows of grades.csv still sum to the mark. A task's mark is at most its points; a
    lab's may be more, which is a bonus. A student who handed nothing in gets a record.
    """
    by_place = {(record.student, record.lab): record for record in records}
    for one in sorted(overrides, key=lambda one: one.task == ""):  # tasks before the whole
        record = by_place.get((one.student, one.lab)) or _nothing(one, list(by_place.values()))
        by_place[one.student, one.lab] = _override(record, one)
    return sorted(by_place.values(), key=lambda record: (record.lab, record.student))


def _points(line: Line) -> float:
    try:
        points = float(line.cells["points"].replace(",", "."))
    except ValueError:
        points = math.nan
    if not 0 <= points < math.inf:
        shown = line.cells["points"]
        raise UserError(f"{line.where}: points are {shown!r}: write a number from 0 up.")
    return points


def _time(record: Record) -> datetime:
    if not record.submitted:
        return datetime.min.replace(tzinfo=UTC)
    time = datetime.fromisoformat(record.submitted)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _group_note(group: str, counts: Record, own: bool) -> str:
    when = f" of {counts.submitted}" if counts.submitted else ""
    whose = "this submission" if own else f"the group's last submission{when}"
    return f"group {group}: {whose} counts for every member"


def _plan(cohort: Cohort, lab: str) -> Plan:
    return cohort.plan(lab) or Plan()


def _scale(row: Verdict, points: Mapping[str, float]) -> Verdict:
    most = points.get(row.task, row.max_points)
    share = most / row.max_points if row.max_points else 0.0
    return replace(row, points=row.points * share, max_points=most)


def _by_hand(task: str, mark: Mark) -> Verdict:
    if mark.waiting:
        return Verdict(task, 0.0, mark.most, "ungraded", "")
    return Verdict(task, mark.points, mark.most, "marked", mark.comment)


def _nothing(one: Override, records: list[Record]) -> Record:
    """A record for a student who is known but handed in nothing for this lab."""
    like = [record for record in records if record.lab == one.lab]
    if not like:
        raise UserError(f"{one.where}: no lab {one.lab!r} was graded: write its short name.")
    if all(record.student != one.student for record in records):
        words = f"{one.where}: no student is called {one.student!r}"
        raise UserError(f"{words}: write the name as grades.csv has it.")
    rows = [Verdict(row.task, 0.0, row.max_points, "invalid", "Nothing was handed in.")
            for row in like[0].verdicts if row.task]  # fmt: skip
    known = next(record.ids for record in records if record.student == one.student)
    return replace(like[0], student=one.student, file_sha256="", code_sha256="", submitted=None,
                   source="", verdicts=tuple(rows), notes=(), ids=known)  # fmt: skip


def _override(record: Record, one: Override) -> Record:
    if not one.task:
        row = Verdict("", one.points - record.points, 0.0, "override", one.reason)
        return replace(record, verdicts=(*record.verdicts, row))
    rows = {row.task: row for row in record.verdicts}
    if one.task not in rows:
        names = ", ".join(name for name in rows if name)
        raise UserError(f"{one.where}: {one.lab} has no task {one.task!r}: it has {names}.")
    most = rows[one.task].max_points
    if one.points > most:
        raise UserError(f"{one.where}: {one.task} has {most:g} points at most: write no more.")
    rows[one.task] = Verdict(one.task, one.points, most, "override", one.reason)
    return replace(record, verdicts=tuple(rows.values()))
