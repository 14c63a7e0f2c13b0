"""The kernel in the interpreter equals its reference, and compiles for GPUs that are not here.

Triton decides at import whether to interpret, so each way runs in a process of its own.
"""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from minimodels.architecture.norms import RMSNorm
from minimodels.kernels.rms_norm import rms_norm, rms_norm_reference

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)

INTERPRETED = """
import torch
from minimodels.device import triton_mode
from minimodels.kernels.rms_norm import rms_norm, rms_norm_reference
assert triton_mode() == "interpreter"
torch.manual_seed(0)
for shape in [(1,), (3, 1), (2, 3, 5), (4, 128), (7, 100)]:
    for dtype, tolerance in [(torch.float32, 1e-6), (torch.bfloat16, 1e-2), (torch.float16, 2e-3)]:
        x, weight = torch.randn(shape).to(dtype), torch.randn(shape[-1]).to(dtype)
        wanted, got = rms_norm_reference(x, weight, 1e-3), rms_norm(x, weight, 1e-3)
        assert got.dtype == dtype and got.shape == x.shape
        torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)
        assert (rms_norm(x, weight + 1, 1e-3) - wanted).abs().max() > 10 * tolerance  # control
x = torch.randn(6, 4).T
weight = torch.zeros(6)
torch.testing.assert_close(rms_norm(x, weight, 1e-6), rms_norm_reference(x, weight, 1e-6))
print("equal")
"""

COMPILED = """
import re, sys
from minimodels.kernels.compile import compile_only
from minimodels.kernels.rms_norm import rms_norm_kernel
signature = dict(x_ptr="*bf16", weight_ptr="*bf16", out_ptr="*bf16", columns="i32", eps="fp32")
kernel = compile_only(rms_norm_kernel, signature, {"BLOCK": 2048}, int(sys.argv[1]))
ptx = kernel.asm["ptx"]
assert f".target sm_{sys.argv[1]}" in ptx and len(kernel.asm["cubin"]) > 1000
assert "rsqrt" in ptx and not re.search(r"(ld|st)\\.local", ptx)  # nothing spilled
print("compiled")
"""


def run(code, *arguments, **environment):
    command = [sys.executable, "-c", code, *arguments]
    environment = os.environ | {"MINIMODELS_DEVICE": "cpu"} | environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@needs_triton
def test_interpreted():
    assert run(INTERPRETED, TRITON_INTERPRET="1") == "equal"


@needs_triton
@pytest.mark.parametrize("capability", ["80", "90"])
def test_compiles_without_a_gpu(capability, tmp_path):
    cache = {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    assert run(COMPILED, capability, **cache) == "compiled"


def test_imports_without_triton():
    code = "import sys; sys.modules['triton'] = None\nimport minimodels.kernels.rms_norm"
    assert run(code) == ""


def test_reference_is_the_layer():
    norm = RMSNorm(9, eps=1e-3)
    with torch.no_grad():
        norm.weight.normal_()
    x = torch.randn(4, 9)
    assert torch.equal(rms_norm_reference(x, norm.weight, 1e-3), norm(x))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("shape", [(5, 1), (3, 77), (4096, 3072), (2, 18432)])
def test_on_a_gpu(shape):
    x = torch.randn(shape, device="cuda", dtype=torch.bfloat16)
    weight = torch.randn(shape[-1], device="cuda", dtype=torch.bfloat16)
    wanted = rms_norm_reference(x, weight, 1e-6)
    torch.testing.assert_close(rms_norm(x, weight, 1e-6), wanted, rtol=1e-2, atol=1e-2)
