"""The process that `minimodels check` runs cells in: python -m …student.runner REQUEST.json.

It says on its stdout, one JSON object a line, when it is ready, which cell or check begins, and
how it ended; what the cells themselves print is thrown away. A cell that fails is noted and the
next one runs, as the grader does it. It is no sandbox: the code is the student's own.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import TextIO

from minimodels.classroom.grading.child import describe, execute
from minimodels.classroom.student.guard import STUDENT, Guard
from minimodels.classroom.visible import NotYet
from minimodels.sandbox.enter import private_bytes


class TooLate(BaseException):
    """A cell ran longer than it may; `except Exception` in that cell does not catch this."""


def main() -> None:
    """Do what a request asks: {cells, checks, forbidden, seconds, memory}; `cells` may be empty."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    out = _own_stdout()
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, _too_late)
    _limit(request["memory"])
    _say(out, event="ready")
    guard = Guard(request["forbidden"])
    module = sys.modules["__main__"] = ModuleType("__main__")
    names = vars(module)
    names["__builtins__"] = guard.builtins
    for number, code in enumerate(request["cells"]):
        _run(out, "cell", number, f"{STUDENT} {number + 1}>", code, names, request["seconds"])
    guard.lift()
    seen: dict = {}  # what earlier checks have defined: theirs alone
    for number, code in request["checks"]:
        view = {**seen, **names, "__builtins__": __builtins__}
        _run(out, "check", number, f"<check {number + 1}>", code, view, request["seconds"])
        seen = {name: thing for name, thing in view.items() if names.get(name) is not thing}
    os._exit(0)  # threads and handlers of the student's do not matter any more


def _run(out: TextIO, kind: str, number: int, file: str, code: str, names: dict, seconds) -> None:
    """Run one cell within `seconds`, and say how it ended: "", "error", "unwritten", "timeout"."""
    _say(out, event="begin", kind=kind, number=number)
    how = message = ""
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        execute(code, file, names)
    except NotYet as failed:
        how, message = "error", " ".join(str(failed).split())
    except TooLate:
        how = "timeout"
    except BaseException as error:
        empty = isinstance(error, NotImplementedError) and not str(error)
        how, message = "unwritten" if empty else "error", describe(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    _say(out, event="end", kind=kind, number=number, how=how, message=message)


def _say(out: TextIO, **event) -> None:
    out.write(json.dumps(event) + "\n")
    out.flush()


def _own_stdout() -> TextIO:
    """Keep stdout for what this process says; the cells get streams that lead nowhere."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    return out


def _limit(memory: int) -> None:
    """Allow `memory` bytes beyond what torch took, and end with the command that started this."""
    if sys.platform != "linux":
        return  # elsewhere only the limit of time holds
    import resource

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    most = private_bytes() + memory
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _too_late(*_) -> None:
    raise TooLate


if __name__ == "__main__":
    main()
