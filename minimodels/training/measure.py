"""How well a machine is used: model FLOPs a token over the FLOP/s that this machine can reach.

Model FLOPs a token, forward and backward, as PaLM counts them (Chowdhery et al. 2022,
arXiv 2204.02311, appendix B):  6·N + 12·L·H·d·T  with N weights in matrix products, L layers,
H heads of size d, T positions. A product costs 2 FLOPs a weight forward and 4 backward.
"""

from functools import lru_cache

import torch
from torch import nn

from minimodels.cluster.survey import matmul_flops, survey
from minimodels.device import autocast_dtype, can_compile


def matmul_parameters(model: nn.Module) -> dict[str, int]:
    """Weights that take part in matrix products, {"trained": …, "frozen": …}.

    Norms and biases are left out, and an embedding table too unless it is the head as well (tied).
    """
    config = getattr(model, "config", None)
    tied = getattr(config, "tie_embeddings", False)
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    counts = {"trained": 0, "frozen": 0}
    for weight in model.parameters():
        if weight.ndim >= 2 and (tied or id(weight) not in tables):
            counts["trained" if weight.requires_grad else "frozen"] += weight.numel()
    return counts


def flops_per_token(model: nn.Module, length: int) -> float:
    """Model FLOPs of one training token in a sequence of `length` tokens.

    A frozen weight (LoRA) needs no gradient of its own: 4 FLOPs instead of 6.
    """
    counts = matmul_parameters(model)
    config = getattr(model, "config", None)
    attention = 0
    if config is not None and hasattr(config, "num_layers"):
        attention = 12 * config.num_layers * config.num_heads * config.head_dim * length
    return 6 * counts["trained"] + 4 * counts["frozen"] + attention


@lru_cache
def peak_flops(dtype: str = "float32", kind: str = "cpu") -> float:
    """FLOP/s of matrix products in `dtype` that the device of this machine reaches: measured.

    `kind` is "cpu", "cuda" or "mps". The survey of stage 01 knows it for the device of choice
    (measured once a machine, in about 4 s). Where it was made on a busy machine, or of another
    device, the products are timed once more: other work can only have made them slower.
    """
    measured = survey()
    known = measured.machine(dtype).flops if measured.device == kind else 0.0
    if known and measured.busy <= 0.2:
        return known
    return max(known, matmul_flops(dtype, torch.device(kind)))


def what_pays(model: nn.Module, tokens: int, length: int) -> dict:
    """The `dtype` and `compile` of TrainConfig with which `tokens` tokens are trained soonest here.

    bf16 where the hardware multiplies it faster. torch.compile always on a GPU; on a CPU it makes
    a step about a seventh shorter and takes some 25 s, so it pays in runs of minutes.
    """
    device = next(model.parameters()).device.type
    dtype = str(autocast_dtype()).removeprefix("torch.")
    reachable = 0.4 * peak_flops(dtype, device)  # what the plain loop reaches at these sizes
    seconds = tokens * flops_per_token(model, length) / reachable
    return {"dtype": dtype, "compile": can_compile()[0] and (device == "cuda" or seconds > 200)}
