"""Watch the processes of a run, and end all of them when they use up too much."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from minimodels.sandbox.limits import Limits

PAUSE = 0.02  # seconds between two looks
EVERY = 3  # looks at the clock for each look at the memory, which takes longer


@dataclass
class Watch:
    """The tree of processes below `pid`."""

    pid: int
    limits: Limits
    peak: int = 0

    def wait(self, ended: Callable[[], bool], stop: Callable[[], str] = lambda: "") -> str:
        """Wait until `ended`; "" then, else the limit that was passed, and all are killed.

        `stop` is asked now and then and may name another reason to end.
        """
        start, look = time.monotonic(), 0
        while not ended():
            reason = stop()
            if time.monotonic() - start > self.limits.seconds:
                reason = "timeout"
            elif not reason and look % EVERY == 0:
                reason = self._used_up()
            if reason:
                self.kill()
                return reason
            look += 1
            time.sleep(PAUSE if look > 10 else PAUSE / 10)
        return ""

    def kill(self) -> None:
        """Kill the tree, its oldest children first: one of them is process 1 of a namespace."""
        for process in [*self._tree()[1:], *self._tree()[:1]]:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def _used_up(self) -> str:
        tree = self._tree()
        if len(tree) > self.limits.processes + 3:  # the box itself has up to three
            return "too many processes"
        used = sum(_resident(process) for process in tree)
        self.peak = max(self.peak, used)
        if used <= self.limits.memory:
            return ""
        own = sum(_own(process) for process in tree)  # slow and exact: what forks share counts once
        return "out of memory" if own > self.limits.memory else ""

    def _tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        except psutil.Error:
            return []


def _resident(process: psutil.Process) -> int:
    """Private memory and memory shared with others, without files; forks count it once each."""
    return _sum(f"/proc/{process.pid}/status", "RssAnon", "RssShmem")


def _own(process: psutil.Process) -> int:
    """The same, where what several share is divided by their number."""
    return _sum(f"/proc/{process.pid}/smaps_rollup", "Pss_Anon", "Pss_Shmem") or _resident(process)


def _sum(place: str, *names: str) -> int:
    """Bytes that a file of /proc names in kB; 0 if the process is gone, or not ours to look at."""
    try:
        with open(place, encoding="utf-8") as file:
            lines = [line.split() for line in file]
    except OSError:
        return 0
    return sum(int(words[1]) for words in lines if words and words[0][:-1] in names) * 1024
