"""Three pictures for lecturers: who sees what, what a class got, and what lateness costs."""

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

BLUE, VERMILION, GRAY, GREEN = "#0072B2", "#D55E00", "0.45", "#009E73"  # Okabe & Ito 2008
KINDS = {"right": BLUE, "damaged": GREEN, "wrong": "#E69F00", "unfinished": GRAY,
         "unreadable": "0.7", "hostile": VERMILION}  # fmt: skip


def processes():
    """The judge, the server in its box, and the forks that run a student's code; a Figure."""
    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    axes.set(xlim=(0, 10), ylim=(0, 4.2))
    axes.set_title("The judge never meets the code: only values come back")
    axes.axis("off")
    held = "solution\nprivate checks\nexpected values\ngradebook"
    run = (
        "one student's cells,\na fork for each check,\na /tmp of its own;\n"
        "limits on time,\nmemory, processes"
    )
    _box(axes, (0.1, 0.3), (2.9, 3.6), "judge", held, BLUE)
    _box(axes, (4.1, 0.1), (5.8, 4.0), "box: no network, no file but Python's", "", "0.3")
    _box(axes, (4.4, 2.3), (2.3, 1.1), "server", "torch, loaded once", "0.3")
    _box(axes, (7.1, 0.3), (2.6, 3.1), "fork", run, VERMILION)
    _arrow(axes, (6.7, 2.8), (7.1, 2.8))
    _arrow(axes, (3.0, 1.8), (7.1, 1.8), "cells, inputs")
    _arrow(axes, (7.1, 0.8), (3.0, 0.8), "values: JSON and arrays")
    plt.close(figure)
    return figure


def points(students: list[dict], most: float):
    """A bar of points for each student of {kind, points}, colored and sorted by kind; a Figure."""
    figure, axes = plt.subplots(figsize=(9, 3.8), layout="constrained")
    order = sorted(students, key=lambda each: (list(KINDS).index(each["kind"]), -each["points"]))
    for place, each in enumerate(order):
        first = place == 0 or order[place - 1]["kind"] != each["kind"]
        axes.bar(place, max(each["points"], 0.15), color=KINDS[each["kind"]],
                 label=each["kind"] if first else None)  # fmt: skip
    axes.axhline(most, color="black", linewidth=0.8, linestyle=":")
    axes.set(xlabel="students", ylabel="points", xticks=[], ylim=(0, 1.3 * most))
    attacks = [each["points"] for each in order if each["kind"] == "hostile"]
    axes.set_title(f"Damage costs nothing, and no attack reaches {most:g} points "
                   f"(best {max(attacks):g})")  # fmt: skip
    axes.legend(ncols=6, loc="upper center", fontsize=9)
    plt.close(figure)
    return figure


def lateness(days: list[int], shares: dict[str, list[float]]):
    """The share of points that is left, by days late, for each policy; a Figure."""
    figure, axes = plt.subplots(figsize=(8.5, 3.4), layout="constrained")
    for (name, row), color in zip(shares.items(), (BLUE, VERMILION), strict=False):
        axes.step(days, row, where="post", color=color, label=name)
    first = next(iter(shares.values()))
    worst = next((round(day) for day, share in zip(days, first, strict=True) if share == 0), None)
    words = f"{first[-1]:.0%} is left after {days[-1]:.0f} days"
    if worst is not None:
        words = f"nothing is left after {worst} days"
    axes.set(
        xlabel="days late",
        ylabel="share of the points",
        ylim=(-0.03, 1.05),
        title=(f"Late by a minute costs what late by a day costs; {words}"),
    )
    axes.legend(loc="upper right")
    plt.close(figure)
    return figure


def _box(axes, corner, size, title, text, color) -> None:
    shape = "round,pad=0.02,rounding_size=0.15"
    patch = FancyBboxPatch(corner, *size, boxstyle=shape, fill=False, edgecolor=color, linewidth=2)
    axes.add_patch(patch)
    x, top = corner[0] + 0.15, corner[1] + size[1]
    axes.text(x, top - 0.12, title, va="top", fontsize=12, color=color, weight="bold")
    axes.text(x, top - 0.55, text, va="top", fontsize=11)


def _arrow(axes, start, end, text="") -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "linewidth": 1.5})
    axes.text(4.4, start[1] + 0.1, text, fontsize=11)
