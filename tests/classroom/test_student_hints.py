"""Every lab, as it is handed out: three folded hints for each task, and nothing of the answers."""

import re

import pytest

from minimodels.classroom.normalize import Notebook, read, source
from minimodels.classroom.student import copies

HINT = re.compile(r"<details><summary>Hint ([123]): [^<]+</summary>\n\n(.+?)\n\n</details>", re.S)


def hints(notebook: Notebook) -> dict[str, list[str]]:
    """The numbers of the hints that stand before each grade cell, behind the one before it."""
    found, numbers = {}, []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            numbers += [number for number, _ in HINT.findall(source(cell))]
        if copies.nbgrader(cell).get("grade"):
            found[copies.key(cell)], numbers = numbers, []
    return found


@pytest.mark.parametrize("lab", copies.labs().values(), ids=copies.short)
def test_each_task_has_three_hints(lab):
    found = hints(read(lab))
    assert found and all(numbers == ["1", "2", "3"] for numbers in found.values()), found


def test_a_hint_that_is_missing_or_open_is_found():
    lab = read(next(iter(copies.labs().values())))
    text = [cell for cell in lab["cells"] if "Hint 2" in source(cell)][0]
    text["source"] = source(text).replace(
        "<details><summary>Hint 2", "<details open><summary>Hint 2"
    )
    assert ["1", "3"] in hints(lab).values()
