"""Confidence intervals over seeds, from scipy's distributions: (estimate, low, high); and the score of two counts.

scipy is imported inside the functions: claims import this module when they are loaded, and scipy takes long.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = [
    "chance_interval",
    "difference_interval",
    "mean_interval",
    "median_interval",
    "slope_interval",
    "standard_score",
]


def mean_interval(values: Any, confidence: float = 0.95) -> tuple[float, float, float]:
    """The mean of independent values (seed,) by Student's t."""
    from scipy import stats

    middle = float(np.mean(values))
    reach = (
        stats.t.ppf(0.5 + 0.5 * confidence, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    )
    return middle, middle - float(reach), middle + float(reach)


def median_interval(values: Any, confidence: float = 0.95) -> tuple[float, float, float]:
    """The median of independent values (seed,) of any distribution, between two of them: the narrowest pair of
    order statistics of equal rank from both ends that contains it with at least `confidence`.

    The ends are NaN where there are too few values for any pair (fewer than six at 95 %).
    """
    from scipy import stats

    ordered = np.sort(np.asarray(values, dtype=np.float64))
    # rank r from either end fails where fewer than r of the values lie on that side of the median
    rank = int(stats.binom.ppf(0.5 * (1 - confidence), len(ordered), 0.5))
    while rank > 0 and 2 * stats.binom.cdf(rank - 1, len(ordered), 0.5) > 1 - confidence:
        rank -= 1
    middle = float(np.median(ordered)) if len(ordered) else math.nan
    if rank < 1:
        return middle, math.nan, math.nan
    return middle, float(ordered[rank - 1]), float(ordered[-rank])


def difference_interval(first: Any, second: Any, confidence: float = 0.95) -> tuple[float, float, float]:
    """mean(first) − mean(second) of two independent samples by Welch's t."""
    from scipy import stats

    low, high = stats.ttest_ind(first, second, equal_var=False).confidence_interval(confidence)
    return float(np.mean(first) - np.mean(second)), float(low), float(high)


def chance_interval(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float, float]:
    """The probability of a hit, from `hits` in `trials`, with the exact interval of Clopper and Pearson."""
    from scipy import stats

    found = stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")
    return hits / trials, float(found.low), float(found.high)


def slope_interval(x: Any, y: Any, confidence: float = 0.95) -> tuple[float, float, float]:
    """The least-squares slope of y over x (point,), residuals taken as independent, by Student's t."""
    from scipy import stats

    fit = stats.linregress(x, y)
    reach = float(fit.stderr * stats.t.ppf(0.5 + 0.5 * confidence, len(x) - 2))
    return float(fit.slope), float(fit.slope) - reach, float(fit.slope) + reach


def standard_score(hits: float, trials: float, other_hits: float, other_trials: float) -> float:
    """z of two counts under one chance p: (p₁ − p₂)/√(p(1 − p)(1/N₁ + 1/N₂)), p of both together; 0 where both are 0
    or both are all."""
    together = (hits + other_hits) / (trials + other_trials)
    spread = math.sqrt(together * (1.0 - together) * (1.0 / trials + 1.0 / other_trials))
    return (hits / trials - other_hits / other_trials) / spread if spread > 0 else 0.0
