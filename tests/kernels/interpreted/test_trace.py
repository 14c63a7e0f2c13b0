"""The trace sees every element once, the mask, and what lies out of bounds."""

import numpy as np
import torch
import triton
import triton.language as tl

from minimodels.kernels.rms_norm import rms_norm
from minimodels.kernels.trace import ELSEWHERE, trace


@triton.jit
def copy(x_ptr, y_ptr, count, MASK: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < (count if MASK else 1000)
    tl.store(y_ptr + i, tl.load(x_ptr + i, mask=inside), mask=i < count)


def run(mask):
    x, room = torch.arange(10.0), torch.zeros(64)
    y = room[:10]
    with trace(x=x, y=y) as seen:
        copy[(3,)](x, y, 10, MASK=mask, BLOCK=4)
    return x, y, seen


def test_who_reads_what():
    x, y, seen = run(mask=True)
    assert torch.equal(x, y)
    assert seen.owners("y", 10).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert seen.times("x", 10).tolist() == [1] * 10
    assert seen.bytes("read") == seen.bytes("write") == 40
    assert [a.program for a in seen.accesses("x")] == [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
    assert not seen.accesses(ELSEWHERE)


def test_out_of_bounds_is_seen():
    _, _, seen = run(mask=False)
    assert sum(len(a.indices) for a in seen.accesses(ELSEWHERE, "read")) == 2


def test_rms_norm_reads_each_number_once():
    x, weight = torch.randn(3, 50), torch.randn(50)
    with trace(x=x, weight=weight) as seen:
        rms_norm(x, weight, 1e-6)
    assert np.array_equal(seen.times("x", 150), np.ones(150))
    assert seen.times("weight", 50).tolist() == [3] * 50  # once a program
