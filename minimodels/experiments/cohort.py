"""A term with thirty invented students, from what they hand in to their grades.

    students = invented(lab)                    # right, wrong, unfinished, damaged, hostile
    hand_in(students, place / "canvas.zip")     # as Canvas packs what it was given

Each knows what a fair grader must give. Nothing here is used for grading.
"""

import json
import random
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from minimodels.classroom import lab as labs
from minimodels.classroom.cohort import Cohort, Plan
from minimodels.classroom.grading import batch
from minimodels.classroom.grading.records import Record
from minimodels.classroom.lab import Lab, changed
from minimodels.classroom.normalize import Cell, Notebook, dumps, source
from minimodels.classroom.release import handout
from minimodels.classroom.reports import outputs

NAMES = """
Ada Berg|Ben Costa|Chen Li|Dana Novak|Emil Sato|Fatma Kaya|Goran Ilic|Hana Mori|Ivo Rossi|Jing Wu
Kofi Mensah|Lena Fuchs|Marek Dvorak|Nils Holm|Olga Petrova|Priya Rao|Quentin Roy|Rosa Diaz
Samir Haddad|Tove Lund|Uma Shah|Viktor Toth|Wanda Zielinska|Xia Chen|Yara Nasser|Zeno Galli
Anouk Visser|Bilal Khan|Carla Mendes|Dmitri Orlov""".strip().replace("\n", "|").split("|")

HOSTILE = {  # what stands where the first answer should
    "leaves the process": "import os\n\nos._exit(0)",
    "never ends": "def {name}(*_):\n    while True:\n        pass",
    "eats memory": "def {name}(*_):\n    return [bytearray(1 << 30) for _ in range(64)]",
    "forks without end": "import os\n\n\ndef {name}(*_):\n    while True:\n        os.fork()",
    "equals everything": "class Yes(float):\n    __eq__ = lambda *_: True\n\n\n"
                         "def {name}(*_):\n    return Yes(1)",
    "imports the answer": "from minimodels.architecture.attention import *",
    "reads the solutions": "import glob\n\nfound = glob.glob('/**/solutions/**/*.ipynb', "
                           "recursive=True)\n\n\ndef {name}(*_):\n    return open(found[0]).read()",
}  # fmt: skip


@dataclass(frozen=True)
class Student:
    """One invented student and the file that was handed in."""

    name: str
    kind: str  # right, wrong, unfinished, damaged, unreadable, hostile
    about: str
    file: bytes
    fair: dict[str, float]  # points by task that a fair grader gives; {}: not told beforehand


