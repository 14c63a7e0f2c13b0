"""Every kernel compiles for GPUs that are not here, without spilling, or is refused in a sentence.

In a process of its own, one a kernel file: Triton must not interpret there.
"""

import importlib.util
import os
import subprocess
import sys

import pytest

from minimodels.kernels.compile import CHECKED, FILES

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)
WITHOUT = {
    "__init__",
    "attention_tiles",
    "checks",
    "compile",
    "figures",
    "lessons",
    "pieces",
    "quant",
    "trace",
}  # files that hold no kernel

# One number to a lane, and the program's number times a constant.
SHORT = {"adamw", "glu"}

COMPILE = """
import re, sys
from minimodels.errors import UserError
from minimodels.kernels.compile import builds, compile_build, resources
LONG = r"(mul|mad)[.](lo[.]s64|wide[.][su]32)\\s+%rd[0-9]+, %rd?[0-9]+, %rd?[0-9]+"
short = sys.argv.pop(1) == "short"
found = builds(sys.argv[1])
for build in found:
    for target in set(sys.argv[2:]) & set(build.targets):
        if target in build.refused:
            try:
                compile_build(build, target)
            except UserError as error:
                assert build.refused[target] in str(error)
                continue
            raise AssertionError("not refused")
        compiled = compile_build(build, target)
        used = resources(compiled)
        text = compiled.asm.get("ptx") or compiled.asm["amdgcn"]
        assert target in text, f"{build.name} is not for {target}"
        if target == "sm_90":  # row · width may pass 2³¹: a product of two registers in 64 bits
            assert re.search(LONG, text) or short, f"{build.name} computes offsets in 32 bits"
        assert used.spilled <= build.spills, (build.name, target, used)
        assert used.shared <= {"gfx942": 65536}.get(target, 232448 if "9" in target else 166912)
print(len(found))
"""


@needs_triton
@pytest.mark.parametrize("file", [file for file in FILES if file not in WITHOUT])
def test_compiles_without_a_gpu(file, tmp_path):
    environment = os.environ | {
        "TRITON_INTERPRET": "0", "MINIMODELS_DEVICE": "cpu", "TRITON_CACHE_DIR": str(tmp_path),
    }  # fmt: skip
    length = "short" if file in SHORT else "long"
    command = [sys.executable, "-c", COMPILE, length, file, *CHECKED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 0, f"{file}.py has no builds()"


def test_unknown_names():
    from minimodels.errors import UserError
    from minimodels.kernels.compile import builds, compile_only

    with pytest.raises(UserError, match="no kernel file 'rms'"):
        builds("rms")
    with pytest.raises(UserError, match="no target 'sm_70'"):
        compile_only(None, {}, {}, capability=70)
