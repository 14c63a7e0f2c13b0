"""`minimodels release cohort.toml`: what the students of a term get, as one zip.

It is the course with the chosen labs, their points and dates, and without answers, checks and
tests. The seed of the private inputs stays in cohort.toml. The same files give the same bytes.

    nlp-2026-autumn.zip
        nlp-2026-autumn/release.json      {name, labs: {attention: {due, points, …}}, late, made}
        nlp-2026-autumn/labs/…            the chosen ones, with the points of the term
        nlp-2026-autumn/…                 the package, the chapters, the Makefile
"""

import io
import json
import os
import re
import subprocess
import tempfile
import zipfile
from datetime import datetime
from pathlib import Path

from minimodels import files
from minimodels.classroom import cohort as cohorts
from minimodels.classroom.cohort import Cohort
from minimodels.classroom.lab import Lab, by_name, load, masters
from minimodels.classroom.leaks import scan, unwanted
from minimodels.classroom.normalize import Notebook, dumps, source
from minimodels.classroom.release import handout
from minimodels.classroom.reports.tasks import tasks
from minimodels.errors import UserError

KEPT = {"minimodels", "course", "deploy", ".ci/system", ".gitignore", "Makefile", "README.md",
        "CHANGELOG.md", "CITATION.cff", "LICENSE", "LICENSE-TEXT", "pyproject.toml",
        "requirements.lock"}  # fmt: skip
LEFT = {
    "labs",
    "solutions",
    "tests",
    ".github",
    ".ci/run",
    ".gitattributes",
    "MANIFEST.in",
}  # labs: chosen
SHORT = 10_000  # seeds below can be tried one by one
EXAMPLE_SEED = 20261
EXAMPLE = f"""\
name = "nlp-2026-autumn"
seed = {EXAMPLE_SEED}  # makes the private inputs: take another, of five digits or more, tell nobody

[late]
per_day = 0.1  # of the points, for each day begun
days = 5       # after these, nothing

[labs.attention]
due = 2026-12-01T23:59:00+01:00

[labs.attention.points]  # instead of the lab's own; tasks left out keep theirs
mask = 5
"""
NOT_IN_A_TERM = re.compile(r"^(?:make test|minimodels solution) .*\n", re.MULTILINE)  # they refuse
POINTS_HEAD = "| points |\n"
POINTS_ROW = re.compile(r"^(\| (\d+) \|.*\| )[\d.]+ \|$", re.MULTILINE)
CLONE_ONLY = re.compile(r"<!-- clone only -->.*?<!-- /clone only -->\n*", re.DOTALL)
Contents = dict[str, bytes]


def release(
    path: Path, out: Path = Path(), unpacked: bool = False, now: datetime | None = None
) -> tuple[list[Path], list[str]]:
    """Write the bundle of a cohort.toml into `out`: (what was written, warnings).

    `unpacked` also writes a folder. UserError, and no file, if the term does not fit the labs or
    if an answer is found in what would be written.
    """
    now = now or datetime.now().astimezone()
    term = cohorts.read(path)
    labs = _labs(term)
    contents = _contents(term, labs, now)
    data = _zip(term.name, contents)
    _clean(term, data, labs)
    written = [out / f"{term.name}.zip"]
    if unpacked:
        written.append(_folder(out / term.name, contents))
    with files.atomic(written[0], "wb") as file:
        file.write(data)
    return written, _warnings(term, now)


