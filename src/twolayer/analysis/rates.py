"""Rates of decay: L = C/(t + t₀)^p fitted to a dataset, local slopes, and other readings of a curve.

A log–log fit of a loss that falls as C/(t + t₀)^p is biased until t ≫ t₀: the local slope is −p t/(t + t₀).
L^(−1/p) against t is a straight line from the start, of slope C^(−1/p) and with its zero at −t₀. (Derived.)
Values past `trusted_until` may be rounding, and are left out unless a caller asks for them (`within_trust`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twolayer.analysis.labelled import require_dataset

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "along_time",
    "decay_rate",
    "first_below",
    "fit_rate",
    "fit_slope",
    "local_slope",
    "log_slope",
    "power_slope",
    "within_trust",
]

FITTED = {
    "constant": "C of L = C/(t + t₀)^p",
    "constant_low": "lower end of the interval of C",
    "constant_high": "upper end of the interval of C",
    "offset": "t₀ of L = C/(t + t₀)^p",
    "offset_low": "lower end of the interval of t₀",
    "offset_high": "upper end of the interval of t₀",
    "misfit": "largest |L^(−1/p)/line − 1| of the points fitted",
    "points": "number of points fitted",
}


def within_trust(dataset: xr.Dataset, variable: str = "loss") -> xr.DataArray:
    """`variable` (…, time) with NaN where a run's time is past its seed's `trusted_until`; dimensions are kept.

    A variable without `seed` ends with the first seed that ends. A dataset without `trusted_until` is taken as it
    is. Raises KeyError where the variable is missing.
    """
    require_dataset(dataset, "within_trust")
    values = dataset[variable]
    if "trusted_until" not in dataset or "time" not in values.dims:
        return values
    until = dataset["trusted_until"]
    if "seed" in until.dims and "seed" not in values.dims:
        until = until.min("seed")
    # a saved time read back in another precision is still the same time
    kept = dataset["time"] <= until * (1 + 1e-12)
    return values.where(kept).transpose(*values.dims, ...).assign_attrs(values.attrs)


def fit_rate(
    dataset: xr.Dataset,
    start: float | None = None,
    stop: float | None = None,
    exponent: float = 3.0,
    variable: str = "loss",
    confidence: float = 0.95,
    *,
    trusted_only: bool = True,
) -> xr.Dataset:
    """L = C/(t + t₀)^exponent on start ≤ t ≤ stop, for each run and seed: a dataset over all dimensions but time.

    `variable` (…, time) is fitted over the dataset's `time`, by default over the last decade of the times at which
    it is finite and above 0. L^(−1/p) = C^(−1/p)(t + t₀) is fitted by least squares of relative residuals.
    Only times up to each seed's `trusted_until` are used, unless `trusted_only` is False (`within_trust`).

    Returns `constant` C (of the units of L · t^p), `offset` t₀, the ends of the interval of each at `confidence`
    (Student's t, residuals taken as independent: a smooth curve that is no straight line shows in `misfit`),
    `misfit` and `points`. NaN where fewer than three points remain or the line does not rise.
    Raises ValueError where the exponent, the confidence or start is out of range, KeyError where a name is missing.
    """
    import xarray as xr  # plugins import this function when they are loaded, and few use it

    require_dataset(dataset, "fit_rate")
    if not exponent > 0:
        raise ValueError(f"exponent: must be above 0, is {exponent!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: must lie between 0 and 1, is {confidence!r}")
    if start is not None and stop is not None and not start < stop:
        raise ValueError(f"start: must be below stop = {stop!r}, is {start!r}")
    values = within_trust(dataset, variable) if trusted_only else dataset[variable]
    columns = xr.apply_ufunc(
        lambda time, loss: line(time, loss, start, stop, exponent, confidence),
        dataset["time"].reset_coords(drop=True),
        values.reset_coords(drop=True),
        input_core_dims=[["time"], ["time"]],
        output_core_dims=[["fitted"]],
        vectorize=True,
    )
    fit = xr.Dataset({name: columns.isel(fitted=column) for column, name in enumerate(FITTED)})
    for name, long_name in FITTED.items():
        fit[name].attrs = {"long_name": long_name, "units": "1"}
    fit["points"] = fit["points"].astype(np.int64).assign_attrs(fit["points"].attrs)
    return fit.assign_attrs(exponent=exponent, confidence=confidence, variable=variable)


def line(
    time: Any, loss: Any, start: float | None, stop: float | None, exponent: float, confidence: float
) -> Any:
    """The row of `FITTED` for one curve: time (time,), loss (time,)."""
    from scipy import stats

    row = np.full(len(FITTED), np.nan)
    row[-1] = 0
    usable = np.isfinite(time) & np.isfinite(loss) & (loss > 0) & (time > 0)
    if not usable.any():
        return row
    last = time[usable].max() if stop is None else stop
    first = 0.1 * last if start is None else start
    # a saved time may miss the decade's end by rounding
    usable &= (time >= first * (1 - 1e-12)) & (time <= last * (1 + 1e-12))
    t, y = time[usable], loss[usable] ** (-1.0 / exponent)
    row[-1] = len(t)
    if len(t) < 3:
        return row
    scale = t.max()
    design = np.stack([t / scale, np.ones_like(t)], axis=1) / y[:, None]  # relative residuals: y/y = 1
    (slope, intercept), _, rank, _ = np.linalg.lstsq(design, np.ones_like(t), rcond=None)
    if rank < 2 or not slope > 0:
        return row
    residual = design @ [slope, intercept] - 1.0
    freedom = len(t) - 2
    covariance = np.linalg.inv(design.T @ design) * (residual @ residual) / freedom
    width = stats.t.ppf(0.5 + 0.5 * confidence, freedom)
    reach = width * math.sqrt(covariance[0, 0])
    offset = scale * intercept / slope
    gradient = np.array([-intercept / slope, 1.0]) * scale / slope
    spread = width * math.sqrt(max(gradient @ covariance @ gradient, 0.0))

    def constant(value: float) -> float:
        return (value / scale) ** -exponent if value > 0 else math.inf

    row[:-1] = (
        constant(slope), constant(slope + reach), constant(slope - reach),
        offset, offset - spread, offset + spread, np.abs(residual).max(),
    )  # fmt: skip
    return row


def local_slope(dataset: xr.Dataset, variable: str = "loss", *, trusted_only: bool = True) -> xr.DataArray:
    """d log L / d log t between neighbouring saved times, (…, time), at the later of the two; NaN at the first,
    where a time or a value is not above 0, and past `trusted_until` unless `trusted_only` is False."""
    import xarray as xr

    require_dataset(dataset, "local_slope")
    time = dataset["time"].reset_coords(drop=True)
    values = within_trust(dataset, variable) if trusted_only else dataset[variable]
    values = values.reset_coords(drop=True)

    def slopes(time: Any, loss: Any) -> Any:
        logs = [np.log(np.where(part > 0, part, np.nan)) for part in (time, loss)]
        result = np.full(np.broadcast_shapes(time.shape, loss.shape), np.nan)
        result[..., 1:] = np.diff(logs[1], axis=-1) / np.diff(logs[0], axis=-1)
        return result

    slope = xr.apply_ufunc(
        slopes, time, values, input_core_dims=[["time"], ["time"]], output_core_dims=[["time"]]
    )
    return slope.assign_coords(time=dataset["time"]).assign_attrs(
        long_name=f"local slope of log {variable} against log t", units="1"
    )


def along_time(
    read: Callable[..., float], values: xr.DataArray, *arguments: Any, **settings: Any
) -> xr.DataArray:
    """`read(time, values, …)` of each curve of values (…, time): dimensions without time.

    arguments: numbers, or DataArrays without `time`, one value per curve. settings: passed on as they are.
    """
    import xarray as xr

    return xr.apply_ufunc(
        partial(read, **settings),
        values["time"].reset_coords(drop=True),
        values.reset_coords(drop=True),
        *arguments,
        input_core_dims=[["time"], ["time"], *[[] for _ in arguments]],
        join="inner",
        vectorize=True,
        output_dtypes=[float],
    )


def power_slope(time: Any, values: Any, start: float, stop: float) -> float:
    """p of values ~ t^p by least squares of the logarithms over start ≤ t ≤ stop: time and values (time,).

    Values that are NaN (not trusted, say) are left out; NaN where fewer than two remain.
    """
    fitted = (time >= start * (1 - 1e-9)) & (time <= stop * (1 + 1e-9)) & ~np.isnan(values)
    return float(log_slope(time[fitted], values[fitted]))


def log_slope(x: Any, y: Any) -> Any:
    """p of y ~ x^p by least squares of the logarithms, x (point,), y (point, …); NaN for fewer than two x."""
    if len(np.unique(x)) < 2:
        return np.full(np.shape(y)[1:], math.nan)
    return np.polyfit(np.log(x), np.log(y), 1)[0]


def fit_slope(values: Any, over: Any, dimension: str) -> Any:
    """The least-squares slope of a DataArray over another along a dimension, where both are numbers.

    Of the logarithms of both it is the exponent of a power law, of the logarithm of values alone a rate. NaN where
    fewer than two points are left.
    """
    x = (over + 0 * values).where(np.isfinite(values))
    known = values.where(np.isfinite(values))
    x = x - x.mean(dimension)
    square = (x**2).sum(dimension)
    return (x * (known - known.mean(dimension))).sum(dimension) / square.where(square > 0)


def decay_rate(time: Any, values: Any, low: float, high: float) -> tuple[float, float]:
    """r of |values| ~ e^(−rt) by least squares of the logarithm while |values| is between two sizes, and the largest
    distance of the logarithm from that line; NaN with fewer than three such points."""
    size = np.abs(values)
    fitted = (size > low) & (size < high)
    if fitted.sum() < 3:
        return math.nan, math.nan
    line = np.polyfit(time[fitted], np.log(size[fitted]), 1)
    return float(-line[0]), float(np.abs(np.polyval(line, time[fitted]) - np.log(size[fitted])).max())


def first_below(time: Any, values: Any, level: float, spacing: Literal["linear", "log"] = "linear") -> float:
    """The time at which values (time,) first fall below a level; NaN if they never do.

    Between two saved times values are taken as linear in t, or in log t (then a logarithm of values makes it a
    power law); where the earlier time is 0, or the first value is below already, the saved time is returned.
    """
    below = np.flatnonzero(values < level)
    if len(below) == 0:
        return math.nan
    after = int(below[0])
    if after == 0 or (spacing == "log" and not time[after - 1] > 0):
        return float(time[after])
    part = (values[after - 1] - level) / (values[after - 1] - values[after])
    if spacing == "log":
        return float(time[after - 1] * (time[after] / time[after - 1]) ** part)
    return float(time[after - 1] + part * (time[after] - time[after - 1]))
