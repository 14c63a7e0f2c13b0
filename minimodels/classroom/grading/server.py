"""The process in the box that forks once for each notebook, with torch loaded once.

    judge ── socket ──> server ── fork, confine ──> child.py: cells ── fork ──> one for each check

The judge passes two pipes with each line it sends: the child reads its request from one and
writes its answers to the other. The server itself never reads either. So its memory, of which
each fork gets a copy, holds nothing of a lab, of its solution, or of another notebook.
"""

import fcntl
import json
import os
import select
import socket
import sys

from minimodels.classroom.grading import plain, seal
from minimodels.classroom.grading.child import answer
from minimodels.device import has_triton, interpret_triton, interprets_triton
from minimodels.sandbox import calls
from minimodels.sandbox.enter import confine
from minimodels.sandbox.limits import Limits
from minimodels.sandbox.watch import Watch


def serve(control: socket.socket, confined: bool) -> None:
    """Answer lines until the judge closes the socket: {limits} and two pipes -> {status, peak}."""
    import torch

    torch.set_num_threads(1)
    if has_triton() and interprets_triton():  # the judge asked for it
        interpret_triton()
    torch.ones(1).half()  # asks what the CPU can do, once: the box does not show it
    ready = "ready" if not confined or _can_confine() else "cannot confine"
    control.sendall(json.dumps({"status": ready}).encode() + b"\n")
    while True:
        line, pipes, _, _ = socket.recv_fds(control, 4096, 2)
        if not line:
            return
        limits = Limits(**json.loads(line)["limits"])
        pid = os.fork()
        if pid == 0:
            _become_the_child(control, pipes, limits, confined)
        for pipe in pipes:
            os.close(pipe)
        status, peak = _watch(pid, limits, control)
        control.sendall(json.dumps({"status": status, "peak": peak}).encode() + b"\n")


def _become_the_child(control, pipes: list[int], limits: Limits, confined: bool) -> None:
    """In the fork: keep the two pipes and nothing else, enter namespaces, run, end."""
    code = 1
    try:
        control.close()
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        streams = (nothing, nothing, nothing, *pipes)
        above = [fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in streams]  # none in the way
        for number, handle in enumerate(above):
            os.dup2(handle, number)
        os.closerange(5, 4096)
        with open(3, "rb") as request:
            work = plain.loads(request.read())  # the judge wrote it
        hide = seal.sources(work["forbidden"])
        if confined:
            confine(limits.of_a_process(), limits.scratch, calls.program(), hide)
        with open(4, "wb") as out:
            answer(work, out)
        code = 0
    finally:
        os._exit(code)


def _can_confine() -> bool:
    """Whether this kernel allows namespaces within namespaces: tried on an idle fork."""
    pid = os.fork()
    if pid == 0:
        try:
            confine(Limits().of_a_process(), Limits.scratch, calls.program(), [])
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def _watch(pid: int, limits: Limits, control: socket.socket) -> tuple[str, int]:
    """How a child ended, and the most memory it was seen to use."""
    status = _Status(pid)
    watch = Watch(pid, limits)
    reason = watch.wait(status, stop=lambda: _told_to_stop(control))
    if reason:
        status.collect()
        return reason, watch.peak
    return ("ended" if status.code == 0 else "crash"), watch.peak


class _Status:
    """Whether a child has ended: collects it once."""

    def __init__(self, pid: int):
        self.pid, self.code = pid, None

    def __call__(self) -> bool:
        return self._ask(os.WNOHANG)

    def collect(self) -> None:
        self._ask(0)

    def _ask(self, how: int) -> bool:
        if self.code is None:
            done, status = os.waitpid(self.pid, how)
            self.code = os.waitstatus_to_exitcode(status) if done else None
        return self.code is not None


def _told_to_stop(control: socket.socket) -> str:
    """The judge says `stop` when it has read enough; it is gone when the socket is closed."""
    ready, _, _ = select.select([control], [], [], 0)
    if not ready:
        return ""
    if control.recv(4096):
        return "too much output"
    os._exit(1)


def main() -> None:
    """`python -m minimodels.classroom.grading.server FD confined|open`."""
    with socket.socket(fileno=int(sys.argv[1])) as control:
        serve(control, sys.argv[2] == "confined")


if __name__ == "__main__":
    main()
