"""A student's desk for tests: the toy lab handed out in a clone, notebooks edited as by hand."""

import json
from pathlib import Path

from minimodels.classroom import release
from minimodels.classroom.student import copies
from minimodels.classroom.student.start import start
from tests.classroom import toys

RIGHT = {
    "masked_mean": "def masked_mean(x, mask):\n    return x[mask].mean(0)",
    "scaled": "def scaled(x, d):\n    return x / math.sqrt(d)",
}


def clone(root: Path, monkeypatch) -> Path:
    """A clone with the toy lab in labs/, as the current folder."""
    toys.write(root)
    monkeypatch.chdir(root)
    release.main()
    return root


def lab() -> Path:
    """The toy lab as it is handed out."""
    return copies.find("mean")


def begun() -> Path:
    """The student's copy of it."""
    return start("mean")


def edit(path: Path, change) -> None:
    """Load a notebook, let `change(notebook, cells by name)` work on it, and save it."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    change(notebook, {copies.key(cell): cell for cell in notebook["cells"]})
    path.write_text(json.dumps(notebook), encoding="utf-8")


def write(path: Path, sources: dict[str, str]) -> None:
    """Put text into cells by name."""

    def change(_, cells):
        for name, source in sources.items():
            cells[name]["source"] = source

    edit(path, change)


def add(path: Path, source: str, at: int = 1, **more) -> None:
    """Put a code cell of the student's into a notebook."""
    cell = {"cell_type": "code", "id": f"mine-{at}", "source": source, "metadata": {},
            "outputs": [], "execution_count": None, **more}  # fmt: skip
    edit(path, lambda notebook, _: notebook["cells"].insert(at, cell))


def state(folder: Path) -> dict[str, tuple]:
    """Bytes and time of every file below a folder."""
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in sorted(folder.rglob("*")) if path.is_file()}  # fmt: skip
