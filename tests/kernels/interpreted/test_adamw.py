"""Twenty fused steps against torch.optim.AdamW."""

import pytest
import torch

from minimodels.kernels.adamw import adamw

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
