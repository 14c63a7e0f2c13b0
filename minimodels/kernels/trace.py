"""Which program of a kernel reads and writes what: seen in Triton's interpreter.

    with trace(x=x, y=y) as seen:
        kernel[grid](x, y, …)
    seen.accesses("x")      # [(program, "read", flat indices), …]
    seen.bytes("read")      # all that was asked for, masked lanes aside

Needs TRITON_INTERPRET=1. An access that lies in none of the named tensors is kept as "elsewhere":
with all arguments named, it is one out of bounds, which neither the interpreter nor a GPU reports.
A name stands for the numel() numbers from the tensor's first on: name contiguous tensors, not views
with gaps.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from minimodels.device import triton_mode
from minimodels.errors import UserError

ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Access:
    """One load or store of one program."""

    program: tuple[int, int, int]
    tensor: str
    kind: str  # "read" or "write"
    indices: np.ndarray  # flat, of the elements that the mask lets through
    itemsize: int


@dataclass
class Seen:
    """All accesses, in the order in which they happened."""

    all: list[Access] = field(default_factory=list)

    def accesses(self, tensor: str, kind: str | None = None) -> list[Access]:
        return [a for a in self.all if a.tensor == tensor and kind in (None, a.kind)]

    def bytes(self, kind: str, tensor: str | None = None) -> int:
        """Bytes asked for by loads ("read") or stores ("write"), of one tensor or of all."""
        chosen = [a for a in self.all if a.kind == kind and tensor in (None, a.tensor)]
        return sum(a.itemsize * len(a.indices) for a in chosen)

    def times(self, tensor: str, count: int, kind: str = "read"):
        """How often each of the tensor's `count` elements was read or written: (count,) int."""
        found = np.zeros(count, dtype=int)
        for access in self.accesses(tensor, kind):
            np.add.at(found, access.indices, 1)
        return found

    def owners(self, tensor: str, count: int, kind: str = "write"):
        """Which program (its first number) touched each element last, −1 for none: (count,) int."""
        found = np.full(count, -1)
        for access in self.accesses(tensor, kind):
            found[access.indices] = access.program[0]
        return found


@contextmanager
def trace(**tensors) -> Iterator[Seen]:
    """Collect the accesses of all kernels run inside to the tensors named.

    Raises UserError where Triton does not interpret.
    """
    if triton_mode() != "interpreter":
        raise UserError(
            "a trace needs the interpreter: set TRITON_INTERPRET=1 before Triton is imported."
        )
    from triton.runtime.interpreter import interpreter_builder as builder

    seen, load, store = Seen(), builder.create_masked_load, builder.create_masked_store

    def watching_load(ptrs, mask, *others):
        _note(seen, builder.grid_idx, tensors, "read", ptrs.data, mask.data)
        return load(ptrs, mask, *others)

    def watching_store(ptrs, value, mask, *others):
        _note(seen, builder.grid_idx, tensors, "write", ptrs.data, mask.data)
        return store(ptrs, value, mask, *others)

    builder.create_masked_load, builder.create_masked_store = watching_load, watching_store
    try:
        yield seen
    finally:
        builder.create_masked_load, builder.create_masked_store = load, store


def _note(seen: Seen, program, tensors: dict, kind: str, pointers, mask) -> None:
    """Sort the addresses of one load or store by the tensor that they lie in."""
    address = np.broadcast_to(pointers, np.broadcast_shapes(pointers.shape, mask.shape))
    address = address[np.broadcast_to(mask, address.shape).astype(bool)].astype(np.int64)
    for name, tensor in tensors.items():
        start = tensor.data_ptr()
        here = (address >= start) & (address < start + tensor.numel() * tensor.itemsize)
        if here.any():
            indices = (address[here] - start) // tensor.itemsize
            seen.all.append(Access(tuple(program), name, kind, indices, tensor.itemsize))
        address = address[~here]
    if len(address):
        seen.all.append(Access(tuple(program), ELSEWHERE, kind, address, 1))
