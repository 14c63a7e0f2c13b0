"""The gated delta rule: chunks equal steps, and both what Transformers computes in Qwen3-Next.

Tolerance 1e-5 in float32, relative to the largest number where that exceeds 1; 1e-11 in float64.
"""

import pytest
import torch
from near import apart

from minimodels.architecture.delta_rule import GatedDelta, scan, step, unit

TOLERANCE = 1e-5
SHAPES = [(1, 1, 7, 5, 3), (2, 3, 19, 8, 8), (2, 2, 70, 16, 4)]  # B, H, T, d, e


def drawn(shape, dtype=torch.float32):
    """S, q, k, v, g, beta with strong and weak gates."""
    B, H, T, d, e = shape
    generator = torch.Generator().manual_seed(0)

    def draw(*size):
        return torch.randn(*size, generator=generator, dtype=dtype)

    q, k = unit(draw(B, H, T, d)), unit(draw(B, H, T, d))
    g = -draw(B, H, T).mul(2).exp() / 4
    return draw(B, H, d, e), q, k, draw(B, H, T, e), g, draw(B, H, T).sigmoid()


def stepwise(S, q, k, v, g, beta):
    rows = []
    for t in range(q.shape[2]):
        y, S = step(S, *(one[:, :, t] for one in (q, k, v, g, beta)))
        rows.append(y)
    return torch.stack(rows, 2), S


@pytest.mark.parametrize("shape", SHAPES)
def test_chunks_equal_steps(shape):
    exact = drawn(shape, torch.float64)
    wanted = stepwise(*exact)
    for size in (1, 4, 64):
        for ours, there in zip(scan(*exact, size), wanted, strict=True):
            assert apart(ours, there) <= 1e-11
        single = scan(*(one.float() for one in exact), size)
        assert apart(single[0], wanted[0]) <= TOLERANCE
    S, q, k, v, g, beta = exact
    assert apart(scan(S, q, k, v, g * 0, beta)[0], wanted[0]) > 1e-2  # controls: no gate,
    assert apart(scan(S, q, k, v, g, beta * 0 + 1)[0], wanted[0]) > 1e-2  # always all of it,
    assert apart(scan(S, q, k * 1.1, v, g, beta)[0], wanted[0]) > 1e-2  # keys too long


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", ["recurrent", "chunk"])
def test_against_transformers(shape, form):
    from transformers.models.qwen3_next import modeling_qwen3_next as theirs

    rule = getattr(theirs, f"torch_{form}_gated_delta_rule")
    S, q, k, v, g, beta = inputs = [one.requires_grad_() for one in drawn(shape)]
    by_time = (one.transpose(1, 2) for one in (q, k, v, g, beta))
    wanted, end = rule(*by_time, initial_state=S, output_final_state=True)
    ours, state = scan(*inputs)
    assert apart(ours, wanted.transpose(1, 2)) <= TOLERANCE
    assert apart(state, end) <= TOLERANCE
    there = torch.autograd.grad(wanted.sin().mean(), inputs)
    here = torch.autograd.grad(ours.sin().mean(), inputs)
    for gradient, other in zip(here, there, strict=True):
        assert apart(gradient, other) <= TOLERANCE


def test_it_replaces_where_linear_attention_adds():
    """Two values under one key: the second is found. Orthogonal keys do not disturb each other."""
    k = torch.eye(4)[[0, 1, 0]][None, None]  # (1, 1, 3, 4)
    v = torch.randn(1, 1, 3, 5, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(1, 1, 3)
    y, S = scan(torch.zeros(1, 1, 4, 5), k, k, v, 0 * ones, ones)
    assert apart(y[0, 0] * 2, v[0, 0]) <= TOLERANCE  # each finds what it has written
    assert apart(S[0, 0, :2], v[0, 0, [2, 1]]) <= TOLERANCE and not S[0, 0, 2:].any()


def test_the_layer_in_pieces():
    torch.manual_seed(0)
    layer = GatedDelta(24, 3, 8)
    x = torch.randn(2, 71, 24)
    with torch.no_grad():
        state, whole = layer.fresh_state(2), layer(x)
        parts = torch.cat([layer(piece, state) for piece in x.split([65, 1, 1, 4], 1)], 1)
        assert apart(parts, whole) <= TOLERANCE
        changed = torch.cat((x[:, :9], x[:, 9:] + 1), 1)
        assert apart(layer(changed)[:, :9], whole[:, :9]) <= TOLERANCE
        assert apart(layer(changed)[:, 9:], whole[:, 9:]) > 1e-2
    assert state["S"].shape == (2, 3, 8, 8)
