"""What a public function would launch on a GPU, caught before the launch.

    with caught("sm_90") as launches:
        rms_norm(x, weight, 1e-6)

Each launch is the kernel, the types of its arguments, its constants and its warps, as Triton's
compiler would get them: numbers that are 1 become constants, multiples of 16 are marked. Tensors
may lie on a CPU: nothing is computed. In a process that does not interpret.
"""

import importlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
import triton

from minimodels import kernels
from minimodels.kernels import compile as compiling

TYPES = {
    torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16", torch.int8: "*i8",
    torch.uint8: "*u8", torch.int32: "*i32", torch.int64: "*i64",
}  # fmt: skip


@dataclass
class Launch:
    kernel: Any
    signature: dict[str, Any]
    constants: dict[str, Any]
    aligned: dict[tuple, list] = field(default_factory=dict)
    num_warps: int = 4
    num_stages: int = 2

    def key(self):
        return str((self.kernel.fn.__name__, self.signature, self.constants, self.aligned,
                    self.num_warps, self.num_stages))  # fmt: skip

    def compile(self, target: str):
        """The compiled kernel for one of compile.TARGETS."""
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        signature = {
            name: "constexpr" if name in self.constants else self.signature[name]
            for name in self.kernel.arg_names
        }
        source = ASTSource(self.kernel, signature, self.constants, self.aligned)
        options = {"num_warps": self.num_warps, "num_stages": self.num_stages}
        return triton.compile(source, GPUTarget(*compiling.TARGETS[target]), options)


@contextmanager
def caught(target: str):
    """All launches inside, as on this target."""
    found: list[Launch] = []

    def run(kernel, *args, grid, warmup, num_warps=4, num_stages=None, **constants):
        stages = (2 if target == "gfx942" else 3) if num_stages is None else num_stages
        given = dict(zip(kernel.arg_names, args, strict=False)) | constants
        found.append(_launch(kernel, given, num_warps, stages))

    with ExitStack() as patched:
        patched.enter_context(mock.patch.object(kernels, "on", lambda x: True))
        patched.enter_context(mock.patch.object(triton.JITFunction, "run", run))
        for file in compiling.FILES:  # each that asks has imported the question by its name
            module = importlib.import_module(f"minimodels.kernels.{file}")
            if hasattr(module, "target_of"):
                asked = mock.patch.object(module, "target_of", lambda device: target)
                patched.enter_context(asked)
        yield found


def _launch(kernel, given: dict, num_warps: int, num_stages: int) -> Launch:
    launch = Launch(kernel, {}, {}, {}, num_warps, num_stages)
    fixed = {parameter.name for parameter in kernel.params if parameter.is_constexpr}
    for index, name in enumerate(kernel.arg_names):
        if name in fixed:
            launch.constants[name] = given[name]
        elif isinstance(given[name], tuple):
            launch.signature[name] = tuple(
                _kind(launch, (index, i), one) for i, one in enumerate(given[name])
            )
            for i, one in enumerate(given[name]):
                if one == 1:
                    launch.constants[(index, i)] = 1
        else:
            kind = _kind(launch, (index,), given[name])
            if kind == "constexpr":
                launch.constants[name] = given[name]
            else:
                launch.signature[name] = kind
    return launch


def _kind(launch: Launch, place: tuple, value) -> str:
    """The type of an argument as Triton's launcher finds it."""
    if isinstance(value, torch.Tensor):
        launch.aligned[place] = [["tt.divisibility", 16]]
        return TYPES[value.dtype]
    if isinstance(value, float):
        return "fp32"
    if value == 1:
        return "constexpr"
    if value % 16 == 0:
        launch.aligned[place] = [["tt.divisibility", 16]]
    return "i32" if -(2**31) <= value < 2**31 else "i64"
