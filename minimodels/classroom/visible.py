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
    equal. `hint` points to where to look and never gives the answer.
    """
    found = difference(got, expected, rtol, atol)
    if found:
        raise NotYet(f"{what}: {found}.\n{_form(got)}Hint: {hint}")


def _form(value: Any) -> str:
    """What a tensor or array looks like from outside, as one sentence."""
    if not hasattr(value, "shape"):
        return ""
    dtype = str(value.dtype).removeprefix("torch.")
    return f"Yours has shape {tuple(value.shape)} and dtype {dtype}. "
