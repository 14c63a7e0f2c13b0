"""Liger-Kernel computes the same: one more independent implementation, where it is installed."""

import numpy as np
import pytest
import triton
import triton.language as tl
from test_cases import made
from triton.runtime import interpreter

from minimodels.bench.kernel_contest import differs, enter, reference

NAMES = [name for name, (case, _) in made().items() if "Liger" in case.peers]


@triton.jit
def tanh(z):
    return 2 * tl.sigmoid(2 * z) - 1


@triton.jit
def rsqrt(z):
    return tl.rsqrt(z)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """What Liger expects and the interpreter has not: two functions of a GPU's own library, and
    arguments of floating point that are numbers of Triton, not of Python."""
    from liger_kernel.ops import geglu, layer_norm, rms_norm

    monkeypatch.setattr(geglu, "tanh", tanh)
    for norm in (rms_norm, layer_norm):
        monkeypatch.setattr(norm, "rsqrt", rsqrt)
    convert = interpreter._implicit_cvt

    def with_floats(argument):
        if not isinstance(argument, float):
            return convert(argument)
        number = np.array([argument], dtype=np.float32)
        return tl.tensor(interpreter.TensorHandle(number, tl.float32), tl.float32)

    monkeypatch.setattr(interpreter, "_implicit_cvt", with_floats)


@pytest.mark.parametrize("name", NAMES)
def test_liger_agrees(name):
    case, size = made()[name]
    entrant = enter(case, case.peers["Liger"], size, "cpu")
    assert differs(entrant.all(), *reference(case, size, "cpu")) == ""


def test_all_that_it_has():
    assert len(NAMES) == 8
