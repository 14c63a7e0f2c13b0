"""What decides speed can be read without a GPU: 16 bytes a load, and the tensor cores' product.

Compiled for an H100 as it is launched there, in a process that does not interpret.
"""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)
ROWS = ("rms_norm", "layer_norm", "softmax", "glu", "rope", "adamw", "cross_entropy")
PRODUCTS = ("lora", "grouped_matmul")
COUNT = """
import collections, dataclasses, json, re, sys
from minimodels.kernels.compile import builds, compile_build
WORDS = r"(?:ld|st)[.]global[.](?:v[0-9][.])?b[0-9]+|cp[.]async[.]c[ag]|wgmma[.]mma_async"
found = {}
for build in (build for file in sys.argv[1:] for build in builds(file)):
    if "sm_90" in build.targets:
        found[build.name] = collections.Counter(
            re.findall(WORDS, compile_build(build, "sm_90").asm["ptx"]))
(norm, _) = builds("rms_norm")
odd = compile_build(dataclasses.replace(norm, aligned=()), "sm_90").asm["ptx"]
found["control"] = collections.Counter(re.findall(WORDS, odd))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    environment = os.environ | {
        "TRITON_INTERPRET": "0", "MINIMODELS_DEVICE": "cpu", "OMP_NUM_THREADS": "1",
        "TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("triton")),
    }  # fmt: skip
    command = [sys.executable, "-c", COUNT, *ROWS, *PRODUCTS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_rows_are_read_and_written_16_bytes_at_a_time(found):
    """A number of 2 bytes is never loaded by itself; one of 4 or 8 is what a row has one of."""
    control = found.pop("control")
    assert control["ld.global.b16"] > 20 and "ld.global.v4.b32" not in control
    products = [name for name in found if name.startswith(("lora", "grouped_matmul"))]
    for name in set(found) - set(products):
        words = found[name]
        assert words["ld.global.v4.b32"] > 0 and "ld.global.b16" not in words, name
        assert words.get("st.global.v4.b32", 0) > 0 or name == "cross_entropy", name
        assert words.get("st.global.b16", 0) == 0, name
    for name in (name for name in products if name.endswith("wide")):
        assert found[name]["wgmma.mma_async"] > 0 and found[name]["cp.async.cg"] > 0, name
