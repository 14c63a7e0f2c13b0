"""What is known of one student's lab once it is graded: one JSON file each, the source of all else.

    grades/records/attention/doe.json

A record says which version of the lab, which code, which checks and seed, and which machine its
points come from. Two runs that agree in `key` need not run the code again.
"""

import hashlib
import platform
import re
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from minimodels import files

PACKAGES = ("minimodels", "numpy", "torch")


@dataclass(frozen=True)
class Verdict:
    """What one task got, and one sentence that helps."""

    task: str
    points: float
    max_points: float
    status: str  # pass, partial, fail, timeout, out of memory, crash, invalid
    message: str
    details: tuple[str, ...] = ()  # a sentence for each check that failed; the first is `message`


@dataclass(frozen=True)
class Record:
    """One student's lab, graded."""

    student: str
    lab: str  # short name: "attention"
    lab_version: str  # of the lab that graded, see release.version
    file_sha256: str  # of the file as it was handed in; "" if there is none
    code_sha256: str  # of the cells that ran; "" if none did
    checks_sha256: str  # of the private checks, the master and the seed
    submitted: str | None  # ISO 8601 with a time zone, if known
    source: str  # which file it was
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()  # what was mended, and what a person should look at
    ids: dict[str, str] = field(default_factory=dict)  # what the LMS calls the student
    environment: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def points(self) -> float:
        return sum(verdict.points for verdict in self.verdicts)

    @property
    def max_points(self) -> float:
        return sum(verdict.max_points for verdict in self.verdicts)

    @property
    def key(self) -> tuple:
        """Equal keys, equal points: what a run may take over from an earlier one."""
        about = self.environment.items()
        return (self.file_sha256, self.checks_sha256, self.lab_version, tuple(sorted(about)))


def environment(sandbox: str) -> dict[str, str]:
    """What the points may depend on besides code and checks."""
    known = {name: version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **known,
            "system": f"{platform.system()} {platform.machine()}", "sandbox": sandbox}  # fmt: skip


def place(folder: Path, lab: str, student: str) -> Path:
    """Where the record of a student's lab lies below a grades folder, whatever the name holds."""
    return folder / "records" / lab / f"{file_name(student)}.json"


def file_name(student: str) -> str:
    """A name as a file name: letters, digits, `-` and `_` stay; a hash tells the rest apart."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", student)[:60]
    if safe == student:
        return safe
    digest = hashlib.sha256(student.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{safe}-{digest[:8]}"


def save(folder: Path, record: Record) -> Path:
    """Write a record into a grades folder; a killed run leaves the old one or the new one."""
    path = place(folder, record.lab, record.student)
    files.write_json(path, asdict(record))
    return path


def load(path: Path) -> Record:
    """Read a record; UserError if the file is broken."""
    table = files.read_json(path)
    verdicts = tuple(
        Verdict(**{**row, "details": tuple(row["details"])}) for row in table["verdicts"]
    )
    return Record(**{**table, "verdicts": verdicts, "notes": tuple(table["notes"])})


def all_in(folder: Path) -> list[Record]:
    """Every record below a grades folder, by lab and student."""
    return [load(path) for path in sorted((folder / "records").glob("*/*.json"))]
