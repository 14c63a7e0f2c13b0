"""What was handed in: one file for each student and lab, copied to a safe place, or the reason.

Takes a folder, a zip of Canvas or Moodle, an nbgrader exchange or its submitted/ tree, or one
file, and finds out by itself which it is (forms.py). A student's mistake or attack becomes the
`problem` of their submission, so that one never stops a batch.

**Which time counts.** `submitted` is set from nbgrader's exchange alone: the time in an inbound
name, or timestamp.txt where nbgrader puts it, which nbgrader itself goes by. Canvas tells no time
but a mark LATE (a note). File times change with every copy, and a receipt is written by the
student's own computer: both only tell which of two files is later, and never make anybody
late or in time.
"""

import hashlib
import json
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePath

from minimodels.classroom.handed_in import choose, forms, unpack, which
from minimodels.classroom.handed_in.forms import Who
from minimodels.classroom.handed_in.unpack import Entry
from minimodels.errors import UserError

MOST_STUDENT = 300 * 2**20  # bytes that are copied for one student
MOST_FILES = 200  # of one student that are looked at
SNIFFED = {".json", ".txt", ""}  # what a notebook may be called by mistake


@dataclass(frozen=True)
class Submission:
    """What one student handed in for one lab."""

    student: str  # as the folder or the LMS names them, in one spelling
    lab: str  # short name: "attention"; "" if it cannot be known
    path: Path  # a regular file in our own folder; Path() if there is none
    submitted: datetime | None  # see above
    source: str  # "canvas.zip: doe_123_456_lab_attention.ipynb"
    problem: str = ""  # why it cannot be graded, in one sentence
    notes: tuple[str, ...] = ()
    ids: dict[str, str] = field(default_factory=dict)  # {"canvas": "123"}


def collect(place: Path, labs: Mapping[str, str], scratch: Path) -> list[Submission]:
    """One Submission for each student and lab, sorted. `labs`: short name -> version.

    UserError for what is the lecturer's to mend: no such place, no zip, nothing in it.
    """
    place, scratch = Path(place), Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    known = which.Known.of(labs)
    tray = _Tray(place.resolve().name, Path(tempfile.mkdtemp(prefix="intake-", dir=scratch)))
    if place.is_dir():
        tray.take(list(unpack.in_folder(place)), zipped=False)
    elif not place.is_file():
        raise UserError(f"{place} is not there: name the folder or zip of what was handed in.")
    elif zipfile.is_zipfile(place):
        _take_zip(tray, place)
    elif place.suffix.lower() == ".ipynb":
        entry = Entry((place.name,), lambda: open(place, "rb"), place.stat().st_size)
        tray.take([entry], zipped=False)
    else:
        raise UserError(f"{place} is no folder, zip or notebook: name one of these.")
    chosen = choose.choose([which.recognized(item, known) for item in tray.items])
    if not chosen:
        raise UserError(f"{place} holds nothing that was handed in: is it the right place?")
    return [_submission(item) for item in chosen]


def _take_zip(tray: "_Tray", place: Path) -> None:
    try:
        with zipfile.ZipFile(place) as archive:
            entries = list(unpack.in_zip(archive))
            if len(entries) > unpack.MOST_MEMBERS:
                raise UserError(f"{place} holds more than {unpack.MOST_MEMBERS:,} files: split it.")
            if any(entry.parts == ("receipt.json",) for entry in entries):  # one student's
                entries = [Entry((place.name,), lambda: open(place, "rb"), place.stat().st_size)]
            tray.take(entries, zipped=True)
    except unpack.BROKEN as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{place} is a damaged zip ({error}): download it again.") from None


def _submission(item: choose.Item) -> Submission:
    return Submission(item.student, item.lab, item.path, item.who.submitted, item.source,
                      item.problem, item.notes, dict(item.who.ids))  # fmt: skip


