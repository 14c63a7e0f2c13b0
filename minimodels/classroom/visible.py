"""What the visible checks of a lab say: the property, what differs and where, and one hint."""

from typing import Any

from minimodels.classroom.compare import difference


class NotYet(AssertionError):
    """A visible check that failed: a notebook shows its words without a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython asks an exception for this
        return [str(self)]


def expect(what: str, got: Any, expected: Any, hint: str, rtol=1e-4, atol=1e-5) -> None:
    """Raise NotYet unless `got` equals `expected` within `atol + rtol * |expected|`.

    `what` names the property in words: "a token sees no later token". Shapes and dtypes must be
    equal. `hint` points to where to look and never gives the answer; where None or another dtype
    comes back, a hint on that takes its place.
    """
    found = difference(got, expected, rtol, atol)
    if found:
        raise NotYet(f"{what}: {found}.\n{_yours(got)}Hint: {_earlier(got, expected) or hint}")


def _yours(value: Any) -> str:
    """A number, or what a tensor or array looks like from outside, as one sentence."""
    if isinstance(value, (bool, int, float)):
        return f"Yours is {value}. "
    if not hasattr(value, "shape"):
        return ""
    return f"Yours has shape {tuple(value.shape)} and dtype {_dtype(value)}. "


def _earlier(got: Any, expected: Any) -> str:
    """A hint on what has to be right before values can be: that there are some, and their dtype."""
    if got is None:
        return "A function gives None where no `return` is reached."
    if not (hasattr(got, "shape") and hasattr(expected, "shape")):
        return ""
    if tuple(got.shape) == tuple(expected.shape) and _dtype(got) != _dtype(expected):
        return "Which of your lines chooses the dtype?"
    return ""


def _dtype(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.")
