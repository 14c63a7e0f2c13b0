"""Time and memory of one call on a GPU, and what the GPU was.

The time is what lies between two events in the GPU's own queue. Before the first one the
second-level cache is filled with something else, which also gives Python the time to put the whole
call into the queue: what is measured is the GPU's work, not Python's.
"""

import gc
import shutil
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import torch

from minimodels.cluster import survey
from minimodels.cluster.hardware import ACCELERATORS
from minimodels.cluster.roofline import Machine

FLUSH = 2**30  # bytes: many times any cache, a third of a millisecond
ASKED = "driver_version clocks.sm clocks.max.sm clocks.mem power.limit temperature.gpu".split()


@dataclass(frozen=True)
class Time:
    """Milliseconds: the median of many calls, and the quarter points of their spread."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, milliseconds: list[float]) -> "Time":
        low, median, high = statistics.quantiles(milliseconds, n=4, method="inclusive")
        return cls(median, low, high)


class Clock:
    """Measures calls on one GPU."""

    def __init__(self, device):
        self.device = device
        self.waste = torch.empty(FLUSH, dtype=torch.uint8, device=device)

    def start(self, work: Callable) -> Callable[[], float]:
        """Queue `work`; the function that comes back says its milliseconds after `wait`."""
        self.waste.zero_()
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        work()
        after.record()
        return lambda: before.elapsed_time(after)

    def wait(self) -> None:
        torch.cuda.synchronize(self.device)

    def speed(self) -> str:
        """The clock of the GPU's processors at this moment, as "1980 MHz"; "" where none says."""
        return state().get("clocks.sm", "")

    def fresh(self) -> None:
        """Give back what earlier calls left, so that this one has all memory."""
        gc.collect()
        torch.cuda.empty_cache()

    def peak(self, work: Callable) -> int:
        """The most bytes held during `work` beyond what was held before it."""
        gc.collect()
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        work()
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device) - before


def roof(device) -> tuple[Machine, str]:
    """The GPU's bf16 roofline, and where its two numbers come from."""
    properties = torch.cuda.get_device_properties(device)
    printed = data_sheet(properties.name, properties.total_memory / 1e9)
    if printed is not None:
        return printed, "data sheet"
    flops = survey.matmul_flops("bfloat16", device)
    bandwidth = survey.copy_bandwidth(device)
    return Machine(properties.name, flops, bandwidth), "measured here: a product and a copy"


def data_sheet(name: str, memory_gb: float) -> Machine | None:
    """The row of the table of accelerators for a device's name; None where none fits for sure.

    Cards for a PCIe slot have the chip's name and other clocks, and an A100 has two memories.
    """
    words = name.replace("-", " ").split()
    for row in ACCELERATORS:
        known = row.confirmed and row.bf16_tflops and row.memory_tbs
        fits = abs(memory_gb / row.memory_gb - 1) < 0.12
        if known and fits and row.name in words and not {"PCIe", "PCIE", "NVL"} & set(words):
            return row.machine()
    return None


def state() -> dict[str, str]:
    """Driver, clocks and temperature as the driver's own tool says; {} without it."""
    if not shutil.which("nvidia-smi"):
        return {}
    device = torch.cuda.get_device_properties(torch.cuda.current_device())
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader",
               f"--id=GPU-{device.uuid}"]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True)
    values = [value.strip() for value in said.stdout.split(",")]
    return dict(zip(ASKED, values, strict=True)) if len(values) == len(ASKED) else {}
