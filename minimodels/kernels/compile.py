"""Compile kernels for GPUs that are not there, and read what they became. Needs no driver.

    python -m minimodels.kernels.compile            # every kernel, every target: a table
    python -m minimodels.kernels.compile rms_norm   # one file's

A kernel file says in `builds()` with which types and constants it is built. Not in a process with
TRITON_INTERPRET=1: there a kernel is a Python function.
"""

import importlib
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minimodels.errors import UserError

TARGETS = {  # name -> backend, architecture, threads of a warp
    "sm_80": ("cuda", 80, 32),  # A100
    "sm_86": ("cuda", 86, 32),  # A10, RTX 3090: two thirds of an A100's shared memory
    "sm_90": ("cuda", 90, 32),  # H100, H200
    "sm_100": ("cuda", 100, 32),  # B200
    "gfx942": ("hip", "gfx942", 64),  # MI300X
}
CHECKED = ("sm_80", "sm_90", "gfx942")  # what the tests compile for
FILES = sorted(path.stem for path in Path(__file__).parent.glob("*.py"))


@dataclass(frozen=True)
class Build:
    """One kernel as it is launched: types of the arguments and values of the constants.

    signature: argument -> "*bf16", "i32", "fp32", a tuple of them, …; constants: the constexpr
    arguments; `aligned` names integers that are multiples of 16 when launched (strides), `targets`
    those the constants are meant for; num_stages None leaves the number to Triton, as a launch that
    does not name it. `spills`: how many bytes a thread the tests let lie in slow memory, with a
    reason where it is set. `refused` maps a target that lacks what the kernel needs to the sentence
    that says so.
    """

    name: str
    kernel: Any
    signature: dict[str, str]
    constants: dict[str, Any]
    num_warps: int = 4
    num_stages: int | None = None
    aligned: tuple[str, ...] = ()
    targets: tuple[str, ...] = CHECKED
    spills: int = 16  # four registers are no harm
    refused: dict[str, str] = field(default_factory=dict)

    @classmethod
    def launched(cls, name: str, kernel, signature: dict, told: dict, **more) -> "Build":
        """From what a launch is told by name: constants, and maybe num_warps and num_stages."""
        how = {option: told[option] for option in ("num_warps", "num_stages") if option in told}
        constants = {constant: told[constant] for constant in told if constant not in how}
        return cls(name, kernel, signature, constants, **how, **more)


@dataclass(frozen=True)
class Resources:
    """What a program of a compiled kernel takes."""

    registers: int  # a thread
    shared: int  # bytes a program
    spilled: int  # bytes a thread in slow memory, because registers ran out


def target_of(device) -> str:
    """The target whose tiles serve this device; "small" for GPUs with little shared memory."""
    import torch

    if device.type != "cuda":
        return "interpreter"
    if torch.version.hip:
        return "gfx942"
    major, minor = torch.cuda.get_device_capability(device)
    if major in (9, 10):  # H100 to B200; sm_120 has as little as sm_86
        return "sm_90"
    return "sm_80" if (major, minor) == (8, 0) else "small"


def compile_build(build: Build, target: str):
    """The compiled kernel: `asm` by stage ("ttir", "ttgir", "llir", "ptx" or "amdgcn", …).

    Raises UserError where the target lacks what the kernel needs.
    """
    if target in build.refused:
        raise UserError(f"{build.name} for {target}: {build.refused[target]}")
    options = {"num_warps": build.num_warps}
    options |= {} if build.num_stages is None else {"num_stages": build.num_stages}
    return _compile(build.kernel, build.signature, build.constants, target, options, build.aligned)


def compile_only(kernel, signature: dict[str, str], constants: dict, capability: int = 90):
    """The same for a kernel at hand and a compute capability (80 A100, 90 H100, 100 B200)."""
    return _compile(kernel, signature, constants, f"sm_{capability}", {})


def _compile(kernel, signature: dict, constants: dict, target: str, options: dict, also=()):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    if target not in TARGETS:
        raise UserError(f"there is no target {target!r}: choose one of {', '.join(TARGETS)}.")
    order = {name: i for i, name in enumerate(kernel.arg_names)}
    aligned = {  # PyTorch's memory is: 16-byte loads become possible
        place: [["tt.divisibility", 16]]
        for name, kind in signature.items() if kind[0] == "*" or name in also
        for place in _places(order[name], kind)
    }  # fmt: skip
    signature = signature | dict.fromkeys(constants, "constexpr")
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    return triton.compile(source, target=GPUTarget(*TARGETS[target]), options=options)


def _places(index: int, kind) -> list[tuple[int, ...]]:
    """Where an argument's numbers stand: one place, or one for each of a tuple."""
    return [(index,)] if isinstance(kind, str) else [(index, i) for i in range(len(kind))]


def resources(compiled) -> Resources:
    """Registers, shared memory and spills, from the binary itself."""
    shared = compiled.metadata.shared
    if "amdgcn" in compiled.asm:
        text = compiled.asm["amdgcn"]
        registers = _number(r"\.vgpr_count:\s+(\d+)", text)
        return Resources(registers, shared, 4 * _number(r"\.vgpr_spill_count:\s+(\d+)", text))
    text = _resource_usage(compiled.asm["cubin"])
    spilled = _number(r"STACK:(\d+)", text)  # ptxas spills to the stack; LOCAL stays 0
    return Resources(_number(r"REG:(\d+)", text), shared, spilled)


def _resource_usage(cubin: bytes) -> str:
    """What cuobjdump says of a binary; it comes with Triton."""
    import triton

    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        command = [tool, "--dump-resource-usage", path]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _number(pattern: str, text: str) -> int:
    return max(int(found) for found in re.findall(pattern, text))


def builds(file: str) -> list[Build]:
    """The builds of one kernel file; [] for a file without kernels."""
    if file not in FILES:
        raise UserError(f"there is no kernel file {file!r}: choose one of {', '.join(FILES)}.")
    module = importlib.import_module(f"minimodels.kernels.{file}")
    return module.builds() if hasattr(module, "builds") else []


def table(files: list[str], targets=CHECKED) -> None:
    """Print a line for each kernel and target."""
    print(f"{'kernel':34} {'target':8} {'registers':>9} {'shared B':>9} {'spilled B':>9}")
    for build in (build for file in files for build in builds(file)):
        for target in (target for target in targets if target in build.targets):
            try:
                used = resources(compile_build(build, target))
            except UserError as refused:
                print(f"{build.name:34} {target:8} {refused}")
                continue
            row = f"{used.registers:>9} {used.shared:>9} {used.spilled:>9}"
            print(f"{build.name:34} {target:8} {row}")


if __name__ == "__main__":
    os.environ.pop("TRITON_INTERPRET", None)
    table(sys.argv[1:] or [file for file in FILES if file not in ("__init__", "compile")])
