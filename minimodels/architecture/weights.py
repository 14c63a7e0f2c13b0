"""The tensors of a checkpoint folder: model.safetensors, or shards with an index.

Headers are read first, so that a wrong folder is refused before gigabytes are read.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from minimodels.errors import UserError
from minimodels.files import DISK_FULL, read_json, write_json

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = {"F32", "F16", "BF16", "F64"}
Stored = dict[str, tuple[Path, str, tuple[int, ...]]]  # name -> file, name there, shape


def stored_tensors(folder: Path, rename) -> Stored:
    """File, name there and shape of each tensor, by the name that `rename` gives it (None: skip).

    UserError if a file is missing, broken or quantized.
    """
    stored = {}
    for path in weight_files(folder):
        with open_tensors(path) as file:
            for name in file.keys():
                part = file.get_slice(name)
                ours = rename(name)
                if ours is None or name.endswith("rotary_emb.inv_freq"):
                    continue  # what a model computes, or has no use for
                if part.get_dtype() not in FLOATS:
                    kind = part.get_dtype()
                    raise UserError(f"{path}: {name} is quantized ({kind}): load a float version.")
                stored[ours] = path, name, tuple(part.get_shape())
    return stored


def read_into(places: dict[str, torch.Tensor], stored: Stored) -> None:
    """Copy the stored tensors into their places, one file after the other.

    Raises UserError for a number that is none: no training or generation survives it.
    """
    for path in sorted({path for path, _, _ in stored.values()}):
        with open_tensors(path) as file:
            for place, (where, name, _) in stored.items():
                if where == path:
                    places[place].copy_(file.get_tensor(name))
                    if not places[place].isfinite().all():
                        raise UserError(
                            f"{path}: {name} holds NaN or infinity: download or save it again."
                        )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder: those its index lists, or the one there is."""
    if not (folder / INDEX).exists():
        if not (folder / WEIGHTS).exists():
            raise UserError(f"{folder} has neither {WEIGHTS} nor {INDEX}: convert it to them.")
        return [folder / WEIGHTS]
    index = read_json(folder / INDEX)
    where = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(where, dict) or not all(Path(str(f)).name == f for f in where.values()):
        raise UserError(f"{folder / INDEX} has no proper weight_map: download it again.")
    return [folder / file for file in sorted(set(where.values()))]


@contextmanager
def open_tensors(path: Path) -> Iterator:
    """A safetensors file; UserError says whether it is missing or broken."""
    if not path.exists():
        raise UserError(f"{path} is missing: download or save the checkpoint again.")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:  # OSError: a folder, or a file of somebody else
        raise UserError(f"{path} is broken ({error}): download or save it again.") from None


def write_tensors(folder: Path, weights, dtype, max_shard_bytes: int) -> None:
    """Write weights (name -> tensor) in one file, or in shards of at most max_shard_bytes."""
    shards, size = [[]], 0
    for name, weight in weights.items():
        nbytes = weight.numel() * dtype.itemsize
        if shards[-1] and size + nbytes > max_shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += nbytes
    if len(shards) == 1:
        return _write(folder / WEIGHTS, weights, dtype)
    where = {}
    for i, shard in enumerate(shards, start=1):
        file = f"model-{i:05d}-of-{len(shards):05d}.safetensors"
        _write(folder / file, {name: weights[name] for name in shard}, dtype)
        where |= dict.fromkeys(shard, file)
    total = sum(weight.numel() for weight in weights.values()) * dtype.itemsize
    write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": where})


def _write(path: Path, weights, dtype) -> None:
    tensors = {n: w.to("cpu", dtype).contiguous() for n, w in weights.items()}
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:  # it hides the number of the system's error in its text
        for number in DISK_FULL:
            if f"os error {number})" in str(error):
                raise OSError(number, os.strerror(number), str(path)) from None
        raise OSError(errno.EIO, str(error), str(path)) from None
