"""Grade everything that was handed in: take in, rebuild, judge in parallel, write what comes out.

Each record is written as soon as it is there. A run that was killed goes on where it stopped, and
a second run judges only what changed: another file, another lab, other checks, another machine.
"""

import concurrent.futures
import functools
import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from minimodels import files, sandbox
from minimodels.classroom import lab as labs
from minimodels.classroom.cohort import Cohort
from minimodels.classroom.grading import records
from minimodels.classroom.grading.judge import Expected, Judge, fingerprint
from minimodels.classroom.grading.records import Record, Verdict
from minimodels.classroom.handed_in import intake
from minimodels.classroom.handed_in.rebuild import Rebuilt, rebuild
from minimodels.classroom.lab import Lab
from minimodels.classroom.release import version
from minimodels.errors import UserError


@dataclass(frozen=True)
class Job:
    """One student's lab to be judged, as plain data: it may travel to another machine."""

    student: str
    lab: str
    lab_version: str
    master: Path
    notebook: Path  # or nowhere, if nothing could be taken in
    submitted: str | None
    source: str
    problem: str
    notes: tuple[str, ...]
    ids: dict[str, str]
    seed: int
    content: bytes | None = None  # of the notebook, for a machine that does not have the file

    def read(self) -> bytes:
        if self.content is not None:
            return self.content
        return self.notebook.read_bytes() if self.notebook.is_file() else b""


@dataclass(frozen=True)
class Graded:
    """A record, and what of the student's work the outputs show."""

    record: Record
    answers: dict[str, str]  # the student's own cells, by grade_id


@dataclass
class Run:
    """What one call of `grade` did."""

    labs: dict[str, Lab]  # of the term, by short name
    after: list[Record]
    judged: int
    kept: int
    seconds: float
    unknown: list[str] = field(default_factory=list)  # what belonged to no lab, and why


Engine = Callable[[list[Job], str], Iterable[Graded]]


def grade(
    place: Path, out: Path, cohort: Cohort, engine: Engine | None = None, box: str = ""
) -> Run:
    """Grade what lies in `place` into the folder `out`; see intake.collect for what it may be.

    `engine` runs the jobs, on the cores of this machine unless another is given. `box` is how
    code is shut in, see sandbox.engine. UserError if there is nothing to grade, or no box.
    """
    start = time.monotonic()
    box = box or sandbox.engine()
    known = term(cohort)
    with tempfile.TemporaryDirectory() as scratch:
        versions = {name: version(lab) for name, lab in known.items()}
        handed_in = intake.collect(place, versions, Path(scratch))
        jobs = [_job(each, known[each.lab], versions, cohort)
                for each in handed_in if each.lab in known]  # fmt: skip
        todo = list(_changed(jobs, known, records.all_in(out), box))
        for graded in tqdm((engine or local())(todo, box), total=len(todo), unit="lab",
                           desc="grading", disable=None):  # fmt: skip
            keep(out, graded)
    unknown = [f"{each.source}: {each.problem or 'it is none of the labs of this term'}"
               for each in handed_in if each.lab not in known]  # fmt: skip
    after = records.all_in(out)
    return Run(known, after, len(todo), len(jobs) - len(todo), time.monotonic() - start, unknown)


def term(cohort: Cohort) -> dict[str, Lab]:
    """The labs of a term by short name; UserError for one that there is not."""
    there = labs.by_name()
    if not there:
        raise UserError("there is no folder solutions/ here: grade in a clone, not in a bundle.")
    for name in cohort.labs or ():
        if name not in there:
            raise UserError(f"there is no lab {name!r}: choose from {', '.join(sorted(there))}.")
    return {name: labs.load(path) for name, path in there.items() if cohort.plan(name)}


