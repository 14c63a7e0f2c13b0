"""What is launched compiles: other types and sizes than the builds of each file, and the builds
themselves are what the launchers choose. In processes of their own: Triton must not interpret."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)
NAMES = ["rms_norm", "layer_norm", "decoding", "bends", "rope", "cross_entropy", "lora", "experts",
         "int_matmul", "rows", "attention 64", "attention 128", "attention 256"]  # fmt: skip


def run(tmp_path, *command):
    environment = os.environ | {
        "TRITON_INTERPRET": "0", "MINIMODELS_DEVICE": "cpu", "TRITON_CACHE_DIR": str(tmp_path),
        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(FOLDER),
    }  # fmt: skip
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True,
                          text=True, timeout=580)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@needs_triton
@pytest.mark.parametrize("name", NAMES)
def test_launches_compile(name, tmp_path):
    """In float32 for gfx942, and with all sizes 1 in bf16 for sm_90."""
    usual, ones = map(int, run(tmp_path, FOLDER / "launch_cases.py", name).split())
    assert usual > 0 and ones > 0


@needs_triton
@pytest.mark.parametrize("target", ["sm_80", "sm_90", "gfx942"])
def test_builds_are_launches(target, tmp_path):
    """Each build has the constants, warps and stages that the launcher chooses at such sizes."""
    assert run(tmp_path, FOLDER / "launch_cases.py", "builds", target).split() == []
