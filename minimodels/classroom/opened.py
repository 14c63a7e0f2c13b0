"""Every file in a place, however deep it is packed, as text that can be searched.

A place is a folder, a file or an archive. Inside zips (wheels are zips), tars (sdists are tars),
compressed files, and base64 in notebooks and pages are more files; they are opened in turn.
"""

import base64
import binascii
import bz2
import gzip
import html
import io
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEEPEST = 6
BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{40,}\r?\n?)+[A-Za-z0-9+/]*={0,2}")
PRINTABLE = re.compile(rb"[\t\n\r\x20-\x7e]{16,}")
COLORS = re.compile(r"\x1b\[[0-9;]*m")  # of tracebacks
TAGS = re.compile(r"</?[a-zA-Z][^<>]*>")
LONG = 1000  # letters of base64 that cannot be words
UNPACK = {b"\x1f\x8b\x08": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress}
BROKEN = (OSError, EOFError, RuntimeError, ValueError, NotImplementedError, tarfile.TarError,
          zipfile.BadZipFile, lzma.LZMAError, zlib.error)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One file. `name` reads "bundle.zip!term/lab.ipynb!base64"; `path` is its last piece."""

    name: str
    data: bytes
    closed: bool = False  # an archive that cannot be opened

    @property
    def path(self) -> str:
        return self.name.rsplit("!", 1)[-1]


def parts(place: Path) -> Iterator[Part]:
    """All files of a folder, file or archive, and all that is packed in them."""
    if place.is_dir():
        for path in sorted(path for path in place.rglob("*") if path.is_file()):
            yield from _opened(path.relative_to(place).as_posix(), path.read_bytes())
    else:
        yield from _opened(place.name, place.read_bytes())


def texts(data: bytes) -> list[str]:
    """What can be read in a file: its text, the strings of its JSON, its pages without tags.

    Of a binary file it is the printable rows; long base64 is left out, since it is opened as well.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16", errors="ignore").encode("utf-8")
    if b"\0" in data[:65_536]:
        return [b"\n".join(PRINTABLE.findall(data)).decode("ascii")]
    text = COLORS.sub("", data.decode("utf-8", errors="ignore"))
    text = BASE64.sub(lambda run: run.group() if len(run.group()) < LONG else "", text)
    views = [text]
    if text.lstrip()[:1] in ("{", "["):
        views += ["\n".join(_strings(value)) for value in _json(text)]
    pages = [view for view in views if "<" in view or "&" in view]
    return views + [html.unescape(TAGS.sub("", page)) for page in pages]


def _opened(name: str, data: bytes, depth: int = 0) -> Iterator[Part]:
    """A file, and what is packed in it."""
    yield Part(name, data)
    try:
        inside = list(_inside(data))
    except BROKEN:
        yield Part(name, b"", closed=True)
        return
    if inside and depth == DEEPEST:
        yield Part(name, b"", closed=True)
        return
    for inner, content in inside:
        yield from _opened(f"{name}!{inner}", content, depth + 1)


def _inside(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of what one file packs."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield "comment", archive.comment
            for member in archive.infolist():
                yield member.filename, b"" if member.is_dir() else archive.read(member)
    elif data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                yield member.name, file.read() if file else member.linkname.encode("utf-8")
    elif unpack := [UNPACK[magic] for magic in UNPACK if data.startswith(magic)]:
        yield "unpacked", unpack[0](data)
    elif b"\0" not in data[:65_536]:
        yield from _encoded(data.decode("utf-8", errors="ignore"))


def _encoded(text: str) -> Iterator[tuple[str, bytes]]:
    """What stands in base64 in a text, or in the strings of its JSON."""
    views = [text]
    if text.lstrip()[:1] in ("{", "["):
        views += ["\n".join(_strings(value)) for value in _json(text)]
    found = {match.group() for view in views for match in BASE64.finditer(view)}
    for run in sorted(found):
        letters = "".join(run.split()).rstrip("=")
        letters = letters[: len(letters) // 4 * 4] if len(letters) % 4 == 1 else letters
        try:
            yield "base64", base64.b64decode(letters + "=" * (-len(letters) % 4))
        except binascii.Error:
            continue


def _json(text: str) -> list[Any]:
    """The values of a JSON or JSONL text; none if it is neither."""
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return []


def _strings(value: Any) -> Iterator[str]:
    """All strings in a JSON value; a list of lines, as notebooks write a text, is one string."""
    if isinstance(value, str):
        yield COLORS.sub("", value)
    elif isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        yield COLORS.sub("", "".join(value))
        yield from (each for each in value if not each.endswith("\n"))
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield str(key)
            yield from _strings(each)
