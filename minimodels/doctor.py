"""`minimodels doctor`: what this machine has, what it lacks, and what to type next.

A check is a function that returns a Finding. A fault is something a required chapter or lab
stumbles over; a note is something that works in a smaller way. Each is one sentence and a command.
"""

import codecs
import importlib.metadata
import importlib.util
import json
import locale
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

import psutil

from minimodels import device, files, sandbox
from minimodels.errors import UserError

CJK_FONTS = ("CJK", "Hei", "Song", "Ming", "PingFang", "YaHei", "Hiragino", "Droid Sans Fallback")
GB = 2**30
MODES = {  # device.triton_mode() in words
    "compiled": "kernels are compiled for the GPU",
    "interpreter": "kernels run in the interpreter",
    "reference": "plain torch stands in for kernels",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report; `level` is "ok", "note" or "fault"."""

    name: str
    value: str
    level: str = "ok"
    sentence: str = ""
    command: str = ""


def examine() -> list[Finding]:
    """Run every check; a check that breaks is a fault of its own, the others go on."""
    return [_guarded(check) for check in CHECKS]


def main(as_json: bool = False) -> int:
    """Print the report, as a table or as JSON; returns 1 if there is a fault, else 0."""
    findings = examine()
    faults = [finding for finding in findings if finding.level == "fault"]
    if as_json:
        report = {"ok": not faults, "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_line(finding) for finding in findings))
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        print(f"\n{count}." if faults else "\nThis machine can run the course.")
    return 1 if faults else 0


def python() -> Finding:
    value = platform.python_version()
    if sys.version_info < (3, 11):  # noqa: UP036
        return Finding(
            "python", value, "fault", f"Python {value} is too old, 3.11 or newer is needed.",
            "rm -rf .venv && make install PYTHON=/path/to/python3.11",
        )
    return Finding("python", f"{value} on {platform.system()} {platform.machine()}")


def packages() -> Finding:
    """The packages of the course, at versions that pyproject.toml allows."""
    wrong = [problem for line in _requirements() if (problem := _problem(line))]
    if wrong:
        sentence = f"Packages are missing or of another version: {', '.join(wrong)}."
        return Finding("packages", f"{len(wrong)} wrong", "fault", sentence, "make install")
    shown = ("torch", "jupyterlab", "nbgrader", "numpy", "matplotlib")
    have = [f"{name} {version}" for name in shown if (version := _version(name))]
    return Finding("packages", ", ".join(have))


def cores() -> Finding:
    count, all_cores = device.threads(), os.cpu_count() or 1
    value = f"{count} of {all_cores}"
    if os.environ.get("OMP_NUM_THREADS") and count < min(2, all_cores):
        sentence = f"OMP_NUM_THREADS={count} keeps torch on one of {all_cores} cores."
        return Finding("cores", value, "note", sentence, "unset OMP_NUM_THREADS")
    if count < 2:
        sentence = "One core only: chapters run, at about half the speed their headers promise."
        return Finding("cores", value, "note", sentence, "minimodels lifecycle --size tiny")
    return Finding("cores", value)


def memory() -> Finding:
    state = psutil.virtual_memory()
    value = f"{state.available / GB:.1f} GB free of {state.total / GB:.1f}"
    if state.available < 2 * GB:
        sentence = f"Only {state.available / GB:.1f} GB of memory is free, chapters need up to 2."
        return Finding("memory", value, "fault", sentence, "close other programs and notebooks")
    if state.available < 4 * GB:
        sentence = "Less than 4 GB is free, which the full lifecycle may need."
        return Finding("memory", value, "note", sentence, "minimodels lifecycle --size tiny")
    return Finding("memory", value)


def processor() -> Finding:
    flags = device.cpu_flags()
    known = ("avx2", "avx512f", "amx_bf16", "asimd", "sve")
    value = " ".join(flag for flag in known if flag in flags) or "flags unknown"
    if flags and platform.machine() in {"x86_64", "AMD64"} and "avx2" not in flags:
        sentence = "The processor has no AVX2: everything runs, several times slower."
        return Finding("processor", value, "note", sentence, "minimodels lifecycle --size tiny")
    return Finding("processor", value)


def gpu() -> Finding:
    """Run a product and a kernel of the course on the GPU, if there is one, and compare both."""
    import torch

    kind = device.device().type
    if kind == "cpu":
        if shutil.which("nvidia-smi") and not torch.cuda.is_available():
            sentence = "A GPU driver is here, but PyTorch does not see the GPU."
            command = "rm -rf .venv && make install  # without TORCH_INDEX"
            return Finding("gpu", "not seen by PyTorch", "note", sentence, command)
        return Finding("gpu", "none, and none is needed")
    ran = "a matrix product"
    try:
        error = _product_error(kind)
        if kind == "cuda" and importlib.util.find_spec("triton"):
            run_kernel(kind)
            ran += " and the kernel rms_norm"
    except Exception as problem:  # CUDA, Triton and its compilers each have errors of their own
        return _broken_gpu(f"a kernel failed ({_first_line(problem)})")
    if error > 0.1:  # TF32 keeps 10 bits: 64 products of size 1 stay within 0.1
        return _broken_gpu(f"a product is wrong by {error:.2g}")
    name = torch.cuda.get_device_name() if kind == "cuda" else kind
    return Finding("gpu", f"{name}, ran {ran}")


def triton() -> Finding:
    """Say how kernels run here; try one in the interpreter, in a process of its own."""
    if importlib.util.find_spec("triton") is None:
        value = "not installed: plain torch stands in"
        if sys.platform != "linux" or platform.machine() != "x86_64":
            return Finding("triton", value)
        sentence = "Triton is missing: chapters on kernels show stored results only."
        return Finding("triton", value, "note", sentence, "make install")
    try:
        trial = _kernel_trial()
    except subprocess.TimeoutExpired:
        sentence = "A Triton kernel took more than 15 s in the interpreter: is the machine busy?"
        return Finding("triton", "slow", "note", sentence, "minimodels doctor")
    if trial.returncode:
        last = (trial.stderr.strip().splitlines() or ["no message"])[-1]
        sentence = f"A Triton kernel does not run in the interpreter ({last})."
        command = "make install && minimodels doctor"
        return Finding("triton", "interpreter fails", "fault", sentence, command)
    mode = device.triton_mode()
    return Finding("triton", f"{mode}: {MODES[mode]}; the interpreter ran rms_norm")


def compiler() -> Finding:
    possible, reason = device.can_compile()
    if possible:
        return Finding("torch.compile", reason)
    return Finding("torch.compile", "falls back to eager", "note", reason, "make system")


def ports() -> Finding:
    """torchrun needs a free port on this machine; JupyterLab would like 8888."""
    if not _can_listen(0):
        sentence = "No port can be opened on 127.0.0.1, which JupyterLab and torchrun need."
        return Finding("ports", "closed", "fault", sentence, "ip link set lo up")
    if not _can_listen(8888):
        sentence = "Port 8888 is taken: JupyterLab will choose another and print it."
        return Finding("ports", "8888 taken", "note", sentence, 'make lab ARGS="--port 9999"')
    return Finding("ports", "8888 free")


def host_name() -> Finding:
    """gloo looks up this machine's own name when processes meet."""
    name = socket.gethostname()
    try:
        return Finding("host name", f"{name} is {socket.gethostbyname(name)}")
    except OSError:
        sentence = f"This machine's own name {name} has no address, processes may not meet."
        return Finding("host name", name, "note", sentence, "export GLOO_SOCKET_IFNAME=lo")


def disk() -> Finding:
    free = shutil.disk_usage(os.getcwd()).free
    if free < 2 * GB:
        sentence = f"Only {free / GB:.1f} GB of disk is free and the lifecycle writes up to 1."
        return Finding("disk", f"{free / GB:.1f} GB free", "fault", sentence, "make clean")
    return Finding("disk", f"{free / GB:.0f} GB free")


def cache() -> Finding:
    try:
        folder = files.cache_dir()
        files.write_text(folder / "doctor", "")
        (folder / "doctor").unlink()
    except OSError as problem:
        sentence = f"The cache folder cannot be written ({problem.strerror})."
        command = "export MINIMODELS_HOME=/a/folder/that/you/own"
        return Finding("cache", "not writable", "fault", sentence, command)
    return Finding("cache", str(folder))


def fonts() -> Finding:
    """A font with 中 in it, for labels of figures."""
    from matplotlib import font_manager

    names = {font.name: font.fname for font in font_manager.fontManager.ttflist}
    for name in sorted(names):
        if any(part in name for part in CJK_FONTS) and _has_glyph(names[name], "中"):
            return Finding("fonts", name)
    sentence = "No font with Chinese characters is here: some labels will be boxes."
    return Finding("fonts", f"{len(names)}, none Chinese", "note", sentence, "make system")


def encoding() -> Finding:
    name = locale.getpreferredencoding(False)
    if codecs.lookup(name).name != "utf-8":
        sentence = f"Text files are read as {name} here, not as UTF-8."
        return Finding("encoding", name, "fault", sentence, "export PYTHONUTF8=1")
    return Finding("encoding", "utf-8")


def kernel() -> Finding:
    """The python3 kernel that chapters name must be the Python of this .venv."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        sentence = "Jupyter has no python3 kernel, so chapters will not run."
        return Finding("kernel", "missing", "fault", sentence, "make install")
    if os.path.isabs(command) and os.path.dirname(command) != os.path.dirname(sys.executable):
        sentence = f"Jupyter's python3 kernel starts {command}, not the Python of this course."
        fix = f"{sys.executable} -m ipykernel install --sys-prefix"
        return Finding("kernel", command, "fault", sentence, fix)
    return Finding("kernel", "python3")


def boxes() -> Finding:
    """A sandbox, for code that others wrote: one is made, and a program runs in it."""
    try:
        return Finding("sandbox", sandbox.engine())
    except UserError:
        pass
    sentence = "Other people's code cannot be run safely here, so `minimodels grade` will refuse."
    return Finding("sandbox", "none", "note", sentence, "make system")


CHECKS: list[Callable[[], Finding]] = [
    python, packages, cores, memory, processor, gpu, triton, compiler, ports, host_name, disk,
    cache, fonts, encoding, kernel, boxes,
]  # fmt: skip


def _guarded(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as problem:  # a doctor that dies helps nobody
        name = check.__name__.replace("_", " ")
        sentence = f"The check of {name} broke: {type(problem).__name__}: {problem}."
        return Finding(name, "broke", "fault", sentence, "make install && minimodels doctor")


def _line(finding: Finding) -> str:
    line = f"{finding.level:5}  {finding.name:13}  {finding.value}"
    if finding.sentence:
        line += f"\n{'':22}{finding.sentence}\n{'':22}next: {finding.command}"
    return line


def run_kernel(where: str) -> None:
    """Run the course's kernel rms_norm on "cuda" or "cpu", and compare it with its reference.

    Raises AssertionError if they differ, RuntimeError if no kernel runs there, Triton's own errors.
    """
    import torch

    from minimodels.kernels.rms_norm import rms_norm, rms_norm_reference

    if device.triton_mode() == "reference":
        raise RuntimeError("Triton does not run here: the reference would stand in")
    x, weight = torch.randn(3, 80, device=where), torch.randn(80, device=where)
    torch.testing.assert_close(rms_norm(x, weight, 1e-6), rms_norm_reference(x, weight, 1e-6))


def _first_line(problem: Exception) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]


def _requirements() -> list[str]:
    return importlib.metadata.requires("minimodels") or []


def _problem(line: str) -> str:
    """"torch 2.1 (wants <2.14,>=2.13)" if a requirement of the lab is not met here, else ""."""
    from packaging.requirements import Requirement

    wanted = Requirement(line)
    if wanted.marker and not wanted.marker.evaluate({"extra": "lab"}):
        return ""
    have = _version(wanted.name)
    if have is None:
        return f"{wanted.name} is missing"
    if not wanted.specifier.contains(have, prereleases=True):
        return f"{wanted.name} {have} (wants {wanted.specifier})"
    return ""


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _broken_gpu(what: str) -> Finding:
    sentence = f"The GPU is there, but {what}."
    return Finding("gpu", "does not work", "fault", sentence, "export MINIMODELS_DEVICE=cpu")


def _kernel_trial(seconds: float = 15) -> subprocess.CompletedProcess:
    """The interpreter must be asked for before a kernel is imported, hence another process."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "MINIMODELS_DEVICE": "cpu"}
    code = "from minimodels import doctor; doctor.run_kernel('cpu')"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)


def _product_error(kind: str) -> float:
    """How far a product of two 64 x 64 matrices on a device is from the CPU's."""
    import torch

    a = torch.randn(64, 64)
    return ((a.to(kind) @ a.to(kind)).cpu() - a @ a).abs().max().item()


def _can_listen(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _has_glyph(path: str, character: str) -> bool:
    from matplotlib.ft2font import FT2Font

    return ord(character) in FT2Font(path).get_charmap()
