"""The doctor: each simulated fault has its own sentence and a next command."""

import importlib.metadata
import importlib.util
import json
import locale
import os
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from types import SimpleNamespace

import psutil
import pytest
import torch

from minimodels import device, doctor, files
from minimodels.errors import UserError
from minimodels.kernels import rms_norm

Version = namedtuple("Version", "major minor micro releaselevel serial")


def memory(available):
    return SimpleNamespace(total=8 * doctor.GB, available=available)


def busy(*taken):
    return lambda port: port not in taken


def old_python(patch):
    patch.setattr(sys, "version_info", Version(3, 9, 1, "final", 0))


def no_package(patch):
    real = importlib.metadata.version

    def version(name):
        if name == "jupyterlab":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0" if name == "torch" else real(name)

    patch.setattr(importlib.metadata, "version", version)


def few_threads(patch):
    patch.setenv("OMP_NUM_THREADS", "1")
    patch.setattr(os, "cpu_count", lambda: 8)


def one_core(patch):
    patch.delenv("OMP_NUM_THREADS", raising=False)
    patch.setattr(device, "threads", lambda: 1)


def little_memory(patch):
    patch.setattr(psutil, "virtual_memory", lambda: memory(doctor.GB))


def some_memory(patch):
    patch.setattr(psutil, "virtual_memory", lambda: memory(3 * doctor.GB))


def no_avx(patch):
    patch.setattr(device, "cpu_flags", lambda: frozenset({"sse"}))
    patch.setattr(doctor.platform, "machine", lambda: "x86_64")


def unseen_gpu(patch):
    patch.setattr(torch.cuda, "is_available", lambda: False)
    patch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi")


def sick_gpu(patch):
    patch.setattr(device, "device", lambda: torch.device("cuda"))

    def product(kind):
        raise RuntimeError("CUDA error: no kernel image is available\nand more")

    patch.setattr(doctor, "_product_error", product)


def sick_triton(patch):
    def kernel(*_):
        raise KeyError("sm_999")  # Triton and its compilers raise errors of many kinds

    gpu_that_multiplies(patch)
    patch.setattr(rms_norm, "rms_norm", kernel)


def wrong_kernel(patch):
    gpu_that_multiplies(patch)
    patch.setattr(rms_norm, "rms_norm", lambda x, weight, eps: x)


def gpu_that_multiplies(patch):
    """A GPU that is this CPU: what is put on it stays here."""
    real = torch.randn
    patch.setattr(device, "device", lambda: torch.device("cuda"))
    patch.setattr(importlib.util, "find_spec", lambda name: object())
    patch.setattr(doctor, "_product_error", lambda kind: 0.0)
    patch.setattr(torch, "randn", lambda *shape, device: real(*shape))
    patch.setattr(torch.cuda, "get_device_name", lambda: "Toy 100")


def wrong_gpu(patch):
    patch.setattr(device, "device", lambda: torch.device("mps"))
    patch.setattr(doctor, "_product_error", lambda kind: 7.0)


def no_triton(patch):
    patch.setattr(importlib.util, "find_spec", lambda name: None)
    patch.setattr(sys, "platform", "linux")
    patch.setattr(doctor.platform, "machine", lambda: "x86_64")


def broken_triton(patch):
    done = subprocess.CompletedProcess([], 1, "", "Traceback\nAttributeError: no libdevice")
    patch.setattr(importlib.util, "find_spec", lambda name: object())
    patch.setattr(doctor, "_kernel_trial", lambda: done)


def slow_triton(patch):
    def slow():
        raise subprocess.TimeoutExpired("python", 15)

    patch.setattr(importlib.util, "find_spec", lambda name: object())
    patch.setattr(doctor, "_kernel_trial", slow)


def no_compiler(patch):
    patch.setattr(device, "device", lambda: torch.device("cpu"))
    patch.setattr(shutil, "which", lambda name: None)


def closed_ports(patch):
    patch.setattr(doctor, "_can_listen", lambda port: False)


def port_taken(patch):
    patch.setattr(doctor, "_can_listen", busy(8888))


def nameless(patch):
    def lookup(name):
        raise OSError("Name or service not known")

    patch.setattr(socket, "gethostbyname", lookup)


def full_disk(patch):
    patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=doctor.GB / 2))


def locked_cache(patch):
    def folder():
        raise PermissionError(13, "Permission denied")

    patch.setattr(files, "cache_dir", folder)


def no_fonts(patch):
    patch.setattr(doctor, "_has_glyph", lambda path, character: False)


def other_encoding(patch):
    patch.setattr(locale, "getpreferredencoding", lambda setting: "cp1252")


def other_kernel(patch):
    from jupyter_client.kernelspec import KernelSpecManager

    spec = SimpleNamespace(argv=["/opt/conda/bin/python"])
    patch.setattr(KernelSpecManager, "get_kernel_spec", lambda self, name: spec)


def no_kernel(patch):
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    def none(self, name):
        raise NoSuchKernel(name)

    patch.setattr(KernelSpecManager, "get_kernel_spec", none)


def no_sandbox(patch):
    def refuse():
        raise UserError("no way")

    patch.setattr(doctor.sandbox, "engine", refuse)