class _Tray:
    """Collects items from entries, within limits for each student."""

    def __init__(self, place: str, scratch: Path):
        self.place, self.scratch = place, scratch
        self.items: list[choose.Item] = []
        self._bytes: dict[str, int] = defaultdict(int)
        self._files: dict[str, int] = defaultdict(int)

    def take(self, entries: list[Entry], zipped: bool) -> None:
        """Look at every entry; what is or might be a notebook becomes an item."""
        entries = [entry for entry in entries if not _junk(entry)]
        files = [entry.parts for entry in entries if not entry.folder]
        depth = forms.inner(files, zipped) if files else 0
        kept = [replace(entry, parts=entry.parts[depth:]) for entry in entries
                if len(entry.parts) > depth and _on_the_way(entry.parts[:depth])]  # fmt: skip
        stamps = dict(_stamps(kept))
        seen: dict[str, tuple[Who, Entry]] = {}
        for entry in kept:
            parts = (*entry.parts, "") if entry.folder else entry.parts
            who = forms.who(parts, PurePath(self.place).stem)
            if stamp := stamps.get(entry.parts[:2]):
                who = replace(who, submitted=stamp)
            if len(entry.parts) > 1 or entry.folder or not _looks(entry):
                seen.setdefault(who.student, (who, entry))
            if not entry.folder:
                self._one(entry, who)
        with_items = {item.student for item in self.items}
        for student, (who, entry) in seen.items():
            if student not in with_items and (len(entry.parts) > 1 or entry.folder or who.ids):
                problem = "no notebook was handed in."
                self._add(who, f"{'/'.join(entry.parts[:1])}", problem=problem)

    def _one(self, entry: Entry, who: Who) -> None:
        """An entry of one student: a notebook, a zip, or nothing of ours."""
        looks = _looks(entry)
        if not looks and not (entry.problem and len(entry.parts) == 1):
            return
        if self._files[who.student] > MOST_FILES:
            return
        shown = "/".join(entry.parts)
        path, problem = self._copied(entry, who)
        if looks == "zip" and not problem:
            self._zip(path, who, shown)
        elif problem:
            self._add(who, shown, problem=f"{who.name} {problem}.")
        elif looks == "notebook" or _sniffed(path):
            self._add(who, shown, path, time=entry.time)
        else:
            path.unlink()

    def _zip(self, path: Path, who: Who, shown: str) -> None:
        """What a student packed; zips in it stay closed."""
        before = len(self.items)
        try:
            with unpack.student_zip(path) as archive:
                entries = [entry for entry in unpack.in_zip(archive) if not _junk(entry)]
                if forms.labelled([entry.parts for entry in entries]) > 1:
                    raise ValueError("is a whole class from Canvas or Moodle: grade it by itself")
                receipt = self._receipt(entries, who)
                for entry in entries:
                    self._packed(entry, who, shown, receipt)
        except UserError:
            raise
        except ValueError as error:
            self._add(who, shown, problem=f"{who.name} {error}.")
        path.unlink()
        if len(self.items) == before:
            self._add(who, shown, problem=f"{who.name} holds no notebook.")

    def _packed(self, entry: Entry, who: Who, shown: str, receipt: dict) -> None:
        name = "/".join(entry.parts)
        said = forms.spelled(name)
        looks = "" if entry.folder or name == "receipt.json" else _looks(entry)
        if looks == "zip":
            self._add(who, f"{shown}: {name}", problem=f"{said} is a zip within a zip.")
        if looks in ("", "zip") or self._files[who.student] > MOST_FILES:
            return
        path, problem = self._copied(entry, who)
        if problem:
            self._add(who, f"{shown}: {name}", problem=f"{said} {problem}.")
        elif looks == "notebook" or _sniffed(path):
            inside = replace(who, name=entry.parts[-1])
            self._add(inside, f"{shown}: {name}", path, time=entry.time, receipt=receipt)
        else:
            path.unlink()

    def _receipt(self, entries: Iterable[Entry], who: Who) -> dict:
        """What the receipt of a zip says; {} if there is none that can be read."""
        for entry in entries:
            if entry.parts == ("receipt.json",):
                path, problem = self._copied(entry, who, most=2**16)
                try:
                    said = {} if problem else json.loads(path.read_bytes())
                except (ValueError, RecursionError):
                    said = {}
                path.unlink(missing_ok=True)
                return said if isinstance(said, dict) else {}
        return {}

    def _copied(self, entry: Entry, who: Who, most: int = unpack.MOST_BYTES) -> tuple[Path, str]:
        """(the copy, why there is none): no student fills the disk or holds up the others."""
        self._files[who.student] += 1
        left = MOST_STUDENT - self._bytes[who.student]
        if self._files[who.student] > MOST_FILES or left <= 0:
            return Path(), "was not looked at, because the student handed in too much"
        path = self.scratch / f"{sum(self._files.values()):06d}.ipynb"
        problem = unpack.copy(entry, path, min(most, left))
        if path.exists():
            self._bytes[who.student] += path.stat().st_size
            if problem:
                path.unlink()
        return path, problem

    def _add(self, who: Who, shown: str, path: Path = Path(), problem: str = "",
             time: float = 0.0, receipt: dict | None = None) -> None:  # fmt: skip
        notes = list(who.notes)
        if receipt and path != Path():
            notes += _fits(receipt, path)
        source = f"{self.place}: {shown}" if shown != self.place else shown
        self.items.append(choose.Item(who, path, forms.spelled(source), problem, tuple(notes),
                                      time=time))  # fmt: skip


def _fits(receipt: dict, path: Path) -> Iterator[str]:
    """Notes on a receipt: whether the notebook is the one that was packed, and when it says."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if receipt.get("sha256") != digest:
        yield "the receipt does not fit the notebook, which was changed after it was packed"
    if isinstance(time := receipt.get("time"), str):
        yield f"the student's clock said {forms.spelled(time[:40])} when it was packed"


def _stamps(entries: Iterable[Entry]) -> Iterator[tuple[tuple[str, ...], datetime]]:
    """The times that nbgrader wrote: USER/ASSIGNMENT/timestamp.txt."""
    for entry in entries:
        if len(entry.parts) == 3 and entry.parts[2] == "timestamp.txt" and entry.size < 100:
            try:
                with entry.open() as file:
                    time = forms.moment(file.read(100).decode("utf-8", "replace"))
            except unpack.BROKEN:
                continue
            if time:
                yield entry.parts[:2], time


def _on_the_way(outer: tuple[str, ...]) -> bool:
    """Whether a folder outside of the students' holds what was handed in, of a course's many."""
    return not outer or outer[-1] not in forms.COURSE - {"inbound", "submitted"}


def _junk(entry: Entry) -> bool:
    """What editors, systems and Jupyter leave behind."""
    return any(part.startswith((".", "__MACOSX", "~$")) for part in entry.parts)


def _looks(entry: Entry) -> str:
    """What a file's name says it is: "notebook", "zip", "perhaps" a notebook, or ""."""
    name = entry.parts[-1].lower()
    if ".ipynb" in name:
        return "notebook"
    if name.endswith(".zip"):
        return "zip"
    known = name in ("timestamp.txt", "receipt.json")
    return "perhaps" if PurePath(name).suffix in SNIFFED and not known else ""


def _sniffed(path: Path) -> bool:
    """Whether a file of another name is a notebook at second sight."""
    raw = path.read_bytes()
    return raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and b'"cells"' in raw
