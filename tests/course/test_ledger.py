"""The ledger, tried on small courses of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from minimodels.classroom.normalize import normalize

ROOT = Path(__file__).parents[2]


def cell(source, output="", tags=()):
    outputs = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
    return {"cell_type": "code", "id": "", "source": source, "metadata": {"tags": list(tags)},
            "execution_count": 1, "outputs": outputs}  # fmt: skip


def course(folder, **notebooks):
    for name, cells in notebooks.items():
        whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
        (folder / f"{name}.ipynb").write_text(json.dumps(normalize(whole)), encoding="utf-8")


def run(folder, *more):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = ["-m", "pytest", "-p", "tests.course.ledger", "-p", "no:cacheprovider", "--nbval"]
    command = [sys.executable, *words, "--nbval-current-env", *more, "."]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_cells_seconds_and_memory_are_listed(tmp_path):
    course(tmp_path, good=[cell("print(1)", "1\n"), cell("x = bytearray(400_000_000)")])
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    report = (tmp_path / "reports" / "tests.txt").read_text(encoding="utf-8").splitlines()
    row = next(line for line in report if line.startswith("good.ipynb"))
    assert row in done.stdout
    name, cells, seconds, memory = row.split()
    assert cells == "2/2" and float(seconds) > 0 and 0.3 < float(memory) < 2
    assert "2 passed" in done.stdout.splitlines()[-1]
    assert report[-1] == "2 passed, 0 failed, 0 skipped"


def test_nothing_is_skipped_in_silence(tmp_path):
    """Two workers, a notebook without cells, a cell and a test skipped, and another output."""
    course(tmp_path, empty=[], some=[cell("x = 1"), cell("1 / 0", tags=["nbval-skip"])],
           wrong=[cell("print(2)", "1\n")])  # fmt: skip
    (tmp_path / "tests").mkdir()
    code = "import pytest\n@pytest.mark.skip(reason='needs a GPU')\ndef test_a(): pass\n"
    (tmp_path / "tests" / "test_a.py").write_text(code)
    done = run(tmp_path, "-n2", "--dist", "loadfile")
    assert done.returncode == 1, done.stdout
    assert "no cell ran: empty.ipynb (of 0)" in done.stdout
    assert "not in skips.toml: some.ipynb::Cell 1" in done.stdout
    assert "skipped: tests/test_a.py::test_a (needs a GPU)" in done.stdout
    assert "not in skips.toml: tests/test_a.py" not in done.stdout
    assert "Cell outputs differ" in done.stdout
    assert "3 failed, 1 passed, 2 skipped" in done.stdout.splitlines()[-1]
