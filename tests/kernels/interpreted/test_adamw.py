"""Twenty fused steps against torch.optim.AdamW."""

import pytest
import torch

from minimodels.errors import UserError
from minimodels.kernels.adamw import adamw, adamw_reference

SETTINGS = dict(lr=3e-2, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.2)


def run(p, step_once, steps=20):
    for step in range(1, steps + 1):
        g = torch.sin(7 * p.float() + step).to(p.dtype)  # depends on p, as gradients do
        step_once(g, step)


@pytest.mark.parametrize("shape", [(1,), (3, 7), (5, 1000)], ids=str)
def test_equals_torch(shape):
    start = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    ours, theirs = start.clone(), start.clone().requires_grad_()
    m, v = torch.zeros(shape), torch.zeros(shape)
    optimizer = torch.optim.AdamW([theirs], **SETTINGS)

    def torch_step(g, step):
        theirs.grad = g.detach()
        optimizer.step()

    run(ours, lambda g, step: adamw(ours, g, m, v, step, **SETTINGS))
    run(theirs, torch_step)
    assert (ours - theirs).abs().max() <= 2e-5  # 20 steps of float32
    assert (ours - start).abs().max() > 0.1
    state = optimizer.state[theirs]
    torch.testing.assert_close(m, state["exp_avg"], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(v, state["exp_avg_sq"], rtol=1e-4, atol=1e-6)


def test_bf16_parameters():
    """States stay float32; one step is the float32 step, within one unit in the last place of bf16:
    the interpreter cuts off where a GPU rounds."""
    p = torch.randn(300, generator=torch.Generator().manual_seed(1)).bfloat16()
    wide, g = p.float(), torch.randn(300).bfloat16()
    m, v, m2, v2 = torch.zeros(4, 300)
    adamw(p, g, m, v, 1, **SETTINGS)
    adamw(wide, g.float(), m2, v2, 1, **SETTINGS)
    assert ((p.float() - wide).abs() <= 2**-7 * wide.abs()).all() and torch.equal(m, m2)


def test_strides_zeros_and_control():
    p, g = torch.randn(6, 4).T, torch.randn(4, 6)
    wanted, m, v = p.contiguous(), torch.zeros(4, 6), torch.zeros(4, 6)
    adamw(p, g, m.clone(), v.clone(), 1, **SETTINGS)
    adamw(wanted, g, m, v, 1, **SETTINGS)
    torch.testing.assert_close(p, wanted)
    adamw(torch.empty(0), torch.empty(0), torch.empty(0), torch.empty(0), 1, **SETTINGS)
    other = wanted.clone()
    adamw(wanted, g, m, v, 2, **SETTINGS)
    adamw(other, g, torch.zeros(4, 6), v.clone(), 2, **SETTINGS)
    assert (wanted - other).abs().max() > 1e-3  # control: a state forgotten


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_largest_numbers(dtype):
    """Gradients of 0, of 60,000 and of what is no number: as plain torch. The interpreter cuts off
    where a GPU rounds: one unit in the last place in half precision."""
    p = torch.linspace(-6e4, 6e4, 6).to(dtype)
    g = torch.tensor([0.0, 6e4, -6e4, 1e-4, torch.nan, 1.0]).to(dtype)
    ours, theirs = (p.clone(), *torch.zeros(2, 6)), (p.clone(), *torch.zeros(2, 6))
    for step in (1, 2):
        adamw(ours[0], g, *ours[1:], step, **SETTINGS)
        adamw_reference(theirs[0], g, *theirs[1:], step, **SETTINGS)
    unit = 1e-6 if dtype == torch.float32 else 2**-7 if dtype == torch.bfloat16 else 2**-10
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=2 * unit, atol=0, equal_nan=True)


def test_autograd_sees_the_step():
    """A graph made before the step holds numbers that are gone: an error, as after torch's step."""
    p, state = torch.ones(3, requires_grad=True), torch.zeros(2, 3)
    loss = (p * p).sum()
    adamw(p, torch.ones(3), *state, 1, **SETTINGS)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_bad_input():
    p = torch.ones(3)
    with pytest.raises(UserError, match="step = 0, but the first step is 1"):
        adamw(p, p, p, p, 0, **SETTINGS)
    with pytest.raises(UserError, match="m is torch.bfloat16, only float32"):
        adamw(p, p, p.bfloat16(), p, 1, **SETTINGS)
    with pytest.raises(UserError, match=r"v has shape \(2,\)"):
        adamw(p, p, p, p[:2], 1, **SETTINGS)
