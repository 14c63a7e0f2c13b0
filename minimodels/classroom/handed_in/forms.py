"""Whose a file is, by where it lies in what a lecturer downloads.

    doe/lab_attention.ipynb, doe_lab_attention.ipynb, doe.ipynb, doe/attention-….zip, doe.zip
    doejane_LATE_12345_67890_lab_attention-2.ipynb                         Canvas
    Jane Doe_1234567_assignsubmission_file_/lab_attention.ipynb            Moodle, or flat
    inbound/doe+03_architecture+2026-11-20 10:11:12.123456 UTC+random/…    nbgrader's exchange
    submitted/doe/03_architecture/lab_attention.ipynb, timestamp.txt       nbgrader, collected

Only the outermost part of a name says who it is: it was written by the LMS, the exchange or the
lecturer, and everything below it by the student, who may call a file as they like.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

Parts = tuple[str, ...]
INBOUND = re.compile(r"([^+]+)\+([^+]+)\+(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^+]*)(?:\+.*)?")
MOODLE = re.compile(r"(.+?)_(\d+)_assignsubmission_[a-z]+_(.*)", re.DOTALL)
CANVAS = re.compile(r"(.+?)(_LATE)?_(\d+)_(\d+)_(.+)", re.DOTALL)
HIDDEN = re.compile(r"(anon_[^_]+)(_LATE)?()_(\d+)_(.+)", re.DOTALL)  # Canvas, graded blind
NAMED = re.compile(r"(.+?)[_-]+lab_\w+")
STAGE = re.compile(r"\d\d_\w+")
TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(\.\d{1,6})? ?(UTC|GMT|Z|[+-]\d\d:?\d\d)?")
COURSE = {"inbound", "outbound", "feedback", "submitted", "source", "release", "autograded"}


@dataclass(frozen=True)
class Who:
    """The student whose a file is, and what the way it came says about it."""

    student: str
    name: str  # of the file, as the student called it
    ids: dict[str, str] = field(default_factory=dict)
    submitted: datetime | None = None
    notes: tuple[str, ...] = ()


def inner(paths: Sequence[Parts], zipped: bool) -> int:
    """How many outer folders are no student's: `submitted/`, `course/inbound/`, one wrapper."""
    paths = [path for path in paths if len(path) > 1 or path[0].endswith((".ipynb", ".zip"))]
    for depth in (1, 2):
        outer = {path[: depth - 1] for path in paths}
        below = [path for path in paths if len(path) > depth and path[depth - 1] == "inbound"]
        if len(outer) == 1 and below and all(INBOUND.fullmatch(path[depth]) for path in below):
            return depth
    tops = {path[0] for path in paths}
    if "submitted" in tops and tops <= COURSE:
        return 1
    seconds = {path[1] for path in paths if len(path) > 1}
    if zipped and len(tops) == 1 and len(seconds) > 1 and all(len(path) > 1 for path in paths):
        labelled = [CANVAS.fullmatch(name) or MOODLE.fullmatch(name) for name in seconds]
        folders = all(len(path) > 2 for path in paths)
        stages = any(STAGE.fullmatch(name) for name in seconds)
        return 1 if all(labelled) or folders and not stages else 0
    return 0


def labelled(paths: Sequence[Parts]) -> int:
    """How many students Canvas or Moodle seem to have written on the outermost names."""
    found = (MOODLE.fullmatch(path[0]) or CANVAS.fullmatch(path[0]) for path in paths)
    return len({match[1] for match in found if match})


def who(parts: Parts, place: str) -> Who:
    """Whose a file is. `place` is the name of the folder or zip, for a student's own."""
    top, name = parts[0], parts[-1]
    if match := INBOUND.fullmatch(top):
        return Who(spelled(match[1]), spelled(name), submitted=moment(match[3]))
    if match := MOODLE.fullmatch(top):
        ids = {"moodle": f"Participant {match[2]}"}
        return Who(spelled(match[1]), spelled(name if len(parts) > 1 else match[3]), ids)
    if len(parts) == 1 and (match := HIDDEN.fullmatch(top) or CANVAS.fullmatch(top)):
        ids = {"canvas": match[3]} if match[3] else {}
        late = ("Canvas marks it as late",) if match[2] else ()
        return Who(spelled(match[1]), spelled(match[5]), ids, notes=late)
    if len(parts) > 1:
        return Who(spelled(place if STAGE.fullmatch(top) else top), spelled(name))
    stem = re.sub(r"\.(ipynb|zip|json|txt)\b.*", "", name, flags=re.IGNORECASE | re.DOTALL)
    named = NAMED.match(stem)
    return Who(spelled(named[1] if named else stem), spelled(name))


def spelled(name: str) -> str:
    """One spelling of a name: NFC, printable, one space between words; never empty."""
    try:
        name = name.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeDecodeError:  # the bytes of a folder that is not in UTF-8
        name = name.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError:
        name = name.encode("utf-8", "replace").decode("utf-8")
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    name = "".join(letter if letter.isprintable() else "�" for letter in name)[:200]
    return name if name.strip(". ") else "unnamed"


def moment(text: str) -> datetime | None:
    """A time as nbgrader writes it, which is UTC if it says nothing; None if it is none."""
    match = TIME.match(text.strip())
    if not match:
        return None
    zone = match[3] if match[3] and match[3][0] in "+-" else "+00:00"
    try:
        return datetime.fromisoformat(f"{match[1]}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