FAULTS = [
    (doctor.python, old_python, "fault", "is too old"),
    (doctor.packages, no_package, "fault", "jupyterlab is missing"),
    (doctor.packages, no_package, "fault", "torch 1.0 (wants"),
    (doctor.cores, few_threads, "note", "OMP_NUM_THREADS=1 keeps torch on one of 8 cores"),
    (doctor.cores, one_core, "note", "One core only"),
    (doctor.memory, little_memory, "fault", "Only 1.0 GB of memory is free"),
    (doctor.memory, some_memory, "note", "Less than 4 GB"),
    (doctor.processor, no_avx, "note", "no AVX2"),
    (doctor.gpu, unseen_gpu, "note", "PyTorch does not see"),
    (doctor.gpu, sick_gpu, "fault", "a kernel failed (CUDA error: no kernel image is available)"),
    (doctor.gpu, wrong_gpu, "fault", "a product is wrong by 7"),
    (doctor.gpu, sick_triton, "fault", "a kernel failed ('sm_999')"),
    (doctor.gpu, wrong_kernel, "fault", "a kernel failed (Tensor-likes are not close"),
    (doctor.triton, no_triton, "note", "Triton is missing"),
    (doctor.triton, broken_triton, "fault", "AttributeError: no libdevice"),
    (doctor.triton, slow_triton, "note", "more than 15 s"),
    (doctor.compiler, no_compiler, "note", "needs the C++ compiler"),
    (doctor.ports, closed_ports, "fault", "No port can be opened"),
    (doctor.ports, port_taken, "note", "Port 8888 is taken"),
    (doctor.host_name, nameless, "note", "has no address"),
    (doctor.disk, full_disk, "fault", "Only 0.5 GB of disk is free"),
    (doctor.cache, locked_cache, "fault", "cannot be written (Permission denied)"),
    (doctor.fonts, no_fonts, "note", "some labels will be boxes"),
    (doctor.encoding, other_encoding, "fault", "read as cp1252"),
    (doctor.kernel, other_kernel, "fault", "starts /opt/conda/bin/python"),
    (doctor.kernel, no_kernel, "fault", "no python3 kernel"),
    (doctor.boxes, no_sandbox, "note", "cannot be run safely here"),
]


@pytest.mark.parametrize("check, simulate, level, says", FAULTS, ids=[row[3] for row in FAULTS])
def test_each_fault_has_its_sentence_and_a_next_command(monkeypatch, check, simulate, level, says):
    with monkeypatch.context() as patch:
        simulate(patch)
        finding = check()
    assert finding.level == level and says in finding.sentence, finding
    assert finding.sentence.endswith((".", "?")) and finding.command
    assert "\n" not in finding.sentence


def test_a_gpu_runs_the_kernel_of_the_course(monkeypatch):
    calls = []

    def kernel(*arguments):
        calls.append(arguments)
        return rms_norm.rms_norm_reference(*arguments)

    with monkeypatch.context() as patch:
        gpu_that_multiplies(patch)
        patch.setattr(rms_norm, "rms_norm", kernel)
        found = doctor.gpu()
    assert len(calls) == 1 and found.level == "ok"
    assert found.value == "Toy 100, ran a matrix product and the kernel rms_norm"


def test_a_reference_is_not_taken_for_a_kernel(monkeypatch):
    monkeypatch.setattr(device, "triton_mode", lambda: "reference")
    with pytest.raises(RuntimeError, match="reference would stand in"):
        doctor.run_kernel("cpu")


@pytest.mark.parametrize("mode", doctor.MODES)
def test_triton_says_its_mode(monkeypatch, mode):
    done = subprocess.CompletedProcess([], 0, "", "")
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: object())
        patch.setattr(doctor, "_kernel_trial", lambda: done)
        patch.setattr(device, "triton_mode", lambda: mode)
        found = doctor.triton()
    assert found.level == "ok" and found.value.startswith(f"{mode}: ")


@pytest.mark.skipif(not importlib.util.find_spec("triton"), reason="triton is not installed")
def test_the_interpreter_trial_runs_the_kernel():
    assert doctor._kernel_trial(seconds=240).returncode == 0


def test_sentences_are_all_different():
    assert len({says for *_, says in FAULTS}) == len(FAULTS)


def test_a_check_that_breaks_is_a_fault_and_the_others_go_on(monkeypatch, capsys):
    def broken():
        raise ZeroDivisionError("oh")

    broken.__name__ = "host_name"
    monkeypatch.setattr(doctor, "CHECKS", [broken, doctor.python])
    assert doctor.main() == 1
    out = capsys.readouterr().out
    assert "The check of host name broke: ZeroDivisionError: oh." in out and "1 fault." in out


def test_exit_code_and_json_agree(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", [doctor.python, doctor.encoding])
    assert doctor.main(as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    other_encoding(monkeypatch)
    assert doctor.main(as_json=True) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False and report["findings"][1]["command"] == "export PYTHONUTF8=1"


def test_notes_are_no_faults(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", [doctor.cores])
    one_core(monkeypatch)
    assert doctor.main() == 0
    assert "This machine can run the course." in capsys.readouterr().out


def test_the_whole_on_this_machine():
    done = subprocess.run([sys.executable, "-m", "minimodels.cli", "doctor", "--json"],
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["ok"] else 1), done.stderr
    assert len(report["findings"]) == len(doctor.CHECKS)
    broke = [finding for finding in report["findings"] if finding["value"] == "broke"]
    assert not broke, broke
