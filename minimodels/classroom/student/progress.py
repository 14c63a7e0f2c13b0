"""`minimodels progress` and the first page: chapters run, labs passed, and what comes next."""

from dataclasses import dataclass
from pathlib import Path

from minimodels import files
from minimodels.classroom.student import copies, memory

LECTURERS = "_for_lecturers"  # a chapter that needs a clone: students of a term don't run it


@dataclass(frozen=True)
class Row:
    """One stage. `next` is "" when all of it is done."""

    stage: str  # "architecture"
    chapters_run: int
    chapters: int
    labs_passed: int
    labs: int
    next: str  # what is shown: "07_gemma", "lab attention"
    do: str  # what to open or type: "course/…/07_gemma.ipynb", "minimodels start attention"


def rows() -> list[Row]:
    """One Row a stage, in the order of the course."""
    root, known = files.repository(), memory.read()
    folders = {folder.name for tree in ("course", "labs") for folder in root.glob(f"{tree}/*_*")
               if folder.is_dir()}  # fmt: skip
    return [_row(root, stage, known) for stage in sorted(folders)]


def text() -> str:
    """The table, and one line on what to do next."""
    found = rows()
    lines = [f"{'stage':14}{'chapters':>10}{'labs':>8}   next"]
    for row in found:
        lines.append(_line(row.stage, row, row.next or "done"))
    run, chapters, passed, labs = (sum(getattr(row, part) for row in found) for part in
                                   ("chapters_run", "chapters", "labs_passed", "labs"))  # fmt: skip
    lines.append(_line("all", Row("all", run, chapters, passed, labs, "", ""), "").rstrip())
    upcoming = [row.do for row in found if row.do]
    return "\n".join([*lines, f"next: {upcoming[0]}" if upcoming else "all is done"])


def show() -> None:
    """Print the table, in a notebook too."""
    print(text())


def _line(name: str, row: Row, last: str) -> str:
    chapters = f"{row.chapters_run} of {row.chapters}" if row.chapters else "–"
    labs = f"{row.labs_passed} of {row.labs}" if row.labs else "–"
    return f"{name:14}{chapters:>10}{labs:>8}   {last}"


def _row(root: Path, folder: str, known: dict) -> Row:
    chapters = sorted(path.stem for path in (root / "course" / folder).glob("[0-9]*.ipynb")
                      if not (copies.term() and path.stem.endswith(LECTURERS)))  # fmt: skip
    labs = [name for name, path in copies.labs().items() if path.parent.name == folder]
    left = [name for name in chapters if f"{folder}/{name}" not in known["chapters"]]
    open_labs = [name for name in labs if not known["labs"].get(name, {}).get("passed")]
    upcoming = do = ""
    if left:
        upcoming, do = left[0], f"course/{folder}/{left[0]}.ipynb"
    elif open_labs:
        name = open_labs[0]
        started = copies.plain(copies.labs()[name]).exists()
        upcoming, do = f"lab {name}", f"minimodels {'check' if started else 'start'} {name}"
    return Row(folder.split("_", 1)[1], len(chapters) - len(left), len(chapters),
               len(labs) - len(open_labs), len(labs), upcoming, do)  # fmt: skip
