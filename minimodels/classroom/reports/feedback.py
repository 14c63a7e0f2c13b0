"""What a student gets back: one page for each lab that opens anywhere, without a network.

It shows their score, what was said about each task, and their own answer. It holds nothing of
anybody else, no expected value and no seed.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

from minimodels import files
from minimodels.classroom.cohort import Cohort
from minimodels.classroom.reports import page
from minimodels.classroom.reports.grades import finals, late
from minimodels.classroom.grading.records import Record, Verdict, file_name
from minimodels.classroom.reports.tables import number
from minimodels.classroom.reports.tasks import Task, answer, tasks
from minimodels.classroom.lab import Lab

WHOLE = Task("", "The lab as a whole", 0.0, (), True)


def write(
    grades: Path,
    records: Iterable[Record],
    cohort: Cohort,
    labs: Mapping[str, Lab],
    answers: Callable[[Record], Mapping[str, str]],
) -> list[Path]:
    """Write the folder `feedback` anew: feedback/attention/doe.html."""
    written = []
    with files.atomic_folder(grades / "feedback") as folder:
        for record in records:
            name = Path(record.lab) / f"{file_name(record.student)}.html"
            about = feedback(record, cohort, labs.get(record.lab), answers(record))
            files.write_text(folder / name, about)
            written.append(grades / "feedback" / name)
    return written


def feedback(record: Record, cohort: Cohort, lab: Lab | None, answers: Mapping[str, str]) -> str:
    """The page of one record; `answers` holds the student's cells by grade_id."""
    known = {"": WHOLE, **(tasks(lab) if lab else {})}
    cards = [_card(row, known.get(row.task), answers) for row in record.verdicts]
    parts = [
        f'<p class="soft">{page.text(cohort.name)}</p>' if cohort.name else "",
        f"<h1>{page.text(_title(record, lab))}</h1>",
        f'<p class="soft">{page.text(record.student)}</p>',
        _score(record, cohort),
        *cards,
        _notes(record),
        _footer(record),
    ]
    return page.page(f"{record.lab}: {record.student}", "\n".join(filter(None, parts)))


def _title(record: Record, lab: Lab | None) -> str:
    """The heading of the lab, else its name."""
    first = "".join(lab.master["cells"][0]["source"]) if lab and lab.master["cells"] else ""
    line = first.partition("\n")[0]
    return line.removeprefix("#").strip() if line.startswith("# ") else record.lab


def _score(record: Record, cohort: Cohort) -> str:
    most = record.max_points
    waiting = sum(row.max_points for row in record.verdicts if row.status == "ungraded")
    [final] = finals([record], cohort)
    lines = [
        f'<div class="score"><b>{number(record.points)}</b>'
        f'<span class="soft">of {number(most)} points</span></div>',
        page.bar(record.points / most if most else 0.0),
    ]
    if waiting:
        lines.append(f"<p>{number(waiting)} of the points wait for a person.</p>")
    if final.late_days:
        days = "1 day" if final.late_days == 1 else f"{final.late_days} days"
        percent = number(100 * late(record, cohort)[1])
        lines.append(f"<p>Handed in {days} late: {percent}% of the points remain, "
                     f"<b>{number(final.final)}</b>.</p>")  # fmt: skip
    return "\n".join(lines)


def _card(row: Verdict, task: Task | None, answers: Mapping[str, str]) -> str:
    title = task.title if task else row.task
    sentences = list(dict.fromkeys(filter(None, row.details or (row.message,))))
    code = answer(task, answers) if task else ""
    return "\n".join(filter(None, [
        '<section class="card">',
        f'<div class="head"><h2>{page.text(title)}</h2>',
        f'<span class="points">{_points(row)}</span></div>',
        f"<p>{page.status(row.status)}</p>",
        _sentences(sentences),
        f"<pre>{page.text(code.rstrip())}</pre>" if code.strip() else "",
        "</section>",
    ]))  # fmt: skip


def _points(row: Verdict) -> str:
    if not row.task:  # the whole lab's override adds or takes away
        return f"{'+' if row.points >= 0 else '−'}{number(abs(row.points))}"
    got = "–" if row.status == "ungraded" else number(row.points)
    return f"{got} / {number(row.max_points)}"


def _sentences(sentences: list[str]) -> str:
    if len(sentences) < 2:
        return "".join(f"<p>{page.text(each)}</p>" for each in sentences)
    return "<ul>" + "".join(f"<li>{page.text(each)}</li>" for each in sentences) + "</ul>"


def _notes(record: Record) -> str:
    if not record.notes:
        return ""
    return f"<h3>Notes</h3>{_sentences(list(record.notes))}"


def _footer(record: Record) -> str:
    facts = [f"lab version <code>{page.text(record.lab_version)}</code>"]
    if record.submitted:
        time = datetime.fromisoformat(record.submitted)
        facts.insert(0, f"handed in {page.text(time.strftime('%Y-%m-%d %H:%M %Z').strip())}")
    if record.code_sha256:
        facts.append(f"code <code>{page.text(record.code_sha256[:16])}</code>")
    return f'<footer class="soft">{" · ".join(facts)}</footer>'
