"""Start runner.py in a clean process, pass on what it says, and say so when it ends or hangs."""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

START = 180.0  # seconds until torch is loaded, on a slow disk
GRACE = 2.0  # seconds beyond the limit after which a cell counts as one that cannot be stopped


def events(request: dict) -> Iterator[dict]:
    """What the runner says, as it says it; last {"event": "gone", "how": …} if it did not finish.

    `how` is "timeout" or "exit 1" or "signal 11". When the caller stops listening, it is ended.
    """
    with tempfile.TemporaryDirectory(prefix="minimodels-check-") as folder:
        asked = Path(folder) / "request.json"
        asked.write_text(json.dumps(request), encoding="utf-8")
        child = _start(asked)
        try:
            yield from _listen(child, request["seconds"] + GRACE)
        finally:
            _end(child)


def _start(asked: Path) -> subprocess.Popen:
    """The runner in an empty folder of its own, with one thread, as in grading."""
    scratch = asked.parent / "scratch"
    scratch.mkdir()
    places = [place for place in sys.path if place and Path(place).exists()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
                   "PYTHONPATH": os.pathsep.join(places)}  # fmt: skip
    command = [sys.executable, "-P", "-m", "minimodels.classroom.student.runner", str(asked)]
    return subprocess.Popen(command, cwd=scratch, env=environment, text=True, encoding="utf-8",
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            stdin=subprocess.DEVNULL, start_new_session=True)  # fmt: skip


def _listen(child: subprocess.Popen, seconds: float) -> Iterator[dict]:
    said: queue.Queue = queue.Queue()
    threading.Thread(target=_read, args=(child, said), daemon=True).start()
    patience, running = START, False
    while True:
        try:
            line = said.get(timeout=patience)
        except queue.Empty:
            yield {"event": "gone", "how": "timeout"}
            return
        if not line:
            code = child.wait()
            if code or running or patience == START:
                yield {"event": "gone", "how": f"signal {-code}" if code < 0 else f"exit {code}"}
            return
        event = json.loads(line)
        patience, running = seconds, event["event"] == "begin"
        yield event


def _read(child: subprocess.Popen, said: queue.Queue) -> None:
    """Pass on each line, and "" when nobody is left who could write one."""
    for line in child.stdout:
        said.put(line)
    said.put("")


def _end(child: subprocess.Popen) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    child.wait()
    child.stdout.close()
