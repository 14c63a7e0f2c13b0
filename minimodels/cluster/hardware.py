"""A table of datacenter accelerators: what their makers print, in plain numbers.

Peaks are dense (without the twofold of structured sparsity that some sheets print first). A row
whose numbers we could not confirm says so in `note` and has `confirmed=False`: take it with care.
"""

from dataclasses import dataclass

from minimodels.cluster.roofline import Machine
from minimodels.errors import UserError


@dataclass(frozen=True)
class Accelerator:
    """One chip or card. None: not published, or not in a form that compares."""

    name: str
    bf16_tflops: float | None  # dense TFLOP/s
    fp8_tflops: float | None  # dense TFLOP/s
    memory_gb: float
    memory_tbs: float | None  # TB/s between chip and its memory
    link_gbs: float | None  # GB/s one way to its neighbors (NVLink)
    watts: float | None
    source: str
    note: str = ""
    confirmed: bool = True
    matmul_tflops: float | None = None  # reached by large bf16 products, not printed on the sheet

    def machine(self) -> Machine:
        """Its bf16 roofline."""
        if self.bf16_tflops is None or self.memory_tbs is None:
            raise UserError(f"{self.name} has no agreed peak ({self.note}): choose another row.")
        return Machine(self.name, self.bf16_tflops * 1e12, self.memory_tbs * 1e12)


NVIDIA, GOOGLE = "NVIDIA data sheet", "Google Cloud TPU documentation"

ACCELERATORS = (
    Accelerator("V100", 125, None, 32, 0.9, 150, 300, NVIDIA, "SXM2; FP16, it has no BF16"),
    Accelerator("A100", 312, None, 80, 2.04, 300, 400, NVIDIA, "SXM 80 GB", matmul_tflops=271),
    Accelerator("H100", 989, 1979, 80, 3.35, 450, 700, NVIDIA, "SXM", matmul_tflops=795),
    Accelerator("H200", 989, 1979, 141, 4.8, 450, 700, NVIDIA, "SXM"),
    Accelerator("B200", 2250, 4500, 180, 8.0, 900, 1000, NVIDIA,
                "180 to 192 GB by product", matmul_tflops=1745),
    Accelerator("MI300X", 1300, 2600, 192, 5.3, None, 750, "AMD data sheet",
                "unverified: texts disagree on dense and sparse peaks", confirmed=False),
    Accelerator("TPU v4", 275, None, 32, 1.2, None, None, GOOGLE),
    Accelerator("TPU v5e", 197, None, 16, 0.81, None, None, GOOGLE, "INT8 394 TOP/s"),
    Accelerator("TPU v5p", 459, None, 95, 2.77, None, None, GOOGLE, "INT8 918 TOP/s"),
    Accelerator("TPU v6e", 918, None, 32, 1.6, None, None, GOOGLE),
    Accelerator("Ascend 910B", None, None, 64, None, None, None, "articles only",
                "undisclosed; sources say 256 to 376 FP16 TFLOP/s and 0.8 to 1.6 TB/s",
                confirmed=False),
)


def accelerator(name: str) -> Accelerator:
    """The row of that name, whatever its case; UserError if the table has none."""
    for row in ACCELERATORS:
        if row.name.casefold() == name.casefold():
            return row
    known = ", ".join(row.name for row in ACCELERATORS)
    raise UserError(f"no accelerator is called {name!r}: choose one of {known}.")
