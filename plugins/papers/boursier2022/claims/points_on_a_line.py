"""Points on a line in Boursier, Pillaud-Vivien and Flammarion 2022: the plateau, when it is left, and the norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twolayer import Result, at_least, at_most, close, inconclusive
from twolayer.analysis.intervals import chance_interval, slope_interval
from twolayer.core.wording import counted
from twolayer.errors import DataError

from .. import measured, theory
from ..comparisons import NOTEBOOKS, TOO_SHORT, small_scales, starts_large
from ..theory import paper

if TYPE_CHECKING:
    import xarray as xr

    from twolayer import Run

FIVE_POINTS = "../data/boursier2022_nonorthogonal_small_seed0.nc"


@paper.claim(
    "Five points, small scale: training waits at the loss of the best network with positive output weights alone",
    NOTEBOOKS,
    "derived",
    on="nonorthogonal_small",
    by=("dynamics", "dtype"),
    figures=["loss_nonorthogonal_small"],
)
def five_point_plateau(run: Run) -> Result:
    if large := starts_large(run):
        return inconclusive(large)
    level = measured.loss_unit(run) * theory.plateau_of_one_sign(run.inputs.values, run.targets.values)
    loss = run.loss.isel(seed=0).values
    if not (loss < 0.5 * loss[0]).any():
        return inconclusive(TOO_SHORT)
    if not loss[-1] < 0.9 * level:
        return inconclusive(
            f"the run is too short: it ends at L = {loss[-1]:.3g}, not below the plateau {level:.3g}"
        )
    waiting = measured.waiting_level(run.time.values, loss, 0.5 * loss[0])
    return close(waiting, level, relative=2e-3, detail="loss where it moves least, below half of L(0)")


PATIENCE = 3
"""A seed that has not left the plateau is taken to stay when so many times as long as the slowest other has passed."""


@paper.claim(
    "Points on a line (five, in the notebooks): the exact flow leaves the plateau from every start",
    "exact flow; descent can fail for its step size",
    "derived",
    on="escape_of_flow",
    by="scale",
    figures=["escape"],
)
def flow_escapes(run: Run) -> Result:
    last, level = run.loss.isel(time=-1), measured.escape_level(run)
    if last.max() > 1.2 * level:
        return inconclusive(f"by t = {float(run.time[-1]):g} not every seed has come down to the plateau")
    escaped = measured.escaped(run)
    latest = measured.time_below(run, level).max()
    if not escaped.all() and not run.time[-1] > PATIENCE * latest:
        return inconclusive(
            f"{int((~escaped).sum())} of {counted(run.seeds, 'seed')} have not left the plateau by "
            f"t = {float(run.time[-1]):g}, and that is not {PATIENCE} times as long as the others took"
        )
    _, low, high = chance_interval(int(escaped.sum()), run.seeds)
    detail = f"of {counted(run.seeds, 'seed')}; 95 % interval of the fraction {low:.3f} to {high:.3f}"
    return close(float(escaped.mean()), 1.0, detail=detail)


@paper.claim(
    "Points on a line: the flow's escape time grows by a constant per decade of the initial scale",
    "exact flow",
    "derived",
    on="escape_of_flow",
    figures=["escape"],
)
def escape_time(run: Run) -> Result:
    when = measured.escape_times(small_scales(run, measured.SMALL)).dropna("seed")
    if when.sizes["seed"] < 2:
        return inconclusive("fewer than two seeds escape at every scale")
    decades, mean = -np.log10(when["scale"].values), when.mean("seed")
    slope, low, _ = slope_interval(decades, mean.values)
    line = np.polyval(np.polyfit(decades, mean.values, 1), decades)
    detail = (
        f"relative distance of the mean time from a line over λ; slope {slope:.2f} ± {slope - low:.2f} (95 %) "
        f"per decade, {when.sizes['seed']} seeds"
    )
    return at_most(abs(mean - line) / float(mean.mean()), 0.02, detail)


@paper.claim(
    "Points on a line: the fraction of descents that leave the plateau grows towards 1 as the step shrinks",
    "gradient descent at several step sizes",
    "derived",
    on="escape_of_descent",
    by="scale",
    figures=["escape"],
)
def descent_escapes(run: Run) -> Result:
    escaped = run.along("step_size", lambda part: measured.escaped(part).sum())
    counts = escaped.sortby("step_size", ascending=False)
    escapes = ", ".join(f"{int(count)} at {float(count['step_size']):.0e}" for count in counts)
    detail = (
        f"gain in the share from the largest step to the smallest; of {counted(run.seeds, 'seed')}: {escapes}"
    )
    (large, large_low, large_high), (small, small_low, small_high) = (
        chance_interval(int(counts[end]), run.seeds) for end in (0, -1)
    )
    if small_low <= large_high and large_low <= small_high:
        return inconclusive(f"{detail}; the exact 95 % intervals of the two ends overlap")
    return at_least(small - large, 0.0, detail)


@paper.claim(
    "Five points, small scale: the flow interpolates, but not with minimum norm",
    "least Σ|a||w| of all interpolations, by a linear program over directions",
    "derived",
    on="escape_of_flow",
    by="scale",
    files=[FIVE_POINTS],
)
def five_point_norm(run: Run, theirs: xr.Dataset) -> Result:
    if not measured.same_data(run, theirs):
        raise DataError("is about the five points of the notebooks, and this run has others")
    if large := starts_large(run):
        return inconclusive(large)
    last = run.isel(time=-1)
    if not (last.loss < 1e-8).any():
        return inconclusive(f"no seed reaches L < 1e-8; the lowest is {float(last.loss.min()):.2g}")
    least = theory.least_interpolation(run.inputs.values, run.targets.values)
    detail = f"Σ|a||w|/{least:.4f} over the seeds with L < 1e-8"
    return at_least((last.path_norm / least).where(last.loss < 1e-8), 1.005, detail)
