"""Weights in 8 bits: each row of a matrix as integers from −127 to 127 and one scale.

    q = round(w / s),  s = max|w| / 127 over the row (one output channel),  error ≤ s / 2

Symmetric round-to-nearest, weights only, as in LLM.int8() without outliers (Dettmers et al. 2022,
arXiv 2208.07339, §2). Inputs and sums stay in the model's own format. Writing text reads each
weight once a step, so half the bytes is up to twice the speed, where memory is the limit.

Shapes: (…, I) inputs to (…, O) outputs.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from minimodels.errors import UserError


def quantize_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(O, I) -> int8 (O, I) and its scales (O,) in the dtype of the weight.

    The scale is rounded to that dtype first and the integers are found with the rounded one, so
    that |w − s·q| ≤ s/2 holds for what is stored. A row of zeros gets the scale 1.
    """
    if not torch.isfinite(weight).all():
        raise UserError("a weight is infinite or NaN and int8 cannot hold it: load another one.")
    largest = weight.abs().amax(dim=1, keepdim=True).float()
    scale = torch.where(largest > 0, largest / 127, 1.0).to(weight.dtype)
    scale = torch.where(scale > 0, scale, 1.0)  # too small for its dtype: the row is nothing
    integers = (weight.float() / scale.float()).round().clamp(-127, 127)
    return integers.to(torch.int8), scale[:, 0]


class Int8Linear(nn.Module):
    """A linear layer with int8 weights: (…, I) -> (…, O) in the dtype of its input."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        integers, scale = quantize_rows(linear.weight.detach())
        self.register_buffer("weight", integers)  # (O, I)
        self.register_buffer("scale", scale)  # (O,)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().clone())

    def forward(self, x):
        """x (sᵀ q)ᵀ: the scale of an output can wait until after the product."""
        rows = x.reshape(-1, self.in_features).contiguous()
        if _packed_pays(rows, self.weight):
            y = torch._weight_int8pack_mm(rows, self.weight, self.scale.to(x.dtype))
        else:
            y = F.linear(rows, self.weight.to(x.dtype)) * self.scale.to(x.dtype)
        y = y.unflatten(0, x.shape[:-1]) if x.dim() != 2 else y
        return y if self.bias is None else y + self.bias.to(y.dtype)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


def quantize(model: nn.Module) -> nn.Module:
    """A copy of `model` for inference whose linear layers hold int8; the model stays as it is.

    Embeddings, norms and a head tied to the embedding keep their format.
    """
    linear = [module for module in model.modules() if type(module) is nn.Linear]
    replaced = {id(module): Int8Linear(module) for module in linear}
    return copy.deepcopy(model, replaced).eval().requires_grad_(False)


def weight_bytes(model: nn.Module) -> int:
    """Bytes of all weights, scales and buffers that the model holds; shared ones count once."""
    held = {tensor.data_ptr(): tensor.nbytes for tensor in (*model.parameters(), *model.buffers())}
    return sum(held.values())


def int8_bytes(model: nn.Module) -> int:
    """The bytes of `quantize(model)` by formula: a byte a weight and a scale a row. Takes meta."""
    total = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    for module in model.modules():
        if type(module) is nn.Linear:
            weight = module.weight
            total += weight.numel() + weight.shape[0] * weight.element_size() - weight.nbytes
    return total


def _packed_pays(rows: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether torch's own int8 kernel is the faster way, and safe.

    In bfloat16 on a CPU it reads the integers as they are: measured 1.2 to 6 times as fast as a
    bf16 product (1 to 128 rows, 128² to 4096²). In float32 it was 3 to 100 times slower. It loads
    16 numbers at a time from aligned addresses without a check: other shapes would read beyond the
    end (aten/src/ATen/native/cpu/int8mm_kernel.cpp).
    """
    fast = rows.device.type == "cpu" and rows.dtype == torch.bfloat16 and not rows.requires_grad
    outputs, inputs = weight.shape
    return fast and inputs % 16 == 0 and outputs % 4 == 0 and rows.storage_offset() % 16 == 0
