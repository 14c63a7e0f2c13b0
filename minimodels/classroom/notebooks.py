"""`make notebooks`: run chapters and lab masters again, keep what did not change, normalize.

A second run leaves every file as it was: outputs that differ only in measured numbers or in the
rendering of a picture stay as stored, as long as the code that made them is the committed one.
"""

import base64
import io
import json
import re
import subprocess
import time
from pathlib import Path
from typing import Annotated

import typer

from minimodels import device, files
from minimodels.classroom.lint import HEADER, lint
from minimodels.classroom.normalize import (
    Cell,
    Notebook,
    dumps,
    normalize,
    read,
    source,
    tags,
    texts,
    write,
)
from minimodels.classroom.watch import Watch

NUMBER = re.compile(r"[-+]?\d+([.,:]\d+)*(e[-+]?\d+)?")
SECONDS_A_CELL = 600
app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False)
Paths = Annotated[list[Path] | None, typer.Argument(help="notebooks; all of the course if none")]


def every(stage: str = "") -> list[Path]:
    """The notebooks of course/ and solutions/, of one stage ("architecture") or of all."""
    root = files.repository()
    folders = [folder for tree in ("course", "solutions") for folder in root.glob(f"{tree}/*_*")]
    wanted = [folder for folder in folders if not stage or folder.name.split("_", 1)[1] == stage]
    return sorted(path for folder in wanted for path in folder.glob("*.ipynb"))


def execute(path: Path) -> tuple[Notebook, float, int]:
    """Run a notebook from its folder in a fresh kernel: (notebook, seconds, peak bytes)."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.reads(dumps(normalize(read(path))), as_version=4)
    client = NotebookClient(notebook, timeout=SECONDS_A_CELL, kernel_name="python3",
                            resources={"metadata": {"path": str(path.parent)}},
                            record_timing=False)  # fmt: skip
    start = time.perf_counter()
    with client.setup_kernel(stderr=subprocess.DEVNULL):
        with Watch(client.km.provisioner.pid) as watch:
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
    seconds = time.perf_counter() - start
    return normalize(json.loads(json.dumps(notebook))), seconds, watch.peak


def keep(new: Notebook, old: Notebook) -> Notebook:
    """Put the outputs of `old` into `new` where the code is unchanged and they show the same."""
    before = {cell["id"]: cell for cell in old["cells"]}
    order = [cell["id"] for cell in old["cells"] if cell["cell_type"] == "code"]
    codes = [cell for cell in new["cells"] if cell["cell_type"] == "code"]
    for position, cell in enumerate(codes):
        known = before.get(cell["id"])
        if order[position : position + 1] != [cell["id"]] or source(known) != source(cell):
            break  # from the first change on, everything is new
        if _same(cell, known):
            cell["outputs"] = known["outputs"]
    return new


def stamp(notebook: Notebook, seconds: float, peak: int) -> None:
    """Write `time · memory · machine` into the first cell, rounded to 10 s and 0.5 GB."""
    cores = device.threads()
    words = {1: "one core", 2: "two cores"}.get(cores, f"{cores} cores")
    if device.device().type != "cpu":
        words += f", {device.device().type}"
    tens, halves = max(1, round(seconds / 10)), max(1, round(peak / 2**30 * 2))
    line = f"`{tens * 10} s · {halves / 2:g} GB · {words}`"
    first = notebook["cells"][0]
    first["source"] = HEADER.sub(line, source(first), count=1).splitlines(keepends=True)


@app.command()
def run(
    paths: Paths = None,
    times: Annotated[bool, typer.Option(help="measure time and memory for the header")] = False,
    fresh: Annotated[bool, typer.Option(help="store new numbers even if alike")] = False,
) -> None:
    """Run notebooks, store what they show, and check them."""
    broken = 0
    for path in paths or every():
        notebook, seconds, peak = execute(path)
        if not fresh:
            keep(notebook, _committed(path))
        if times:
            stamp(notebook, seconds, peak)
        changed = "changed" if write(path, notebook) else "as it was"
        print(f"{path}: {seconds:.0f} s, {peak / 2**30:.1f} GB, {changed}", flush=True)
        broken += _report(path, notebook)
    raise typer.Exit(1 if broken else 0)


@app.command()
def tidy(paths: Paths = None) -> None:
    """Normalize notebooks without running them."""
    for path in paths or every():
        if write(path, normalize(read(path))):
            print(f"normalized {path}")


@app.command()
def check(paths: Paths = None) -> None:
    """Name the rules that notebooks break."""
    broken = sum(_report(path, read(path)) for path in paths or every())
    raise typer.Exit(1 if broken else 0)


def is_chapter(path: Path) -> bool:
    """Chapters live in course/, lab masters in solutions/."""
    return "solutions" not in path.resolve().parts


def _report(path: Path, notebook: Notebook) -> int:
    problems = lint(notebook, chapter=is_chapter(path))
    for problem in problems:
        print(f"  {path}: {problem}")
    return len(problems)


def _committed(path: Path) -> Notebook:
    """The notebook as last committed: its outputs belong to its sources. Else the file itself."""
    show = ["git", "show", f"HEAD:./{path.name}"]
    shown = subprocess.run(show, cwd=path.resolve().parent, capture_output=True)
    return normalize(json.loads(shown.stdout) if shown.returncode == 0 else read(path))


def _same(new: Cell, old: Cell) -> bool:
    """Whether two runs of one cell show the same, but for numbers if its tag allows that."""
    loose = "nbval-ignore-output" in tags(new)
    if len(new["outputs"]) != len(old["outputs"]):
        return False
    for one, other in zip(new["outputs"], old["outputs"], strict=True):
        if _kinds(one) != _kinds(other) or not _same_texts(texts(one), texts(other), loose):
            return False
        if not loose and not _same_picture(one, other):
            return False
    return True


def _kinds(output: dict) -> list[str]:
    return [output["output_type"], output.get("name", ""), *sorted(output.get("data", {}))]


def _same_texts(one: list[str], other: list[str], loose: bool) -> bool:
    if loose:  # numbers may differ, and so the width of their columns
        one = [re.sub(r"\s+", " ", NUMBER.sub("0", text)) for text in one]
        other = [re.sub(r"\s+", " ", NUMBER.sub("0", text)) for text in other]
    return one == other


def _same_picture(one: dict, other: dict) -> bool:
    """Whether two PNGs differ by no more than another version of a font library makes them."""
    first, second = (output.get("data", {}).get("image/png") for output in (one, other))
    if first == second:
        return True
    import numpy as np
    from PIL import Image

    a, b = (np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"), dtype=float)
            for text in (first, second))  # fmt: skip
    if max(abs(x - y) for x, y in zip(a.shape, b.shape, strict=True)) > 8:
        return False
    height, width = min(a.shape[0], b.shape[0]), min(a.shape[1], b.shape[1])
    return float(np.abs(a[:height, :width] - b[:height, :width]).mean()) < 4  # of 255


if __name__ == "__main__":
    app()
