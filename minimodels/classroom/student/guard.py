"""What a lab forbids stays forbidden to the student's cells while a check compares with it.

The grader runs a student's cells and functions where the forbidden modules cannot be imported.
A visible check needs them for its reference, and calls the student's functions at the same time.
So for the checks everything is put back, but a cell of the student's that reaches for it, also
from within a function, is told the same as there.
"""

import builtins
import functools
import sys
from collections.abc import Callable
from typing import Any

from minimodels.classroom.grading.child import Forbidden, forbid

STUDENT = "<cell"  # how the file names of the student's cells begin


class Guard:
    """`guard = Guard(names)` forbids them; `guard.lift()` puts them back for all but the student.

    `guard.builtins` are the builtins of the student's cells.
    """

    def __init__(self, names: list[str]):
        self._modules = dict(sys.modules)
        self._attributes = [found for name in names if (found := _attribute(name))]
        functions = {name for *_, name in self._attributes if name not in sys.modules}
        self._hidden = set(names) - functions  # modules, loaded or not
        forbid(names)
        for owner, last, thing, name in self._attributes:
            if isinstance(owner, type):  # a method: `forbid` knows modules and functions
                setattr(owner, last, _refusing(thing, name))
        self.builtins = {**vars(builtins), "__import__": self._import}

    def lift(self) -> None:
        """Put modules and functions back; from now on a student's call of them is refused."""
        sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, Forbidden)]
        for name, module in self._modules.items():
            sys.modules.setdefault(name, module)
        for owner, last, thing, name in self._attributes:
            if not isinstance(owner, type):
                setattr(owner, last, thing if name in sys.modules else _guarded(thing, name))

    def _import(self, name: str, globals=None, locals=None, fromlist=(), level=0):
        wanted = [name, *(f"{name}.{each}" for each in fromlist or ())]
        for one in wanted:
            if any(f"{one}.".startswith(f"{hidden}.") for hidden in self._hidden):
                raise ImportError(f"{one} holds what this lab asks you to write")
        return builtins.__import__(name, globals, locals, fromlist, level)


def _attribute(name: str) -> tuple[Any, str, Any, str] | None:
    """(module or class, attribute, thing, name) of a dotted name, None if it is not loaded."""
    place, _, last = name.rpartition(".")
    owner = sys.modules.get(place)
    if owner is None:  # "torch.Tensor.softmax"
        above, _, cls = place.rpartition(".")
        owner = getattr(sys.modules.get(above), cls, None)
    return (owner, last, getattr(owner, last), name) if hasattr(owner, last) else None


def _guarded(thing: Any, name: str) -> Any:
    """A function that refuses to be called from a student's cell; of a class, its __init__."""
    if not isinstance(thing, type):
        return _refusing(thing, name)
    if not hasattr(thing.__init__, "refuses"):
        thing.__init__ = _refusing(thing.__init__, name)
    return thing


def _refusing(function: Callable, name: str) -> Callable:
    @functools.wraps(function, updated=())
    def call(*args, **kwargs):
        if sys._getframe(1).f_code.co_filename.startswith(STUDENT):
            raise NotImplementedError(f"{name} is what this lab asks you to write")
        return function(*args, **kwargs)

    call.refuses = name
    return call
