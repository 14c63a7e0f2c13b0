"""Run one program in a box and read what it prints, no more than agreed."""

import subprocess
import threading
import time
from pathlib import Path
from typing import IO

from minimodels.sandbox import box as boxes
from minimodels.sandbox.box import Box
from minimodels.sandbox.limits import Limits, Outcome
from minimodels.sandbox.watch import Watch


def run(
    argv: list[str],
    *,
    stdin: bytes = b"",
    readable: tuple[Path, ...] = (),
    limits: Limits | None = None,
    environment: dict[str, str] | None = None,
    engine: str = "",
) -> Outcome:
    """Run a program in a box of its own, to its end or to a limit.

    `argv` are program and arguments, found in the box; `readable` folders and files that it may
    read besides. `engine` is "bubblewrap" or "namespaces" if it must be that one. UserError where
    no box can be made: nothing runs then.
    """
    limits = limits or Limits()
    box = Box(readable=readable, scratch=limits.scratch, environment=environment or {})
    command = boxes.command(argv, box, limits, engine or boxes.engine())
    start = time.monotonic()
    process = subprocess.Popen(command, env=boxes.environment(box), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    pipes = [_Reader(process.stdout, limits.output), _Reader(process.stderr, limits.output)]
    _Writer(process.stdin, stdin).start()
    watch = Watch(process.pid, limits)
    status = watch.wait(
        ended=lambda: process.poll() is not None,
        stop=lambda: "too much output" if any(pipe.full for pipe in pipes) else "",
    )
    process.wait()
    out, err = (pipe.result() for pipe in pipes)
    if not status:
        too_much = any(pipe.full for pipe in pipes)
        status = "too much output" if too_much else "crash" if process.returncode else "ended"
    code = _code(process.returncode) if status in ("ended", "crash") else None
    return Outcome(status, code, out, err, time.monotonic() - start, watch.peak)


class _Reader(threading.Thread):
    """Keeps the first `most` bytes of a pipe, and says when there are more."""

    def __init__(self, pipe: IO[bytes], most: int):
        super().__init__(daemon=True)
        self.pipe, self.most, self.full, self.kept = pipe, most, False, bytearray()
        self.start()

    def run(self) -> None:
        while chunk := self.pipe.read1(65_536):
            room = self.most - len(self.kept)
            self.kept += chunk[:room]
            self.full = self.full or len(chunk) > room

    def result(self) -> bytes:
        self.join(timeout=5)
        return bytes(self.kept)


class _Writer(threading.Thread):
    """Feeds a pipe whose reader may stop reading at any time."""

    def __init__(self, pipe: IO[bytes], data: bytes):
        super().__init__(daemon=True)
        self.pipe, self.data = pipe, data

    def run(self) -> None:
        try:
            self.pipe.write(self.data)
            self.pipe.close()
        except OSError:
            pass


def _code(status: int) -> int:
    """A status over 128 is how a shell tells of a signal: -9 for 137."""
    return 128 - status if status > 128 else status
