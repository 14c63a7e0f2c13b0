"""Everything that is made of records, in one call."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from minimodels import files
from minimodels.classroom.cohort import Cohort
from minimodels.classroom.reports import feedback, gradebook, lms, people, report, similarity
from minimodels.classroom.reports import grades as tables
from minimodels.classroom.grading.records import Record, all_in, save
from minimodels.classroom.reports.tasks import tasks
from minimodels.classroom.lab import Lab

Answers = Callable[[Record], Mapping[str, str]]


def write(
    grades: Path,
    records: Iterable[Record],
    cohort: Cohort,
    labs: Mapping[str, Lab],
    answers: Answers,
    overrides: Iterable[people.Override] = (),
    groups: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write all outputs below `grades`; returns the files and folders a lecturer opens.

    `records` are the judge's (`records.all_in`), `labs` are by short name, and `answers` gives the
    answer cells of a record by grade_id ({} if there are none). UserError if an override fits
    nothing; then nothing was written but the gradebook.
    """
    records = list(records)
    marks = gradebook.write(grades, _scaled(records, cohort, labs), cohort, labs, answers)
    final = counted(records, cohort, labs, marks, overrides, groups or {})
    of_all = _by_submission(records, answers)
    finals = tables.finals(final, cohort)
    written = [tables.write_csv(grades / "grades.csv", tables.rows(final)),
               tables.write_finals(grades / "final.csv", finals)]  # fmt: skip
    written += lms.write_lms(grades, final, finals)
    feedback.write(grades, final, cohort, labs, of_all)
    written += report.write(grades, final, cohort, labs)
    written += similarity.write(grades, records, labs, answers)
    with files.atomic_folder(grades / "counted") as folder:
        for record in final:
            save(folder, record)
    return [*written, grades / "feedback", grades / "nbgrader"]


def last(grades: Path) -> list[Record]:
    """The records as they counted when outputs were last written: `regrade.changes` of what this
    says before and after a run tells of overrides and of a person's marks too."""
    return all_in(grades / "counted")


def counted(
    records: Iterable[Record],
    cohort: Cohort,
    labs: Mapping[str, Lab],
    marks: Mapping[people.Key, people.Mark],
    overrides: Iterable[people.Override],
    groups: Mapping[str, str],
) -> list[Record]:
    """Records as they count: the term's points, a person's marks, groups, overrides."""
    done = people.marked(_scaled(records, cohort, labs), marks)
    return people.overridden(people.shared(done, groups), overrides)


def _scaled(records: Iterable[Record], cohort: Cohort, labs: Mapping[str, Lab]) -> list[Record]:
    return people.scaled(records, cohort, {name: list(tasks(lab)) for name, lab in labs.items()})


def _by_submission(records: list[Record], answers: Answers) -> Answers:
    """Answers by what was handed in, which the members of a group have in common."""
    known = {_submission(record): record for record in records}

    def of(record: Record) -> Mapping[str, str]:
        handed_in = known.get(_submission(record))
        return answers(handed_in) if handed_in else {}

    return of


def _submission(record: Record) -> tuple[str, str, str]:
    return (record.lab, record.source, record.file_sha256)
