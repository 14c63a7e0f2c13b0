"""Tables that people open in spreadsheets: CSV as RFC 4180 has it, in UTF-8 without a BOM.

A cell that a spreadsheet would run as a formula (`=cmd()` as a student's name) gets a leading
apostrophe, which says "text" there; reading takes it away again. Source of the list of signs:
OWASP, "CSV Injection".
"""

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minimodels import files
from minimodels.errors import UserError

TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # the writing direction
FORMULA = tuple("=+-@\t\r\n＝＋－＠")
SPACES = " \u00a0\ufeff\u200b"  # which a spreadsheet may skip before a formula


@dataclass(frozen=True)
class Line:
    """One line of a table that a person wrote."""

    where: str  # "overrides.csv, line 3"
    cells: dict[str, str]  # by column, without spaces around


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence]) -> Path:
    """Write a table, atomically; lines end in CR LF, numbers in their shortest form."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([cell(value) for value in row] for row in rows)
    files.write_text(path, text.getvalue())
    return path


def read_table(path: str | Path, columns: Sequence[str]) -> list[Line]:
    """The lines of a table with just these columns, in any order; [] if there is no file.

    Spreadsheets save with a BOM or with semicolons; both are read. UserError names the line.
    """
    path = Path(path)
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{path} cannot be read ({problem}): save it as CSV in UTF-8.") from None
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=";" if ";" in first else ",")
    header = [name.strip() for name in next(reader, [])]
    if sorted(header) != sorted(columns):
        raise UserError(f"{path}, line 1 must be `{','.join(columns)}`: write these columns.")
    lines = []
    for row in reader:
        where = f"{path.name}, line {reader.line_num}"
        if not any(each.strip() for each in row):
            continue
        if len(row) != len(header):
            words = f"{where} has {len(row)} cells and needs {len(header)}"
            raise UserError(f"{words}: put text with commas in quotes.")
        cells = [plain(each.strip()) for each in row]
        lines.append(Line(where, dict(zip(header, cells, strict=True))))
    return lines


def cell(value: object) -> str:
    """A value as a cell: numbers short, text in one line that no spreadsheet runs."""
    if isinstance(value, float):
        return number(value)
    return guarded(one_line(value)) if isinstance(value, str) else str(value)


def number(value: float) -> str:
    """A number with at most four decimals and no zeros behind: 2.5, 3, 0.3333."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def one_line(text: str) -> str:
    """Text without line breaks, control characters and marks that turn the writing direction."""
    text = text.encode("utf-8", "replace").decode("utf-8")  # a half of a surrogate pair
    spaced = "".join(" " if sign in "\t\r\n" else sign for sign in text)
    return "".join(sign for sign in spaced if not hidden(sign))


def hidden(sign: str) -> bool:
    """Whether a character is a control character or turns the writing direction."""
    return unicodedata.category(sign) == "Cc" or sign in TURNS


def guarded(text: str) -> str:
    """Text that a spreadsheet shows and does not run."""
    return f"'{text}" if text.lstrip(SPACES).startswith(FORMULA) else text


def plain(text: str) -> str:
    """The text that was guarded; names come as Unicode's composed form (NFC)."""
    inner = text[1:] if text.startswith("'") and guarded(text[1:]) == text else text
    return unicodedata.normalize("NFC", inner)
