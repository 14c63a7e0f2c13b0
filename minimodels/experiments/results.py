"""Stored results: what an experiment found, with all that is needed to run it again.

{command, seed, versions, date, machine, seconds, sources, values}: `sources` maps each source file
to a hash of its code (comments, docstrings and layout aside), so that a test can name the results
that were made by other code than today's.
"""

import ast
import difflib
import hashlib
import importlib
import platform
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from minimodels import device, files
from minimodels.errors import UserError
from minimodels.experiments import EXPERIMENTS, Experiment

KEYS = {"command", "seed", "versions", "date", "machine", "seconds", "sources", "values"}


def run(name: str, seed: int = 0) -> Path:
    """Run an experiment by name and store its result; returns the file written."""
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(name, EXPERIMENTS)
        hint = f"did you mean {' or '.join(near)}" if near else "`minimodels experiment` lists them"
        raise UserError(f"there is no experiment {name!r}: {hint}.")
    experiment = EXPERIMENTS[name]
    module, _, function = experiment.function.partition(":")
    start = time.perf_counter()
    values = getattr(importlib.import_module(module), function)(seed)
    path = result_path(name, experiment)
    store(path, f"minimodels experiment {name} --seed {seed}", values, experiment.sources,
          seed=seed, seconds=time.perf_counter() - start)  # fmt: skip
    return path


def result_path(name: str, experiment: Experiment) -> Path:
    """Where the result of an experiment lies: course/NN_stage/results/NAME.json."""
    return files.repository() / "course" / experiment.stage / "results" / f"{name}.json"


def store(path: str | Path, command: str, values: dict[str, Any], sources: tuple[str, ...],
          seed: int, seconds: float) -> None:  # fmt: skip
    """Write a result file, atomically. `sources` are paths from the root of the repository."""
    files.write_json(path, {
        "command": command,
        "seed": seed,
        "versions": {"python": platform.python_version(), "torch": version("torch")},
        "date": date.today().isoformat(),
        "machine": machine(),
        "seconds": round(seconds),
        "sources": source_hashes(sources),
        "values": values,
    })  # fmt: skip


def machine() -> str:
    """This machine in a few words, without its name."""
    kind = "AMX" if "amx_bf16" in device.cpu_flags() else platform.machine()
    count, where = device.cores(), device.device().type
    cores = "1 CPU core" if count == 1 else f"{count} CPU cores"
    return f"{cores} ({kind})" + ("" if where == "cpu" else f", {where}")


def source_hashes(sources: tuple[str, ...]) -> dict[str, str]:
    """{path: hash of its code} for each Python file named, or found below a folder named."""
    root = files.repository()
    paths = []
    for source in sources:
        place = root / source
        paths += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return {path.relative_to(root).as_posix(): code_hash(path) for path in paths}


def code_hash(path: Path) -> str:
    """Twelve hex digits of the SHA-256 of a file's code: of its syntax tree without docstrings."""
    if not path.exists():
        return "missing"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            if isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
                del body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:12]


def stored() -> list[Path]:
    """Every stored result of the course."""
    return sorted((files.repository() / "course").glob("*/results/*.json"))


def stale(path: str | Path) -> list[str]:
    """The source files of a stored result whose code is no longer the one that made it."""
    stored = files.read_json(path)["sources"]
    now = source_hashes(tuple(stored))
    return [source for source, code in stored.items() if now.get(source) != code]
