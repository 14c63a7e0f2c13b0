"""A training run on disk: one safetensors file that a new process continues from, bit for bit.

It holds the weights, the optimizer's state and the random generators as tensors, and the rest of
the run as JSON in the file's own header. One file, because one rename is atomic everywhere.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import nn

from minimodels import files
from minimodels.errors import UserError

FILE = "checkpoint.safetensors"


def save_state(folder, model: nn.Module, optimizer: torch.optim.Optimizer, run: dict) -> None:
    """Write weights, optimizer and `run` (anything JSON can hold) to folder, atomically."""
    tensors = {f"model.{name}": p for name, p in model.state_dict().items()}
    scalars = {}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            name = f"optimizer.{index}.{key}"
            (tensors if torch.is_tensor(value) else scalars)[name] = value
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    # tied weights would share memory, which safetensors refuses: give each name its own copy
    tensors = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    header = {"format": "pt", "run": json.dumps(run), "scalars": json.dumps(scalars)}
    with files.atomic(Path(folder) / FILE, "wb") as file:
        file.write(to_bytes(tensors, metadata=header))


def read_run(folder) -> dict | None:
    """The `run` of the checkpoint in folder, without its tensors; None if there is none."""
    path = Path(folder) / FILE
    if not path.exists():
        return None
    with _opened(path) as file:
        return json.loads((file.metadata() or {}).get("run", "{}"))


def load_state(folder, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict:
    """Put a checkpoint back into model, optimizer and random generators; return its `run`.

    Raises UserError if the file is broken or belongs to another model.
    """
    path = Path(folder) / FILE
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        header = file.metadata()
    try:
        model.load_state_dict(_below("model.", tensors))
        state = {}
        for name, value in (_below("optimizer.", tensors | json.loads(header["scalars"]))).items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        torch.set_rng_state(tensors["random.cpu"])
        if torch.cuda.is_available() and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"])
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} is no checkpoint of this model and optimizer ({reason}): "
            "train into another folder or delete it."
        ) from error
    return json.loads(header["run"])


def _opened(path):
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is broken ({error}): delete it and train again.") from error


def _below(prefix, tensors):
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
