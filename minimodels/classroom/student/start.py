"""`minimodels start NAME`: copy a lab into work/, where nothing ever overwrites it."""

from pathlib import Path

from minimodels import files
from minimodels.classroom.normalize import read
from minimodels.classroom.student import copies, memory
from minimodels.errors import UserError


def labs() -> list[str]:
    """The names of the labs there are, as `start` takes them."""
    return sorted(copies.labs())


def start(name: str) -> Path:
    """Copy lab `name` and the files beside it into work/, and return the notebook to open."""
    lab = copies.find(name)
    target = copies.plain(lab)
    if target.exists():
        raise UserError(f"{target} is already there: go on with it, or move it away to begin anew.")
    keep_as_released(lab)
    copy_beside(lab)
    copy(lab, target)
    memory.started(copies.short(lab))
    return target


def keep_as_released(lab: Path) -> None:
    """Keep a release as it is now; `update` compares with it to find what the student changed."""
    kept = copies.base(lab, copies.about(read(lab)).get("version", "unknown"))
    if not kept.exists():
        copy(lab, kept)


def copy_beside(lab: Path) -> list[Path]:
    """Copy what lies beside a lab and is not there yet; returns what is there and differs."""
    folder, other = copies.plain(lab).parent, []
    for beside in sorted(lab.parent.rglob("*")):
        there = folder / beside.relative_to(lab.parent)
        if not beside.is_file() or beside.suffix == ".ipynb":
            continue
        if not there.exists():
            copy(beside, there)
        elif there.read_bytes() != beside.read_bytes():
            other.append(there)
    return other


def copy(path: Path, target: Path) -> None:
    """Copy a file; half a copy is never seen."""
    with files.atomic(target, "wb") as file:
        file.write(path.read_bytes())
