"""Triton kernels, one operation a file, each beside its reference in plain torch.

device.triton_mode() decides which of them runs: compiled on a GPU, interpreted on a CPU when
TRITON_INTERPRET=1 was set before the first import, else the reference. Triton may be absent.
"""
