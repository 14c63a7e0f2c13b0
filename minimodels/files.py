"""Files that are whole or not there: every write goes to a temporary sibling and is renamed.

A rename within one folder is atomic (POSIX `rename`), so that a reader, a full disk or `kill -9`
never meets half a file.
"""

import ctypes
import errno
import glob
import hashlib
import json
import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil

from minimodels.errors import UserError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def atomic(path: str | os.PathLike, mode: str = "w") -> Iterator[IO]:
    """Open a file for writing that replaces `path` only when the block ends without an error.

    `mode` is "w" (UTF-8 text) or "wb". Missing parent folders are made. A full disk raises
    UserError and any other failure its own error; both leave the old file as it was.
    """
    path = Path(os.path.realpath(path))
    with _partial(path) as partial:
        with open(partial, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    _sync_folder(path.parent)


@contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield an empty folder beside `path`; it takes the place of `path` when the block ends well.

    An old folder of that name is replaced as a whole and removed. Errors as in `atomic`.
    """
    path = Path(os.path.realpath(path))
    with _partial(path) as partial:
        partial.mkdir()
        yield partial
        _give_mode(partial)
        for file in partial.rglob("*"):
            _sync_file(file)
        _put_in_place(partial, path)
    _sync_folder(path.parent)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text with the newlines it holds, atomically."""
    with atomic(path, "wb") as file:
        file.write(text.encode("utf-8"))


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write readable JSON, atomically; a value that JSON cannot hold leaves the old file."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file; UserError if it is missing, broken or not readable."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: check the path, or run what writes it.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check what it is.") from None
    except (ValueError, RecursionError) as error:  # also bytes that are no UTF-8
        raise UserError(f"{path} is not valid JSON ({error}): write it again.") from None


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_dir() -> Path:
    """The folder for things that can be made again: $MINIMODELS_HOME or ~/.cache/minimodels."""
    folder = Path(os.environ.get("MINIMODELS_HOME") or Path.home() / ".cache" / "minimodels")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def repository() -> Path:
    """The clone of the course that the current folder is in, else the one this package is in."""
    places = [Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parent.parent]
    for place in places:
        if (place / "Makefile").is_file() and (place / "minimodels").is_dir():
            return place
    raise UserError("this command works in a clone of the course: change into it and run it again.")


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; what is left under it when an error comes is removed."""
    partial = path.parent / f".{path.name}.{_owner(os.getpid())}.{uuid.uuid4().hex[:8]}.partial"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        yield partial
    except OSError as error:
        if error.errno in DISK_FULL:
            raise UserError(
                f"the disk is full, {path} was not written: free some space and run again."
            ) from error
        raise
    finally:
        _remove(partial)


def _owner(pid: int) -> str:
    return f"{socket.gethostname()}-{pid}"


def _sweep(path: Path) -> None:
    """Remove what writers of `path` left behind that were killed on this machine."""
    prefix = glob.escape(f".{path.name}.{socket.gethostname()}-")
    for left in path.parent.glob(f"{prefix}*.partial"):
        pid = left.name.removesuffix(".partial").rsplit(".", 1)[0].rsplit("-", 1)[-1]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            _remove(left)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _give_mode(folder: Path) -> None:
    """Give the files below a folder the mode that the umask gave the folder itself.

    Libraries that write through a temporary file of their own leave mode 0600: safetensors does.
    """
    mode = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)


def _put_in_place(partial: Path, path: Path) -> None:
    """Rename a folder over another; afterwards `partial` holds the old one, if there was one."""
    if not path.exists():
        os.rename(partial, path)
    elif not _exchange(partial, path):  # two renames: as near as this system comes
        old = partial.with_suffix(".old.partial")
        os.rename(path, old)
        os.rename(partial, path)
        os.rename(old, partial)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step (Linux renameat2 with RENAME_EXCHANGE); False where it cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def _sync_file(path: Path) -> None:
    if path.is_file():
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where folders can be opened (not on Windows)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