def local(workers: int = 0) -> Engine:
    """Judges on this machine, one a core, each with a server of its own."""

    def run(jobs: list[Job], box: str) -> Iterator[Graded]:
        count = min(workers or len(os.sched_getaffinity(0)), len(jobs)) or 1
        desk, expected = threading.local(), Expected()
        judges: list[Judge] = []

        def one(job: Job) -> Graded:
            if not hasattr(desk, "judge"):
                desk.judge = Judge(box, expected)
                judges.append(desk.judge)
            return judge_one(desk.judge, job)

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            try:
                pending = [pool.submit(one, job) for job in jobs]
                for future in concurrent.futures.as_completed(pending):
                    yield future.result()
            finally:
                pool.shutdown(cancel_futures=True)
                for judge in judges:
                    judge.close()

    return run


def judge_one(judge: Judge, job: Job) -> Graded:
    """Judge one job; whatever a student did becomes a record, and the batch goes on."""
    start = time.monotonic()
    beside = job.master.parent.glob(f"{job.master.stem}*")
    lab = _lab(job.master, tuple(sorted((path.name, path.stat().st_mtime_ns) for path in beside)))
    content = job.read()
    built = Rebuilt([], (), job.problem) if job.problem else rebuild(content, lab)
    if built.problem:
        verdicts = refused(lab, built.problem)
    else:
        verdicts = judge.judge(lab, built.cells, job.seed)
    record = Record(
        student=job.student,
        lab=job.lab,
        lab_version=job.lab_version,
        file_sha256=_sha256(content),
        code_sha256=built.sha256,
        checks_sha256=fingerprint(lab, job.seed),
        submitted=job.submitted,
        source=job.source,
        verdicts=tuple(verdicts),
        notes=(*job.notes, *built.notes),
        ids=job.ids,
        environment=records.environment(judge.engine),
        seconds=round(time.monotonic() - start, 3),
    )
    return Graded(record, dict(built.answers))


@functools.lru_cache(maxsize=32)
def _lab(master: Path, changed: tuple) -> Lab:
    """A lab, read once for all its submissions; `changed` are the times of its files."""
    return labs.load(master)


def refused(lab: Lab, problem: str) -> list[Verdict]:
    """No points for anything, and the reason at every task."""
    return [Verdict(task, 0.0, most, "invalid", problem, (problem,))
            for task, most in lab.points().items()]  # fmt: skip


def keep(out: Path, graded: Graded) -> None:
    """Write a student's answers and then the record, which says that both are there."""
    record = graded.record
    files.write_json(answers_place(out, record.lab, record.student), graded.answers)
    records.save(out, record)


def answers(out: Path, record: Record) -> dict[str, str]:
    """The student's own cells that a record is about, by grade_id."""
    path = answers_place(out, record.lab, record.student)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def answers_place(out: Path, lab: str, student: str) -> Path:
    return out / "answers" / lab / f"{records.file_name(student)}.json"


def _job(each: intake.Submission, lab: Lab, versions: dict[str, str], cohort: Cohort) -> Job:
    return Job(
        student=each.student,
        lab=each.lab,
        lab_version=versions[each.lab],
        master=lab.path,
        notebook=each.path,
        submitted=each.submitted.isoformat() if each.submitted else None,
        source=each.source,
        problem=each.problem,
        notes=tuple(each.notes),
        ids=dict(each.ids),
        seed=cohort.seed,
    )


def _changed(
    jobs: list[Job], known: dict[str, Lab], before: list[Record], box: str
) -> Iterator[Job]:
    """The jobs whose record is missing or comes from something else."""
    earlier = {(record.lab, record.student): record for record in before}
    about = tuple(sorted(records.environment(box).items()))
    asked = {(job.lab, job.seed) for job in jobs}  # once a lab, however many hand it in
    prints = {name: fingerprint(known[name], seed) for name, seed in asked}
    for job in jobs:
        record = earlier.get((job.lab, job.student))
        key = (_sha256(job.read()), prints[job.lab], job.lab_version, about)
        if record is None or record.key != key or _told(record, job):
            yield job


def _told(record: Record, job: Job) -> bool:
    """Whether the same file came with another time, place or note than its record tells."""
    notes = record.notes[: len(job.notes)]
    return (record.submitted, record.source, notes) != (job.submitted, job.source, job.notes)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if data else ""
