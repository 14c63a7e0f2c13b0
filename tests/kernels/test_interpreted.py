"""Each file of tests/kernels/interpreted in a process that interprets Triton's kernels."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "interpreted"
FILES = sorted(path.stem for path in FOLDER.glob("test_*.py"))

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)


@needs_triton
@pytest.mark.parametrize("file", FILES)
def test_interpreted(file):
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", FOLDER / f"{file}.py"]
    environment = os.environ | {
        "TRITON_INTERPRET": "1", "MINIMODELS_DEVICE": "cpu", "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(FOLDER),
    }  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout
