"""Runs a student's cells, and then each check beside them; nothing it says is believed.

It reads one request of plain data and writes messages: which cell it is at, which cells failed,
and for each check the values that came out. What counts are those values, compared elsewhere.
Each check runs in a fork, so that one that crashes leaves the others alone.
"""

import importlib.abc
import linecache
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import BinaryIO

from minimodels.classroom.grading import plain, seal

NO_MEMORY = ("can't allocate memory", "not enough memory", "Cannot allocate memory")  # torch's


class Missing(Exception):
    """A name that the notebook should define is not there."""


class Names(dict):
    """The names of a notebook as a driver sees them; a missing one is told apart from errors."""

    def __missing__(self, name: str):
        raise Missing(name)


def answer(work: dict, out: BinaryIO) -> None:
    """Do what a request asks: {cells, drivers, inputs, forbidden, seconds}."""
    seal.seal(work["forbidden"])
    forbid(work["forbidden"])

    def started(number: int) -> None:
        send(out, {"cell": number})

    names, errors = run_cells(work["cells"], work["seconds"], started)
    send(out, {"errors": errors[:20]})
    for number, (driver, inputs) in enumerate(zip(work["drivers"], work["inputs"], strict=True)):
        status, values = _in_a_fork(driver, inputs, names, work["seconds"])
        send(out, {"check": number, "status": status}, values)


def run_cells(
    cells: list[str], seconds: float, started: Callable[[int], None] = lambda number: None
) -> tuple[Names, list[str]]:
    """Run cells in order in one namespace; a cell that fails is noted, the next ones run."""
    module = sys.modules["__main__"] = ModuleType("__main__")
    errors = []
    signal.signal(signal.SIGALRM, _too_late)
    for number, cell in enumerate(cells):
        started(number)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            execute(cell, f"<cell {number + 1}>", module.__dict__)
        except (Exception, SystemExit) as error:
            errors.append(describe(error))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return Names(module.__dict__), errors


def forbid(names: list[str]) -> None:
    """Make modules impossible to import, and functions of loaded modules impossible to call."""
    modules = set()
    for name in names:
        place, _, last = name.rpartition(".")
        parent = sys.modules.get(place)
        if parent is not None and hasattr(parent, last) and name not in sys.modules:
            setattr(parent, last, _gone(name))
        else:
            modules.add(name)
            for loaded in [each for each in sys.modules if f"{each}.".startswith(f"{name}.")]:
                del sys.modules[loaded]
            if hasattr(parent, last):
                delattr(parent, last)
    sys.meta_path.insert(0, Forbidden(modules))


class Forbidden(importlib.abc.MetaPathFinder):
    """Refuses to find what the lab asks to be written."""

    def __init__(self, modules: set[str]):
        self.modules = modules

    def find_spec(self, name: str, path=None, target=None):
        if any(f"{name}.".startswith(f"{module}.") for module in self.modules):
            raise ImportError(f"{name} holds what this lab asks you to write")
        return None


def execute(code: str, name: str, names: dict) -> None:
    """Run one cell in `names`; tracebacks can show its lines."""
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    exec(compile(code, name, "exec"), names)


def describe(error: BaseException) -> str:
    """An error and the line of the notebook that raised it, in one line."""
    text = " ".join(str(error).split())
    words = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.line for frame in frames if frame.filename.startswith("<cell") and frame.line]
    return f"{words[:300]} (at `{lines[-1]}`)" if lines else words[:300]


def send(out: BinaryIO, message: dict, values: bytes = b"") -> None:
    """Write one message: its length, its plain data, and the bytes of a check's values."""
    head = plain.dumps({**message, "bytes": len(values)})
    out.write(plain.LENGTH.pack(len(head)) + head + values)
    out.flush()


def _in_a_fork(driver: dict, inputs: dict, names: Names, seconds: float) -> tuple[str, bytes]:
    """Run one driver in a fork: (how it ended, what it wrote)."""
    with tempfile.TemporaryFile() as file:
        pid = os.fork()
        if pid == 0:
            file.write(_values(driver, inputs, names))
            file.flush()
            os._exit(0)
        status = _wait(pid, seconds)
        file.seek(0)
        return status, file.read() if status == "ended" else b""


def _values(driver: dict, inputs: dict, names: Names) -> bytes:
    """What one driver returns for its inputs, or how it failed."""
    try:
        trusted: dict = {}
        exec(driver["source"], trusted)
        return plain.dumps({"values": trusted[driver["name"]](names, inputs)})
    except Missing as missing:
        return plain.dumps({"missing": str(missing)})
    except BaseException as error:
        full = isinstance(error, MemoryError) or any(word in str(error) for word in NO_MEMORY)
        return plain.dumps({"error": describe(error), "memory": full})


def _wait(pid: int, seconds: float) -> str:
    """Wait for a process at most so long: "ended", "timeout" or "crash"."""
    end, pause = time.monotonic() + seconds, 0.0005
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return "ended" if os.waitstatus_to_exitcode(status) == 0 else "crash"
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "timeout"


def _too_late(*_) -> None:
    raise TimeoutError("the cell ran too long")


def _gone(name: str):
    def refuse(*_, **__):
        raise NotImplementedError(f"{name} is what this lab asks you to write")

    return refuse
