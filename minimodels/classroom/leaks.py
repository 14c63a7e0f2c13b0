"""Is there an answer in what students get? Looks into files, outputs, metadata and archives.

    python -m minimodels.classroom.leaks nlp-2026-autumn.zip dist/ labs/

It finds files that stay with the lecturer, the marks that surround answers, the lines of the
reference solutions, and what the private checks say and hold. It compares without white space, so
that another indentation hides nothing. An answer in other words, or with other names, it does not
know; nor does it read pictures.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from minimodels import files
from minimodels.classroom.lab import Lab, load, masters
from minimodels.classroom.mutate import BEGIN, answers
from minimodels.classroom.normalize import dumps, read, source
from minimodels.classroom.opened import Part, parts, texts
from minimodels.classroom.release import handout
from minimodels.errors import UserError

LEAST = 24  # letters without white space: shorter lines are anybody's
PATTERNS = "minimodels/classroom/patterns/"  # what `minimodels new lab` starts from
MARKS = (BEGIN, "### BEGIN HIDDEN TESTS", "### BEGIN MARK SCHEME", "NOT FOR STUDENTS")
FOLDERS = {"solutions", "tests", "grades", "submissions", "work", ".git", "__pycache__"}
FILES = {"cohort.toml", "groups.csv", "late.csv", "overrides.csv", "gradebook.db", "grades.csv"}
ENDINGS = ("_checks.py", ".pyc")


@dataclass(frozen=True)
class Leak:
    """Something that students should not get."""

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def scan(place: Path, labs: Iterable[Lab], planted: Iterable[str] = ()) -> list[Leak]:
    """What leaks from a folder, file or archive; `planted` are more words that must not be there.

    UserError if there is no such place.
    """
    if not place.exists():
        raise UserError(f"{place} is missing: name a folder, a file or an archive.")
    secrets = _secrets(list(labs), planted)
    found = [leak for part in parts(place) for leak in _leaks(part, secrets)]
    return list(dict.fromkeys(found))


def unwanted(path: str) -> str:
    """Why a file of this path stays with the lecturer; "" if it may go out."""
    pure = PurePosixPath(path)
    if folder := FOLDERS.intersection(pure.parts):
        return f"{min(folder)}/ is not for students"
    if pure.name in FILES or pure.name.endswith(ENDINGS) and PATTERNS not in path:
        return "this file is not for students"
    return ""


def _leaks(part: Part, secrets: dict[str, str]) -> Iterator[Leak]:
    if part.closed:
        yield Leak(part.name, "this archive cannot be opened")
    if why := unwanted(part.path):
        yield Leak(part.name, why)
    for text in texts(part.data):
        if PATTERNS not in part.name:
            yield from (Leak(part.name, f"a mark: {mark}") for mark in _marks(text))
        squeezed = _squeeze(text)
        yield from (Leak(part.name, what) for secret, what in secrets.items() if secret in squeezed)


def _marks(text: str) -> list[str]:
    """The marks that begin a line; a sentence may speak of them."""
    lines = {line.strip() for mark in MARKS if mark in text for line in text.splitlines()}
    return [mark for mark in MARKS if any(line.startswith(mark) for line in lines)]


def _secrets(labs: list[Lab], planted: Iterable[str]) -> dict[str, str]:
    """{words without white space: what they are} of all labs, less what everybody may read."""
    known = {}
    for lab in labs:
        checks = lab.path.with_name(f"{lab.path.stem}_checks.py").read_text(encoding="utf-8")
        known |= {
            words: f"private checks of {lab.name}: {words[:60]}" for words in literals(checks)
        }
        known |= {words: f"solution of {lab.name}: {words[:60]}" for words in lines(lab)}
    public = [_package(), _chapters(files.repository()), *(_given(lab) for lab in labs)]
    hidden = {words: what for words, what in known.items() if not any(words in t for t in public)}
    return hidden | {_squeeze(words): f"planted: {words}" for words in planted}


def lines(lab: Lab) -> list[str]:
    """The lines of a lab's answers without white space: long ones, and short ones by twos."""
    found = []
    for cell in lab.master["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            rows = [_squeeze(row.split("  #")[0]) for row in answers(source(cell))]
            found += [row for row in rows if len(row) >= LEAST]
            found += [one + two for one, two in zip(rows, rows[1:], strict=False)
                      if max(len(one), len(two)) < LEAST <= len(one + two)]  # fmt: skip
    return found


def literals(code: str) -> list[str]:
    """The long strings and tables that stand in the source of private checks."""
    found, rows = [], code.encode("utf-8").splitlines()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(_squeeze(node.value))
        elif isinstance(node, ast.List | ast.Tuple | ast.Dict) and _plain(node):
            written = rows[node.lineno - 1 : node.end_lineno]
            written[-1] = written[-1][: node.end_col_offset]  # columns count bytes
            written[0] = written[0][node.col_offset :]
            found.append(_squeeze(b"\n".join(written).decode("utf-8")))
    return [words for words in found if len(words) >= LEAST]


def _plain(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError):
        return False
    return True


def _given(lab: Lab) -> str:
    """All that a lab's release says."""
    return _squeeze("\n".join(texts(dumps(handout(lab)).encode("utf-8"))))


@cache
def _package() -> str:
    """The source of the package: a solution may share a line with it."""
    root = Path(__file__).resolve().parent.parent
    found = sorted(root.rglob("*.py"))
    return _squeeze("\n".join(path.read_text(encoding="utf-8") for path in found))


@cache
def _chapters(root: Path) -> str:
    """What the chapters' cells say themselves; their outputs may leak like any others."""
    found = sorted((root / "course").glob("*/*.ipynb"))
    return _squeeze("\n".join(source(cell) for path in found for cell in read(path)["cells"]))


def _squeeze(text: str) -> str:
    return "".join(text.split())


def main(places: list[str]) -> int:
    """Print what leaks from each place; exit code 1 if anything does."""
    if not places:
        raise UserError("name what to look into: python -m minimodels.classroom.leaks PLACE…")
    labs = [load(path) for path in masters()]
    if not labs:
        print("There is no solutions/ here: looking for marks and file names alone.")
    found = [f"{place}: {leak}" for place in places for leak in scan(Path(place), labs)]
    print("\n".join(found) or "No leak found.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
