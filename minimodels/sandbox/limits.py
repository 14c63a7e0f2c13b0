"""How much unknown code may use up, and how it ended."""

from dataclasses import dataclass

MB = 2**20


@dataclass(frozen=True)
class Limits:
    """Of one run, all of its processes together where nothing else is said."""

    seconds: float = 10.0  # by the clock; each process may compute as long
    memory: int = 2048 * MB  # bytes
    processes: int = 64
    output: int = 16 * MB  # bytes of stdout and stderr, each
    scratch: int = 256 * MB  # bytes in /tmp, and of any one file

    def of_a_process(self) -> dict[str, int]:
        """The limits that the kernel sets on each process, as `enter.drop` takes them."""
        return {"memory": self.memory, "cpu": int(self.seconds) + 2, "file": self.scratch,
                "processes": self.processes, "core": 0, "files": 1024}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    status: str  # ended, crash, timeout, out of memory, too many processes, too much output
    returncode: int | None  # of a run that ended or crashed; negative: the signal that ended it
    stdout: bytes
    stderr: bytes
    seconds: float
    peak: int = 0  # bytes, the most that was seen
