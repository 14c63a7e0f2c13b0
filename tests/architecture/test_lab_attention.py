"""The attention lab beyond what every lab must pass: what a student sees, adds and may not use."""

import copy
import re

import pytest

from minimodels import files
from minimodels.classroom import lab as labs
from minimodels.classroom.grading.judge import Judge
from minimodels.classroom.normalize import source, tags
from minimodels.classroom.release import release
from minimodels.classroom.visible import NotYet

LAB = labs.load(files.repository() / "solutions" / "03_architecture" / "lab_attention.ipynb")


def cells(notebook, task=""):
    """Setup and answers of a notebook and, if asked for, the visible check of one task."""
    for cell in notebook["cells"]:
        grader = cell["metadata"].get("nbgrader", {})
        if grader.get("solution") or grader.get("grade_id") in ("setup", task):
            yield source(cell)


def run(notebook, task):
    names = {"__name__": "lab"}
    for cell in cells(notebook, task):
        exec(cell, names)


def added(notebook, *answers):
    """A copy with cells of the student's own behind the last answer."""
    notebook = copy.deepcopy(notebook)
    last = max(index for index, cell in enumerate(notebook["cells"])
               if cell["metadata"].get("nbgrader", {}).get("solution"))  # fmt: skip
    for answer in reversed(answers):
        cell = {"cell_type": "code", "id": "", "metadata": {}, "source": answer}
        notebook["cells"].insert(last + 1, cell)
    return notebook


@pytest.fixture(scope="module")
def judge():
    with Judge() as judge:
        yield judge


@pytest.mark.parametrize("task", LAB.points())
def test_visible_checks_pass_the_solution(task, capsys):
    run(LAB.master, task)
    assert capsys.readouterr().out.splitlines()[-1] == "public checks passed"


@pytest.mark.parametrize("number", range(len(LAB.mutants)))
def test_visible_checks_catch_every_mutant(number, capsys):
    """In words of their own, or by the error that the wrong code itself raises."""
    mutant = LAB.mutants[number]
    with pytest.raises((NotYet, RuntimeError)) as caught:
        run(labs.changed(LAB.master, mutant.replace), mutant.task)
    if caught.type is NotYet:
        assert re.search(r"differ|finite|must be|too small|too large", str(caught.value))
        assert "Hint: " in str(caught.value)
    assert "public checks passed" not in capsys.readouterr().out


def test_cells_of_ones_own_cost_nothing(judge):
    """Notes, magics, a failing try, a helper, and markdown thrown away."""
    notebook = added(release(LAB.master), *cells(LAB.master), "%timeit 1\nnote = 'mine'", "1 / 0",
                     "def look():\n    return causal_mask(0, 3)", "look()")  # fmt: skip
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(verdict.status == "pass" for verdict in judge.grade(LAB, notebook))


@pytest.mark.parametrize("answer", [
    "attention = lambda q, k, v, mask: "
    "nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)",
    "attention = lambda q, k, v, mask: torch._C._nn.scaled_dot_product_attention(q, k, v, mask)",
    "from minimodels.architecture.attention import attention_by_hand as attention",
    "del attention\nfrom minimodels.architecture.decoder import attention",
    "attention = lambda q, k, v, mask: nn.MultiheadAttention(7, 1)(q, k, v)[0]",
])  # fmt: skip
def test_what_is_asked_for_cannot_be_borrowed(judge, answer):
    notebook = release(LAB.master)
    verdict = {verdict.task: verdict for verdict in judge.grade(LAB, added(notebook, answer))}
    assert verdict["attention"].points == 0


def test_three_closed_hints_a_task_and_no_answer_in_them():
    texts = [source(cell) for cell in LAB.master["cells"] if "<summary>Hint 1" in source(cell)]
    assert len(texts) == len(LAB.points())
    code = "\n".join(cells(LAB.master))
    answers = "\n".join(re.findall(r"### BEGIN SOLUTION\n(.*?)### END", code, re.DOTALL))
    whole = {line.strip() for line in answers.splitlines()} - {"if cache is not None:"}
    for text in texts:
        assert text.count("<details><summary>Hint ") == text.count("</details>") == 3
        assert not whole & {line.strip() for line in text.splitlines() if line}


def test_students_get_figures_checks_and_hints_but_no_answer():
    cells = release(LAB.master)["cells"]
    text = "\n".join(source(cell) for cell in cells)
    assert "BEGIN SOLUTION" not in text and "-math.inf" not in text
    assert sum("play" in tags(cell) for cell in cells) == len(LAB.points()) == 7
    assert all(not cell.get("outputs") for cell in cells)
