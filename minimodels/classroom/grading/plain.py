"""Plain data between the judge and the process with a student's code: JSON and arrays, no pickle.

A value becomes a tree for JSON in which each array is `{"__array__": name}`, and an .npz file.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

MOST = 256 * 2**20  # bytes that a reader unpacks


def save(path: Path, value: Any) -> None:
    """Write `value` to path.json and path.npz; TypeError if it holds anything but plain data."""
    arrays: dict[str, np.ndarray] = {}
    tree = _pack(value, arrays)
    np.savez(path.with_suffix(".npz"), **arrays)
    path.with_suffix(".json").write_text(json.dumps(tree), encoding="utf-8")  # last: it is complete


def load(path: Path) -> Any:
    """Read what `save` wrote; ValueError if it is too large or no plain data."""
    try:
        with zipfile.ZipFile(path.with_suffix(".npz")) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST:
                raise ValueError(f"more than {MOST >> 20} MB of values")
        if path.with_suffix(".json").stat().st_size > MOST:
            raise ValueError(f"more than {MOST >> 20} MB of values")
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
            named = {name: arrays[name] for name in arrays.files}
        return _unpack(json.loads(path.with_suffix(".json").read_text(encoding="utf-8")), named)
    except (OSError, KeyError, TypeError, RecursionError, zipfile.BadZipFile) as problem:
        raise ValueError(f"unreadable values ({type(problem).__name__})") from problem


def _pack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if hasattr(value, "detach"):  # a tensor; numpy has no bf16
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufc":
            raise TypeError(f"an array of {value.dtype} is no plain data")
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"__array__": name}
    if isinstance(value, dict):
        return {"__dict__": [[str(key), _pack(each, arrays)] for key, each in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_pack(each, arrays) for each in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a {type(value).__name__} is no plain data")


def _unpack(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(tree, list):
        return [_unpack(each, arrays) for each in tree]
    if isinstance(tree, dict):
        if "__array__" in tree:
            return arrays[tree["__array__"]]
        return {key: _unpack(each, arrays) for key, each in tree["__dict__"]}
    return tree
