"""Plain data between the judge and a student's code: JSON and arrays, never pickle.

A value becomes a tree for JSON in which each array is `{"__array__": name}`, and an .npz archive:
8 bytes for the length of the JSON, the JSON, the archive.
"""

import io
import json
import struct
import zipfile
from typing import Any

import numpy as np

MOST = 256 * 2**20  # bytes that a reader unpacks
TREE = 16 * 2**20  # of these, bytes of JSON: as objects they take twenty times as many
LENGTH = struct.Struct(">Q")


def dumps(value: Any) -> bytes:
    """`value` as bytes; TypeError if it holds anything but plain data."""
    arrays: dict[str, np.ndarray] = {}
    tree = json.dumps(_pack(value, arrays)).encode("utf-8")
    archive = io.BytesIO()
    if arrays:
        np.savez(archive, **arrays)
    return LENGTH.pack(len(tree)) + tree + archive.getvalue()


def loads(data: bytes) -> Any:
    """The value in bytes that `dumps` made; ValueError if they are too large or no plain data.

    A stranger may have written them, so that the readers of JSON, zip and npy may raise anything.
    """
    try:
        (length,) = LENGTH.unpack_from(data)
        if len(data) > MOST or length > TREE:
            raise ValueError(f"more than {MOST >> 20} MB of values, {TREE >> 20} MB without arrays")
        start = LENGTH.size + length
        tree = json.loads(data[LENGTH.size : start].decode("utf-8"))
        return _unpack(tree, _arrays(data[start:]))
    except ValueError:
        raise
    except Exception as problem:
        raise ValueError(f"unreadable values ({type(problem).__name__})") from problem


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    if not data:
        return {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(member.file_size for member in archive.infolist()) > len(data):
            raise ValueError("more values than there is data")  # `dumps` compresses nothing
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


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
