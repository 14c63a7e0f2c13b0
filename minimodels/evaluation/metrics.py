"""A score and how far to trust it: exact match, and intervals around means and differences.

Bootstrap: Efron & Tibshirani 1993, chapter 13 (percentile method). Wilson: JASA 22, 1927.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from minimodels.errors import UserError


def exact_match(answer: str, truth: str) -> bool:
    """Whether both texts are the same but for case and for spaces at the ends and doubled."""
    return _plain(answer) == _plain(truth)


def bootstrap_interval(
    values: Sequence[float], confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """(low, high) around the mean of `values`, one value an item: the percentile bootstrap.

    Draw as many items with replacement, take the mean, do that `resamples` times, and cut off
    (1 − confidence)/2 of the means on each side. When all values are equal it is a point, which is
    too sure of itself: for few or one-sided successes use `wilson_interval`. Raises UserError
    without values.
    """
    values = np.asarray(values, dtype=np.float64)
    _check(len(values), confidence)
    draw = np.random.default_rng(seed)
    means = [
        values[draw.integers(len(values), size=len(values))].mean() for _ in range(resamples)
    ]
    outside = (1 - confidence) / 2
    low, high = np.quantile(means, [outside, 1 - outside])
    return float(low), float(high)


def paired_difference(
    after: Sequence[float], before: Sequence[float], confidence: float = 0.95,
    resamples: int = 2000, seed: int = 0,
) -> tuple[float, float, float]:
    """(mean, low, high) of after − before on the same items, in the same order.

    Two models find the same items hard; subtracting item by item removes that from the interval.
    Raises UserError if the lengths differ.
    """
    if len(after) != len(before):
        raise UserError(
            f"{len(after)} scores after and {len(before)} before: score the same items in both."
        )
    difference = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    low, high = bootstrap_interval(difference, confidence, resamples, seed)
    return float(difference.mean()), low, high


def wilson_interval(
    successes: int, trials: int, confidence: float = 0.95
) -> tuple[float, float]:
    """(low, high) for the rate behind `successes` of `trials`: honest at 0 and at all, too.

    The rates p with |successes/trials − p| ≤ z·sqrt(p(1 − p)/trials), solved for p.
    """
    _check(trials, confidence)
    if not 0 <= successes <= trials:
        raise UserError(f"{successes} successes of {trials} trials cannot be: count again.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate, spread = successes / trials, z * z / trials
    middle = (rate + spread / 2) / (1 + spread)
    half = np.sqrt(rate * (1 - rate) * spread + spread**2 / 4) / (1 + spread)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _check(items: int, confidence: float) -> None:
    if items < 1:
        raise UserError("there is nothing to score: give at least one item.")
    if not 0 < confidence < 1:
        raise UserError(f"a confidence of {confidence} is not between 0 and 1: 0.95 is usual.")