def invented(lab: Lab, seed: int = 0) -> list[Student]:
    """Thirty students of a lab; the seed shuffles who does what."""
    most = lab.points()
    rows = [("right", "the solution", _file(solved(lab)), most)]
    rows += [("right", f"in other words, {number}",
              _file(solved(lab, changed(lab.master, each.replace))), most)
             for number, each in enumerate(lab.alternatives, start=1)] * 3  # fmt: skip
    del rows[9:]
    for mutant in lab.mutants[:: max(1, len(lab.mutants) // 6)][:6]:
        notebook = solved(lab, changed(lab.master, mutant.replace))
        rows.append(("wrong", mutant.message, _file(notebook), {mutant.task: mutant.points}))
    rows.append(("unfinished", "nothing written", _file(handout(lab)), dict.fromkeys(most, 0.0)))
    rows += [("damaged", name, damage(solved(lab)), most) for name, damage in DAMAGE.items()]
    rows += [("unreadable", "an empty file", b"", dict.fromkeys(most, 0.0)),
             ("unreadable", "half a file", _file(solved(lab))[:5000], dict.fromkeys(most, 0.0))]
    rows += [_hostile(lab, about, text) for about, text in HOSTILE.items()]
    while len(rows) < len(NAMES):
        rows.insert(1, rows[0])
    names = random.Random(seed).sample(NAMES, len(NAMES))
    return [Student(name, *row) for name, row in zip(names, rows, strict=False)]


def solved(lab: Lab, master: Notebook | None = None) -> Notebook:
    """The notebook of a student who wrote what stands in a master."""
    answers = {_grade_id(cell): cell for cell in (master or lab.master)["cells"]}
    notebook = handout(lab)
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            lines = source(answers[_grade_id(cell)]).splitlines(keepends=True)
            cell["source"] = "".join(line for line in lines if "### " not in line)
    return notebook


def hand_in(students: list[Student], path: Path, lab: str = "attention") -> Path:
    """Write a zip as Canvas gives it to a lecturer; returns its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, student in enumerate(students, start=1):
            name = f"{login(student)}_{1000 + number}_{9000 + number}_lab_{lab}.ipynb"
            archive.writestr(name, student.file)
    return path


def run(seed: int = 0) -> dict:
    """The experiment: thirty students graded, what each got, whether that is fair, and how fast."""
    from minimodels.bench import grading  # which imports this module

    path = next(path for path in labs.masters() if path.stem == "lab_attention")
    lab, cohort = labs.load(path), Cohort("invented", seed, {"attention": Plan()})
    students = invented(lab, seed)
    with tempfile.TemporaryDirectory() as folder:
        grades = Path(folder) / "grades"
        done = batch.grade(hand_in(students, Path(folder) / "canvas.zip"), grades, cohort)
        outputs.write(grades, done.after, cohort, {"attention": lab},
                      lambda record: batch.answers(grades, record))  # fmt: skip
        made = sorted(path.name for path in grades.iterdir())
    table = compared(students, done.after)
    statuses = Counter(status for row in table for status in row["statuses"])
    return {"students": table, "seconds_grading": round(done.seconds, 1),
            "statuses": dict(statuses), "made": made,
            "seconds_each": grading.seconds_each(lab, 100, 6)}  # fmt: skip


def compared(students: list[Student], found: list[Record]) -> list[dict]:
    """What each student got, beside what is fair."""
    records = {record.student: record for record in found}
    table = []
    for student in students:
        verdicts = records[login(student)].verdicts
        got = {verdict.task: verdict.points for verdict in verdicts}
        table.append({
            "kind": student.kind, "about": student.about, "points": sum(got.values()),
            "statuses": [verdict.status for verdict in verdicts],
            "fair": all(got[task] == fair for task, fair in student.fair.items()),
        })  # fmt: skip
    return table


def login(student: Student) -> str:
    """How Canvas names a student in its files: last name and first name in one word."""
    return "".join(reversed(student.name.lower().split()))


def _hostile(lab: Lab, about: str, text: str) -> tuple:
    """The first answer is an attack and the others are right, as far as they need not the first."""
    notebook = solved(lab)
    first = next(cell for cell in notebook["cells"]
                 if cell["metadata"].get("nbgrader", {}).get("solution"))  # fmt: skip
    name = source(first).split("def ")[1].split("(")[0]
    first["source"] = text.replace("{name}", name)
    return "hostile", about, _file(notebook), {next(iter(lab.points())): 0.0}


def _no_ids(notebook: Notebook) -> bytes:
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"lost-{number}"
    return _file(notebook)


def _backwards(notebook: Notebook) -> bytes:
    return _file({**notebook, "cells": notebook["cells"][::-1]})


def _windows(notebook: Notebook) -> bytes:
    text = json.dumps(notebook).replace("\\n", "\\r\\n")
    return b"\xef\xbb\xbf" + text.encode("utf-8")


def _no_checks(notebook: Notebook) -> bytes:
    kept = [cell for cell in notebook["cells"] if "visible-check" not in _tags(cell)]
    return _file({**notebook, "cells": kept})


def _twice(notebook: Notebook) -> bytes:
    return _file({**notebook, "cells": [*notebook["cells"], *notebook["cells"]]})


DAMAGE: dict[str, Callable[[Notebook], bytes]] = {
    "cell ids lost": _no_ids,
    "cells in reverse": _backwards,
    "Windows line ends and a mark in front": _windows,
    "the check cells deleted": _no_checks,
    "every cell twice": _twice,
}


def _file(notebook: Notebook) -> bytes:
    return dumps(notebook).encode("utf-8")


def _grade_id(cell: Cell) -> str:
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


def _tags(cell: Cell) -> list[str]:
    return cell["metadata"].get("tags", [])