def _labs(term: Cohort) -> dict[str, Lab]:
    """The labs of a term by short name; UserError if the term names what is not there."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", term.name):
        raise UserError(f"{term.name!r} becomes a file name: use letters, digits, `.`, `_`, `-`.")
    if term.seed == EXAMPLE_SEED:
        raise UserError(f"seed {EXAMPLE_SEED} is the example's, and public: choose another one.")
    known = by_name()
    if not known:
        raise UserError("there is no folder solutions/ here: release from a clone, not a bundle.")
    names = ", ".join(sorted(known))
    if not term.labs:
        raise UserError(f"the term has no lab: add [labs.NAME] for some of {names}.")
    if strange := sorted(set(term.labs) - set(known)):
        raise UserError(f"there is no lab {strange[0]!r}: choose of {names}.")
    labs = {name: load(known[name]) for name in term.labs}
    for name, lab in labs.items():
        if strange := sorted(set(term.labs[name].points) - set(tasks(lab))):
            known_tasks = ", ".join(tasks(lab))
            raise UserError(f"lab {name} has no task {strange[0]!r}: its tasks are {known_tasks}.")
    return labs


def _contents(term: Cohort, labs: dict[str, Lab], now: datetime) -> Contents:
    """Every file of a bundle, by its path."""
    root = files.repository()
    listed = [path for path in _listed(root) if not unwanted(path)]
    kept = [path for path in listed if KEPT & {path, path.split("/")[0]}]
    contents = {path: (root / path).read_bytes() for path in kept}
    stages = {lab.path.parent.name for lab in labs.values()}
    for path in listed:  # pictures and data beside a lab
        if path.startswith("labs/") and path.split("/")[1] in stages and ".ipynb" not in path:
            contents[path] = (root / path).read_bytes()
    for name, lab in labs.items():
        notebook = _with_points(handout(lab), term.labs[name].points)
        contents[f"labs/{lab.name}.ipynb"] = dumps(notebook).encode("utf-8")
    about = _about(term, labs, now)
    contents["release.json"] = (json.dumps(about, indent=2) + "\n").encode("utf-8")
    if readme := contents.get("README.md"):
        contents["README.md"] = _readme(readme.decode("utf-8"), about).encode("utf-8")
    return dict(sorted(contents.items()))


def _listed(root: Path) -> list[str]:
    """The course's own files: what git tracks, else what lies there and is not hidden or built."""
    if (root / ".git").exists():
        ask = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True)
        if ask.returncode:
            raise UserError(f"git does not list this clone: {ask.stderr.decode('utf-8').strip()}")
        found = [name.decode("utf-8") for name in ask.stdout.split(b"\0") if name]
        return sorted(name for name in found if (root / name).is_file())
    found: list[Path] = []
    for tree in (root / name for name in KEPT | {"labs"}):
        found += tree.rglob("*") if tree.is_dir() else [tree]
    names = [path.relative_to(root) for path in found if path.is_file()]
    hidden = [name for name in names if any(part.startswith(".") for part in name.parts[1:])]
    return sorted(name.as_posix() for name in set(names) - set(hidden))


