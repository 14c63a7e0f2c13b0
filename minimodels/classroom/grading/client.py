"""The judge's end: start a server in a box, hand it a request, read what comes back.

Everything read here was written by a student's process: it is cut off at a size, and a message
that is not plain data ends the reading.
"""

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from minimodels.classroom.grading import plain
from minimodels.errors import UserError
from minimodels.sandbox import Box, Limits, box

START = 60.0  # seconds that a server may take to load torch
MESSAGES, HEAD = 2_000, 65_536  # that are read of one process, and bytes of each without values
SLACK = 10.0  # seconds beyond the limit after which a server counts as hung


class Server:
    """A process in a box that runs requests one after the other."""

    def __init__(self, hidden: tuple[Path, ...], engine: str, triton: bool = False):
        """`hidden` is kept from its sight; `engine` as in sandbox.box, or "none": no box at all.

        triton: its interpreter is loaded with torch, once and not in every fork.
        """
        self._control, theirs = socket.socketpair()
        confined = engine != box.NONE
        argv = [sys.executable, "-m", "minimodels.classroom.grading.server", str(theirs.fileno()),
                "confined" if confined else "open"]  # fmt: skip
        look = Box(hidden=hidden)
        if confined:
            argv = box.command(argv, look, None, engine)
        environment = box.environment(look) if confined else {**os.environ, "OMP_NUM_THREADS": "1"}
        if triton:
            environment = {**environment, "TRITON_INTERPRET": "1"}
        self._process = subprocess.Popen(argv, env=environment, pass_fds=[theirs.fileno()],
                                         stdin=subprocess.DEVNULL)  # fmt: skip
        theirs.close()
        self._control.settimeout(START)
        if self._reply().get("status") != "ready":
            self.close()
            raise UserError(box.REFUSED)

    def ask(self, request: bytes, limits: Limits) -> tuple[str, Iterable[tuple[dict, bytes]], int]:
        """(how it ended, the messages that came, peak bytes); "gone" if the server is lost."""
        end = time.monotonic() + limits.seconds + SLACK
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        try:
            line = json.dumps({"limits": asdict(limits)}).encode() + b"\n"
            socket.send_fds(self._control, [line], [theirs_in, theirs_out])
        except OSError:
            os.close(ours_out), os.close(ours_in)
            return "gone", [], 0
        finally:
            os.close(theirs_in), os.close(theirs_out)
        exchange = _Exchange(self._control, ours_out, ours_in, request)
        try:
            data = exchange.run(end)
            reply = self._reply()
        except OSError:  # and with it a time-out
            self.close()
            return "gone", [], 0
        finally:
            exchange.close()
        status = "too much output" if exchange.full else reply.get("status", "gone")
        return status, messages(data), reply.get("peak", 0)

    def close(self) -> None:
        """End the server; a child of it ends with it."""
        self._control.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _reply(self) -> dict:
        """One line from the server, which is ours and says a status."""
        line = b""
        while not line.endswith(b"\n"):
            more = self._control.recv(4096)
            if not more:
                return {}
            line += more
        return json.loads(line)


class _Exchange:
    """Feeds a request into one pipe while it empties another, until the server speaks."""

    def __init__(self, control: socket.socket, out: int, into: int, request: bytes):
        self.control, self.out, self.into = control, out, into
        self.left, self.read, self.full = memoryview(request), bytearray(), False
        self.open = {out, into}
        os.set_blocking(out, False)
        os.set_blocking(into, False)

    def run(self, end: float) -> bytes:
        """All that was written before `end`; TimeoutError (an OSError) if the server is silent."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.control, selectors.EVENT_READ)
            selector.register(self.out, selectors.EVENT_WRITE)
            selector.register(self.into, selectors.EVENT_READ)
            while time.monotonic() < end:
                ready = {key.fileobj for key, _ in selector.select(timeout=1.0)}
                if self.out in ready and not self._write():
                    self._drop(selector, self.out)
                if self.into in ready and self._take() == 0:
                    self._drop(selector, self.into)
                if self.control in ready:
                    while self.into in self.open and self._take() > 0:
                        pass  # what is still in the pipe: whoever wrote it is dead
                    return bytes(self.read)
        raise TimeoutError

    def close(self) -> None:
        for handle in self.open:
            os.close(handle)
        self.open = set()

    def _write(self) -> bool:
        try:
            self.left = self.left[os.write(self.out, self.left[:65_536]) :]
        except BlockingIOError:
            pass
        except OSError:  # nobody reads any more
            return False
        return len(self.left) > 0

    def _take(self) -> int:
        """Read what is there: how many bytes, 0 at the end, -1 if there is nothing now."""
        try:
            chunk = os.read(self.into, 1 << 20)
        except BlockingIOError:
            return -1
        self.read += chunk[: max(0, plain.MOST - len(self.read))]
        if len(self.read) >= plain.MOST and not self.full:
            self.full = True
            self.control.sendall(b"stop\n")
        return len(chunk)

    def _drop(self, selector: selectors.BaseSelector, handle: int) -> None:
        selector.unregister(handle)
        os.close(handle)
        self.open.discard(handle)


def messages(data: bytes) -> Iterator[tuple[dict, bytes]]:
    """The whole messages in a stream: (head, bytes); it ends at the first that is none."""
    at = 0
    for _ in range(MESSAGES):
        if at + plain.LENGTH.size > len(data):
            return
        (length,) = plain.LENGTH.unpack_from(data, at)
        start = at + plain.LENGTH.size + length
        if length > HEAD or start > len(data):
            return
        try:
            head = plain.loads(data[at + plain.LENGTH.size : start])
        except ValueError:
            return
        count = head.get("bytes") if isinstance(head, dict) else None
        if not isinstance(count, int) or count < 0 or start + count > len(data):
            return
        yield head, data[start : start + count]
        at = start + count
