"""Answers as plain Python, one file for each student and task, for Dolos or JPlag to compare.

    similarity/attention/mask/doe.py
    similarity/attention/_template/mask.py    what everybody was given

Comments, docstrings and layout are gone, so that rewording them hides nothing. Which answers are
alike, those tools say; what it means, a person decides.
"""

import ast
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from minimodels import files
from minimodels.classroom.grading.records import Record, file_name
from minimodels.classroom.reports.tasks import answer, tasks
from minimodels.classroom.lab import Lab
from minimodels.classroom.normalize import source
from minimodels.classroom.release import release

Answers = Callable[[Record], Mapping[str, str]]
README = """\
Answers without comments, docstrings and layout: LAB/TASK/STUDENT.py.
What everybody was given: LAB/_template/TASK.py.

Dolos (https://dolos.ugent.be), which opens a page on this computer:
    dolos run -f web -l python --ignore {lab}/_template/{task}.py {lab}/{task}/*.py

JPlag (https://github.com/jplag/JPlag):
    java -jar jplag.jar -l python3 -bc {lab}/_template {lab}/{task}

A short task has few right answers, and they are alike without anybody having copied.
"""


def write(
    grades: Path, records: Iterable[Record], labs: Mapping[str, Lab], answers: Answers
) -> list[Path]:
    """Write the folder `similarity` anew; answers that are as they were given are left out."""
    templates = {name: template(lab) for name, lab in labs.items()}
    known = {name: tasks(lab) for name, lab in labs.items()}
    records = list(records)
    handed_in = {record.lab for record in records}
    with files.atomic_folder(grades / "similarity") as folder:
        for record in records:
            own = answers(record)
            for task, given in templates.get(record.lab, {}).items():
                text = normalized(answer(known[record.lab][task], own), given)
                place = folder / record.lab / file_name(task) / f"{file_name(record.student)}.py"
                if text:
                    files.write_text(place, text)
        for lab, given in templates.items():
            for task, text in given.items() if lab in handed_in else ():
                files.write_text(folder / lab / "_template" / f"{file_name(task)}.py", text)
        lab = next((name for name in templates if templates[name] and name in handed_in), "LAB")
        task = next(iter(templates.get(lab, {})), "TASK")
        files.write_text(folder / "README.txt", README.format(lab=lab, task=file_name(task)))
    return [grades / "similarity" / "README.txt"]


def template(lab: Lab) -> dict[str, str]:
    """What a student is given for each task that is answered in code, normalized."""
    cells = {cell["metadata"].get("nbgrader", {}).get("grade_id"): cell
             for cell in release(lab.master)["cells"] if cell["cell_type"] == "code"}  # fmt: skip
    given = {}
    for name, task in tasks(lab).items():
        texts = [source(cells[cell]) for cell in task.answers if cell in cells]
        if texts:
            given[name] = normalized("\n".join(texts))
    return given


def normalized(code: str, given: str = "") -> str:
    """Code without comments, docstrings and layout, and without the statements of `given`.

    Code that is no Python stays as it is, but for spaces at the ends of lines.
    """
    try:
        tree = ast.parse(code)
        known = {ast.unparse(node) for node in ast.parse(given).body}
        for node in ast.walk(tree):
            _drop_docstring(node)
        kept = [ast.unparse(node) for node in tree.body]
        return "".join(f"{text}\n" for text in kept if text not in known)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "".join(f"{line.rstrip()}\n" for line in code.splitlines() if line.strip())


def _drop_docstring(node: ast.AST) -> None:
    body = getattr(node, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
        value = body[0].value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            body[:1] = [] if len(body) > 1 or isinstance(node, ast.Module) else [ast.Pass()]
