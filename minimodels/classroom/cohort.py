"""A term: which labs, when they are due, what lateness costs, and the seed of the private inputs.

A lecturer writes it as `cohort.toml` and keeps it, because it holds the seed. `minimodels release
--example` prints one to start from.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from minimodels.errors import UserError


@dataclass(frozen=True)
class Plan:
    """One lab of a term."""

    due: datetime | None = None  # with a time zone
    points: Mapping[str, float] = field(default_factory=dict)  # by task, instead of the lab's


@dataclass(frozen=True)
class Cohort:
    """A term. `labs` is None for all labs there are, without due dates."""

    name: str = ""
    seed: int = 0
    labs: Mapping[str, Plan] | None = None  # by short name: "attention"
    per_day: float = 0.0  # share of the points that a day begun takes away
    days: int | None = None  # late by more than these gets nothing; None: no such end
    told: Mapping[tuple[str, str], int] = field(default_factory=dict)  # late.csv, see reports.late

    def plan(self, lab: str) -> Plan | None:
        """The plan of a lab by its short name; None if the term does not have it."""
        return Plan() if self.labs is None else self.labs.get(lab)

    def late(self, lab: str, submitted: datetime | None) -> tuple[int, float]:
        """(days late, share of the points that is left); (0, 1.0) if no date is known."""
        due = (self.plan(lab) or Plan()).due
        if due is None or submitted is None or submitted <= due:
            return 0, 1.0
        days = math.ceil((submitted - due).total_seconds() / 86_400)
        return days, self.left(days)

    def left(self, days: int) -> float:
        """The share of the points that is left after so many days."""
        if self.days is not None and days > self.days:
            return 0.0
        return max(0.0, 1.0 - self.per_day * days)


def read(path: str | Path) -> Cohort:
    """Read a cohort.toml; UserError if it is not there, no TOML, or says what is not known."""
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: `minimodels release --example` shows one.") from None
    except (OSError, ValueError) as problem:
        raise UserError(f"{path} cannot be read ({problem}): write it as TOML.") from None
    try:
        return _cohort(table)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise UserError(f"{path}: {problem}: see `minimodels release --example`.") from None


def _cohort(table: dict) -> Cohort:
    late = table.get("late", {})
    _known(table, {"name", "seed", "late", "labs"}, "the file")
    _known(late, {"per_day", "days"}, "[late]")
    cohort = Cohort(
        name=str(table["name"]),
        seed=int(table["seed"]),
        labs={name: _plan(name, lab) for name, lab in table["labs"].items()},
        per_day=float(late.get("per_day", 0.0)),
        days=late.get("days"),
    )
    if not 0 <= cohort.per_day <= 1:
        raise ValueError("late.per_day is a share between 0 and 1")
    return cohort


def _plan(name: str, lab: dict) -> Plan:
    _known(lab, {"due", "points"}, f"[labs.{name}]")
    due = lab.get("due")
    if due is not None and (not isinstance(due, datetime) or due.tzinfo is None):
        raise ValueError(f"labs.{name}.due needs a time zone, as 2026-12-01T23:59:00+01:00")
    points = {task: float(value) for task, value in lab.get("points", {}).items()}
    if any(value < 0 for value in points.values()):
        raise ValueError(f"labs.{name}.points are not negative")
    return Plan(due, points)


def _known(table: dict, names: set[str], where: str) -> None:
    if strange := sorted(set(table) - names):
        raise ValueError(f"{where} holds {strange[0]!r}, which is none of {sorted(names)}")
