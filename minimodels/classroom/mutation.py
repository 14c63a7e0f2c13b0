"""Which small mistakes in a lab's solution its private checks notice: `make test-all` asks.

Each mutation of the reference solution (mutate.py) is graded like a student's notebook. It is
killed if a task loses points, and survives if none does. A survivor is either a gap in the checks
or another way to write the same thing; for the latter, `NAME_checks.py` says why:

    SURVIVORS = {"causal_mask: return past + 0": "adds nothing"}

At least nine of ten must be killed, and each survivor must be listed with its reason.

    python -m minimodels.classroom.mutation attention
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from queue import SimpleQueue

from tqdm import tqdm

from minimodels.classroom.grading.judge import Expected, Judge
from minimodels.classroom.lab import Lab, load, masters
from minimodels.classroom.mutate import Mutation, mutations
from minimodels.classroom.normalize import Notebook, source
from minimodels.errors import UserError

LEAST = 0.9
PATIENCE = 5  # a mutant may take so many times as long as the master, and at least a second


@dataclass(frozen=True)
class Outcome:
    """What became of one mutation."""

    cell: str  # the grade_id of the answer's cell
    mutation: Mutation
    status: str  # of the task that lost points, as the judge says it; "" if none lost any

    @property
    def name(self) -> str:
        """The key of a survivor in SURVIVORS."""
        return f"{self.cell}: {self.mutation.name}"


def run(lab: Lab, workers: int = 0) -> list[Outcome]:
    """Grade every mutation of a lab's solution, in the order of the notebook."""
    rows, idle = mutants(lab), SimpleQueue()
    with ExitStack() as judges:
        expected = Expected()
        for _ in range(workers or os.cpu_count() or 1):
            idle.put(judges.enter_context(Judge(expected=expected)))
        patient = replace(lab, seconds=_patience(lab, idle))

        def outcome(row: tuple[str, Mutation, Notebook]) -> Outcome:
            cell, mutation, notebook = row
            judge = idle.get()
            try:
                verdicts = judge.grade(patient, notebook)
            finally:
                idle.put(judge)
            lost = [each.status for each in verdicts if each.points < each.max_points]
            return Outcome(cell, mutation, lost[0] if lost else "")

        with ThreadPoolExecutor(idle.qsize()) as pool:
            return list(tqdm(pool.map(outcome, rows), lab.name, len(rows), unit="mutant"))


def mutants(lab: Lab) -> list[tuple[str, Mutation, Notebook]]:
    """(the answer's cell, the mutation, the master with it) for all answers of a lab."""
    rows = []
    for at, cell in enumerate(lab.master["cells"]):
        about = cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] != "code" or not about.get("solution"):
            continue
        for mutation in mutations(source(cell)):
            cells = list(lab.master["cells"])
            cells[at] = {**cell, "source": mutation.text}
            rows.append((about["grade_id"], mutation, {**lab.master, "cells": cells}))
    return rows


def share(outcomes: list[Outcome]) -> float:
    """The part that was killed; 1.0 if there was nothing to kill."""
    return sum(bool(each.status) for each in outcomes) / len(outcomes) if outcomes else 1.0


def problems(lab: Lab, outcomes: list[Outcome]) -> list[str]:
    """What the rule finds wrong, a sentence each."""
    alive = {each.name for each in outcomes if not each.status}
    found = [f"{name!r} survives: write a check that fails, or list it in SURVIVORS."
             for name in sorted(alive - set(lab.survivors))]  # fmt: skip
    found += [f"SURVIVORS lists {name!r}, which does not survive: remove it."
              for name in sorted(set(lab.survivors) - alive)]  # fmt: skip
    if share(outcomes) < LEAST:
        found.append(f"{share(outcomes):.1%} are killed, {LEAST:.0%} are wanted.")
    return [f"{lab.name}: {sentence}" for sentence in found]


def report(lab: Lab, outcomes: list[Outcome]) -> str:
    """A line of numbers, and each survivor with its diff and reason."""
    counts: dict[str, int] = {}
    for each in outcomes:
        counts[each.status or "survived"] = counts.get(each.status or "survived", 0) + 1
    killed = len(outcomes) - counts.get("survived", 0)
    how = ", ".join(f"{status} {count}" for status, count in sorted(counts.items()))
    lines = [f"{lab.name}: {killed} of {len(outcomes)} killed, {share(outcomes):.1%} ({how})"]
    for each in outcomes:
        if not each.status:
            reason = lab.survivors.get(each.name, "NOT LISTED")
            lines += ["", f"  {each.cell}, line {each.mutation.number}: {reason}"]
            lines += [f"  - {line}" for line in each.mutation.before.splitlines()]
            lines += [f"  + {line}" for line in each.mutation.after.splitlines()]
    return "\n".join(lines)


def _patience(lab: Lab, idle: SimpleQueue) -> float:
    """Seconds after which a mutant counts as hung, from what the master takes here and now."""
    judge = idle.get()
    verdicts = judge.grade(lab, lab.master)
    if any(verdict.points < verdict.max_points for verdict in verdicts):
        raise UserError(f"{lab.name}: the master does not get all points: mend it first.")
    start = time.perf_counter()
    judge.grade(lab, lab.master)
    idle.put(judge)
    return min(lab.seconds, max(1.0, PATIENCE * (time.perf_counter() - start)))


def main(names: list[str]) -> int:
    """Report on the labs whose names hold one of `names`, or on all; exit code 1 if one fails."""
    chosen = [path for path in masters() if not names or any(name in path.stem for name in names)]
    if not chosen:
        raise UserError(f"there is no lab {' or '.join(names)}: see solutions/.")
    wrong = []
    for path in chosen:
        lab = load(path)
        outcomes = run(lab)
        print(report(lab, outcomes))
        wrong += problems(lab, outcomes)
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
