"""Documents as JSON Lines: one JSON object a line, the plain format that data sets travel in."""

import json
import os
from collections.abc import Iterable, Iterator

from minimodels.errors import UserError
from minimodels.files import atomic

STRINGS = ("id", "text", "lang", "kind", "source")
KEYS = dict.fromkeys(STRINGS, str) | {"labels": dict, "facts": list}


def write_documents(path: str | os.PathLike, documents: Iterable[dict]) -> int:
    """Write documents to `path`, atomically; returns how many. UserError if one lacks a key."""
    count = 0
    with atomic(path, "wb") as file:
        for count, document in enumerate(documents, 1):
            _check(document, f"document {count}")
            file.write((json.dumps(document, ensure_ascii=False) + "\n").encode())
    return count


def read_documents(path: str | os.PathLike) -> Iterator[dict]:
    """Documents of a file, one by one; UserError with the line's number on a broken one."""
    try:
        file = open(path, "rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the path.") from None
    with file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _parse(line, f"{path}, line {number}")


def _parse(line: bytes, where: str) -> dict:
    try:
        document = json.loads(line.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{where} is not JSON ({error}): mend or remove the line.") from None
    _check(document, where)
    return document


def _check(document: dict, where: str) -> None:
    if not isinstance(document, dict):
        raise UserError(f"{where} is no JSON object: each document needs {', '.join(KEYS)}.")
    for key, kind in KEYS.items():
        if not isinstance(document.get(key), kind):
            raise UserError(f"{where} has no {key!r} of type {kind.__name__}: add it.")
    try:
        document["text"].encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{where}: the text holds half a character (a lone surrogate): drop it."
        ) from None
