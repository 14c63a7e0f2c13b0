"""What counts as the student's code: their cells in the frame of the release."""

from minimodels.classroom.lab import Lab
from minimodels.classroom.normalize import Cell, Notebook, source, tags
from minimodels.classroom.release import release

DROPPED = {"visible-check", "victory", "play"}  # cells by tag that are not the student's code


def code(lab: Lab, notebook: Notebook) -> list[str]:
    """What counts as the student's code: unlocked cells in order, locked ones from the release.

    A locked cell that was deleted comes back at its place; a second copy of one is dropped; cells
    tagged visible-check, victory or play are left out.
    """
    original = [cell for cell in release(lab.master)["cells"] if cell["cell_type"] == "code"]
    locked = {_name(cell): cell for cell in original if _locked(cell)}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    cells = _with_missing(cells, original, locked)
    taken: list[Cell] = []
    for cell in cells:
        if _name(cell) in locked:
            cell = locked.pop(_name(cell))
        elif _locked(cell):
            continue
        taken.append(cell)
    return [source(cell) for cell in taken if not DROPPED & set(tags(cell))]


def _with_missing(cells: list[Cell], original: list[Cell], locked: dict[str, Cell]) -> list[Cell]:
    """Put locked cells that are missing behind the cell they followed in the release."""
    cells = list(cells)
    before = -1
    for cell in original:
        places = [index for index, each in enumerate(cells) if _name(each) == _name(cell)]
        if places:
            before = places[0]
        elif _name(cell) in locked:
            before += 1
            cells.insert(before, cell)
    return cells


def _name(cell: Cell) -> str:
    """How a cell is known again: nbgrader's name, else its id."""
    return cell["metadata"].get("nbgrader", {}).get("grade_id") or f"id {cell.get('id')}"


def _locked(cell: Cell) -> bool:
    return bool(cell["metadata"].get("nbgrader", {}).get("locked"))
