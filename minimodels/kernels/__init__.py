"""Triton kernels, one operation a file, each beside its reference in plain torch.

`on` is the one switch: layers ask it and call a kernel file where it says so. Kernels are compiled
on a GPU, interpreted on a CPU when TRITON_INTERPRET=1 was set before the first import, and else the
layers' own plain torch runs. Triton may be absent.
"""

from minimodels.device import has_triton, interprets_triton

INSTALLED, INTERPRETED = has_triton(), interprets_triton()  # decided when Triton is imported


def on(x) -> bool:
    """Whether kernels run on this tensor: a 16- or 32-bit float on a GPU, or in the interpreter."""
    if not INSTALLED or x.dtype.itemsize > 4 or not x.dtype.is_floating_point:
        return False
    return x.is_cuda or (INTERPRETED and x.is_cpu)  # not on the meta device: there is no data
