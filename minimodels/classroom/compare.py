"""Say in one clause how two values differ, without telling the right one.

Used by the judge, and by the checks that a student sees in the notebook.
"""

import math
from typing import Any

import numpy as np


def difference(got: Any, expected: Any, rtol: float = 1e-4, atol: float = 1e-6) -> str:
    """"" if `got` equals `expected` within `atol + rtol * |expected|`, else what differs and where.

    Compares numbers, strings, lists, dicts, arrays and tensors; shapes and dtypes must be equal.
    """
    got, expected = _plain(got), _plain(expected)
    if isinstance(expected, np.ndarray):
        return _arrays(got, expected, rtol, atol)
    if isinstance(expected, dict):
        return _dicts(got, expected, rtol, atol)
    if isinstance(expected, (list, tuple)):
        return _lists(got, expected, rtol, atol)
    if _is_number(expected) and _is_number(got):
        return _numbers(got, expected, rtol, atol)
    if type(got) is not type(expected):
        return f"it is {_kind(got)} and must be {_kind(expected)}"
    return "" if got == expected else f"{_kind(got)} has another value"


def _plain(value: Any) -> Any:
    """Tensors as arrays, one number out of its array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    return value.item() if isinstance(value, np.generic) else value


def _arrays(got: Any, expected: np.ndarray, rtol: float, atol: float) -> str:
    if not isinstance(got, np.ndarray):
        return f"it is {_kind(got)} and must be {_kind(expected)}"
    if got.shape != expected.shape:
        return f"the shape is {got.shape} and must be {expected.shape}"
    if got.dtype != expected.dtype:
        return f"the dtype is {got.dtype} and must be {expected.dtype}"
    if expected.dtype.kind not in "fc":
        wrong = got != expected
        return f"{wrong.sum()} of {wrong.size} values differ{_first(wrong)}" if wrong.any() else ""
    strange = ~np.isfinite(got) & ~((got == expected) | (np.isnan(got) & np.isnan(expected)))
    if strange.any():
        return f"{strange.sum()} of {strange.size} values are not finite{_where(strange)}"
    with np.errstate(invalid="ignore"):
        error = np.abs(got - expected)
        wrong = error > atol + rtol * np.abs(expected)
    endless = np.isfinite(got) & ~np.isfinite(expected)  # else 0 is within inf of inf
    wrong, error = wrong | endless, np.where(endless, np.inf, error)
    if not wrong.any():
        return ""
    worst = np.unravel_index(np.nanargmax(np.where(wrong, error, -1)), error.shape)
    at = f" at {[int(i) for i in worst]}" if worst else ""
    return f"values differ{_where(wrong)} (largest error {error[worst]:.2g}{at})"


def _first(wrong: np.ndarray) -> str:
    """The index of the first wrong value."""
    return f", first at {[int(i) for i in np.argwhere(wrong)[0]]}" if wrong.ndim else ""


def _where(wrong: np.ndarray) -> str:
    """The first index along the last axis but one (the position, in attention) that is wrong."""
    if wrong.ndim < 2 or wrong.shape[-2] == 1:
        return ""
    rows = wrong.any(axis=-1).reshape(-1, wrong.shape[-2]).any(axis=0)
    first = int(rows.argmax())
    return f" from row {first} on" if first else ""


def _dicts(got: Any, expected: dict, rtol: float, atol: float) -> str:
    if not isinstance(got, dict):
        return f"it is {_kind(got)} and must be a dict"
    if missing := [key for key in expected if key not in got]:
        return f"{missing[0]!r} is missing"
    if extra := [key for key in got if key not in expected]:
        return f"{extra[0]!r} should not be there"
    differences = ((key, difference(got[key], expected[key], rtol, atol)) for key in expected)
    return next((f"{key}: {what}" for key, what in differences if what), "")


def _lists(got: Any, expected: list, rtol: float, atol: float) -> str:
    if not isinstance(got, (list, tuple)):
        return f"it is {_kind(got)} and must be {_kind(expected)}"
    if len(got) != len(expected):
        return f"there are {len(got)} values and must be {len(expected)}"
    pairs = zip(got, expected, strict=True)
    differences = (difference(one, other, rtol, atol) for one, other in pairs)
    return next((f"part {index}: {what}" for index, what in enumerate(differences) if what), "")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _numbers(got: float, expected: float, rtol: float, atol: float) -> str:
    if isinstance(expected, int) and not isinstance(got, int):
        return f"it is {_kind(got)} and must be {_kind(expected)}"
    if isinstance(expected, int):
        return "" if got == expected else f"it is too {'small' if got < expected else 'large'}"
    if got == expected or (got != got and expected != expected):
        return ""
    try:
        error = abs(float(got) - expected)
    except OverflowError:
        return "the number is far too large"
    if error <= atol + rtol * abs(expected) < math.inf:
        return ""
    return f"the number is off by {error:.2g}"


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"a tensor or array of shape {value.shape}"
    names = {type(None): "None", str: "a string", list: "a list", tuple: "a tuple", dict: "a dict",
             int: "an int"}  # fmt: skip
    return names.get(type(value), f"a {type(value).__name__}")
