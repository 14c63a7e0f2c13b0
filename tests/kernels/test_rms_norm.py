"""RMSNorm without the interpreter: the reference is the layer, bad input is refused."""

import os
import subprocess
import sys

import pytest
import torch

from minimodels.architecture.norms import RMSNorm
from minimodels.errors import UserError
from minimodels.kernels.rms_norm import rms_norm, rms_norm_reference


def run(code, *arguments, **environment):
    command = [sys.executable, "-c", code, *arguments]
    environment = os.environ | {"MINIMODELS_DEVICE": "cpu"} | environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_imports_without_triton():
    code = "import sys; sys.modules['triton'] = None\nimport minimodels.kernels.rms_norm"
    assert run(code) == ""


def test_reference_is_the_layer():
    norm = RMSNorm(9, eps=1e-3)
    with torch.no_grad():
        norm.weight.normal_()
    x = torch.randn(4, 9)
    assert torch.equal(rms_norm_reference(x, norm.weight, 1e-3), norm(x))


def test_bad_input():
    x, weight = torch.randn(2, 5), torch.zeros(5)
    with pytest.raises(UserError, match="rms_norm: weight is on meta, x on cpu"):
        rms_norm(x, weight.to("meta"), 1e-6)
    with pytest.raises(UserError, match="rms_norm: x is torch.int64"):
        rms_norm(torch.zeros(2, 5, dtype=torch.int64), weight, 1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("shape", [(5, 1), (3, 77), (4096, 3072), (2, 18432)])
def test_on_a_gpu(shape):
    x = torch.randn(shape, device="cuda", dtype=torch.bfloat16)
    weight = torch.randn(shape[-1], device="cuda", dtype=torch.bfloat16)
    wanted = rms_norm_reference(x, weight, 1e-6)
    torch.testing.assert_close(rms_norm(x, weight, 1e-6), wanted, rtol=1e-2, atol=1e-2)
