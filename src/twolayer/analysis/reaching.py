"""The probability that a seed reaches a loss, along a sweep, and where it is one half."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.analysis.intervals import chance_interval
from twolayer.analysis.labelled import require_dataset
from twolayer.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["chance_of_reaching", "logistic_threshold"]

STEEPEST = 1e4
"""The largest slope of a logistic law, over the range of x: a step."""

GRID = 60
"""Points between which the ends of an interval are looked for, on either side."""


def chance_of_reaching(
    dataset: xr.Dataset, level: float, quantity: str = "loss", confidence: float = 0.95
) -> xr.Dataset:
    """How many seeds of each run have `quantity` ≤ `level` at a saved time or more, with a binomial interval.

    dataset: of `twolayer.run`, or a `dataset.nc`. The result has the swept words as dimensions, and `reached` and
    `trials`, numbers of seeds, `chance`, reached/trials, and `low` and `high`, the exact interval of Clopper and
    Pearson. A seed that diverged counts by what it was before; padding, all NaN, does not count.
    DataError where the dataset has no such quantity over seeds and times.
    """
    import xarray as xr

    require_dataset(dataset, "chance_of_reaching")
    if not (isinstance(level, int | float | np.number) and math.isfinite(level)):
        raise DataError(f"chance_of_reaching: level must be a finite number, is {level!r}")
    if quantity not in dataset or not {"seed", "time"} <= set(dataset[quantity].dims):
        known = [name for name, values in dataset.data_vars.items() if {"seed", "time"} <= set(values.dims)]
        listed = ", ".join(map(str, known))
        raise DataError(
            f"chance_of_reaching: '{quantity}' must be a variable over seed and time; such are {listed}"
        )
    lowest = dataset[quantity].min("time")
    further = set(lowest.dims) - {"seed"} - set(dataset.coords)
    if further:
        listed = ", ".join(sorted(map(str, further)))
        raise DataError(f"chance_of_reaching: '{quantity}' has more dimensions, {listed}")
    trials, reached = lowest.notnull().sum("seed"), (lowest <= level).sum("seed")
    bounds = [
        chance_interval(hits, count, confidence) if count else (math.nan,) * 3
        for hits, count in zip(reached.values.ravel().tolist(), trials.values.ravel().tolist(), strict=True)
    ]
    columns = np.asarray(bounds).reshape(*trials.shape, 3)
    found = {name: (trials.dims, columns[..., index]) for index, name in enumerate(("chance", "low", "high"))}
    return xr.Dataset({"reached": reached, "trials": trials, **found})


def logistic_threshold(
    x: Any, reached: Any, trials: Any, confidence: float = 0.95
) -> tuple[float, float, float]:
    """x₀ of the law P(x) = 1/(1 + exp(−(x − x₀)/w)) of largest likelihood, and its interval (x₀, low, high).

    x (point,): distinct numbers, such as a swept word or its logarithm. reached, trials (point,): numbers at each.
    P may rise or fall with x. The interval is where twice the log-likelihood ratio is at most the quantile of χ² with
    one degree of freedom, looked for within three times the range of x; an end beyond is infinite.
    Where one x separates all that reached from all that did not, x₀ is the middle of the gap.
    DataError with fewer than two points, or where all or none have reached.
    """
    from scipy import stats

    x, reached, trials = (np.asarray(values, dtype=np.float64).ravel() for values in (x, reached, trials))
    order = np.argsort(x)
    x, reached, trials = x[order], reached[order], trials[order]
    if len(np.unique(x[trials > 0])) < 2:
        raise DataError("logistic_threshold: needs two values of x at least")
    if not 0 < reached.sum() < trials.sum():
        which = "all" if reached.sum() else "none"
        raise DataError(
            f"logistic_threshold: {which} of the trials have reached the level; x must span both sides"
        )
    width = x[-1] - x[0]

    def profile(middle: float) -> float:
        return largest_likelihood((x - middle) / width, reached, trials)

    grid = np.linspace(x[0] - 3 * width, x[-1] + 3 * width, 7 * GRID + 1)
    values = np.asarray([profile(point) for point in grid.tolist()])
    best = int(np.argmax(values))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    gap = separated(x, reached, trials)
    middle = sum(gap) / 2 if gap else place_of_maximum(profile, low, high)
    limit = profile(middle) - 0.5 * float(stats.chi2.ppf(confidence, 1))
    outside = values < limit
    ends = []
    for side in (-1, 1):
        beyond = np.flatnonzero(outside & (side * (grid - middle) > 0))
        if not len(beyond):
            ends.append(side * math.inf)
            continue
        first = int(beyond[-1] if side < 0 else beyond[0])
        ends.append(crossing(profile, limit, float(grid[first]), float(grid[first - side]), middle, side))
    return float(middle), ends[0], ends[1]


def largest_likelihood(x: Any, reached: Any, trials: Any) -> float:
    """The largest log-likelihood of P = 1/(1 + exp(−βx)) over β, in which it is concave: by bisection of its slope."""
    low, high = -STEEPEST, STEEPEST

    def slope(beta: float) -> float:
        return float(((reached - trials * expit(beta * x)) * x).sum())

    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    logits = 0.5 * (low + high) * x
    return float((reached * logits - trials * np.logaddexp(0.0, logits)).sum())


def expit(logits: Any) -> Any:
    """1/(1 + exp(−z)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits))


def separated(x: Any, reached: Any, trials: Any) -> tuple[float, float] | None:
    """The gap between points of which none, and points of which all have reached, on either side; None where mixed."""
    every, nothing = x[(reached == trials) & (trials > 0)], x[(reached == 0) & (trials > 0)]
    if ((reached > 0) & (reached < trials)).any() or not len(every) or not len(nothing):
        return None
    if nothing.max() < every.min():
        return float(nothing.max()), float(every.min())
    return (float(every.max()), float(nothing.min())) if every.max() < nothing.min() else None


def place_of_maximum(function: Any, low: float, high: float) -> float:
    """The place of the maximum of a function with one, in [low, high]."""
    from scipy.optimize import minimize_scalar

    tolerance = {"xatol": 1e-9 * (high - low)}
    found = minimize_scalar(
        lambda point: -function(point), bounds=(low, high), method="bounded", options=tolerance
    )
    return float(found.x)


def crossing(function: Any, limit: float, outside: float, inside: float, middle: float, side: int) -> float:
    """Where a function falls below a limit between a point inside and one outside; `inside` no further than middle."""
    inside = max(inside, middle) if side > 0 else min(inside, middle)
    for _ in range(60):
        half = 0.5 * (inside + outside)
        inside, outside = (half, outside) if function(half) >= limit else (inside, half)
    return 0.5 * (inside + outside)
