"""Bytes of model state on each GPU under ZeRO (Rajbhandari et al. 2020, arXiv 1910.02054, §3, §5).

Mixed precision with Adam keeps, for each parameter: 2 bytes of weight, 2 of gradient, and 12 of
optimizer state (a float32 copy of the weight, momentum, variance). Activations come on top.
"""

from minimodels.errors import UserError

WEIGHT, GRADIENT, OPTIMIZER = 2, 2, 12  # bytes a parameter

STAGES = {
    0: "plain data parallel: all of it on every GPU",
    1: "optimizer state sharded",
    2: "and gradients",
    3: "and weights",
}


def memory_per_gpu(parameters: int, world: int, stage: int) -> float:
    """Bytes of weights, gradients and optimizer state on each of `world` GPUs.

        0: 16Ψ      1: 4Ψ + 12Ψ/N      2: 2Ψ + 14Ψ/N      3: 16Ψ/N
    """
    if stage not in STAGES:
        raise UserError(f"ZeRO has no stage {stage}: choose 0, 1, 2 or 3.")
    if world < 1:
        raise UserError(f"{world} GPUs hold nothing: give 1 or more.")
    sharded = sum([OPTIMIZER, GRADIENT, WEIGHT][:stage])
    whole = WEIGHT + GRADIENT + OPTIMIZER - sharded
    return parameters * (whole + sharded / world)


def traffic_per_step(parameters: int, stage: int) -> int:
    """Bytes that each GPU sends in a step, for large worlds (§7): stage 3 moves half as much again.

    Averaging is a reduce-scatter and an all-gather of 2-byte numbers; stage 3 gathers the weights
    twice, for the forward and for the backward pass.
    """
    if stage not in STAGES:
        raise UserError(f"ZeRO has no stage {stage}: choose 0, 1, 2 or 3.")
    return (3 if stage == 3 else 2) * parameters * GRADIENT
