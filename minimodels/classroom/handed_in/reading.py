"""The cells of a file that a student handed in, whatever became of it on the way.

Reads nbformat 2 to 4, UTF-8 with or without a mark, UTF-16, Latin-1, any newlines, and JSON that
browsers would read. Outputs, attachments and widgets are dropped at once. Of the metadata only
names are kept, and they are no more than claims: what is locked, what a cell is worth and which
tags it has is said by the release.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from minimodels.classroom.handed_in.magics import defined

MOST_BYTES = 100 * 2**20
MOST_PARTS = 5_000_000  # quotes and brackets: they bound the memory that parsing takes (1 GB)
MOST_CELLS = 10_000
MOST_SOURCE = 1_000_000  # characters of one cell, and five times that of all


class Unreadable(Exception):
    """No cells can be had from the file; says why in one sentence."""


@dataclass(frozen=True)
class Piece:
    """A cell as it was handed in, with what it claims to be."""

    kind: str  # code, markdown, raw
    grade_id: str
    id: str
    source: str

    @cached_property
    def defines(self) -> set[str]:
        """The functions and classes it defines at its top level."""
        return defined(self.source)


@dataclass(frozen=True)
class Handed:
    """A file that could be read: its cells, the lab and version it claims, what was mended."""

    pieces: tuple[Piece, ...]
    lab: str = ""
    version: str = ""
    notes: tuple[str, ...] = ()


def read(raw: bytes) -> Handed:
    """The cells of a file; Unreadable if there are none to be had."""
    text, notes = _text(raw)
    notebook = _notebook(text)
    return cells(notebook, notes)


def cells(notebook: Any, notes: list[str] | None = None) -> Handed:
    """The cells of a notebook as JSON; Unreadable if it is none."""
    notes = list(notes or [])
    listed = list(_listed(notebook))
    if not listed:
        raise Unreadable("the notebook has no cells.")
    if len(listed) > MOST_CELLS:
        raise Unreadable(f"the notebook has more than {MOST_CELLS:,} cells.")
    pieces = [_piece(cell, notes) for cell in listed if isinstance(cell, dict)]
    if len(pieces) < len(listed):
        notes.append(f"{len(listed) - len(pieces)} entries among the cells are no cells")
    if sum(len(piece.source) for piece in pieces) > 5 * MOST_SOURCE:
        raise Unreadable(f"the cells hold more than {5 * MOST_SOURCE:,} characters.")
    about = _table(_table(notebook.get("metadata")).get("minimodels"))
    version = notebook.get("nbformat")
    if isinstance(version, int) and version < 4:
        notes.append(f"the notebook has the old format {version}")
    return Handed(tuple(pieces), _word(about.get("lab")), _word(about.get("version")),
                  tuple(dict.fromkeys(notes)))  # fmt: skip


def _text(raw: bytes) -> tuple[str, list[str]]:
    """The text of a file and what had to be mended for it."""
    if not raw.strip(b" \t\r\n\0"):
        raise Unreadable("the file is empty.")
    if len(raw) > MOST_BYTES:
        raise Unreadable(f"the file is larger than {MOST_BYTES >> 20} MB.")
    if raw.startswith((b"PK\3\4", b"%PDF", b"<!DOCTYPE", b"<html", b"\x1f\x8b")):
        raise Unreadable("the file is no notebook but a zip, PDF or web page that is called so.")
    if sum(raw.count(mark) for mark in (b'"', b"[", b"{")) > MOST_PARTS:
        raise Unreadable("the file holds more parts than a notebook can have.")
    encoding = json.detect_encoding(raw)
    try:
        text = raw.decode(encoding)
        notes = [f"the file is written in {encoding.upper()}"] if "utf-8" not in encoding else []
    except UnicodeDecodeError:
        text, notes = raw.decode("latin-1"), ["the file is not in UTF-8 and was read as Latin-1"]
    return text.lstrip("\ufeff"), notes


def _notebook(text: str) -> dict:
    try:
        notebook = json.loads(text, strict=False)
    except RecursionError:
        raise Unreadable("the file nests JSON deeper than a notebook can.") from None
    except ValueError as problem:
        if re.search(r"^<{7} ", text[:MOST_SOURCE], re.MULTILINE):
            raise Unreadable("the file holds Git's conflict marks (<<<<<<<).") from None
        raise Unreadable(f"the file is not valid JSON ({_where(problem)}).") from None
    if not isinstance(notebook, dict):
        raise Unreadable("the file is JSON but no notebook.")
    return notebook


def _where(problem: ValueError) -> str:
    if isinstance(problem, json.JSONDecodeError):
        return f"{problem.msg}, line {problem.lineno}"
    return str(problem)[:100]


def _listed(notebook: dict) -> Iterator[Any]:
    """What stands where cells stand: format 4, or the worksheets of formats 2 and 3."""
    sheets = notebook.get("worksheets")
    holders = [notebook, *(sheets if isinstance(sheets, list) else [])]
    for holder in holders:
        found = _table(holder).get("cells")
        yield from found if isinstance(found, list) else []


def _piece(cell: dict, notes: list[str]) -> Piece:
    source = cell.get("source", cell.get("input"))
    source = _joined(source if source is not None else cell.get("input"))
    if len(source) > MOST_SOURCE:
        notes.append(f"a cell of more than {MOST_SOURCE:,} characters was left out")
        source = ""
    whole = source.encode("utf-8", "replace").decode("utf-8")  # half characters cannot be written
    if whole != source:
        notes.append("characters that are none were replaced by `?`")
    claims = _table(_table(cell.get("metadata")).get("nbgrader"))
    newlines = whole.replace("\r\n", "\n").replace("\r", "\n").rstrip()
    return Piece(_word(cell.get("cell_type")), _word(claims.get("grade_id")),
                 _word(cell.get("id")), newlines)  # fmt: skip


def lines(source: str) -> set[str]:
    """The lines of a source without their indentation."""
    return {line.strip() for line in source.splitlines() if line.strip()}


def _joined(source: Any) -> str:
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def _table(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    """A name of at most 200 characters that can be printed, else ""."""
    good = isinstance(value, str) and len(value) <= 200 and value.isprintable()
    return value if good else ""
