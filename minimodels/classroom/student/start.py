"""`minimodels start NAME`: copy a lab into work/, where nothing ever overwrites it."""

import difflib
from pathlib import Path

from minimodels import files
from minimodels.errors import UserError


def labs() -> list[str]:
    """The names of the labs there are, as `start` takes them."""
    return sorted(_labs())


def start(name: str) -> Path:
    """Copy lab `name` and the files beside it into work/, and return the notebook to open."""
    known = _labs()
    short = name.rsplit("/", 1)[-1].removesuffix(".ipynb").removeprefix("lab_")
    if short not in known:
        near = difflib.get_close_matches(short, known, n=1) or sorted(known)
        raise UserError(f"there is no lab {name!r}: choose {' or '.join(near)}.")
    lab = known[short]
    target = files.repository() / "work" / lab.parent.name / lab.name
    if target.exists():
        raise UserError(f"{target} is already there: go on with it, or move it away to begin anew.")
    _copy(lab, target)
    for beside in lab.parent.rglob("*"):
        copy = target.parent / beside.relative_to(lab.parent)
        if beside.is_file() and beside.suffix != ".ipynb" and not copy.exists():
            _copy(beside, copy)
    return target


def _copy(path: Path, target: Path) -> None:
    with files.atomic(target, "wb") as file:
        file.write(path.read_bytes())


def _labs() -> dict[str, Path]:
    found = (files.repository() / "labs").glob("*_*/lab_*.ipynb")
    return {path.stem.removeprefix("lab_"): path for path in found}
