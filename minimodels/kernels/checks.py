"""What kernels ask of their arguments, in one sentence each."""

import torch

from minimodels.errors import UserError

FLOATS = (torch.float32, torch.bfloat16, torch.float16)


def same_place(operation: str, dtypes=FLOATS, **tensors) -> None:
    """UserError unless all tensors (None aside) are on one device and of a dtype we have."""
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    first = next(iter(given))
    for name, tensor in given.items():
        if tensor.device != given[first].device:
            raise UserError(
                f"{operation}: {name} is on {tensor.device}, {first} on {given[first].device}: "
                "move them to one device."
            )
        if tensor.dtype not in dtypes:
            known = ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
            raise UserError(
                f"{operation}: {name} is {tensor.dtype}, only {known} work: convert it."
            )


def same_size(operation: str, shape, **tensors) -> None:
    """UserError unless each tensor (None aside) has this shape."""
    for name, tensor in tensors.items():
        if tensor is not None and tuple(tensor.shape) != tuple(shape):
            raise UserError(
                f"{operation}: {name} has shape {tuple(tensor.shape)}, not {tuple(shape)}: "
                "give tensors that fit."
            )


def warps_for(block: int) -> int:
    """Warps for a program that holds `block` numbers: 8 a thread, one load of 16 bytes in bf16."""
    return min(max(block // 256, 1), 16)
