"""One comparison for all kernels: values and gradients against a float64 reference.

A dtype's tolerance is relative to the largest value of the tensor: rounding the inputs' products
once costs half a unit in the last place, sums of many terms some more.
"""

import torch

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 1.6e-2, torch.float16: 2e-3}


def same(kernel, reference, tensors: dict, dtype, scale=1.0, gradients=True, least=0.0, **settings):
    """Compare kernel(**tensors, **settings) with reference in float64, and all gradients.

    tensors: name -> float64 tensor, or None; they are rounded to dtype first, for both sides.
    scale: how much more than the usual tolerance is allowed, with a reason at the call. least: the
    size of terms of which little is left, as where a row's gradients cancel.
    """
    rounded = {name: None if t is None else t.to(dtype) for name, t in tensors.items()}
    ours = {
        n: None if t is None else t.clone().requires_grad_(gradients) for n, t in rounded.items()
    }
    wide = {
        n: None if t is None else t.double().requires_grad_(gradients) for n, t in rounded.items()
    }
    got, wanted = outputs(kernel(**ours, **settings)), outputs(reference(**wide, **settings))
    for one, other in zip(got, wanted, strict=True):
        assert one.dtype == dtype or one.dtype == torch.float32
        close(one, other, dtype, scale, "value", least)
    if not gradients:
        return
    pulls = [
        torch.randn(w.shape, generator=torch.Generator().manual_seed(9)).to(dtype) for w in wanted
    ]
    torch.autograd.backward(got, [pull.to(one.dtype) for pull, one in zip(pulls, got, strict=True)])
    torch.autograd.backward(wanted, [pull.double() for pull in pulls])
    for name, tensor in ours.items():
        if tensor is not None:
            close(tensor.grad, wide[name].grad, dtype, scale, f"gradient of {name}", least)


def outputs(result) -> list:
    return list(result) if isinstance(result, tuple) else [result]


def close(got, wanted, dtype, scale: float, what: str, least: float = 0.0) -> None:
    """Largest difference within the tolerance, measured by the largest wanted number."""
    assert got.shape == wanted.shape, what
    assert got.isfinite().all() or not wanted.isfinite().all(), f"{what} is not finite"
    size = max(least, wanted.abs().max().item()) if wanted.numel() else 1.0
    apart = (got.double() - wanted).abs().max().item() if wanted.numel() else 0.0
    assert apart <= scale * TOLERANCE[dtype] * size, f"{what}: {apart:.2e} apart, size {size:.2e}"
