"""`minimodels grade submissions/ --cohort cohort.toml --out grades`."""

import dataclasses
import functools
import sys
from collections import Counter
from pathlib import Path

from minimodels import files, sandbox
from minimodels.classroom import cohort as cohorts
from minimodels.classroom.cohort import Cohort
from minimodels.classroom.grading import batch
from minimodels.classroom.grading.batch import Engine, Run
from minimodels.classroom.grading.records import Record
from minimodels.classroom.reports import late, outputs, people, regrade
from minimodels.errors import UserError

TRUST = "I trust everyone who wrote this code"
LINES = 40  # of a list that is printed
NO_TERM = "without --cohort there are no dates, and everybody can know the private inputs"
STOPPED = "minimodels: stopped. What was judged is kept: the same command goes on from there."


def main(
    place: str, out: str, cohort: str, engine: str, jobs: int, address: str, without_sandbox: str
) -> None:
    """Grade, write everything a lecturer needs, and say what changed."""
    box = _box(without_sandbox)
    term = cohorts.read(cohort) if cohort else Cohort()
    beside = Path(cohort).parent if cohort else Path()
    overrides = people.read_overrides(beside / "overrides.csv")
    groups = people.read_groups(beside / "groups.csv")
    term = dataclasses.replace(term, told=late.read(beside / "late.csv"))
    folder = Path(out)
    before = outputs.last(folder)
    try:
        run = batch.grade(Path(place), folder, term, _engine(engine, jobs, address), box)
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        raise SystemExit(130) from None  # as shells count a Ctrl-C
    answers = functools.partial(batch.answers, folder)
    written = outputs.write(folder, run.after, term, run.labs, answers, overrides, groups)
    _report(run)
    _list("look at", [*late.warnings(run.after, term, groups), *([] if cohort else [NO_TERM])])
    _changes(before, outputs.last(folder), folder / "changes.txt")
    print("\n".join(f"wrote {path}" for path in written))


def _box(words: str) -> str:
    """How code is shut in; without a box only for who says the sentence."""
    if words and words != TRUST:
        raise UserError(f'to run code without a sandbox, say --without-sandbox "{TRUST}".')
    return sandbox.box.NONE if words else sandbox.engine()


def _engine(name: str, jobs: int, address: str) -> Engine:
    if name == "ray":
        from minimodels.classroom.grading.cluster import ray

        return ray(address)
    return batch.local(jobs)


def _report(run: Run) -> None:
    """What was done, and what became of it."""
    print(f"{run.judged} judged in {run.seconds:.0f} s, {run.kept} as before")
    statuses = Counter(verdict.status for record in run.after for verdict in record.verdicts)
    print("tasks: " + ", ".join(f"{count} {status}" for status, count in statuses.most_common()))
    _list("not graded", run.unknown)


def _changes(before: list[Record], after: list[Record], file: Path) -> None:
    """Which marks are not what they were at the last run, here and all of them in a file."""
    again = {(record.lab, record.student) for record in before}
    now = [record for record in after if (record.lab, record.student) in again]
    lines = [str(change) for change in regrade.changes(before, now)] if before else []
    files.write_text(file, "".join(f"{line}\n" for line in lines))
    _list(f"changed since the last run, all in {file}", lines)
    if before and not lines:
        print("no mark changed since the last run")


def _list(title: str, lines: list[str]) -> None:
    if lines:
        print(f"{title}:")
        print("\n".join(f"  {line}" for line in lines[:LINES]))
        if len(lines) > LINES:
            print(f"  and {len(lines) - LINES} more")
