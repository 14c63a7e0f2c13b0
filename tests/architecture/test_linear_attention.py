"""Linear attention: its two forms are equal, and equal to a scan that Transformers computes.

Tolerance 1e-5 in float32, relative to the largest number where that exceeds 1; 1e-12 in float64.
"""

import pytest
import torch
from near import apart

from minimodels.architecture.linear_attention import LinearAttention, feature, parallel, step

TOLERANCE = 1e-5
SHAPES = [(1, 1, 7, 5, 3), (2, 3, 19, 8, 8), (3, 4, 33, 4, 16)]  # B, H, T, d, e


def drawn(shape, dtype=torch.float32):
    """q, k, v, and a state that is not empty."""
    B, H, T, d, e = shape
    generator = torch.Generator().manual_seed(0)

    def draw(*size):
        return torch.randn(*size, generator=generator, dtype=dtype)

    q, k, v = feature(draw(B, H, T, d)), feature(draw(B, H, T, d)), draw(B, H, T, e)
    return draw(B, H, d, e), feature(draw(B, H, d)), q, k, v


def stepwise(S, z, q, k, v):
    rows = []
    for t in range(q.shape[2]):
        y, S, z = step(S, z, q[:, :, t], k[:, :, t], v[:, :, t])
        rows.append(y)
    return torch.stack(rows, 2), S, z


@pytest.mark.parametrize("shape", SHAPES)
def test_parallel_equals_steps(shape):
    for dtype, within in ((torch.float64, 1e-12), (torch.float32, TOLERANCE)):
        inputs = drawn(shape, dtype)
        for ours, wanted in zip(parallel(*inputs), stepwise(*inputs), strict=True):
            assert apart(ours, wanted) <= within
    S, z, q, k, v = inputs
    assert apart(parallel(S * 0, z, q, k, v)[0], stepwise(*inputs)[0]) > 1e-2  # control: no past


@pytest.mark.parametrize("shape", SHAPES)
def test_against_a_scan_of_transformers(shape):
    """A Mamba-2 scan that forgets nothing is a linear attention without its denominator."""
    from transformers.models.nemotron_h.modeling_nemotron_h import mamba2_chunk_scan

    S, z, q, k, v = (one.requires_grad_() for one in drawn(shape))
    B, H, T, _, e = shape

    def there(values, start):  # theirs: (B, T, H, …), and the state (B, H, e, d)
        by_time = (one.transpose(1, 2) for one in (values, k, q))
        values, keys, queries = by_time
        y, end = mamba2_chunk_scan(
            values, torch.ones(B, T, H), torch.zeros(H), keys, queries, chunk_size=4,
            initial_states=start, return_final_states=True,
        )  # fmt: skip
        return y.transpose(1, 2), end

    top, end = there(v, S.transpose(2, 3))
    bottom, _ = there(torch.ones(B, H, T, 1), z[:, :, None, :])
    wanted, ours = top / bottom, parallel(S, z, q, k, v)
    assert apart(ours[0], wanted) <= TOLERANCE
    assert apart(ours[1], end.transpose(2, 3)) <= TOLERANCE
    theirs = torch.autograd.grad(wanted.sin().mean(), (S, z, q, k, v))
    mine = torch.autograd.grad(ours[0].sin().mean(), (S, z, q, k, v))
    for gradient, other in zip(mine, theirs, strict=True):
        assert apart(gradient, other) <= TOLERANCE
    assert apart(parallel(S, z, k, q, v)[0], wanted) > 1e-2  # control: key and query swapped


def test_keys_that_fit_no_query():
    """Features may be exactly 0 in float32; outputs and gradients stay finite."""
    q = torch.full((1, 1, 3, 2), -30.0, requires_grad=True)
    zero = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2)
    y, *_ = parallel(*zero, feature(q), feature(q), torch.ones(1, 1, 3, 2))
    assert feature(q).max() == 0
    y.sum().backward()
    assert y.isfinite().all() and q.grad.isfinite().all()


def test_the_layer_in_pieces():
    """A prompt and then single tokens: the same outputs; and the future changes nothing."""
    torch.manual_seed(0)
    layer = LinearAttention(24, 3, 8)
    x = torch.randn(2, 13, 24)
    with torch.no_grad():
        state, whole = layer.fresh_state(2), layer(x)
        parts = torch.cat([layer(piece, state) for piece in x.split([5, 1, 1, 6], 1)], 1)
        assert apart(parts, whole) <= TOLERANCE
        changed = torch.cat((x[:, :9], x[:, 9:] + 1), 1)
        assert torch.equal(layer(changed)[:, :9], whole[:, :9])
        assert apart(layer(changed)[:, 9:], whole[:, 9:]) > 1e-2
    assert {name: tuple(one.shape) for name, one in state.items()} == {
        "S": (2, 3, 8, 8), "z": (2, 3, 8)}  # fmt: skip
