"""Comparisons that several claims on Zhou, Ge and Jin 2021 make: exponents, limits and bounds of a measure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twolayer import Result, Run, at_least, at_most, close, inconclusive

from . import measured

if TYPE_CHECKING:
    import xarray as xr

STATES = ("states", "rates")
"""The experiments of single states: random ones, and all those of trajectories."""

Found = Result | Mapping[str, Result]


def states_of(run: Run) -> Run:
    """The states of a run: the start alone of random ones, all times of a trajectory."""
    return run.isel(time=[0]) if run.experiment in ("states", "scaling") else run


def exponent_of(
    run: Run, measure: xr.DataArray, power: float, high: float = 1e-6, decades: float = 2.5
) -> Result:
    """Whether a measure is ~ L^power while L < high; inconclusive where no loss goes through so many decades."""
    found = measured.exponent(run, measure, high, decades=decades)
    if not found.notnull().any():
        return inconclusive(f"no seed's loss goes through {decades:g} decades below {high:g}")
    return close(found, power, absolute=0.01)


def at_least_exponent(run: Run, measure: xr.DataArray, power: float, decades: float = 5.0) -> Found:
    """Whether a measure is O(L^power) along trajectories with m > r: with m = r L falls to what rounding leaves.

    A fit of ten decades may miss an exponent by a little.
    """
    if not measured.overparameterized(run):
        return {}
    found = measured.exponent(run, measure, decades=decades)
    if not found.notnull().any():
        return inconclusive(f"no seed's loss goes through {decades:g} decades below 1e-6")
    return at_least(found, power - 1e-3, "exponent of L of each seed, L < 1e-6")


def bounded(run: Run, measure: Callable[[Run], xr.DataArray], power: float) -> Result:
    """Whether a measure is O(L^power) over all random states: its largest share of L^power where L < 1e-5 against
    that above 1e-5."""
    import xarray as xr

    parts = [states_of(part) for part in run.by("run")]
    loss = xr.concat([measured.small_loss(part).reset_coords(drop=True) for part in parts], "run")
    found = xr.concat([measure(part).reset_coords(drop=True) for part in parts], "run")
    share = found / loss**power
    limit = float(share.where((loss >= 1e-5) & (found > measured.ROUNDING)).max())
    if math.isnan(limit):
        return inconclusive("no state with L ≥ 1e-5 has more of it than rounding, as mirrored states")
    return at_most(share.where(loss < 1e-5), limit, f"L < 1e-5, down to {loss.min():.0e}, against L above")


def growth_of(word: str, slope: float, most: float, what: str) -> Result:
    """Whether an exponent in r or w_max is at most so much; inconclusive where the runs have one value of it."""
    if math.isnan(slope):
        return inconclusive(f"an exponent of {word} needs runs with two values of it")
    return at_most(slope, most, f"slope of log of the {what} against log {word}")


def at_the_end(found: xr.DataArray, exact: Any, relative: float) -> Result:
    """What a measure tends to, against its limit; inconclusive where no seed was followed long enough."""
    if not found.notnull().any():
        return inconclusive("the run is too short: its last decade of time still moves the measure")
    return close(found, exact, relative=relative)


def below_envelope(run: Run) -> Result:
    """ηt L/(r w_max) against 1."""
    return at_most(run.time * measured.loss_of(run) / measured.scale_of_teachers(run), 1.0)
