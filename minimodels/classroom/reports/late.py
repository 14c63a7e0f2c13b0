"""Days late that a person knows: what Canvas and Moodle do not put into their zips, and extensions.

A lecturer keeps one more optional file beside cohort.toml. Where it names a student and a lab, its
days count and the clock does not:

    late.csv        student,lab,days    0: in time, whatever the clock says
"""

from collections.abc import Iterable, Mapping

from minimodels.classroom.cohort import Cohort
from minimodels.classroom.grading.records import Record
from minimodels.classroom.reports.tables import read_table
from minimodels.errors import UserError

Place = tuple[str, str]  # student, lab


def read(path) -> dict[Place, int]:
    """Read a late.csv; {} if there is no file, UserError that names a line at fault."""
    told: dict[Place, int] = {}
    for line in read_table(path, ("student", "lab", "days")):
        place, days = (line.cells["student"], line.cells["lab"]), line.cells["days"]
        if not (days.isascii() and days.isdigit()):
            raise UserError(f"{line.where}: days are {days!r}: write a whole number from 0 up.")
        if place in told:
            raise UserError(f"{line.where} repeats {' '.join(place)}: keep one of the two.")
        told[place] = int(days)
    return told


def warnings(records: Iterable[Record], cohort: Cohort, groups: Mapping[str, str]) -> list[str]:
    """What of late.csv and groups.csv fits nobody, and whose lateness nobody knows."""
    records = list(records)
    students = {record.student for record in records}
    places = {(record.student, record.lab) for record in records}
    places |= {(name, lab) for name in groups for _, lab in places}
    found = [f"late.csv: {name} handed in no {lab}" for name, lab in sorted(cohort.told)
             if (name, lab) not in places]  # fmt: skip
    found += [f"groups.csv: {name} handed in nothing and gets what the group handed in"
              for name in sorted(set(groups) - students)]  # fmt: skip
    unknown = [record for record in records if _unknown(record, cohort)]
    if unknown and (cohort.per_day or cohort.days is not None):
        marked = sum("Canvas marks it as late" in record.notes for record in unknown)
        canvas = f" ({marked} of them marked late by Canvas)" if marked else ""
        found.append(f"{len(unknown)} came without a time{canvas} and count as in time: "
                     "late.csv may say otherwise")  # fmt: skip
    return found


def _unknown(record: Record, cohort: Cohort) -> bool:
    plan = cohort.plan(record.lab)
    told = (record.student, record.lab) in cohort.told
    return bool(plan and plan.due) and not record.submitted and not told
