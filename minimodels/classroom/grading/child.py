"""The processes that run a student's code: a server with torch loaded once, a fork for each answer.

    judge ── line of JSON ──> server ── fork ──> child: the cells ── fork ──> one for each check

A request names a scratch folder that holds request.json and the inputs; the results are written
there as plain data. The judge reads them and trusts none of it: what counts are values. Limits on
time, memory and file size hold for each process; the whole process group is ended afterwards.
"""

import ctypes
import importlib.abc
import json
import linecache
import os
import re
import signal
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType

from minimodels.classroom.grading import plain

MAGIC = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)  # notebook commands, which Python cannot read


class Missing(Exception):
    """A name that the notebook should define is not there."""


class Names(dict):
    """The names of a notebook as a driver sees them; a missing one is told apart from errors."""

    def __missing__(self, name: str):
        raise Missing(name)


def serve() -> None:
    """Answer requests on stdin until it closes: {folder, seconds, memory} -> {status}."""
    import torch

    torch.set_num_threads(1)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _enter(Path(request["folder"]), request["memory"])
            answer(Path(request["folder"]), request["seconds"])
            os._exit(0)
        checks = request["checks"]
        status = _wait(pid, request["seconds"] * (checks + 1) + 1)
        _end_group(pid)
        print(json.dumps({"status": status}), flush=True)


def answer(folder: Path, seconds: float) -> None:
    """Run the cells of a request and then each of its drivers in a fork; write what comes out."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    forbid(request["forbidden"])
    names, errors = run_cells(request["cells"], seconds)
    (folder / "cells.json").write_text(json.dumps(errors), encoding="utf-8")
    for index, driver in enumerate(request["drivers"]):
        pid = os.fork()
        if pid == 0:
            _answer_one(folder, index, driver, names)
            os._exit(0)
        status = _wait(pid, seconds)
        if status != "ended":
            (folder / f"status-{index}").write_text(status, encoding="utf-8")


def run_cells(cells: list[str], seconds: float) -> tuple[Names, list[str]]:
    """Run cells in order in one namespace; a cell that fails is noted, the next ones run."""
    module = sys.modules["__main__"] = ModuleType("__main__")
    errors = []
    signal.signal(signal.SIGALRM, _too_late)
    for number, cell in enumerate(cells, start=1):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            _execute(MAGIC.sub(r"\1pass", cell), f"<cell {number}>", module.__dict__)
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


def describe(error: BaseException) -> str:
    """An error and the line of the notebook that raised it, in one line."""
    text = " ".join(str(error).split())
    words = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.line for frame in frames if frame.filename.startswith("<cell") and frame.line]
    return f"{words[:300]} (at `{lines[-1]}`)" if lines else words[:300]


def _execute(code: str, name: str, names: dict) -> None:
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    exec(compile(code, name, "exec"), names)


def _answer_one(folder: Path, index: int, driver: dict, names: Names) -> None:
    """Run one driver on its inputs and write the values, or the error."""
    path = folder / f"values-{index}"
    try:
        trusted: dict = {}
        exec(driver["source"], trusted)
        values = trusted[driver["name"]](names, plain.load(folder / f"inputs-{index}"))
        plain.save(path, {"values": values})
    except Missing as missing:
        plain.save(path, {"missing": str(missing)})
    except MemoryError:
        plain.save(path, {"error": "it needs more memory than the limit", "memory": True})
    except BaseException as error:
        plain.save(path, {"error": describe(error)})


def _enter(folder: Path, memory: int) -> None:
    """Become a process of its own: session, folder, streams, limits."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: end with the server
    os.setsid()
    os.chdir(folder)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        room = pages * resource.getpagesize() + memory  # torch alone maps several GB
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
        resource.setrlimit(resource.RLIMIT_FSIZE, (plain.MOST, plain.MOST))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass  # limits of memory are Linux's; the limit of time holds everywhere


def _wait(pid: int, seconds: float) -> str:
    """Wait for a process at most so long: "ended", "timeout" or "crash"."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return "ended" if os.waitstatus_to_exitcode(status) == 0 else "crash"
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "timeout"


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _too_late(*_) -> None:
    raise TimeoutError("the cell ran too long")


def _gone(name: str):
    def refuse(*_, **__):
        raise NotImplementedError(f"{name} is what this lab asks you to write")

    return refuse


if __name__ == "__main__":
    serve()