def _with_points(notebook: Notebook, points: dict[str, float]) -> Notebook:
    """A release whose grade cells carry the points of the term, with nbgrader's checksums."""
    import nbformat
    from nbgrader.utils import compute_checksum

    for cell in notebook["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if about.get("grade") and about["grade_id"] in points:
            value = points[about["grade_id"]]
            about["points"] = int(value) if value == int(value) else value
            whole = nbformat.from_dict({**cell, "source": source(cell)})
            about["checksum"] = compute_checksum(whole)
    return _announced(notebook, points)


def _announced(notebook: Notebook, points: dict[str, float]) -> Notebook:
    """The table at the head of a lab, one task a row and in their order, says the points too."""
    tasks = [cell["metadata"]["nbgrader"]["grade_id"] for cell in notebook["cells"]
             if cell["metadata"].get("nbgrader", {}).get("grade")]  # fmt: skip

    def row(match: re.Match) -> str:
        task = dict(enumerate(tasks, start=1)).get(int(match[2]))
        return f"{match[1]}{points[task]:g} |" if task in points else match[0]

    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown" and POINTS_HEAD in source(cell):
            cell["source"] = POINTS_ROW.sub(row, source(cell)).splitlines(keepends=True)
    return notebook


def _about(term: Cohort, labs: dict[str, Lab], now: datetime) -> dict:
    """What release.json says; never the seed."""
    rows = {}
    for name, lab in labs.items():
        plan = term.labs[name]
        rows[name] = {
            "due": plan.due.isoformat() if plan.due else None,
            "points": {**lab.points(), **plan.points},
            "version": handout(lab)["metadata"]["minimodels"]["version"],
            "stage": lab.path.parent.name,
        }
    late = {"per_day": term.per_day, "days": term.days}
    return {"name": term.name, "labs": rows, "late": late, "made": now.date().isoformat()}


def _readme(text: str, about: dict) -> str:
    """The course's README with the term in front, and without what needs a clone."""
    rows = ["| lab | due | points |", "|---|---|---|"]
    for name, lab in about["labs"].items():
        points = ", ".join(f"{task} {value:g}" for task, value in lab["points"].items())
        due = datetime.fromisoformat(lab["due"]).isoformat(" ", "minutes") if lab["due"] else "–"
        rows.append(f"| {name} | {due} | {points} |")
    first = next(iter(about["labs"]))
    how = f"`minimodels start {first}` copies a lab to `work/`, where you solve it."
    parts = [f"## {about['name']}", "\n".join(rows), _late(about["late"]) + how, ""]
    text = NOT_IN_A_TERM.sub("", CLONE_ONLY.sub("", text))
    head, mark, rest = text.partition("## ")
    return head + "\n\n".join(parts) + mark + rest


def _late(late: dict) -> str:
    if not late["per_day"] and late["days"] is None:
        return ""
    end = "" if late["days"] is None else f", and after {late['days']} days nothing counts"
    return f"Each day late costs {late['per_day']:.0%} of the points{end}. "


def _zip(name: str, contents: Contents) -> bytes:
    """The bundle as bytes that depend on its contents alone."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in contents.items():
            entry = zipfile.ZipInfo(f"{name}/{path}")  # of 1980, as zips count
            entry.create_system, entry.compress_type = 3, zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if _runs(path) else 0o644) << 16
            archive.writestr(entry, content)
    return data.getvalue()


def _clean(term: Cohort, data: bytes, labs: dict[str, Lab]) -> None:
    """UserError if a bundle holds an answer of any lab, chosen or not, or the seed."""
    known = {lab.path: lab for lab in labs.values()}
    every = [known.get(path) or load(path) for path in masters()]
    planted = [f"seed = {term.seed}"] if term.seed >= SHORT else []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{term.name}.zip")
        path.write_bytes(data)
        found = scan(path, every, planted)
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise UserError(f"nothing was written, for {found[0]} would be in it{more}: remove it.")


def _folder(folder: Path, contents: Contents) -> Path:
    """The bundle as a folder; one that is no bundle is not replaced."""
    if folder.exists() and not (folder / "release.json").exists():
        raise UserError(f"{folder} is there and is no bundle: move it away, or name another --out.")
    with files.atomic_folder(folder) as partial:
        for path, content in contents.items():
            target = partial / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    for path in filter(_runs, contents):
        (folder / path).chmod(0o755)
    return folder


def _runs(path: str) -> bool:
    """Whether a file of the course is a program."""
    return os.access(files.repository() / path, os.X_OK)


def _warnings(term: Cohort, now: datetime) -> list[str]:
    """What a lecturer may have meant otherwise, a sentence each."""
    found = [f"lab {name} was due on {plan.due:%Y-%m-%d}, which is past."
             for name, plan in term.labs.items() if plan.due and plan.due < now]  # fmt: skip
    if term.seed < SHORT:
        found.append(f"seed {term.seed} can be guessed: take one of five digits or more.")
    return found


def main(cohort: str, out: str, unpacked: bool) -> None:
    """Write a bundle and say what goes out and what stays."""
    written, warnings = release(Path(cohort), Path(out), unpacked)
    print("\n".join(f"warning: {sentence}" for sentence in warnings), end="\n" if warnings else "")
    print("\n".join(f"wrote {path}" for path in written))
    print(f"no answer found in it. Keep to yourself: {cohort}, whose seed makes the private")
    print("inputs, solutions/, and what `minimodels grade` writes.")
