"""How much memory a process and its children took at most, seen from outside."""

import threading

import psutil


class Watch:
    """`with Watch(pid) as watch: ...`; afterwards `watch.peak` is in bytes.

    Resident memory is summed over the tree of processes ten times a second and once at the end;
    pages that they share are counted in each, so that the sum is an upper bound.
    """

    def __init__(self, pid: int, period: float = 0.1):
        self.peak = 0
        self._process = psutil.Process(pid)
        self._period = period
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        ended = False
        while not ended:
            self.peak = max(self.peak, resident(self._process))
            ended = self._done.wait(self._period)
        self.peak = max(self.peak, resident(self._process))


def resident(process: psutil.Process) -> int:
    """Bytes of memory that a process and all below it hold now; 0 when it is gone."""
    total = 0
    try:
        tree = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for one in tree:
        try:
            total += one.memory_info().rss
        except psutil.Error:
            continue
    return total
