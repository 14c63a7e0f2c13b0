"""Seconds a submission: our judge beside nbgrader's own autograde, on the same notebooks.

    python -m minimodels.bench.grading --ours 100 --nbgrader 6

Both grade copies of the attention lab: solutions, mutants and stubs in turn. nbgrader starts a
kernel for each notebook and runs every cell, the checks of the notebook among them; ours runs the
answers and the private checks, each notebook in a box of its own, on all cores.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from minimodels.classroom import lab as labs
from minimodels.classroom.cohort import Cohort, Plan
from minimodels.classroom.grading import batch
from minimodels.classroom.lab import Lab, changed
from minimodels.classroom.normalize import Notebook, dumps
from minimodels.experiments.cohort import solved


def submissions(lab: Lab, count: int) -> list[Notebook]:
    """So many notebooks, right and wrong in turn."""
    made = [solved(lab), *(solved(lab, changed(lab.master, each.replace)) for each in lab.mutants)]
    return [made[number % len(made)] for number in range(count)]


def ours(lab: Lab, count: int, folder: Path) -> float:
    """Seconds that a whole batch takes, servers started, records written."""
    for number, notebook in enumerate(submissions(lab, count)):
        place = folder / "in" / f"student{number:03}"
        place.mkdir(parents=True)
        (place / "lab_attention.ipynb").write_text(dumps(notebook), encoding="utf-8")
    cohort = Cohort("bench", 0, {"attention": Plan()})
    start = time.perf_counter()
    run = batch.grade(folder / "in", folder / "grades", cohort)
    seconds = time.perf_counter() - start
    assert run.judged == count and len(run.after) == count
    return seconds


def nbgraders(lab: Lab, count: int, folder: Path) -> float:
    """Seconds that `nbgrader autograde` takes for as many."""
    stage = lab.path.parent.name
    source = folder / "source" / stage / lab.path.name
    source.parent.mkdir(parents=True)
    source.write_text(dumps(lab.master), encoding="utf-8")
    _nbgrader(folder, "generate_assignment", stage, "--create")
    for number, notebook in enumerate(submissions(lab, count)):
        place = folder / "submitted" / f"student{number:03}" / stage / lab.path.name
        place.parent.mkdir(parents=True)
        place.write_text(dumps(notebook), encoding="utf-8")
    start = time.perf_counter()
    _nbgrader(folder, "autograde", stage, "--create")
    return time.perf_counter() - start


def seconds_each(lab: Lab, count: int, theirs: int) -> dict[str, float]:
    """Seconds a submission of both graders, measured one after the other."""
    each = {}
    for name, grade, many in (("minimodels", ours, count), ("nbgrader", nbgraders, theirs)):
        with tempfile.TemporaryDirectory() as folder:
            each[name] = round(grade(lab, many, Path(folder)) / many, 3)
    return each


def _nbgrader(folder: Path, *words: str) -> None:
    command = [sys.executable, "-m", "nbgrader", *words]
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])  # its alembic
    subprocess.run(command, cwd=folder, check=True, capture_output=True,
                   env={**os.environ, "PATH": path})  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", type=int, default=100, help="submissions for our judge")
    parser.add_argument("--nbgrader", type=int, default=6, help="submissions for nbgrader")
    counts = parser.parse_args()
    lab = labs.load(labs.by_name()["attention"])
    for name, seconds in seconds_each(lab, counts.ours, counts.nbgrader).items():
        print(f"{name:12} {seconds:6.2f} s a submission")


if __name__ == "__main__":
    main()
