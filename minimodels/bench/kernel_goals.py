"""What our kernels are meant to reach, and whether they do: arithmetic on measured rows.

memory      rows and norms: at least as fast as Liger-Kernel, 80% of the memory's roofline
attention   70% of the speed of torch's best attention, forward and backward
loss        a tenth of plain torch's memory, forward and backward together
"""

from dataclasses import dataclass

from minimodels.bench.kernel_contest import OURS, Row
from minimodels.cluster.roofline import Machine, bound

LIGER, SHARE, ATTENTION, LESS = 1.0, 0.80, 0.70, 10.0


@dataclass(frozen=True)
class Goal:
    """reached and met are None where there was nothing to compare with."""

    words: str
    wanted: float
    reached: float | None

    @property
    def met(self) -> bool | None:
        return None if self.reached is None else self.reached >= self.wanted

    def line(self) -> str:
        if self.reached is None:
            return f"goal: {self.words} at least {self.wanted:.2f}: not measured"
        end = "met" if self.met else "MISSED"
        return f"goal: {self.words} at least {self.wanted:.2f}: {self.reached:.2f}, {end}"


def share_of_roof(row: Row, who: str, machine: Machine) -> float:
    """The roofline's least time over the time taken."""
    return 1000 * bound(row.cost.flops, row.cost.bytes, machine).seconds / row.times[who].median


def goals(row: Row, machine: Machine) -> list[Goal]:
    """The goals of a row; none for a row that was not measured."""
    if OURS not in row.times:
        return []
    ours = row.times[OURS].median
    if row.goal == "memory":
        theirs = row.times.get("Liger")
        return [
            Goal("speed over Liger's", LIGER, theirs and theirs.median / ours),
            Goal("share of the roofline", SHARE, share_of_roof(row, OURS, machine)),
        ]
    if row.goal == "attention":
        best = [time.median for who, time in row.times.items() if who.startswith("SDPA")]
        return [Goal("speed over SDPA's best", ATTENTION, min(best) / ours if best else None)]
    if row.goal == "loss":
        eager = row.peaks.get("eager")
        less = eager / max(row.peaks[OURS], 1) if eager else None
        return [Goal("plain torch's memory over ours", LESS, less)]
    return []
