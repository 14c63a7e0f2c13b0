"""Which marks a regrade changed, and why: `doe attention mask 3 → 2 (checks changed): message`."""

from collections.abc import Iterable
from dataclasses import dataclass

from minimodels.classroom.grading.records import Record, Verdict
from minimodels.classroom.reports.tables import number, one_line

BY_PERSON = {"override": "override", "marked": "marked by a person"}


@dataclass(frozen=True)
class Change:
    """One task whose points or status are not what they were."""

    student: str
    lab: str
    task: str  # "" is the lab as a whole
    before: Verdict | None  # None: there was none
    after: Verdict | None
    why: tuple[str, ...]

    def __str__(self) -> str:
        old, new = (number(row.points) if row else "none" for row in (self.before, self.after))
        if old == new and self.before and self.after:
            old, new = f"{old} {self.before.status}", f"{new} {self.after.status}"
        message = f": {self.after.message}" if self.after and self.after.message else ""
        task = self.task or "as a whole"
        why = ", ".join(self.why)
        return one_line(f"{self.student} {self.lab} {task} {old} → {new} ({why}){message}")


def changes(before: Iterable[Record], after: Iterable[Record]) -> list[Change]:
    """What differs between two runs, by lab, student and task. Both as the judge gave them, or
    both as they count (after groups, the term's points and overrides)."""
    old = {(record.lab, record.student): record for record in before}
    new = {(record.lab, record.student): record for record in after}
    found = []
    for key in sorted(old.keys() | new.keys()):
        found += _of_one(old.get(key), new.get(key))
    return found


def _of_one(old: Record | None, new: Record | None) -> list[Change]:
    some = new or old
    rows = [{row.task: row for row in record.verdicts} if record else {} for record in (old, new)]
    return [
        Change(some.student, some.lab, task, rows[0].get(task), rows[1].get(task),
               _why(old, new, rows[0].get(task), rows[1].get(task)))
        for task in dict.fromkeys([*rows[0], *rows[1]])
        if _marks(rows[0].get(task)) != _marks(rows[1].get(task))
    ]  # fmt: skip


def _marks(row: Verdict | None) -> tuple | None:
    """What counts as a change; another message alone is none."""
    return row and (round(row.points, 6), row.max_points, row.status)


def _groups(record: Record) -> set[str]:
    """The groups that the notes name, see people.shared."""
    return {note.partition(":")[0] for note in record.notes if note.startswith("group ")}


def _why(old: Record | None, new: Record | None, row: Verdict | None, now: Verdict | None):
    if old is None or new is None:
        return ("handed in",) if old is None else ("no longer handed in",)
    persons = [now.status if now else "", row.status if row else ""]
    if person := [BY_PERSON[status] for status in persons if status in BY_PERSON]:
        return (person[0] if now and now.status in BY_PERSON else f"{person[0]} withdrawn",)
    if _groups(old) != _groups(new):  # another member's submission may count
        return ("group changed",)
    reasons = {
        "lab version changed": old.lab_version != new.lab_version,
        "checks changed": old.checks_sha256 != new.checks_sha256,
        "code changed": old.code_sha256 != new.code_sha256,
        "environment changed": old.environment != new.environment,
        "points of the term changed": row and now and row.max_points != now.max_points,
    }
    found = tuple(words for words, true in reasons.items() if true)
    return found or ("nothing known changed: the answer may depend on chance or time",)
