import shutil
import subprocess
import sys

import pytest
import torch

from minimodels import device
from minimodels.errors import UserError


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in ("MINIMODELS_DEVICE", "TRITON_INTERPRET", "OMP_NUM_THREADS", "CXX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def gpu(monkeypatch, capability=(8, 0)):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)


def test_cpu_when_there_is_nothing_else():
    assert device.device() == torch.device("cpu") and device.backend() == "gloo"


def test_gpu_first_then_mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.device().type == "mps" and device.autocast_dtype() == torch.float32
    gpu(monkeypatch)
    assert device.device().type == "cuda" and device.backend() == "nccl"


def test_the_variable_wins(monkeypatch):
    gpu(monkeypatch)
    monkeypatch.setenv("MINIMODELS_DEVICE", "cpu")
    assert device.device().type == "cpu"


@pytest.mark.parametrize("name, says", [("toaster", "no device"), ("cuda", "none is here")])
def test_a_wrong_variable_is_one_sentence(monkeypatch, name, says):
    monkeypatch.setenv("MINIMODELS_DEVICE", name)
    with pytest.raises(UserError, match=says):
        device.device()


def test_bf16_where_it_is_fast(monkeypatch):
    monkeypatch.setattr(device, "cpu_flags", lambda: frozenset({"avx2"}))
    assert device.autocast_dtype() == torch.float32
    monkeypatch.setattr(device, "cpu_flags", lambda: frozenset({"amx_bf16"}))
    assert device.autocast_dtype() == torch.bfloat16
    gpu(monkeypatch, (7, 5))  # a T4 only emulates bf16
    assert device.autocast_dtype() == torch.float32
    gpu(monkeypatch, (9, 0))
    assert device.autocast_dtype() == torch.bfloat16


def test_triton_mode(monkeypatch):
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: object())
    assert device.triton_mode() == "reference"
    gpu(monkeypatch)
    assert device.triton_mode() == "compiled"
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert device.triton_mode() == "interpreter"
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: None)
    assert device.triton_mode() == "reference"


def test_threads(monkeypatch):
    monkeypatch.setattr(device, "_container_cores", lambda: 1)
    assert device.threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert device.threads() == 3


def test_cores_are_the_machines_whatever_torch_was_asked_for(monkeypatch):
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda _: {0, 1, 4}, raising=False)
    monkeypatch.setattr(device, "_container_cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert device.cores() == 3 and device.threads() == 1
    monkeypatch.setattr(device, "_container_cores", lambda: 2)
    assert device.cores() == 2


def test_can_compile_names_the_compiler(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    possible, reason = device.can_compile()
    assert not possible and "++" in reason
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert device.can_compile()[0]


def test_importing_it_does_not_import_torch():
    code = "import sys, minimodels.device, minimodels.files; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


LATE = """
import sys
if sys.argv[1] == "late":
    import os, triton
    os.environ["TRITON_INTERPRET"] = "1"  # too late: it has looked
from minimodels.device import interpret_triton, triton_mode
interpret_triton(), interpret_triton()
import torch, triton, triton.language as tl
@triton.jit
def double(x_ptr, out_ptr, B: tl.constexpr, WIDE: tl.constexpr):
    i = tl.arange(0, B)
    x = tl.load(x_ptr + i)
    if WIDE:
        x = x.to(tl.float32)
    tl.store(out_ptr + i, x + x)
@triton.jit
def square(x_ptr, out_ptr, B: tl.constexpr):
    i = tl.arange(0, B)[:, None] * B + tl.arange(0, B)[None, :]
    x = tl.load(x_ptr + i)
    tl.store(out_ptr + i, tl.dot(x, x))
@triton.jit
def one_more(x_ptr, out_ptr, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out_ptr + i, 1.0 + tl.load(x_ptr + i))
x, out = torch.randn(256).bfloat16(), torch.empty(256)
double[(1,)](x, out, 256, True)
assert torch.equal(out, 2 * x.float()) and triton_mode() == "interpreter"
for launch in (lambda: double[(1,)](x, out, 256, False), lambda: square[(1,)](x, out, 16),
               lambda: one_more[(1,)](x, out, 256)):
    try:
        launch()
    except Exception as error:
        print(error)
"""


@pytest.mark.skipif(not device.has_triton(), reason="triton is not installed")
def test_the_interpreter_is_asked_for_in_time_and_refuses_bf16(tmp_path):
    path = tmp_path / "kernels.py"  # Triton reads a kernel's source from its file
    path.write_text(LATE, encoding="utf-8")

    def run(when):
        done = subprocess.run([sys.executable, path, when], capture_output=True, text=True)
        return done.stdout, done.stderr

    said, _ = run("early")
    assert said.count("computes bf16 wrongly: write .to(tl.float32)") == 3
    assert "restart the notebook's kernel" in run("late")[1]


def test_without_triton_the_interpreter_is_refused(monkeypatch):
    monkeypatch.setattr(device, "has_triton", lambda: False)
    with pytest.raises(UserError, match="Triton is not installed"):
        device.interpret_triton()
