"""What every chapter and lab master must keep, checked without running it.

nbval compares outputs strictly, so a strict cell may print only what is the same on each machine:
counts, shapes, words. A cell that prints measured numbers carries the tag `nbval-ignore-output`
and is followed by an assert; one whose decimals are exact arithmetic carries the tag `exact`.
"""

import re
from collections.abc import Iterator

from minimodels.classroom.normalize import Cell, Notebook, normalize, source, tags, texts

FLOAT = re.compile(r"(?<![\w.])[-+]?\d+(\.\d+([eE][-+]?\d+)?|[eE][-+]\d+)(?![\w.]*\.\d)")
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")
PLACE = re.compile(r"(/home/|/Users/|/root/|/tmp/|ipykernel_\d)")
HEADER = re.compile(r"`[^`\n]*·[^`\n]*·[^`\n]*`")
SLIDES = {"slide", "subslide", "fragment", "skip", "notes", "-"}
SCREEN = 45  # lines


def lint(notebook: Notebook, chapter: bool = True) -> list[str]:
    """Every rule that a notebook breaks, one sentence each; `chapter` False for lab masters."""
    cells = notebook["cells"]
    found = list(_form(notebook))
    if chapter:
        found += _opening(cells)
        if not any("assert" in source(cell) for cell in _codes(cells)):
            found.append("nothing is asserted: let a cell prove what the chapter claims.")
    for number, cell in enumerate(cells, start=1):
        where = f"cell {number} ({cell.get('id', 'no id')})"
        for problem in _cell(cell, cells[number:], chapter):
            found.append(f"{where}: {problem}")
    return found


def _form(notebook: Notebook) -> Iterator[str]:
    if normalize(notebook) != notebook:
        yield "not normalized: run `python -m minimodels.classroom.notebooks tidy`."


def _opening(cells: list[Cell]) -> Iterator[str]:
    first = source(cells[0]) if cells else ""
    if not first.startswith("# "):
        yield "the first cell is no title: begin with `# ` and the question."
    if not HEADER.search(first):
        yield "the first cell lacks `0 s · 0 GB · two cores`; `make notebooks TIMES=1` measures."


def _cell(cell: Cell, later: list[Cell], chapter: bool) -> Iterator[str]:
    if chapter and cell.get("metadata", {}).get("slideshow", {}).get("slide_type") not in SLIDES:
        yield "no slide type: choose slide, subslide, fragment, notes or skip."
    if _notes(cell) and not source(cell).startswith("<details>"):
        yield "speaker notes show on the reader's page: fold them under <details>."
    if cell["cell_type"] == "markdown":
        yield from _markdown(source(cell))
    elif cell["cell_type"] == "code":
        yield from _code(cell, later, chapter)


def _notes(cell: Cell) -> bool:
    return cell.get("metadata", {}).get("slideshow", {}).get("slide_type") == "notes"


def _markdown(text: str) -> Iterator[str]:
    if re.search(r"!\[\s*\]\(", text):
        yield "an image without alt text: say in words what it shows."
    if re.search(r"!\[[^\]]*\]\(https?:|<(script|img|iframe)[^>]*https?:", text):
        yield "asks the network for an image or script: keep it in the repository."


def _code(cell: Cell, later: list[Cell], chapter: bool) -> Iterator[str]:
    outputs = cell["outputs"]
    shown = "".join(text for output in outputs for text in texts(output))
    if chapter and cell["execution_count"] is None and "nbval-skip" not in tags(cell):
        yield "never run: run `make notebooks`."
    errors = [output for output in outputs if output["output_type"] == "error"]
    if errors and not {"raises-exception", "nbval-raises-exception"} & set(tags(cell)):
        yield f"ends in {errors[0]['ename']} without the tag raises-exception."
    if shown.count("\n") > SCREEN:
        yield f"prints {shown.count(chr(10))} lines, more than a screen."
    if match := PLACE.search(shown):
        yield f"shows a place of one machine ({match.group()})."
    if source(cell).rstrip().endswith(";"):
        yield "ends with `;`, which nbval does not heed: write `_ = …` in front of the last line."
    if "nbval-ignore-output" in tags(cell):
        if re.search(r"\d", re.sub(r"<Figure.*?>", "", shown)) and not _asserted(cell, later):
            yield "nbval ignores its numbers, and no assert here or in the next cell checks them."
    elif match := ADDRESS.search(shown):
        yield f"prints a memory address ({match.group()}), another in each run."
    elif "exact" not in tags(cell) and (match := FLOAT.search(shown)):
        yield f"prints a decimal ({match.group()}) in a strict cell: tag it nbval-ignore-output " \
              "and assert it, or tag it exact if every machine prints the same."  # fmt: skip


def _asserted(cell: Cell, later: list[Cell]) -> bool:
    following = _codes(later)[:1]
    return any("assert" in source(near) for near in [cell, *following])


def _codes(cells: list[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell["cell_type"] == "code"]
