import itertools

import numpy as np
import pytest

from minimodels.errors import UserError
from minimodels.evaluation.metrics import (
    bootstrap_interval,
    exact_match,
    paired_difference,
    wilson_interval,
)

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("answer, same", [
    ("Lisbon", True), (" lisbon\n", True), ("LISBON", True), ("Lisbon.", False), ("", False),
    ("Porto", False), ("Lis bon", False),
])
def test_exact_match(answer, same):
    assert exact_match(answer, "Lisbon") is same


def test_exact_match_beyond_english():
    assert exact_match("STRASSE", "straße") and exact_match("new  york", "New York")
    assert exact_match(" 里斯本", "里斯本") and not exact_match("里斯", "里斯本")


def test_bootstrap_of_three_items_is_the_exact_distribution():
    """27 equally likely resamples: the quantiles of their means, without drawing."""
    values = [0.0, 1.0, 5.0]
    exact = np.sort([np.mean(draw) for draw in itertools.product(values, repeat=3)])
    low, high = bootstrap_interval(values, confidence=0.8, resamples=20_000)
    assert low == pytest.approx(exact[int(0.1 * 27)]) and high == pytest.approx(exact[24])


def test_bootstrap_equals_scipy():
    stats = pytest.importorskip("scipy.stats")
    values = RNG.exponential(size=200)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=3
    ).confidence_interval
    ours = bootstrap_interval(values, resamples=20_000)
    # both draw at random: each end is uncertain by about 0.002 (0.03 standard errors)
    assert ours == pytest.approx(tuple(theirs), abs=0.01)
    assert bootstrap_interval(values, confidence=0.8) != pytest.approx(tuple(theirs), abs=0.01)


def test_bootstrap_is_repeatable_and_narrows():
    few, many = RNG.random(50), RNG.random(5000)
    assert bootstrap_interval(few) == bootstrap_interval(list(few))
    assert bootstrap_interval(few, seed=1) != bootstrap_interval(few)
    width = [high - low for low, high in map(bootstrap_interval, (few, many))]
    assert width[0] > 5 * width[1]


def test_bootstrap_of_equal_values_is_a_point():
    assert bootstrap_interval([1.0] * 20) == (1.0, 1.0)
    assert wilson_interval(20, 20)[0] < 0.9  # why the other one exists


@pytest.mark.parametrize("rate, trials", [(0.5, 60), (0.9, 60), (0.97, 40)])
def test_wilson_covers(rate, trials):
    """Exact coverage by the binomial; the plain normal interval fails at the last row."""
    from math import comb

    def coverage(interval):
        return sum(
            comb(trials, k) * rate**k * (1 - rate) ** (trials - k)
            for k in range(trials + 1) if interval(k)[0] <= rate <= interval(k)[1]
        )

    def plain(k):
        half = 1.96 * (k / trials * (1 - k / trials) / trials) ** 0.5
        return k / trials - half, k / trials + half

    assert 0.92 < coverage(lambda k: wilson_interval(k, trials)) < 0.99
    if rate == 0.97:
        assert coverage(plain) < 0.75


@pytest.mark.parametrize("k, n", [(0, 10), (3, 10), (10, 10), (497, 1000)])
def test_wilson_equals_scipy(k, n):
    stats = pytest.importorskip("scipy.stats")
    theirs = stats.binomtest(k, n).proportion_ci(0.9, method="wilson")
    assert wilson_interval(k, n, 0.9) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_pairing_removes_what_both_models_share():
    hard = RNG.random(300)
    before = (hard < 0.5).astype(float)
    after = (hard < 0.6).astype(float)
    mean, low, high = paired_difference(after, before)
    assert mean == pytest.approx(after.mean() - before.mean()) and low <= mean <= high and low > 0
    _, low_shuffled, high_shuffled = paired_difference(after, RNG.permutation(before))
    assert high_shuffled - low_shuffled > 1.5 * (high - low)


def test_bad_input():
    with pytest.raises(UserError, match="at least one"):
        bootstrap_interval([])
    with pytest.raises(UserError, match="same items"):
        paired_difference([1, 0], [1])
    with pytest.raises(UserError, match="cannot be"):
        wilson_interval(3, 2)
    with pytest.raises(UserError, match="0.95 is usual"):
        wilson_interval(1, 2, confidence=95)
