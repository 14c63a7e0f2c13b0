"""Every case at a tiny size: ours equals the reference, counted bytes are the bytes that move."""

from dataclasses import replace

import pytest
import torch

from minimodels.bench.kernel_case import Draw, Size
from minimodels.bench.kernel_contest import Contestant, differs, enter, reference
from minimodels.bench.kernels import CASES
from minimodels.kernels.trace import trace

TINY = Size("tiny", D=128, F=96, H=4, K=2, d=16, R=8, V=50, batch=2, T=12, dtype=torch.float32)
EXACT = (  # kernels that touch each number once and leave nothing else in memory
    ("rms_norm", "forward"), ("layer_norm", "forward"), ("softmax", "forward"),
    ("softmax", "backward"), ("geglu", "forward"), ("geglu", "backward"), ("swiglu", "forward"),
    ("swiglu", "backward"), ("squared_relu", "forward"), ("squared_relu", "backward"),
    ("rope", "forward"), ("rope", "backward"), ("adamw", "forward"), ("flash_attention", "forward"),
)  # fmt: skip


def made(dtype=torch.float32) -> dict:
    size = replace(TINY, dtype=dtype)
    return {case.name: (case, size) for case in (make(size) for make, _ in CASES)}


def ours(case, size) -> Contestant:
    return Contestant(case.ours, case.inputs(Draw(size, "cpu")), case.learns)


NARROW = ("rms_norm", "rope", "cross_entropy", "flash_attention", "lora", "fp8_matmul")
BOTH = [(name, torch.float32) for name in made()] + [(name, torch.bfloat16) for name in NARROW]


@pytest.mark.parametrize("name, dtype", BOTH, ids=str)
def test_ours_equals_the_reference(name, dtype):
    case, size = made(dtype)[name]
    wanted, narrowest = reference(case, size, "cpu")
    assert narrowest == dtype
    assert differs(ours(case, size).all(), wanted, dtype, case.differ) == ""


def test_a_wrong_kernel_is_refused():
    """The weight's one is missing; one row of 24 is wrong; a number is no number."""
    case, size = made()["rms_norm"]
    wanted, dtype = reference(case, size, "cpu")
    wrong = replace(case, ours=lambda x, weight: case.ours(x, weight, offset=0.0))
    assert "wrong" in differs(ours(wrong, size).all(), wanted, dtype)
    got = ours(case, size).all()
    got[0][5] *= 1.001
    assert "in 1 rows" in differs(got, wanted, dtype)
    got = ours(case, size).all()
    got[1][3] = float("nan")
    assert "output 1" in differs(got, wanted, dtype)


def test_a_step_of_half_the_size_is_refused():
    """A step changes a weight by little: the comparison must see it all the same."""
    case, size = made()["adamw"]
    wanted, dtype = reference(case, size, "cpu")
    given = case.inputs(Draw(size, "cpu"))
    half = case.ours(**given)[0].lerp(case.inputs(Draw(size, "cpu"))["p"], 0.5)
    assert "output 0" in differs([half, *wanted[1:]], wanted, dtype)


@pytest.mark.parametrize("name, leg", EXACT, ids=str)
def test_bytes_are_the_bytes_that_move(name, leg):
    """Distinct addresses read plus distinct addresses written, at four bytes each."""
    case, size = made()[name]
    entrant = ours(case, size)
    work = entrant.ready(leg)
    with trace() as seen:  # without names all that moves is "elsewhere", by its address
        work()
    distinct = sum(
        len({int(i) for access in seen.all if access.kind == kind for i in access.indices})
        for kind in ("read", "write")
    )
    assert 4 * distinct == case.legs[leg].bytes


@pytest.mark.parametrize("name", [n for n, (case, _) in made().items() if case.peers])
def test_torchs_peers_agree(name):
    """AdamW's fused kernel, products of larger numbers, and the backend of attention for CPUs."""
    case, size = made()[name]
    wanted, dtype = reference(case, size, "cpu")
    for who, peer in case.peers.items():
        if who not in ("Liger", "SDPA cudnn", "SDPA efficient"):
            assert differs(enter(case, peer, size, "cpu").all(), wanted, dtype) == "", who
