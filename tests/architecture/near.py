"""How far two tensors are from each other."""


def apart(a, b) -> float:
    """The largest difference, in units of the largest number of b where that is above one."""
    return ((a - b).abs().max() / b.abs().max().clamp(min=1)).item()
