"""Triton kernels, one operation a file, each beside its reference in plain torch.

`on` is the one switch: layers ask it and call a kernel file where it says so. Kernels are compiled
on a GPU, interpreted on a CPU when TRITON_INTERPRET=1 was set before the first import, and else the
layers' own plain torch runs. Triton may be absent.
"""

from functools import lru_cache


def on(x) -> bool:
    """Whether kernels run on this tensor: a 16- or 32-bit float on a GPU, or in the interpreter."""
    mode = _mode()
    if mode == "reference" or x.dtype.itemsize > 4 or not x.dtype.is_floating_point:
        return False
    return mode == "interpreter" or x.is_cuda


@lru_cache
def _mode() -> str:
    from minimodels.device import triton_mode

    return triton_mode()
