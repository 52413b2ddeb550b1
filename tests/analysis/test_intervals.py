"""Intervals hold the truth as often as they say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from twolayer.analysis.intervals import (
    chance_interval,
    difference_interval,
    mean_interval,
    median_interval,
    slope_interval,
    standard_score,
)

TRIALS = 800


def mean(random: np.random.Generator, confidence: float) -> Any:
    return mean_interval(random.normal(0.3, 2.0, 8), confidence)


def difference(random: np.random.Generator, confidence: float) -> Any:
    return difference_interval(random.normal(1.0, 0.3, 12), random.normal(0.7, 1.5, 9), confidence)


def slope(random: np.random.Generator, confidence: float) -> Any:
    x = np.arange(7.0)
    return slope_interval(x, 5 + 0.3 * x + random.standard_normal(7), confidence)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("interval", [mean, difference, slope])
def test_coverage(interval: Any, confidence: float) -> None:
    """0.3 lies within in a share of `confidence`, to 5 standard errors (Welch's t is approximate)."""
    random = np.random.default_rng(0)
    found = [interval(random, confidence) for _ in range(TRIALS)]
    assert all(low < estimate < high for estimate, low, high in found)
    covered = np.mean([low <= 0.3 <= high for _, low, high in found])
    assert abs(covered - confidence) < 5 * math.sqrt(confidence * (1 - confidence) / TRIALS)


def test_the_interval_of_a_chance_is_exact() -> None:
    """Its ends are where the binomial tail is half of what is left (Clopper and Pearson)."""
    share, low, high = chance_interval(3, 10)

    def below(p: float, hits: int) -> float:
        return sum(math.comb(10, k) * p**k * (1 - p) ** (10 - k) for k in range(hits + 1))

    assert share == 0.3
    assert 1 - below(low, 2) == pytest.approx(0.025)
    assert below(high, 3) == pytest.approx(0.025)
    assert chance_interval(0, 5)[1] == 0
    assert chance_interval(5, 5)[2] == 1


@pytest.mark.parametrize("count", range(1, 40))
def test_the_interval_of_a_median_is_the_narrowest_that_covers(count: int) -> None:
    """Ranks r and n + 1 − r hold the median with chance 1 − 2 P(B < r), B of n even tosses."""
    values = np.random.default_rng(count).permutation(np.arange(1.0, count + 1))
    middle, low, high = median_interval(values)
    assert middle == (count + 1) / 2

    def missed(rank: int) -> float:
        return 2 * sum(math.comb(count, hits) for hits in range(rank)) / 2**count

    if count < 6:  # a median over few seeds has no interval
        assert missed(1) > 0.05
        assert math.isnan(low)
        assert math.isnan(high)
        return
    assert high == count + 1 - low
    assert missed(int(low)) <= 0.05 < missed(int(low) + 1)


def test_standard_score() -> None:
    assert standard_score(50, 1000, 50, 1000) == 0.0
    assert standard_score(0, 1000, 0, 1000) == 0.0
    # p = 0.695, √(0.695·0.305·2/1000) = 0.02059
    assert standard_score(660, 1000, 730, 1000) == pytest.approx(-0.07 / 0.020591, rel=1e-4)
