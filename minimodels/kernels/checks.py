"""What kernels ask of their arguments, in one sentence each."""

import torch

from minimodels.errors import UserError

FLOATS = (torch.float32, torch.bfloat16, torch.float16)
NO_FP8 = "FP8 tensor cores begin with compute capability 8.9 (L4, H100): use mx_matmul or bf16."
INTEGERS = (torch.int32, torch.int64)
LONGEST_ROW = 16_384  # at twice that gradients spill out of the registers: plain torch serves


def same_place(operation: str, dtypes=FLOATS, **tensors) -> None:
    """UserError unless all tensors (None aside) are on one device and of a dtype we have."""
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    one_device(operation, **given)
    for name, tensor in given.items():
        if tensor.dtype not in dtypes:
            known = ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
            raise UserError(
                f"{operation}: {name} is {tensor.dtype}, only {known} work: convert it."
            )


def one_device(operation: str, **tensors) -> None:
    """UserError unless all tensors (None aside) are on the device of the first."""
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    first = next(iter(given))
    for name, tensor in given.items():
        if tensor.device != given[first].device:
            raise UserError(
                f"{operation}: {name} is on {tensor.device}, {first} on {given[first].device}: "
                "move them to one device."
            )


def one_dtype(operation: str, **tensors) -> None:
    """UserError unless all tensors (None aside) have the dtype of the first."""
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    first = next(iter(given))
    for name, tensor in given.items():
        if tensor.dtype != given[first].dtype:
            raise UserError(
                f"{operation}: {name} is {tensor.dtype}, {first} {given[first].dtype}: "
                "give one dtype."
            )


def same_size(operation: str, shape, **tensors) -> None:
    """UserError unless each tensor (None aside) has this shape."""
    for name, tensor in tensors.items():
        if tensor is not None and tuple(tensor.shape) != tuple(shape):
            raise UserError(
                f"{operation}: {name} has shape {tuple(tensor.shape)}, not {tuple(shape)}: "
                "give tensors that fit."
            )


def dimensions(operation: str, shape: str, **tensors) -> None:
    """UserError unless each tensor has as many dimensions as shape, "(B, H, T, d)", names."""
    for name, tensor in tensors.items():
        if tensor.dim() != shape.count(",") + 1:
            raise UserError(
                f"{operation}: {name} has shape {tuple(tensor.shape)}, not {shape}: reshape it."
            )


def rows_of_numbers(operation: str, **tensors) -> None:
    """UserError for a tensor that is a single number: it has no rows."""
    for name, tensor in tensors.items():
        if tensor.dim() == 0:
            raise UserError(f"{operation}: {name} is a single number: give it rows.")


def autocast(*tensors) -> tuple:
    """The tensors in autocast's dtype where it is on for them: products are computed in it."""
    kind = tensors[0].device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors)


def warps_for(block: int) -> int:
    """Warps for a program that holds `block` numbers: 8 a thread, one load of 16 bytes in bf16."""
    return min(max(block // 256, 1), 16)


def fp8_hardware(operation: str, x) -> None:
    """UserError on a GPU that lacks FP8; the builds of the same kernels say it too."""
    if x.is_cuda and not torch.version.hip and torch.cuda.get_device_capability(x.device) < (8, 9):
        raise UserError(f"{operation}: {NO_FP8}")


def halved_fp8(x) -> bool:
    """Whether this GPU's e4m3 is the older kind of AMD's, whose codes mean half as much (MI300)."""
    if not x.is_cuda or not torch.version.hip:
        return False
    return torch.cuda.get_device_properties(x.device).gcnArchName.startswith("gfx94")
