"""What lies in a folder or a zip that strangers filled, without ever trusting a name in it.

Nothing is unpacked under the name it bears: an entry has parts that tell whose it is, and `copy`
writes its bytes to a place of our choosing, so that a name like `../../evil` leads nowhere. No
link is followed, at any level; pipes and devices are never opened; sizes are counted while they
are read, because headers may lie.
"""

import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from minimodels import files
from minimodels.errors import UserError

MOST_BYTES = 100 * 2**20  # of one file
MOST_MEMBERS = 20_000  # of a zip, or of a folder two levels down
MOST_BELOW = 200_000  # of a folder one level down; what comes after is not looked at
MOST_UNPACKED = 2 * 2**30  # of a student's zip
MOST_RATIO = 1_000
MOST_DEPTH = 20
MOST_DIRECTORY = 200 * MOST_MEMBERS  # bytes of a student's zip that list its members
SYMLINK = "is a link to another place, which is never followed"
BROKEN = (OSError, EOFError, RuntimeError, ValueError, NotImplementedError,
          zipfile.BadZipFile, zlib.error, struct.error)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A file that was found, not yet read; with a `problem` it is never opened."""

    parts: tuple[str, ...]  # of its name
    open: Callable[[], BinaryIO]
    size: int = 0
    time: float = 0.0  # when it was changed, as the file says: only to tell later from earlier
    problem: str = ""  # a clause: "is a link …"
    folder: bool = False


def in_folder(place: Path) -> Iterator[Entry]:
    """Every file and folder below a folder; of one that holds very many, the first."""
    stack: list[tuple[str, ...]] = [()]
    counts: Counter[tuple[str, ...]] = Counter()
    while stack:
        parts = stack.pop()
        try:
            entries = _listed(place, parts)
        except OSError as error:
            yield Entry(
                parts or (place.name,), _closed, problem=f"cannot be opened ({_why(error)})"
            )
            continue
        for entry in entries:
            one, two = entry.parts[:1], (*entry.parts[:2], "")
            counts.update((one, two))
            if counts[two] > MOST_MEMBERS or counts[one] > MOST_BELOW:
                continue
            if entry.folder and len(entry.parts) < MOST_DEPTH:
                stack.append(entry.parts)
            yield entry


def _listed(place: Path, parts: tuple[str, ...]) -> list[Entry]:
    handle = _open_folder(place, parts)
    try:
        return [_entry(place, (*parts, name), handle) for name in sorted(os.listdir(handle))]
    finally:
        os.close(handle)


def _entry(place: Path, parts: tuple[str, ...], handle: int) -> Entry:
    try:
        about = os.stat(parts[-1], dir_fd=handle, follow_symlinks=False)
    except OSError as error:  # it went away, or may not be looked at
        return Entry(parts, _closed, problem=f"cannot be opened ({_why(error)})")
    if stat.S_ISDIR(about.st_mode):
        return Entry(parts, _closed, folder=True)
    problem = ""
    if stat.S_ISLNK(about.st_mode):
        problem = SYMLINK
    elif not stat.S_ISREG(about.st_mode):
        problem = "is no file but a pipe, socket or device"
    elif about.st_size > MOST_BYTES:
        problem = _too_large(about.st_size)
    return Entry(parts, lambda: _open_file(place, parts), about.st_size, about.st_mtime, problem)


def _open_folder(place: Path, parts: tuple[str, ...]) -> int:
    """A handle of a folder below `place`, reached step by step so that no step is a link."""
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    for part in parts:
        try:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
        finally:
            os.close(handle)
        handle = inner
    return handle


def _open_file(place: Path, parts: tuple[str, ...]) -> BinaryIO:
    folder = _open_folder(place, parts[:-1])
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe would wait for a writer
        handle = os.open(parts[-1], flags, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(handle).st_mode):  # it was exchanged since it was listed
        os.close(handle)
        raise OSError("it is no file any more")
    return os.fdopen(handle, "rb")


def in_zip(archive: zipfile.ZipFile) -> Iterator[Entry]:
    """Every member of a zip, in its order."""
    for info in archive.infolist():
        name = _name(info)
        parts = tuple(part for part in re.split(r"[/\\]", name) if part not in ("", ".", ".."))
        if not parts:
            continue
        if info.is_dir():
            yield Entry(parts, _closed, folder=True)
            continue
        yield Entry(parts, lambda info=info: archive.open(info), info.file_size, _time(info),
                    _problem(info, name))  # fmt: skip


def student_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip that a student packed; ValueError with a clause if it is a bomb or broken."""
    _small_directory(path)
    try:
        archive = zipfile.ZipFile(path)
    except BROKEN as error:
        raise ValueError(f"is a damaged zip ({_why(error)})") from None
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"is a zip of more than {MOST_MEMBERS:,} files")
    if sum(info.file_size for info in members) > MOST_UNPACKED:
        raise ValueError(f"is a zip of more than {MOST_UNPACKED >> 20:,} MB")
    return archive


def copy(entry: Entry, target: Path, most: int = MOST_BYTES) -> str:
    """Write an entry's bytes to `target`; returns "" or a clause on why that failed."""
    if entry.problem:
        return entry.problem
    if entry.size > most:
        return _too_large(entry.size)
    try:
        with entry.open() as source, open(target, "xb") as file:
            left = most
            while chunk := source.read(min(1 << 20, left + 1)):
                left -= len(chunk)
                if left < 0:
                    return _too_large(most)
                file.write(chunk)
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno in files.DISK_FULL:
            raise UserError(f"the disk is full at {target.parent}: free some space.") from None
        return f"cannot be read ({_why(error)})"
    return ""


def _why(error: Exception) -> str:
    """What went wrong, without the names of our own places."""
    return str(getattr(error, "strerror", None) or error)[:200]


def _too_large(size: int) -> str:
    return f"is too large ({size / 2**20:,.0f} MB)"


def _problem(info: zipfile.ZipInfo, name: str) -> str:
    """Why a member is not read, as a clause."""
    if stat.S_ISLNK(info.external_attr >> 16):
        return SYMLINK
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[/\\]", name):
        return "has an absolute name in the zip"
    if ".." in re.split(r"[/\\]", name):
        return "has a name that leads out of the zip"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in an unusual way"
    if info.file_size > MOST_BYTES:
        return _too_large(info.file_size)
    if info.file_size > MOST_RATIO * max(1, info.compress_size):
        return f"is compressed more than {MOST_RATIO:,} times, as in a zip bomb"
    return ""


def _name(info: zipfile.ZipInfo) -> str:
    """A member's name: many write UTF-8 without saying so, which zipfile reads as cp437."""
    name = info.orig_filename
    if info.flag_bits & 0x800:
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _time(info: zipfile.ZipInfo) -> float:
    try:
        return datetime(*info.date_time).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def _small_directory(path: Path) -> None:
    """Refuse a zip whose list of members alone would fill the memory: zipfile reads it whole."""
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 66_000))
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + 22 > len(tail):
        raise ValueError("is no zip, or was cut off")
    (size,) = struct.unpack_from("<L", tail, at + 12)
    if size > MOST_DIRECTORY or tail[max(0, at - 20) : at].startswith(b"PK\6\7"):
        raise ValueError(f"is a zip of more than {MOST_MEMBERS:,} files")


def _closed() -> BinaryIO:
    raise OSError("it is not to be opened")
