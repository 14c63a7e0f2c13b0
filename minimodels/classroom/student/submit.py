"""`minimodels submit NAME`: try the notebook as the grader would, pack it, and write a receipt.

    work/submitted/attention-20261121-221003.zip
        lab_attention.ipynb   as it was saved, without outputs
        receipt.json          lab, version, term, time, and a hash of that notebook

The receipt shows that nothing changed on the way. It does not show who wrote it: anyone can pack.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from minimodels import files
from minimodels.classroom.normalize import Cell, Notebook, dumps, read
from minimodels.classroom.student import check, copies, memory
from minimodels.errors import UserError

MOST = 5 * 10**6  # bytes of a notebook without outputs
ALWAYS = (1980, 1, 1, 0, 0, 0)  # the date of entries: the same answers give the same bytes


@dataclass(frozen=True)
class Receipt:
    """What a hand-in says of itself."""

    lab: str  # "attention"
    version: str  # of the release it was made from
    cohort: str  # name of the term, "" outside of one
    sha256: str  # of the packed notebook's bytes
    time: str  # ISO 8601 with a zone, by the student's clock
    passed: int  # of the public checks
    of: int
    minimodels: str  # version of the package


def submit(name: str, tell: Callable[[str], None] = lambda line: None) -> tuple[Path, Receipt]:
    """Pack the student's copy of a lab; returns the zip and its receipt.

    `tell` gets what the checks say. A check may fail. UserError if the copy is of an older
    release, if one of the student's own cells hangs or ends the process, or if it is too large.
    """
    lab = copies.find(name)
    term, short = copies.term(), copies.short(lab)
    if term and short not in term.get("labs", {}):
        raise UserError(f"{short} is no lab of {term.get('name')}: hand in "
                        f"{', '.join(term.get('labs', {}))}.")  # fmt: skip
    released = read(lab)
    path, notebook = copies.current(lab)
    data = dumps(_packed(notebook, released)).encode("utf-8", "replace")
    if len(data) > MOST:
        size = f"{len(data) / 1e6:.1f} MB without outputs, and {MOST / 1e6:.0f} are allowed"
        raise UserError(f"{path} has {size}: take pictures and data out of its cells.")
    report = check.examine(path, released, notebook, tell)
    _runs(report)
    receipt = Receipt(short, report.version, str(term.get("name", "")),
                      hashlib.sha256(data).hexdigest(), memory.now(), report.passed,
                      len(report.lines), version("minimodels"))  # fmt: skip
    target = _place(receipt)
    with files.atomic(target, "wb") as file:
        file.write(pack(lab.name, data, receipt))
    memory.submitted(short, receipt.sha256, receipt.time)
    return target, receipt


def pack(name: str, notebook: bytes, receipt: Receipt) -> bytes:
    """The bytes of a hand-in; the same for the same notebook and receipt."""
    said = json.dumps(asdict(receipt), indent=2, ensure_ascii=False) + "\n"
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, data in ((name, notebook), ("receipt.json", said.encode("utf-8"))):
            about = zipfile.ZipInfo(entry, ALWAYS)
            about.compress_type, about.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(about, data)
    return whole.getvalue()


def verify(path: str | Path) -> Receipt:
    """The receipt of a hand-in that fits its notebook; UserError says what does not fit."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            names = [name for name in sizes if name != "receipt.json"]
            if len(names) != 1 or len(sizes) != 2 or max(sizes.values()) > MOST:
                raise UserError(f"{path} is no hand-in of `minimodels submit`: ask for that file.")
            notebook, said = archive.read(names[0]), archive.read("receipt.json")
        receipt = _receipt(json.loads(said))
        about = json.loads(notebook)["metadata"]["minimodels"]
    except FileNotFoundError:
        raise UserError(f"{path} is missing: check the path.") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise UserError(f"{path} is damaged ({error}): ask for it again.") from None
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} holds no receipt that can be read: pack it again.") from None
    if hashlib.sha256(notebook).hexdigest() != receipt.sha256:
        raise UserError(f"{path}: the notebook is not the one that was packed: ask for it again.")
    if (copies.short(about["lab"]), about["version"]) != (receipt.lab, receipt.version):
        raise UserError(f"{path}: receipt and notebook are of two labs: pack it again.")
    return receipt


def words(receipt: Receipt) -> str:
    """A receipt as a student reads it."""
    checks = f"{receipt.passed} of {receipt.of} public checks pass"
    if receipt.passed < receipt.of:
        checks += "; it can be handed in all the same"
    term = f" for {receipt.cohort}" if receipt.cohort else ""
    return (f"{receipt.lab}, release {receipt.version}{term}, packed {receipt.time}: {checks}.\n"
            f"sha256 {receipt.sha256}")  # fmt: skip


def _receipt(said: dict) -> Receipt:
    kinds = {field.name: field.type for field in fields(Receipt)}
    if set(said) != set(kinds) or any(type(said[name]) is not kinds[name] for name in kinds):
        raise ValueError("the receipt has other entries")
    return Receipt(**said)


def _packed(notebook: Notebook, released: Notebook) -> Notebook:
    """A notebook without outputs and without traces of the machine."""
    return {**released, "cells": [_stripped(cell) for cell in notebook["cells"]]}


def _stripped(cell: Cell) -> Cell:
    metadata = {name: value for name, value in cell.get("metadata", {}).items()
                if name not in {"execution", "collapsed", "ExecuteTime"}}  # fmt: skip
    kept = {name: value for name, value in cell.items() if name not in {"outputs", "metadata"}}
    if cell["cell_type"] == "code":
        kept |= {"outputs": [], "execution_count": None}
    return {**kept, "metadata": metadata}


def _runs(report: check.Report) -> None:
    """UserError if one of the student's cells does not come to an end."""
    for trouble in report.troubles:
        if trouble.how in {"timeout", "gone"}:
            raise UserError(f"nothing was packed, because cell `{trouble.cell}` does not end "
                            "as it should: mend it, or put # before its lines.")  # fmt: skip


def _place(receipt: Receipt) -> Path:
    """A name that no earlier hand-in has."""
    when = datetime.fromisoformat(receipt.time)
    folder, stem = files.repository() / "work" / "submitted", f"{receipt.lab}-{when:%Y%m%d-%H%M%S}"
    names = [f"{stem}.zip", *(f"{stem}-{number}.zip" for number in range(2, 100))]
    return next(folder / name for name in names if not (folder / name).exists())
