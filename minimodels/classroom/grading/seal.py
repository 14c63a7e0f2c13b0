"""Take what a lab forbids out of a process for good, by every road that leads there.

`child.forbid` closes the front doors: `import` and the attribute of a module. A function of torch
has more of them (`torch.ops`, `torch.jit`, a method of Tensor, another module's reference), and
modules that torch has loaded can be read or loaded again. So here a function or class that is
written in Python loses its code, wherever it is referred to; an operator is refused in torch's
dispatcher, where all roads to it meet; source files are not shown; and no other program is
started, because in a new Python all of this would be there again.

What stays possible is written down in tests/classroom/attacks/open.py.
"""

import ctypes
import inspect
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from minimodels.sandbox import calls
from minimodels.sandbox.enter import refuse

ABSTRACT = ("StartOf", "EndOf", "NumDispatchKeys", "Undefined")  # of torch's keys, those that mark


def seal(names: list[str]) -> None:
    """Do it for all names of FORBIDDEN; final for this process. Raises nothing for unknown ones."""
    in_torch = False
    for name, thing in _found(names):
        for function in _functions(thing):
            _empty(function, name)
        if name.startswith("torch.") and not isinstance(thing, (ModuleType, type)):
            _refuse_operators(name)
        in_torch = in_torch or name.startswith("torch.")
    if in_torch and sys.platform == "linux" and platform.machine() in calls.MACHINES:
        refuse(calls.program(calls.PROGRAMS))


def sources(names: list[str]) -> list[str]:
    """Files and folders, bytecode too, of torch in which forbidden things are written in Python."""
    found = [path for name in names if name.startswith("torch.") for path in _module(name)]
    for _, thing in _found(names):
        if isinstance(thing, ModuleType) and hasattr(thing, "__path__"):
            found += map(Path, thing.__path__)
        elif isinstance(thing, (ModuleType, type, FunctionType)):
            found += _with_bytecode(Path(_file(thing)))
    return sorted({str(path) for path in found if path.is_absolute() and path.exists()})


def _found(names: list[str]) -> Iterator[tuple[str, Any]]:
    """What the names mean, as far as it is loaded: "torch.Tensor.softmax" is a class's method."""
    for name in names:
        words = name.split(".")
        for split in range(len(words), 0, -1):
            thing = sys.modules.get(".".join(words[:split]))
            if thing is None:
                continue
            for word in words[split:]:
                thing = getattr(thing, word, None)
            if thing is not None:
                yield name, thing
            break


def _module(name: str) -> list[Path]:
    """Where a module of torch would lie; it need not be loaded."""
    place = Path(sys.modules["torch"].__path__[0]).joinpath(*name.split(".")[1:])
    return [place, *_with_bytecode(place.with_name(f"{place.name}.py"))]


def _with_bytecode(path: Path) -> list[Path]:
    return [path, *path.parent.glob(f"__pycache__/{path.stem}.*.pyc")]


def _file(thing: Any) -> str:
    try:
        return inspect.getsourcefile(thing) or ""
    except TypeError:  # built in
        return ""


def _functions(thing: Any) -> Iterator[FunctionType]:
    """The Python functions of a function, a class, or a module with all that is below it."""
    if isinstance(thing, FunctionType):
        yield thing
        yield from _functions(getattr(thing, "__wrapped__", None))
    elif isinstance(thing, type):
        for each in vars(thing).values():
            method = getattr(each, "__func__", getattr(each, "fget", each))
            if isinstance(method, FunctionType):
                yield from _functions(method)
    elif isinstance(thing, ModuleType):
        home = f"{thing.__name__}."
        inside = [each for name, each in list(sys.modules.items()) if f"{name}.".startswith(home)]
        for module in inside:
            for each in list(vars(module).values()):
                own = f"{getattr(each, '__module__', None)}.".startswith(home)
                if own and isinstance(each, (FunctionType, type)):
                    yield from _functions(each)


def _empty(function: FunctionType, name: str) -> None:
    """Give a function other code, in place: whoever holds it holds a function that refuses."""
    words = f"{name} is what this lab asks you to write"
    made = compile(f"def f(*_, **__): raise NotImplementedError({words!r})", "<sealed>", "exec")
    code = next(each for each in made.co_consts if isinstance(each, CodeType))
    function.__code__ = code.replace(co_freevars=function.__code__.co_freevars)


def _refuse_operators(name: str) -> None:
    """Refuse the ATen operators of a function's last name, all overloads, for every backend."""
    import torch

    def gone(*_, **__):
        raise NotImplementedError(f"{name} is what this lab asks you to write")

    table = torch._C._dispatch_library("IMPL", "aten", "", __file__, 0)
    wanted = f"aten::{name.rpartition('.')[2]}"
    for operator in torch._C._dispatch_get_all_op_names():
        if operator.partition(".")[0] == wanted:
            for key in _backends(operator):
                table.impl(operator.removeprefix("aten::"), key, gone, False)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(table))  # the entries go when the table goes


def _backends(operator: str) -> list[str]:
    """The keys for which the dispatcher has code of its own for an operator."""
    import torch

    keys = [key for key in torch._C.DispatchKey.__members__ if not key.startswith(ABSTRACT)]
    found = []
    for key in keys:
        try:
            if torch._C._dispatch_has_kernel_for_dispatch_key(operator, key):
                found.append(key)
        except RuntimeError:  # a key that stands for none
            continue
    return found
