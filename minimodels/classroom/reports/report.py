"""The class at a glance: who got how far, which tasks are hard, and what goes wrong often.

report.html can be shown in class: it names nobody, and quotes only what was said to at least two
students. report-with-names.html adds whom a person should look at.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean, median

from minimodels import files
from minimodels.classroom.cohort import Cohort
from minimodels.classroom.reports import page
from minimodels.classroom.grading.records import Record, Verdict
from minimodels.classroom.reports.tables import number
from minimodels.classroom.reports.tasks import Task, tasks
from minimodels.classroom.lab import Lab

NUMBER = re.compile(r"[-+−]?\b\d+(?:\.\d+)?(?:e[-+]?\d+)?\b|\b(?:nan|inf)\b")
GOOD = ("pass", "marked", "override")
LOOK = ("invalid", "crash")
BINS, MOST = 10, 12


def write(
    grades: Path, records: Iterable[Record], cohort: Cohort, labs: Mapping[str, Lab]
) -> list[Path]:
    """Write both reports."""
    records = list(records)
    written = []
    for name, names in (("report.html", False), ("report-with-names.html", True)):
        files.write_text(grades / name, report(records, cohort, labs, names))
        written.append(grades / name)
    return written


def report(
    records: list[Record], cohort: Cohort, labs: Mapping[str, Lab], names: bool = False
) -> str:
    """One page with a part for each lab; students are named only if asked for."""
    by_lab: dict[str, list[Record]] = {}
    for record in records:
        by_lab.setdefault(record.lab, []).append(record)
    title = f"Class report · {cohort.name}" if cohort.name else "Class report"
    parts = [f"<h1>{page.text(title)}</h1>"]
    if names:
        parts.append('<p class="soft">With names: for lecturers only.</p>')
    for lab, group in sorted(by_lab.items()):
        known = tasks(labs[lab]) if lab in labs else {}
        parts.append(_of_lab(lab, group, known, names))
    return page.page(title, "\n".join(parts))


def common(records: Iterable[Record]) -> dict[str, list[tuple[str, int]]]:
    """By task: what was said to at least two students, with how many; most frequent first.

    Sentences that differ only in their numbers count as one, and are quoted with `…` for each.
    """
    said: dict[str, Counter] = {}
    for record in records:
        for row in record.verdicts:
            if row.status in (*GOOD, "ungraded") or not row.task:
                continue
            sentences = {NUMBER.sub("…", each) for each in row.details or (row.message,) if each}
            said.setdefault(row.task, Counter()).update(sentences)
    return {task: shared for task, counts in said.items()
            if (shared := [pair for pair in _sorted(counts) if pair[1] > 1])}  # fmt: skip


def hardest(records: Iterable[Record]) -> list[tuple[str, float, Counter]]:
    """(task, mean share of its points, statuses) of each task, the hardest first."""
    rows: dict[str, list[Verdict]] = {}
    for record in records:
        for row in record.verdicts:
            if row.task and row.max_points and row.status != "ungraded":
                rows.setdefault(row.task, []).append(row)
    table = [(task, mean(row.points / row.max_points for row in group),
              Counter(row.status for row in group)) for task, group in rows.items()]  # fmt: skip
    return sorted(table, key=lambda line: line[1])


def _sorted(counts: Counter) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST]


def _of_lab(lab: str, records: list[Record], known: dict[str, Task], names: bool) -> str:
    shares = [share for record in records if (share := _share(record)) is not None]
    most = max((record.max_points for record in records), default=0.0)
    middle = f"Median {round(100 * median(shares))}% of {number(most)} points." if shares else ""
    waiting = sum(row.status == "ungraded" for record in records for row in record.verdicts)
    by_hand = f" {waiting} answers wait for a person in formgrader." if waiting else ""
    many = "1 submission" if len(records) == 1 else f"{len(records)} submissions"
    return "\n".join([
        f'<section class="card"><h2>{page.text(lab)}</h2>',
        f'<p class="soft">{many}. {middle}{by_hand}</p>',
        _histogram(shares),
        "<h3>Tasks, the hardest first</h3>",
        _tasks(records, known),
        _failures(records, known),
        _look(records, names),
        "</section>",
    ])  # fmt: skip


def _share(record: Record) -> float | None:
    """The share of the points that were decided; None if there are none."""
    rows = [row for row in record.verdicts if row.status != "ungraded"]
    most = sum(row.max_points for row in rows)
    return sum(row.points for row in rows) / most if most else None


def _histogram(shares: list[float]) -> str:
    bins = [0] * BINS
    for share in shares:
        bins[max(0, min(BINS - 1, int(share * BINS)))] += 1
    top = max(bins) or 1
    bars = "".join(
        f'<div style="height:{number(85 * each / top)}%"><span>{each or ""}</span></div>'
        for each in bins
    )
    words = f"Students by share of the points, in tenths: {', '.join(map(str, bins))}"
    axis = '<div class="axis"><span>0%</span><span>50%</span><span>100%</span></div>'
    return f'<div class="hist" role="img" aria-label="{words}">{bars}</div>{axis}'


def _tasks(records: list[Record], known: dict[str, Task]) -> str:
    lines = []
    for task, share, statuses in hardest(records):
        counts = " · ".join(f"{count} {page.text(page.STATUS.get(name, ('', name))[1])}"
                            for name, count in statuses.most_common())  # fmt: skip
        title = page.text(known[task].title if task in known else task)
        lines.append([title, f"{round(100 * share)}%", f'<span class="soft">{counts}</span>'])
    return page.table(["Task", "Mean", "How many"], lines, "-n-")


def _failures(records: list[Record], known: dict[str, Task]) -> str:
    parts = []
    for task, pairs in common(records).items():
        title = known[task].title if task in known else task
        lines = [[f"{count} ×", page.text(sentence)] for sentence, count in pairs]
        parts.append(page.table(["", page.text(title)], lines, "n-"))
    return f"<h3>What went wrong more than once</h3>{''.join(parts)}" if parts else ""


def _look(records: list[Record], names: bool) -> str:
    """What a person should look at; in class, how much of it there is."""
    lines = []
    for record in records:
        rows = [row for row in record.verdicts if row.status in LOOK]
        for status, message in dict.fromkeys((row.status, row.message) for row in rows):
            where = [row.task for row in rows if (row.status, row.message) == (status, message)]
            lines.append((record.student, ", ".join(where), page.status(status), message))
        lines += [(record.student, "", "note", note) for note in record.notes]
    if not lines:
        return ""
    if not names:
        students = len({line[0] for line in lines})
        many = "1 submission" if students == 1 else f"{students} submissions"
        return f"<h3>For the lecturer</h3><p>{many} to look at: see the report with names.</p>"
    rows = [[page.text(name), page.text(task), what, page.text(message)]
            for name, task, what, message in lines]  # fmt: skip
    columns = ["Student", "Task", "What", "What was said"]
    return f"<h3>To look at</h3>{page.table(columns, rows, '--w-')}"
