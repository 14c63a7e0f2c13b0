"""Notes in work/progress.json when a chapter has run: an extension that IPython loads in a kernel.

`make install` puts deploy/ipython/ipython_kernel_config.py into .venv/etc/ipython, where every
kernel of this .venv reads it, and nothing else does: no notebook changes, a plain python and other
environments are as they were. JupyterLab names the notebook in $JPY_SESSION_NAME, VS Code in the
variable __vsc_ipynb_file__; where neither does (nbval, `make notebooks`), nothing is noted.

A chapter has run when each of its code cells ran without an error in one kernel. A cell is known
by its id or by its text. Whatever goes wrong in here, the kernel does not notice.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

MAY_FAIL = {"raises-exception", "nbval-raises-exception"}


def load_ipython_extension(shell) -> None:
    """Called by IPython when a kernel starts."""
    with suppress(Exception):
        shell.events.register("post_run_cell", Watcher(shell).after)


class Watcher:
    """What one kernel has run so far."""

    def __init__(self, shell):
        self.shell = shell
        self.ran: set[str] = set()  # ids and texts of cells
        self.failed: set[str] = set()
        self.noted = False
        self._cells: list[tuple[set[str], bool]] = []
        self._read: tuple = ()

    def after(self, result) -> None:
        """Called by IPython after each cell."""
        if not self.noted:
            with suppress(Exception):
                self._after(result)

    def _after(self, result) -> None:
        marks = {_mark(result.info.raw_cell)}
        if result.info.cell_id:
            marks.add(f"id {result.info.cell_id}")
        good, bad = (self.ran, self.failed) if result.success else (self.failed, self.ran)
        good |= marks
        bad -= marks
        path = chapter(self.shell.user_ns)
        if path and all(self._done(marks, may) for marks, may in self._wanted(path)):
            from minimodels.classroom.student import memory

            memory.ran(f"{path.parent.name}/{path.stem}", path.parents[2])
            self.noted = True

    def _done(self, marks: set[str], may_fail: bool) -> bool:
        return bool(marks & self.ran or may_fail and marks & self.failed)

    def _wanted(self, path: Path) -> list[tuple[set[str], bool]]:
        """The code cells of a chapter as it is saved: how each is known, whether it may fail."""
        state = path.stat()
        if self._read != (path, state.st_mtime_ns, state.st_size):
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            self._cells = [wanted for cell in cells if (wanted := _wanted_cell(cell))]
            self._read = path, state.st_mtime_ns, state.st_size
        return self._cells


def chapter(names: dict) -> Path | None:
    """The notebook of course/ that this kernel belongs to, None if it is no chapter of a clone."""
    path = Path(names.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or "")
    if path.suffix != ".ipynb" or len(path.parents) < 3 or not path.is_file():
        return None
    root = path.parents[2]
    clone = (root / "Makefile").is_file() and (root / "minimodels").is_dir()
    return path if clone and path.parents[1].name == "course" else None


def _wanted_cell(cell: dict) -> tuple[set[str], bool] | None:
    text = "".join(cell["source"])
    tags = set(cell["metadata"].get("tags", []))
    if cell["cell_type"] != "code" or not text.strip() or "nbval-skip" in tags:
        return None
    return {f"id {cell.get('id')}", _mark(text)}, bool(tags & MAY_FAIL)


def _mark(text: str) -> str:
    return f"text {text.strip()}"
