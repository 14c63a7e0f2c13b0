"""Files that a learning management system takes in, for students it gave an id.

Canvas: one gradebook import for the term, `canvas.csv`. Canvas knows students by ID and asks on
import which assignment a new column is. Moodle: one grading worksheet for each lab,
`moodle-attention.csv`, for "Upload grading worksheet" of that assignment; Moodle knows students
by Identifier.
"""

from collections.abc import Iterable
from pathlib import Path

from minimodels.classroom.reports.grades import Final
from minimodels.classroom.grading.records import Record
from minimodels.classroom.reports.tables import write_table

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = ("Identifier", "Full name", "Grade", "Maximum Grade")


def write_lms(folder: Path, records: Iterable[Record], finals: Iterable[Final]) -> list[Path]:
    """Write the files for those that came from an LMS, [] if nobody did, and drop old ones."""
    for old in (folder / "canvas.csv", *folder.glob("moodle-*.csv")):
        old.unlink(missing_ok=True)
    ids = {record.student: record.ids for record in records if record.ids}
    finals = list(finals)
    canvas = [row for row in finals if "canvas" in ids.get(row.student, {})]
    moodle = [row for row in finals if "moodle" in ids.get(row.student, {})]
    written = [_canvas(folder / "canvas.csv", canvas, ids)] if canvas else []
    for lab in sorted({row.lab for row in moodle}):
        table = [(ids[row.student]["moodle"], row.student, row.final, row.max_points)
                 for row in moodle if row.lab == lab]  # fmt: skip
        written.append(write_table(folder / f"moodle-{lab}.csv", MOODLE, table))
    return written


def _canvas(path: Path, finals: list[Final], ids: dict[str, dict[str, str]]) -> Path:
    """One row for each student, one column for each lab; a lab not handed in stays empty."""
    labs = sorted({row.lab for row in finals})
    most = {row.lab: row.max_points for row in finals}
    got = {(row.student, row.lab): row.final for row in finals}
    possible = ("    Points Possible", "", "", "", "", *(most[lab] for lab in labs))
    table = [
        (name, ids[name]["canvas"], "", "", "", *(got.get((name, lab), "") for lab in labs))
        for name in sorted({row.student for row in finals})
    ]
    return write_table(path, (*CANVAS, *labs), [possible, *table])
