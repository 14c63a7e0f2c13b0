"""The judge, on a toy lab: right, wrong, hanging, crashing and damaged answers."""

import copy
import io
import json

import numpy as np
import pytest
import torch

from minimodels.classroom import lab as labs
from minimodels.classroom.compare import difference
from minimodels.classroom.grading import plain
from minimodels.classroom.grading.judge import Judge
from minimodels.classroom.handed_in.rebuild import code
from minimodels.classroom.normalize import source
from minimodels.classroom.release import release
from tests.classroom import toys


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return labs.load(toys.write(tmp_path_factory.mktemp("clone")))


@pytest.fixture(scope="module")
def judge():
    with Judge() as judge:
        yield judge


def graded(judge, lab, **answers):
    """Grade the master with the bodies of functions replaced: {"scaled": "return 1"}."""
    notebook = copy.deepcopy(lab.master)
    for cell in notebook["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name in answers:
            cell["source"] = answers[name]
    return {verdict.task: verdict for verdict in judge.grade(lab, notebook)}


def test_solution_stub_mutants_and_alternatives(judge, lab):
    assert [v.status for v in judge.grade(lab, lab.master)] == ["pass", "pass"]
    for verdict in judge.grade(lab, release(lab.master)):
        assert verdict.points == 0 and verdict.status == "fail"
        assert verdict.message == f"{verdict.task}: not written yet."
    for mutant in lab.mutants:
        verdicts = judge.grade(lab, labs.changed(lab.master, mutant.replace))
        verdict = next(v for v in verdicts if v.task == mutant.task)
        assert verdict.points == mutant.points and mutant.message in verdict.message, mutant
    for alternative in lab.alternatives:
        verdicts = judge.grade(lab, labs.changed(lab.master, alternative.replace))
        assert all(v.points == v.max_points for v in verdicts), alternative


def test_other_seeds_give_other_inputs_and_the_same_marks(judge, lab):
    assert all(v.status == "pass" for v in judge.grade(lab, lab.master, seed=7))
    first, second = (lab.checks[0].inputs(np.random.default_rng([s, 0])) for s in (0, 7))
    assert not np.array_equal(first["x"], second["x"])


@pytest.mark.parametrize(
    "answer, status, says",
    [
        ("def scaled(x, d):\n    while True: pass", "timeout", "too long"),
        ("import os\ndef scaled(x, d): os._exit(0)", "crash", "ended without an answer"),
        ("def scaled(x, d): return bytearray(20 * 2**30)", "out of memory", "memory"),
        ("def scaled(x, d): raise SystemExit", "fail", "SystemExit"),
        ("def scaled(x, d): return 1 / 0", "fail", "at `def scaled(x, d): return 1 / 0`"),
        ("def scaled(x, d): return object()", "fail", "no plain data"),
        ("def scaled(x, d): return None", "fail", "None"),
        ("1 / 0", "invalid", "`scaled` is not defined (a cell failed: ZeroDivisionError"),
        ("def scaled(x, d:", "invalid", "SyntaxError"),
        ("import colorsys\ndef scaled(x, d): return 1", "invalid", "asks you to write"),
        ("def scaled(x, d): return torch.nn.functional.softmax(x)", "fail", "asks you to write"),
    ],
)
def test_one_bad_answer_has_a_name_and_the_other_task_goes_on(judge, lab, answer, status, says):
    verdicts = graded(judge, lab, scaled=answer)
    assert (verdicts["scale"].status, verdicts["scale"].points) == (status, 0), verdicts["scale"]
    assert says in verdicts["scale"].message
    assert verdicts["mean"].status == "pass"


@pytest.mark.parametrize("answer", ["while True: pass", "import sys; sys.exit()"])
def test_a_cell_that_hangs_or_leaves_costs_only_its_task(judge, lab, answer):
    verdicts = graded(judge, lab, scaled=answer)
    assert verdicts["scale"].status == "invalid" and verdicts["mean"].status == "pass"


@pytest.mark.parametrize("answer", ["import os; os._exit(0)", "import os; os.abort()"])
def test_a_cell_that_ends_the_process_costs_only_its_task(judge, lab, answer):
    verdicts = graded(judge, lab, scaled=answer)
    assert verdicts["scale"].status == "invalid" and verdicts["mean"].status == "pass"
    assert "cell 3 ended everything" in verdicts["scale"].message
    assert all(v.status == "pass" for v in judge.grade(lab, lab.master))  # and the judge goes on


def test_an_object_that_equals_everything_gets_nothing(judge, lab):
    answer = ("class All(float):\n    def __eq__(self, other): return True\n"
              "def scaled(x, d): return All(3)")  # fmt: skip
    assert graded(judge, lab, scaled=answer)["scale"].points == 0


def test_students_code_is_what_is_unlocked(lab):
    notebook = copy.deepcopy(release(lab.master))
    cells = notebook["cells"]
    setup = next(cell for cell in cells if source(cell) == toys.SETUP)
    setup["source"] = "print('changed by hand')"
    cells.append(toys.code("extra = 1"))
    cells.append(copy.deepcopy(setup))
    taken = code(lab, notebook)
    assert taken[0] == toys.SETUP and taken.count(toys.SETUP) == 1
    assert taken[-1] == "extra = 1" and len(taken) == 4
    assert not any("assert" in each or "SystemExit" in each for each in taken)
    cells.remove(setup)
    cells.pop()
    assert code(lab, notebook)[0] == toys.SETUP  # a deleted one comes back at its place


def test_magics_do_not_stop_a_notebook(judge, lab):
    answer = "%matplotlib inline\n!ls\ndef scaled(x, d):\n    return x / d ** 0.5"
    assert graded(judge, lab, scaled=answer)["scale"].status == "pass"


@pytest.mark.parametrize(
    "got, expected, says",
    [
        (1, 1, ""),
        (1.0, 1, "it is a float and must be an int"),
        (2, 1, "it is too large"),
        (0, 1, "it is too small"),
        (1.0 + 1e-6, 1.0, ""),
        (1.5, 1.0, "off by 0.5"),
        ("a", "b", "another value"),
        (True, 1, "it is a bool and must be an int"),
        ([1, 2], [1, 3], "part 1: it is too small"),
        ([1], [1, 2], "1 values and must be 2"),
        ({"a": [2]}, {"a": [1]}, "a: part 0: it is too large"),
        ({"a": 1}, {"b": 1}, "'b' is missing"),
        ({"a": 1, "b": 1}, {"b": 1}, "'a' should not be there"),
        (np.zeros(3), np.zeros((3, 1)), "shape is (3,) and must be (3, 1)"),
        (np.zeros(3, "float32"), np.zeros(3), "dtype is float32 and must be float64"),
        (np.array([np.nan, 0]), np.zeros(2), "1 of 2 values are not finite"),
        (np.array([np.nan, 0]), np.array([np.nan, 0]), ""),
        (np.array([1, 2]), np.array([1, 3]), "1 of 2 values differ"),
        (torch.zeros(2), torch.zeros(2), ""),
        (np.array([[0.0, 0], [0, 3]]), np.zeros((2, 2)),
         "values differ from row 1 on (largest error 3 at [1, 1])"),
        (3.0, np.zeros(2), "it is a float and must be a tensor or array of shape (2,)"),
        (np.zeros(2), np.array([0, -np.inf]), "values differ (largest error inf at [1])"),
        (np.zeros(2), np.array([np.nan, np.nan]), "values differ"),
        (np.array([1, np.inf]), np.array([1, np.inf]), ""),
        (0.0, float("inf"), "off by inf"),
        (float("nan"), float("nan"), ""),
        (10**400, 1.0, "far too large"),
    ],
)  # fmt: skip
def test_differences_are_named_without_the_answer(got, expected, says):
    what = difference(got, expected)
    assert says in what if says else what == ""


def test_plain_data_makes_the_round_trip_and_nothing_else_does():
    half = torch.ones(2, dtype=torch.bfloat16)
    value = {"a": [1, 2.5, "x", None, True], "t": half, "n": {"m": []}}
    back = plain.loads(plain.dumps(value))
    assert back["a"] == value["a"] and back["n"] == value["n"]
    np.testing.assert_array_equal(back["t"], np.ones(2, "float32"))
    for strange in (object(), np.array([object()]), {1, 2}, b"bytes"):
        with pytest.raises(TypeError, match="no plain data"):
            plain.dumps(strange)


def packed(tree, **arrays):
    archive = io.BytesIO()
    np.savez_compressed(archive, **arrays)
    text = json.dumps(tree).encode()
    return plain.LENGTH.pack(len(text)) + text + archive.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 40,
        plain.LENGTH.pack(2**60) + b"{}",
        plain.LENGTH.pack(5) + b"[[[[[",
        plain.LENGTH.pack(200_000) + b"[" * 200_000,
        packed({"__array__": "a0"}, a0=np.array([object()], dtype=object)),
        packed({"__array__": "another"}, a0=np.zeros(2)),
        packed({"neither": 1}),
    ],
)
def test_what_is_no_plain_data_is_refused(data):
    with pytest.raises(ValueError):
        plain.loads(data)


def test_too_much_data_is_refused_before_it_is_unpacked(monkeypatch):
    data = packed({"__array__": "a0"}, a0=np.zeros(100_000))
    assert len(data) < 10_000
    with pytest.raises(ValueError, match="more values than there is data"):
        plain.loads(data)  # what is compressed was not written by `dumps`
    data = plain.dumps(np.zeros(100_000))
    assert len(plain.loads(data)) == 100_000
    monkeypatch.setattr(plain, "MOST", 10_000)
    with pytest.raises(ValueError, match="more than"):
        plain.loads(data)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="more than"):
        plain.loads(plain.dumps(["x"] * (plain.TREE // 4)))
