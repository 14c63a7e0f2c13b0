"""One form for each notebook: what it says and shows, and nothing about the machine that ran it.

Works on plain JSON (a notebook read by nbformat gets random ids when it has none). The result is
the same bytes each time: stable ids, one kernel name, outputs numbered 1 to n, keys sorted as
JupyterLab writes them.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from minimodels import files
from minimodels.errors import UserError

Notebook = dict[str, Any]
Cell = dict[str, Any]

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEPT = ("nbgrader", "slideshow", "tags")  # of a cell's metadata
WIDGET = "application/vnd.jupyter.widget-view+json"  # shows nothing without a kernel


def read(path: str | Path) -> Notebook:
    """Read a notebook of format 4 as plain JSON; UserError if it is none."""
    notebook = files.read_json(path)
    if not isinstance(notebook, dict) or notebook.get("nbformat") != 4 or "cells" not in notebook:
        raise UserError(f"{path} is no notebook of format 4: open and save it in JupyterLab.")
    return notebook


def write(path: str | Path, notebook: Notebook) -> bool:
    """Write a normalized notebook if that changes the file; returns whether it did."""
    text = dumps(notebook)
    path = Path(path)
    if path.exists() and path.read_bytes() == text.encode("utf-8"):
        return False
    files.write_text(path, text)
    return True


def dumps(notebook: Notebook) -> str:
    """The bytes of a notebook as nbformat and JupyterLab write them."""
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def normalize(notebook: Notebook) -> Notebook:
    """Return a notebook in its one form; doing it twice changes nothing."""
    cells = [_cell(cell) for cell in notebook["cells"]]
    _name(cells)
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    for number, cell in enumerate(codes, start=1):
        _number(cell, number)
    return {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}


def source(cell: Cell) -> str:
    """The source of a cell as one string."""
    text = cell.get("source", "")
    return text if isinstance(text, str) else "".join(text)


def tags(cell: Cell) -> list[str]:
    """The tags of a cell."""
    return cell.get("metadata", {}).get("tags", [])


def texts(output: dict[str, Any]) -> list[str]:
    """Every text that an output holds: streams, plain text, HTML, Markdown, SVG."""
    if output["output_type"] == "stream":
        return [_joined(output["text"])]
    data = output.get("data", {})
    return [_joined(data[kind]) for kind in data if kind.startswith(("text/", "image/svg"))]


def _cell(cell: Cell) -> Cell:
    old = cell.get("metadata", {})
    tidy = {
        "cell_type": cell["cell_type"],
        "id": cell.get("id", ""),
        "metadata": {key: old[key] for key in KEPT if old.get(key)},
        "source": _lines(source(cell).rstrip("\n")),
    }
    if cell["cell_type"] == "code":
        tidy["execution_count"] = cell.get("execution_count")
        tidy["outputs"] = [_output(output) for output in _merged(cell.get("outputs", []))]
    if cell.get("attachments"):
        tidy["attachments"] = cell["attachments"]
    return tidy


def _name(cells: list[Cell]) -> None:
    """Give an id to each cell that has none, made from its source, and mend repeated ones."""
    seen: set[str] = set()
    for cell in cells:
        name = cell["id"]
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) or name in seen:
            name = hashlib.sha256(source(cell).encode()).hexdigest()[:8]
            while name in seen:
                name = hashlib.sha256(name.encode()).hexdigest()[:8]
        seen.add(name)
        cell["id"] = name


def _number(cell: Cell, number: int) -> None:
    """Number a cell that was run, and its result: nbval calls outputs without a number stale."""
    if cell["execution_count"] is None and not cell["outputs"]:
        return
    cell["execution_count"] = number
    for output in cell["outputs"]:
        if output["output_type"] == "execute_result":
            output["execution_count"] = number


def _merged(outputs: list[dict]) -> list[dict]:
    """Outputs without widgets, and with pieces of one stream joined."""
    merged: list[dict] = []
    for output in outputs:
        if WIDGET in output.get("data", {}):
            continue
        last = merged[-1] if merged else {}
        if output["output_type"] == "stream" == last.get("output_type"):
            if output["name"] == last["name"]:
                last["text"] = _joined(last["text"]) + _joined(output["text"])
                continue
        merged.append(dict(output))
    return merged


def _output(output: dict) -> dict:
    tidy = {key: output[key] for key in ("output_type", "name", "ename", "evalue") if key in output}
    if output["output_type"] == "stream":
        tidy["text"] = _lines(_overwritten(_joined(output["text"])))
    elif output["output_type"] == "error":
        tidy["traceback"] = output["traceback"]
    else:
        tidy["metadata"] = {}
        tidy["data"] = {kind: _value(kind, value) for kind, value in output["data"].items()}
    if output["output_type"] == "execute_result":
        tidy["execution_count"] = output["execution_count"]
    return tidy


def _value(kind: str, value: Any) -> Any:
    if kind.endswith("json"):
        return value
    text = _joined(value)
    return _lines(text) if kind.startswith("text/") or kind == "image/svg+xml" else text


def _overwritten(text: str) -> str:
    """What a terminal shows in the end: of a line drawn many times (tqdm), the last drawing."""
    lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
    return "\n".join(lines)


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
