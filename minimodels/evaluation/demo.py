"""What chapters of stage 08 turn: the true rate behind an exam, and see which intervals hold."""

from collections import Counter

import numpy as np

from minimodels.cluster.demo import live
from minimodels.evaluation import figures
from minimodels.evaluation.metrics import bootstrap_interval, wilson_interval

SIZES, TRUTHS = [10, 20, 50, 100, 200, 500], [0.25, 0.5, 0.8, 0.9, 0.95, 0.98]


def bootstrap(right: int, items: int) -> tuple[float, float]:
    """The bootstrap interval of an exam with `right` of `items` answers right."""
    return bootstrap_interval([1.0] * right + [0.0] * (items - right), resamples=400)


def coverage(interval, truth: float, items: int, exams: int = 1000, seed: int = 0) -> float:
    """Share of simulated exams whose interval(right, items) holds the true rate `truth`."""
    counts = Counter(np.random.default_rng(seed).binomial(items, truth, exams).tolist())
    held = 0
    for right, times in counts.items():
        low, high = interval(right, items)
        held += times * (low <= truth <= high)
    return held / exams


def coverage_figure(truth: float):
    """Coverage of the bootstrap and of Wilson's interval over SIZES; a Figure."""
    ways = {"bootstrap": bootstrap, "Wilson": wilson_interval}
    shares = {name: [coverage(way, truth, size) for size in SIZES] for name, way in ways.items()}
    return figures.coverages(SIZES, shares, truth)


def coverage_slider(first: float = 0.95):
    """Show coverage by number of questions under a slider over the true rate."""
    return live(coverage_figure, TRUTHS, first, "true rate")
