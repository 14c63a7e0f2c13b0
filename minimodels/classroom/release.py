"""`make labs`: labs/ from solutions/, without answers, by nbgrader's own steps in this process.

The bytes are the same each time, so that a test can hold labs/ equal to what would be generated.
Files beside a master (pictures, data) go along; `*_checks.py` never does.
"""

import hashlib
import json
import shutil
from pathlib import Path

from minimodels import files
from minimodels.classroom.lab import Lab, load, masters
from minimodels.classroom.normalize import Notebook, dumps, normalize, read
from minimodels.errors import UserError

STEPS = (
    "IncludeHeaderFooter LockCells ClearSolutions ClearOutput CheckCellMetadata ComputeChecksums "
    "ClearHiddenTests ClearMarkScheme ComputeChecksums CheckCellMetadata"
).split()


def release(master: Notebook) -> Notebook:
    """A master notebook as students get it: answers cut out, locked cells locked, no outputs."""
    import nbformat
    from nbgrader import preprocessors

    notebook = nbformat.reads(dumps(normalize(master)), as_version=4)
    resources = {"nbgrader": {"notebook": "lab"}, "unique_key": "lab", "output_files_dir": ""}
    for step in STEPS:
        notebook, resources = getattr(preprocessors, step)().preprocess(notebook, resources)
    return json.loads(nbformat.writes(notebook))


def handout(lab: Lab) -> Notebook:
    """What a student opens: the release, which says of which lab and version it is.

    Its metadata also name what the grader will not let a student's code import, and for how many
    seconds a cell may run, so that `minimodels check` can do as the grader does.
    """
    notebook = release(lab.master)
    about = {"lab": lab.name, "version": version(lab), "seconds": lab.seconds,
             "forbidden": list(lab.forbidden)}  # fmt: skip
    return {**notebook, "metadata": {**notebook["metadata"], "minimodels": about}}


def version(lab: Lab) -> str:
    """Twelve digits of a hash of all that a student is given: another text, another version."""
    cells = json.dumps(release(lab.master)["cells"], sort_keys=True)
    return hashlib.sha256(cells.encode("utf-8")).hexdigest()[:12]


def generate(folder: Path, labs: Path) -> list[Path]:
    """Write into `labs` all that one stage's folder of solutions/ hands out; returns the files."""
    written = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        target = labs / path.relative_to(folder)
        if private(path):
            continue
        if path.suffix == ".ipynb":
            notebook = handout(load(path)) if path.stem.startswith("lab_") else release(read(path))
            files.write_text(target, dumps(notebook))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        written.append(target)
    return written


def private(path: Path) -> bool:
    """What never reaches a student: checks, caches, and what editors leave behind."""
    hidden = any(part.startswith((".", "__pycache__")) for part in path.parts[-2:])
    return hidden or path.name.endswith(("_checks.py", ".pyc"))


def main() -> None:
    """Generate every stage anew; a stage without masters leaves no folder."""
    root = files.repository()
    if not masters():  # in a bundle, labs/ is all there is
        raise UserError("there is no folder solutions/ here, of which labs/ is made: use a clone.")
    for old in (root / "labs").glob("*_*"):
        shutil.rmtree(old)
    for folder in sorted({path.parent for path in masters()}):
        for path in generate(folder, root / "labs" / folder.name):
            print(f"wrote {path.relative_to(root)}")


if __name__ == "__main__":
    main()
