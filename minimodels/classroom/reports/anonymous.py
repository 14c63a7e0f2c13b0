"""Grades without names, for research or for a colleague: `minimodels grades export FOLDER …`.

A pseudonym is an HMAC of the name with a secret that stays in the grades folder, so that it is the
same in every export and nobody can compute it from a list of names. Names go from every text, the
code too. What remains can still tell something about a person: how they write, what they know.
Look through it before you give it away.
"""

import builtins
import csv
import hashlib
import hmac
import io
import itertools
import keyword
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from minimodels import files
from minimodels.classroom.grading.records import Record, all_in, file_name
from minimodels.classroom.reports.tables import one_line, plain, write_table
from minimodels.errors import UserError

REMOVED = "REDACTED"
ORDINARY = {name.lower() for name in [*dir(builtins), *keyword.kwlist]}  # `max` is no name in code
FOLDED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "å": "aa"})
README = """\
Grades without names. A pseudonym is the same in every export from the same grades folder.

grades.csv      as there, with pseudonyms
records/        what the judge said; no times of submission, no file hashes, no LMS ids
code/           the answers, without comments and docstrings

Names were taken out of every text where they stood whole or in part; a text can still tell who
wrote it. The file pseudonyms.key in the grades folder links these to names: keep it there.
"""


def export(grades: Path, out: Path) -> Path:
    """Write an anonymized copy of a grades folder to `out`, a folder that is new or empty."""
    records = all_in(grades)
    if not records:
        raise UserError(f"{grades} holds no records: `minimodels grade` writes them.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not empty: name a new folder.")
    secret = key(grades)
    names = {record.student: pseudonym(record.student, secret) for record in records}
    with files.atomic_folder(out) as folder:
        for record in anonymize(records, secret):
            path = folder / "records" / record.lab / f"{record.student}.json"
            files.write_json(path, asdict(record))
        _copy_code(grades, folder, records, names)
        _copy_grades(grades, folder, names)
        files.write_text(folder / "README.txt", README)
    return out


def key(grades: Path) -> bytes:
    """The secret of a grades folder, made at first use and readable by its owner alone."""
    path = grades / "pseudonyms.key"
    if not path.exists():
        files.write_text(path, secrets.token_hex(32) + "\n")
        os.chmod(path, 0o600)
    return bytes.fromhex(path.read_text(encoding="utf-8").strip())


def pseudonym(student: str, secret: bytes) -> str:
    """`student-` and twelve digits that only the secret links to the name."""
    return f"student-{_digest(student, secret)[:12]}"


def anonymize(records: Iterable[Record], secret: bytes) -> list[Record]:
    """Records with pseudonyms, in their order, and without what tells who it was.

    Names go from messages, details and notes. LMS ids, the file's name and hash and the time of
    submission go altogether; hashes of code become keyed, so that equal code stays equal.
    """
    records = list(records)
    clean = cleaner(records)
    done = [_one(record, secret, clean) for record in records]
    return sorted(done, key=lambda record: (record.lab, record.student))


def cleaner(records: Iterable[Record]):
    """clean(text, student): the text without any student's whole name or any part of `student`'s.

    Whole names go in every spelling: parts in any order, joined by anything or nothing, umlauts
    folded, initials as in `jdoe`. A part alone goes where it stands as a word of three letters or
    more, unless it is a word of Python, as Max is.
    """
    names = {record.student for record in records}
    ids = {value for record in records for value in record.ids.values() if len(value) > 3}
    whole = _pattern(itertools.chain(ids, *(_whole(name) for name in names)))
    own = {name: _pattern(_parts(name) - ORDINARY) for name in names}

    def clean(text: str, student: str = "") -> str:
        text = unicodedata.normalize("NFC", text)
        text = whole.sub(REMOVED, text)
        return own[student].sub(REMOVED, text) if student in own else text

    return clean


