"""What this machine can do: the only place of the package that asks.

torch is imported inside the functions, so that commands which compute nothing start at once.
"""

import importlib.util
import os
import shutil
import sys
from functools import lru_cache, wraps
from pathlib import Path

from minimodels.errors import UserError


def device():
    """The torch.device to compute on: $MINIMODELS_DEVICE if set, else cuda, mps or cpu."""
    import torch

    wanted = os.environ.get("MINIMODELS_DEVICE")
    if wanted:
        return _named(wanted)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def autocast_dtype():
    """The torch.dtype in which matrix products are fastest here; float32 means: do not autocast.

    bf16 needs compute capability 8 on GPUs (older ones emulate it, slowly) and AMX on CPUs.
    """
    import torch

    kind = device().type
    if kind == "cuda":
        fast = torch.cuda.get_device_capability()[0] >= 8
    else:
        fast = kind == "cpu" and "amx_bf16" in cpu_flags()
    return torch.bfloat16 if fast else torch.float32


def backend() -> str:
    """The torch.distributed backend that fits the device: "nccl" on GPUs, else "gloo"."""
    return "nccl" if device().type == "cuda" else "gloo"


def triton_mode() -> str:
    """How Triton kernels run here: "compiled" (GPU), "interpreter" or "reference" (plain torch).

    The interpreter is asked for with TRITON_INTERPRET=1, set before a kernel is imported.
    """
    if not has_triton():
        return "reference"
    if interprets_triton():
        return "interpreter"
    return "compiled" if device().type == "cuda" else "reference"


def has_triton() -> bool:
    """Whether Triton is installed."""
    return importlib.util.find_spec("triton") is not None


def interprets_triton() -> bool:
    """Whether $TRITON_INTERPRET asks for the interpreter."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in {"1", "true", "on", "yes"}


def interpret_triton() -> None:
    """Let Triton's kernels run in its interpreter, on the CPU; the first thing a notebook calls.

    Raises UserError without Triton, or where it was imported before and has decided to compile.
    The interpreter computes bf16 wrongly without a word: with this it says so instead.
    """
    if not has_triton():
        raise UserError("Triton is not installed (it is for Linux only): kernels cannot run here.")
    if _triton_compiles():
        raise UserError(
            "Triton was imported before interpret_triton() was called, and has decided to compile: "
            "restart the notebook's kernel and run its cells from the first."
        )
    os.environ["TRITON_INTERPRET"], os.environ["MINIMODELS_DEVICE"] = "1", "cpu"
    from triton import knobs
    from triton.runtime.interpreter import InterpreterBuilder

    knobs.compilation.front_end_debugging = True  # an error in a kernel is raised as it is
    for name in ("binary_op", "unary_op", "create_dot"):
        setattr(InterpreterBuilder, name, _without_bf16(getattr(InterpreterBuilder, name)))
    InterpreterBuilder.get_bf16 = _refuse_bf16  # a constant, to be added to bf16


def threads() -> int:
    """Threads that torch computes on: $OMP_NUM_THREADS, else the cores there are."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) > 0 else cores()


def cores() -> int:
    """CPU cores that this process may use, by its affinity and the container's limit."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, min(allowed, _container_cores()))


def can_compile() -> tuple[bool, str]:
    """Whether torch.compile works here, and one sentence that says why or why not."""
    if device().type == "cuda":
        if importlib.util.find_spec("triton") is None:
            return False, "torch.compile needs Triton on a GPU and it is not installed."
        return True, "torch.compile makes Triton kernels for the GPU."
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        return False, f"torch.compile needs the C++ compiler {compiler} and it is not installed."
    return True, f"torch.compile builds for the CPU with {compiler}."


@lru_cache
def cpu_flags() -> frozenset[str]:
    """What the CPU says it has ("avx2", "avx512f", "amx_bf16", …); empty where it does not say."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), ":")
    return frozenset(flags.split(":", 1)[1].split())


def _triton_compiles() -> bool:
    """Whether Triton is loaded, with functions of its own that only a GPU can run."""
    language = sys.modules.get("triton.language")
    return language is not None and type(language.cdiv).__name__ == "JITFunction"


def _without_bf16(operation):
    """An operation of the interpreter that refuses bf16, which NumPy takes for whole numbers."""
    if hasattr(operation, "__wrapped__"):
        return operation

    @wraps(operation)
    def checked(builder, *operands):
        for operand in operands:
            if str(getattr(operand, "dtype", "")) in ("bf16", "bfloat16"):
                _refuse_bf16()
        return operation(builder, *operands)

    return checked


def _refuse_bf16(*_):
    raise UserError(
        "Triton's interpreter computes bf16 wrongly: write .to(tl.float32) after tl.load, and "
        "before tl.dot."
    )


def _named(name: str):
    """The device a person asked for, if it is there."""
    import torch

    try:
        wanted = torch.device(name)
    except RuntimeError:
        raise UserError(f"MINIMODELS_DEVICE={name} is no device: use cpu, cuda or mps.") from None
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if not there.get(wanted.type, lambda: True)():
        raise UserError(f"MINIMODELS_DEVICE={name}, but none is here: unset it or use cpu.")
    return wanted


def _container_cores() -> int:
    """The CPU limit of the container (cgroup v2), rounded up; a large number if none."""
    limit = Path("/sys/fs/cgroup/cpu.max")
    if limit.exists():
        quota, _, period = limit.read_text(encoding="utf-8").partition(" ")
        if quota.isdigit() and period.strip().isdigit():
            return max(1, -(-int(quota) // int(period)))
    return 1 << 20
