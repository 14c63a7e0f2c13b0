"""A lab of two small tasks, to prove the machinery that real labs use."""

import json
from pathlib import Path

from minimodels.classroom.normalize import dumps, normalize

ROOT = str(Path(__file__).resolve().parents[2])  # where the package is
SETUP = "import torch\nimport math"
MEAN = """\
def masked_mean(x, mask):
    # x (T, D), mask (T,) True where a token is real
    ### BEGIN SOLUTION
    kept = x[mask]
    return kept.sum(0) / mask.sum()
    ### END SOLUTION
"""
SCALE = """\
def scaled(x, d):
    ### BEGIN SOLUTION
    return x / math.sqrt(d)
    ### END SOLUTION
"""
CHECKS = '''
from minimodels.classroom.lab import Alternative, Check, Mutant


def rows(rng):
    x = rng.normal(size=(5, 4)).astype("float32")
    return {"x": x, "mask": [True, True, False, True, False]}


def all_rows(rng):
    return {"x": rng.normal(size=(4, 3)).astype("float32"), "mask": [True] * 4}


def mean(namespace, inputs):
    import torch

    x = torch.from_numpy(inputs["x"])
    return {"mean": namespace["masked_mean"](x, torch.tensor(inputs["mask"]))}


def scale(namespace, inputs):
    return [namespace["scaled"](float(x), 16) for x in inputs["x"][:, 0]]


CHECKS = [
    Check("mean", mean, rows, points=2, why="padding does not count", message="Whom do you count?"),
    Check("mean", mean, all_rows, points=1, why="no padding", message="Try it by hand."),
    Check("scale", scale, rows, points=2, why="unit variance", message="Which power of d?"),
]
MUTANTS = [
    Mutant("mean", {"/ mask.sum()": "/ len(mask)"}, 1, "Whom do you count?"),
    Mutant("mean", {"kept.sum(0)": "kept.sum(1)"}, 0, "shape is (3,) and must be (4,)"),
    Mutant("mean", {"return kept.sum(0)": "return kept.double().sum(0)"}, 0, "dtype is float64"),
    Mutant("scale", {"math.sqrt(d)": "d"}, 0, "Which power of d?"),
    Mutant("scale", {"return x / math": "return x / np"}, 0, "NameError"),
]
ALTERNATIVES = [
    Alternative("mean of what is kept", {"kept.sum(0) / mask.sum()": "kept.mean(0)"}),
    Alternative("a power", {"x / math.sqrt(d)": "x * d ** -0.5"}),
]
FORBIDDEN = ["torch.nn.functional.softmax", "colorsys"]
SECONDS = 3
'''


def graded(name: str, **more) -> dict:
    return {"grade": False, "grade_id": name, "locked": False, "schema_version": 3,
            "solution": False, "task": False, **more}  # fmt: skip


def code(source: str, nbgrader=None, tags=()) -> dict:
    metadata = {"tags": list(tags)}
    if nbgrader:
        metadata["nbgrader"] = nbgrader
    return {"cell_type": "code", "id": "", "source": source, "metadata": metadata,
            "execution_count": None, "outputs": []}  # fmt: skip


def grade_cell(task: str, points: float, source: str) -> dict:
    return code(source, graded(task, grade=True, locked=True, points=points), ["visible-check"])


def notebook() -> dict:
    cells = [
        {"cell_type": "markdown", "id": "", "metadata": {}, "source": "# Means"},
        code(SETUP, graded("setup", locked=True)),
        code(MEAN, graded("masked_mean", solution=True)),
        grade_cell("mean", 3, "assert masked_mean(torch.ones(2, 2), torch.ones(2) > 0).sum() == 2"),
        code(SCALE, graded("scaled", solution=True)),
        grade_cell("scale", 2, "assert scaled(4.0, 4) == 2.0"),
        code("raise SystemExit('the victory cell is not part of the answer')", tags=["victory"]),
    ]  # fmt: skip
    whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    return normalize(json.loads(json.dumps(whole)))


def write(root: Path) -> Path:
    """Write the lab into a clone at `root`; returns its master."""
    folder = root / "solutions" / "00_toy"
    folder.mkdir(parents=True)
    (root / "Makefile").touch()
    (root / "minimodels").mkdir(exist_ok=True)
    (folder / "lab_mean.ipynb").write_text(dumps(notebook()), encoding="utf-8")
    (folder / "lab_mean_checks.py").write_text(CHECKS, encoding="utf-8")
    (folder / "picture.svg").write_text("<svg/>", encoding="utf-8")
    return folder / "lab_mean.ipynb"
