"""The tasks of a lab as people read them: title, points, and the cells that answer them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from minimodels.classroom.lab import Lab
from minimodels.classroom.normalize import source

HEADING = re.compile(r"^##\s+(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Task:
    """One graded cell of a lab.

    `answers` are the grade_ids of the cells a student fills for it: those between the grade cell
    before and this one. A cell that is both answer and grade cell is marked by a person.
    """

    name: str
    title: str  # the heading before it, "1. Who may look at whom", else the name
    points: float
    answers: tuple[str, ...]
    by_hand: bool


def tasks(lab: Lab) -> dict[str, Task]:
    """The tasks of a lab by name, in the order of its master notebook."""
    found: dict[str, Task] = {}
    title, answers = "", []
    for cell in lab.master["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] == "markdown" and (heading := HEADING.search(source(cell))):
            title = heading[1].strip()
        if about.get("solution"):
            answers.append(about["grade_id"])
        if about.get("grade"):
            name, by_hand = about["grade_id"], bool(about.get("solution"))
            taken = title in {task.title for task in found.values()}
            shown = f"{title} · {name}" if title and taken else title or name
            found[name] = Task(name, shown, float(about["points"]), tuple(answers), by_hand)
            answers = []
    return found


def answer(task: Task, answers: Mapping[str, str]) -> str:
    """What a student wrote for a task: its answer cells in order."""
    return "\n\n".join(answers[cell] for cell in task.answers if cell in answers)
