"""What a student has done so far: work/progress.json.

    {"chapters": {"03_architecture/07_gemma": "2026-11-21T22:10:03+01:00"},
     "labs": {"attention": {"started": …, "tries": {HASH OF THE ANSWERS: {time, passed, of}},
                            "passed": {time, version}, "submitted": {time, sha256}}}}

A kernel and a terminal may write at the same time, so that each change is read, made and written
under a lock. A file that cannot be read is set aside under another name, and a new one begun.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from minimodels import files

try:
    import fcntl
except ImportError:  # Windows has no flock: two writers at once may lose one entry there
    fcntl = None

PATIENCE = 2.0  # seconds to wait for another writer, who needs milliseconds


def place(root: Path | None = None) -> Path:
    """Where it is kept, in the clone at `root` or in that of the current folder."""
    return (root or files.repository()) / "work" / "progress.json"


def read() -> dict:
    """What is known: {"chapters": {…}, "labs": {…}}; a damaged file counts as empty."""
    try:
        return _load(place())
    except (OSError, ValueError):
        return {"chapters": {}, "labs": {}}


@contextmanager
def change(root: Path | None = None) -> Iterator[dict]:
    """Yield what is known and write what the block makes of it, alone."""
    path = place(root)
    with _alone(path):
        known = _load_or_set_aside(path)
        yield known
        files.write_json(path, known)


def lab(known: dict, name: str) -> dict:
    """The entry of one lab, made if it is not there."""
    entry = known["labs"].setdefault(name, {})
    entry.setdefault("tries", {})
    return entry


def started(name: str) -> None:
    """Note that a lab was begun."""
    with change() as known:
        lab(known, name).setdefault("started", now())


def tried(name: str, version: str, answers: str, passed: int, of: int) -> None:
    """Note one run of the checks; `answers` is a hash of what was checked, "" for none yet."""
    with change() as known:
        entry = lab(known, name)
        if answers:
            entry["tries"][answers] = {"time": now(), "passed": passed, "of": of}
        if of and passed == of:
            entry.setdefault("passed", {"time": now(), "version": version})


def submitted(name: str, sha256: str, when: str) -> None:
    """Note what was packed last."""
    with change() as known:
        lab(known, name)["submitted"] = {"time": when, "sha256": sha256}


def ran(chapter: str, root: Path | None = None) -> None:
    """Note that all cells of a chapter ("03_architecture/07_gemma") have run."""
    with change(root) as known:
        known["chapters"][chapter] = now()


def now() -> str:
    """The time with its zone."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _load(path: Path) -> dict:
    if not path.exists():
        return {"chapters": {}, "labs": {}}
    known = json.loads(path.read_text(encoding="utf-8"))
    parts = [known.get(part) for part in ("chapters", "labs")] if isinstance(known, dict) else [0]
    entries = [entry for part in parts[1:] if isinstance(part, dict) for entry in part.values()]
    if not all(isinstance(each, dict) for each in [*parts, *entries]):
        raise ValueError("chapters and labs are missing")
    return known


def _load_or_set_aside(path: Path) -> dict:
    try:
        return _load(path)
    except ValueError:
        aside = path.with_name(f"progress.damaged-{datetime.now():%Y%m%d-%H%M%S-%f}.json")
        os.replace(path, aside)
        print(f"{path} could not be read: it is now {aside.name}, and a new one begins.",
              file=sys.stderr)  # fmt: skip
        return {"chapters": {}, "labs": {}}


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(".progress.lock"), "ab") as lock:
        end = time.monotonic() + PATIENCE
        while fcntl and time.monotonic() < end:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:  # another writer, or a disk without locks
                time.sleep(0.01)
        yield
