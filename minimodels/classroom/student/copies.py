"""Where a lab is, where the student's copies of it are, and what a graded term says of it.

    labs/03_architecture/lab_attention.ipynb                    what is handed out
    work/03_architecture/lab_attention.ipynb                    the student's, from `start`
    work/03_architecture/lab_attention.new-e6bbf4ae6b69.ipynb   the student's, from `update`
    work/.released/lab_attention-e6bbf4ae6b69.ipynb             the former as it was handed out

A release has a version, and its copies say which they were made from.
"""

import difflib
from datetime import datetime
from pathlib import Path

from minimodels import files
from minimodels.classroom.normalize import Cell, Notebook, read, source
from minimodels.errors import UserError


def labs() -> dict[str, Path]:
    """The notebooks of labs/ by short name: "attention"."""
    found = sorted((files.repository() / "labs").glob("*_*/lab_*.ipynb"))
    return {short(path): path for path in found}


def short(path: str | Path) -> str:
    """The name of a lab as people type it, from a path, a file name or that name itself."""
    last = str(path).replace("\\", "/").rsplit("/", 1)[-1]
    return last.removesuffix(".ipynb").removeprefix("lab_")


def find(name: str) -> Path:
    """The notebook of labs/ that `name` means; UserError names the nearest if there is none."""
    known = labs()
    if not known:
        raise UserError(f"{files.repository() / 'labs'} holds no lab: `make labs` makes them.")
    if short(name) not in known:
        near = difflib.get_close_matches(short(name), known, n=1) or known
        raise UserError(f"there is no lab {name!r}: choose {' or '.join(near)}.")
    return known[short(name)]


def plain(lab: Path) -> Path:
    """Where `start` puts a lab."""
    return files.repository() / "work" / lab.parent.name / lab.name


def newer(lab: Path, version: str) -> Path:
    """Where `update` puts a release."""
    return plain(lab).with_name(f"{lab.stem}.new-{version}.ipynb")


def base(lab: Path, version: str) -> Path:
    """Where a release is kept as it was handed out, to tell later what the student changed."""
    return files.repository() / "work" / ".released" / f"{lab.stem}-{version}.ipynb"


def all_of(lab: Path) -> list[Path]:
    """The student's copies of a lab, the one worked on last first; UserError if there is none."""
    updates = plain(lab).parent.glob(f"{lab.stem}.new-*.ipynb")
    found = [path for path in (plain(lab), *updates) if path.exists()]
    if not found:
        name = short(lab)
        raise UserError(f"{name} is not started: `minimodels start {name}` copies it to work/.")
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def current(lab: Path) -> tuple[Path, Notebook]:
    """The student's copy that is of the release in labs/; UserError if there is none.

    Of several the one worked on last is taken, and other labs' notebooks are refused.
    """
    released, name = read(lab), short(lab)
    notebooks = {path: whole(path) for path in all_of(lab)}
    for path, notebook in notebooks.items():
        if version(notebook, released) == about(released)["version"]:
            return path, notebook
    for path, notebook in notebooks.items():
        other = about(notebook).get("lab")
        if other and other != about(released)["lab"]:
            raise UserError(f"{path} holds {other}, not {name}: move it away, and put yours there.")
    path, says = next(iter(notebooks)), f"`minimodels update {name}` puts the new one beside it"
    raise UserError(f"{path} is of another release than labs/ now: {says}, with your answers.")


def whole(path: Path) -> Notebook:
    """Read a student's notebook; UserError if it is none, or if its cells are damaged."""
    notebook = read(path)
    cells = notebook["cells"] if isinstance(notebook["cells"], list) else [None]
    for number, cell in enumerate(cells, start=1):
        if not isinstance(cell, dict) or not {"cell_type", "source"} <= set(cell):
            raise UserError(f"cell {number} of {path} is damaged: delete it in an editor, or go "
                            "back to an older copy.")  # fmt: skip
    return notebook


def about(notebook: Notebook) -> dict:
    """What a notebook says of its lab: {lab, version, seconds, forbidden}, or {}."""
    said = notebook.get("metadata", {}).get("minimodels")
    return said if isinstance(said, dict) else {}


def version(notebook: Notebook, released: Notebook) -> str:
    """The release that a copy was made from, "" if unknown.

    An editor that drops what it does not know leaves the locked cells: where all of them are as
    released, so is the copy.
    """
    if said := about(notebook):
        return said["version"] if said.get("lab") == about(released)["lab"] else ""
    theirs = {key(cell): text(cell) for cell in notebook["cells"]}
    fixed = [cell for cell in released["cells"] if locked(cell)]
    same = all(theirs.get(key(cell)) == text(cell) for cell in fixed)
    return about(released)["version"] if fixed and same else ""


def key(cell: Cell) -> str:
    """How a cell is known again: nbgrader's name, else its id."""
    return nbgrader(cell).get("grade_id") or f"id {cell.get('id')}"


def locked(cell: Cell) -> bool:
    """Whether a student is not meant to change a cell."""
    return bool(nbgrader(cell).get("locked"))


def text(cell: Cell) -> str:
    """The source of a cell whatever the editor's newlines and its blanks at the end."""
    return "\n".join(line.rstrip() for line in source(cell).splitlines()).rstrip("\n")


def nbgrader(cell: Cell) -> dict:
    """What nbgrader notes about a cell."""
    return cell.get("metadata", {}).get("nbgrader") or {}


def term() -> dict:
    """The release.json of a graded term, {} in a clone that is not handed out for one."""
    path = files.repository() / "release.json"
    return files.read_json(path) if path.exists() else {}


def due(name: str) -> str:
    """A sentence on when a lab is due, "" if no term says so."""
    date = term().get("labs", {}).get(name, {}).get("due")
    if not date:
        return ""
    try:
        until = datetime.fromisoformat(date)
    except ValueError:
        raise UserError(f"release.json: {date!r} is no date: ask for a new release.") from None
    tense = "was" if until < datetime.now(until.tzinfo) else "is"
    return f"{name} {tense} due {until.isoformat(' ', 'minutes')}."