def _one(record: Record, secret: bytes, clean) -> Record:
    def said(text: str) -> str:
        return clean(text, record.student)

    rows = tuple(replace(row, message=said(row.message), details=tuple(map(said, row.details)))
                 for row in record.verdicts)  # fmt: skip
    code = _digest(record.code_sha256, secret) if record.code_sha256 else ""
    return replace(record, student=pseudonym(record.student, secret), verdicts=rows,
                   notes=tuple(map(said, record.notes)), ids={}, source="", submitted=None,
                   file_sha256="", code_sha256=code)  # fmt: skip


def _digest(text: str, secret: bytes) -> str:
    data = text.encode("utf-8", "surrogatepass")
    return hmac.new(secret, data, hashlib.sha256).hexdigest()


def _words(name: str) -> list[str]:
    """The parts of a name in small letters: letters only, at least two of them."""
    name = unicodedata.normalize("NFC", name).lower()
    return [word for word in re.findall(r"[^\W\d_]+", name) if len(word) > 1]


def _folds(word: str) -> set[str]:
    """A word as it may be written without umlauts."""
    bare = "".join(sign for sign in unicodedata.normalize("NFD", word)
                   if not unicodedata.combining(sign))  # fmt: skip
    return {word, bare, word.translate(FOLDED)}


def _parts(name: str) -> set[str]:
    return {fold for word in _words(name) if len(word) > 2 for fold in _folds(word)}


def _whole(name: str) -> set[str]:
    """A name in its spellings; a `.` between parts stands for anything or nothing."""
    words = _words(name)
    found = {name, file_name(name)} if len(name) > 2 else set()
    if len(words) > 1:
        ends = [(words[0], words[-1]), (words[-1], words[0]), tuple(words)]
        for parts in {*ends, (words[0][0], words[-1]), (words[-1], words[0][0])}:
            found |= {"\0".join(each) for each in itertools.product(*map(_folds, parts))}
    elif words and words[0] not in ORDINARY and len(words[0]) > 2:
        found |= _folds(words[0])
    return found


def _pattern(texts: Iterable[str]) -> re.Pattern:
    """Matches any of the texts as a word of its own, in any case; nothing if there is none."""
    found = sorted({text for text in texts if text}, key=len, reverse=True)
    escaped = (re.escape(text).replace("\0", r"[^\w]{0,3}_?") for text in found)
    joined = "|".join(escaped) or r"(?!)"
    return re.compile(rf"(?<![^\W\d_])(?:{joined})(?![^\W\d_])", re.IGNORECASE)


def _copy_code(grades: Path, folder: Path, records: list[Record], names: Mapping[str, str]) -> None:
    clean = cleaner(records)
    by_file = {file_name(student): student for student in names}
    for path in sorted((grades / "similarity").glob("*/*/*.py")):
        student = by_file.get(path.stem)
        if student is None or path.parent.name == "_template":
            continue
        text = clean(path.read_text(encoding="utf-8"), student)
        lab, task = path.parts[-3:-1]
        files.write_text(folder / "code" / lab / task / f"{names[student]}.py", text)


def _copy_grades(grades: Path, folder: Path, names: Mapping[str, str]) -> None:
    """grades.csv with pseudonyms; rows in their order, so that it tells nothing."""
    path = grades / "grades.csv"
    if not path.exists():
        return
    clean = cleaner(all_in(grades))
    secret = key(grades)
    known = {one_line(name): name for name in names}
    header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    table = []
    for row in (dict(zip(header, row, strict=True)) for row in rows):
        student = known.get(plain(row["student"]), plain(row["student"]))
        row["message"] = clean(plain(row["message"]), student)
        row["student"] = pseudonym(student, secret)
        row["code_sha256"] = _digest(row["code_sha256"], secret) if row["code_sha256"] else ""
        table.append([row[name] for name in header])
    write_table(folder / "grades.csv", header, sorted(table))
