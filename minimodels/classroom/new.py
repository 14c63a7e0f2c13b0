"""`minimodels new chapter|lab`: a first version with every part, which passes its tests."""

import re
from importlib.resources import files as package_files
from pathlib import Path

from minimodels import files
from minimodels.errors import UserError

CHAPTER = re.compile(r"(\d\d_[a-z]+)/(\d\d_[a-z0-9_]+)(\.ipynb)?")
LAB = re.compile(r"(\d\d_[a-z]+)/(?:lab_)?([a-z0-9_]+)(\.ipynb)?")


def new(kind: str, name: str, title: str = "") -> list[Path]:
    """Write a chapter ("04_training/03_schedules") or a lab ("04_training/adam"), return its files.

    UserError if the name does not fit, the stage does not exist, or a file is already there.
    """
    makers = {"chapter": _chapter, "lab": _lab}
    if kind not in makers:
        raise UserError(f"{kind!r} is neither chapter nor lab: choose one of the two.")
    texts = makers[kind](name, title)
    for path in texts:
        if path.exists():
            raise UserError(f"{path} is already there: choose another name.")
    for path, text in texts.items():
        files.write_text(path, text)
    return list(texts)


def _chapter(name: str, title: str) -> dict[Path, str]:
    stage, slug = _parts(CHAPTER, name, "04_training/03_schedules")
    path = files.repository() / "course" / stage / f"{slug}.ipynb"
    return {path: _pattern("chapter.ipynb", title or _words(slug[3:]) + "?")}


def _lab(name: str, title: str) -> dict[Path, str]:
    stage, slug = _parts(LAB, name, "04_training/adam")
    folder = files.repository() / "solutions" / stage
    title = title or f"Build {_words(slug).lower()}"
    return {
        folder / f"lab_{slug}.ipynb": _pattern("lab.ipynb", title),
        folder / f"lab_{slug}_checks.py": _pattern("lab_checks.py", ""),
    }


def _parts(form: re.Pattern, name: str, example: str) -> tuple[str, str]:
    match = form.fullmatch(name)
    if not match:
        raise UserError(f"{name!r} is no name of this kind: write it as {example}.")
    stages = sorted(path.name for path in (files.repository() / "course").glob("[0-9][0-9]_*"))
    if match[1] not in stages:
        raise UserError(f"there is no stage {match[1]}: choose one of {', '.join(stages)}.")
    return match[1], match[2]


def _pattern(name: str, title: str) -> str:
    """The text of a pattern with its title; JSON needs quotes and backslashes escaped."""
    text = (package_files("minimodels.classroom") / "patterns" / name).read_text(encoding="utf-8")
    return text.replace("{title}", title.replace("\\", "\\\\").replace('"', '\\"'))


def _words(slug: str) -> str:
    return slug.replace("_", " ").capitalize()
