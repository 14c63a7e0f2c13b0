"""What the lecturers' chapter turns: how dear a day of lateness is."""

from datetime import UTC, datetime, timedelta

from minimodels.classroom import figures
from minimodels.classroom.cohort import Cohort, Plan
from minimodels.cluster.demo import live

DUE = datetime(2026, 12, 1, 23, 59, tzinfo=UTC)
PRICES = [0.05, 0.1, 0.2, 0.25, 0.5]


def left(per_day: float, days: int | None, late: timedelta) -> float:
    """The share of the points that is left for what comes so late."""
    cohort = Cohort("demo", 0, {"lab": Plan(DUE)}, per_day, days)
    return cohort.late("lab", DUE + late)[1]


def lateness_figure(per_day: float):
    """Two terms with this price a day, one that closes after three days; a Figure."""
    hours = list(range(0, 24 * 8))
    shares = {f"{per_day:.0%} a day": None, f"{per_day:.0%} a day, closed after 3": None}
    for name, days in zip(shares, (None, 3), strict=True):
        shares[name] = [left(per_day, days, timedelta(hours=hour)) for hour in hours]
    return figures.lateness([hour / 24 for hour in hours], shares)


def lateness_slider(first: float = 0.1):
    """Show what is left by days late under a slider over the price of a day."""
    return live(lateness_figure, PRICES, first, "a day costs")
