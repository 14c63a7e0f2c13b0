"""The one inequality of the course: no machine is faster than its arithmetic or its memory.

Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model", CACM 52(4).

    seconds ≥ max(FLOPs / peak, bytes / bandwidth)

`bound` is used unchanged for kernels, caches, tensor and data parallelism: give the bandwidth of
whatever the bytes travel through (memory, NVLink, network) and a name for it.
"""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Machine:
    """What a roofline needs to know of a machine."""

    name: str
    flops: float  # FLOP/s at its best, in one number format
    bandwidth: float  # bytes/s
    moves: str = "memory"  # what the bytes travel through: the name of that limit

    @property
    def ridge(self) -> float:
        """FLOPs a byte at which arithmetic and transfer take equally long."""
        return self.flops / self.bandwidth


class Bound(NamedTuple):
    """The least time, and what sets it."""

    seconds: float
    limit: str  # "compute", or the machine's `moves`


def bound(flops: float, bytes: float, machine: Machine) -> Bound:
    """The least seconds in which `machine` can do `flops` operations and move `bytes` bytes."""
    compute, transfer = flops / machine.flops, bytes / machine.bandwidth
    if compute >= transfer:
        return Bound(compute, "compute")
    return Bound(transfer, machine.moves)
