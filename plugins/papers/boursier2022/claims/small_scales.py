"""Small scales of the start in Boursier, Pillaud-Vivien and Flammarion 2022, on orthogonal inputs."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from twolayer import Result, at_most, close, equivalent, inconclusive
from twolayer.analysis.intervals import mean_interval, slope_interval
from twolayer.core.wording import counted
from twolayer.errors import DataError

from .. import measured, theory
from ..comparisons import small_scales
from ..theory import paper

if TYPE_CHECKING:
    import xarray as xr

    from twolayer import Run


def followed(run: Run) -> Run:
    """The runs, if each is followed long enough to fit all labels: 1.25 times −ln λ/|D_±| to leading order."""
    for part in run.along("scale"):
        drive = min(drive for _, drive, _ in theory.fit_stages(part.inputs.values, part.targets.values))
        needed = -1.25 * np.log(part.scale) / drive / measured.loss_unit(run)
        if part.time.max() < needed:
            raise DataError(
                f"the flow from λ = {part.scale:g} fits all labels by t = {needed:.3g}, later than its last time"
            )
    return run


@paper.claim(
    "Time to fit the labels of either sign grows by ln 10/|D_±| per decade of λ",
    "Section 4 (times to leading order)",
    "derived",
    on="scale_sweep",
    figures=["scale_sweep"],
)
def times(run: Run) -> dict[str, Result]:
    small = small_scales(run)
    first = next(small.by("scale"))
    stages = theory.fit_stages(first.inputs.values, first.targets.values)
    results = {}
    for sign, drive, level in stages:
        when = small.along("scale", partial(measured.time_below, level=measured.loss_unit(run) * level))
        decades = -np.log10(when["scale"].values)
        slope, low, high = slope_interval(decades, when.mean("seed").values)
        exact = np.log(10) / drive / measured.loss_unit(run)
        seeds = counted(run.seeds, "seed")
        detail = f"λ from 1e{-decades.min():g} to 1e{-decades.max():g}, mean over {seeds}; the margin is 1 %"
        results[sign] = equivalent(slope, exact, (low, high), 0.01 * exact, detail)
    return results


@paper.claim(
    "Between the two fits the loss waits at the plateau of the labels that are not fitted yet, (1/2n) Σ y_k²",
    "Section 4 (saddle to saddle)",
    "derived",
    on="scale_sweep",
    figures=["scale_sweep"],
)
def plateau(run: Run) -> Result:
    small = small_scales(run)
    between, level = (
        small.along("scale", read) for read in (measured.loss_between, measured.plateau_between)
    )
    if not between.notnull().any():
        return inconclusive("the saved times are too far apart to tell the loss between the two fits")
    return close(between, level, relative=1e-3, detail="half way in time")


@paper.claim("For small λ the flow reaches zero loss", "abstract", "published", on="scale_sweep")
def zero_loss(run: Run) -> Result:
    return at_most(followed(run).loss.isel(time=-1), 1e-25, "final loss")


@paper.claim(
    "As λ → 0 the limit has minimum |θ|²: ½|θ|² → |v_+| + |v_−|",
    "abstract and Theorem 1 (wording not checked)",
    "published",
    on="scale_sweep",
    figures=["scale_sweep"],
)
def minimum_norm(run: Run) -> dict[str, Result]:
    excess = followed(run).along("scale", measured.norm_excess).mean("seed")
    excess = excess.sortby("scale", ascending=False)
    last, larger = float(excess["scale"][-1]), excess.shift(scale=1)
    first = next(run.by("scale"))
    data = first.inputs.values, first.targets.values
    least, left = theory.minimum_norm(*data), last ** theory.excess_exponent(*data)
    if left > 1e-6:
        norm = inconclusive(f"λ is too large: the excess falls to λ^p = {left:.2g} only")
    else:
        norm = close(float((1 + excess[-1]) * least), least, relative=1e-6)
    detail = "ratio of the mean excess to that of the next larger λ"
    falls = at_most((excess / larger).where(larger > 1e-12), 1.0, detail)
    return {f"½|θ|² at λ = {last:g}": norm, "excess falls with λ": falls}


@paper.claim(
    "On random orthogonal sets ½|θ|² → min and two directions remain as λ → 0",
    "Theorem 1 and its assumption on S_(±,1) (wording not checked), which the initialization satisfies",
    "published",
    on="implicit_bias",
    by="samples",
    figures=["implicit_bias"],
)
def implicit_bias(run: Run) -> dict[str, Result]:
    last = measured.up_to(run, math.inf)[-1]
    waiting = int((~measured.fitted(last)).sum())
    if waiting:
        raise DataError(
            f"{waiting} of {counted(run.seeds, 'seed')} have not fitted all labels at λ = {last.scale:g} by "
            f"t = {float(run.time.max()):g}: the run is too short"
        )
    count, excess = last.carrying_directions.isel(time=-1), measured.norm_excess(last)
    left = last.scale**last.blind_exponent
    detail = f"½|θ|²/min − 1 at λ = {last.scale:g}; it falls like λ^p, p small for large n"
    results = {
        "excess": at_most(excess, 1e-3, detail),
        "directions": close(count, 2.0, absolute=0.5, detail="at the smallest λ"),
    }
    for name, slow in (("excess", left.where(excess > 1e-3)), ("directions", left.where(count > 2))):
        if slow.min() > measured.BLIND:
            results[name] = inconclusive(
                f"{int(slow.count())} of {counted(run.seeds, 'seed')} keep up to {int(count.max())} directions at the "
                "smallest λ, where neurons that miss a sample have died only to "
                f"λ^p = {float(slow.min()):.2g} of the mass; λ is too large"
            )
    return results


EXCESS = (
    "On orthogonal inputs the excess norm falls like λ^p, p = min 2(1 − |D_A|/|D_±|) over neurons that miss "
    "a sample"
)


def measured_exponent(run: Run, largest: float) -> xr.DataArray:
    """p of an excess ∝ λ^p between the largest λ ≤ `largest` and the smallest; NaN where none is left, (seed,)."""
    parts = measured.up_to(run, largest)
    if len(parts) < 2:
        raise DataError(f"an exponent as λ → 0 needs two scales λ ≤ {largest:g}")
    early, late = (measured.norm_excess(part) for part in (parts[0], parts[-1]))
    decades = np.log10(parts[0].scale / parts[-1].scale)
    return (early / late).where(late > 1e-13).pipe(np.log10) / decades


@paper.claim(
    EXCESS,
    "growth of a neuron that is active on the samples A alone",
    "derived",
    on="implicit_bias",
    by="samples",
    figures=["implicit_bias"],
)
def excess_exponent(run: Run) -> Result:
    ratio = (measured_exponent(run, 1e-16) / next(run.by("scale")).blind_exponent).dropna("seed")
    detail = f"mean of measured/predicted p over {counted(ratio.size, 'seed')} whose excess is above 1e-13"
    if ratio.size < 3:
        return inconclusive(f"{detail}: too few for an interval")
    mean, low, high = mean_interval(ratio.values)
    return equivalent(mean, 1.0, (low, high), 0.05, detail)


@paper.claim(
    EXCESS,
    "growth of a neuron that is active on the samples A alone",
    "derived",
    on="scale_sweep",
    figures=["scale_sweep"],
)
def excess_exponent_of_fixed_points(run: Run) -> Result:
    first = next(run.by("scale"))
    predicted = theory.excess_exponent(first.inputs.values, first.targets.values)
    return close(float(measured_exponent(run, 1e-18).mean()), predicted, relative=0.05)


@paper.claim(
    "Saddle to saddle: the time to half of a group's final mass grows with ln(1/λ) at the slope 1/|D_±| (time of the "
    "flow on (1/2n)Σr²), between the two smallest scales, both at most 1e-8",
    "growth after the early alignment: a group along ±D_± grows as e^(|D_±|t)",
    "derived",
    on="staircase",
    figures=["staircase"],
    late="1 % is ours, chosen after the slopes were seen to be within 0.1 %",
)
def growth_times(run: Run) -> dict[str, Result]:
    parts = measured.up_to(run, 1e-8)
    if len(parts) < 2:
        raise DataError("a slope in ln(1/λ) as λ → 0 needs runs of two scales λ ≤ 1e-8")
    *_, large, small = parts
    unit, factor = measured.loss_unit(run), math.log(large.scale / small.scale)
    results = {}
    for name, drive, _ in theory.fit_stages(large.inputs.values, large.targets.values):
        sign = 1.0 if name == "+" else -1.0
        slopes = (measured.half_grown(small, sign) - measured.half_grown(large, sign)) / factor
        if np.isnan(slopes).any():
            results[f"group {name}"] = inconclusive(f"group {name} has not grown to half of its final mass")
            continue
        detail = f"scales {large.scale:g} and {small.scale:g}, {run.range_over_seeds(slopes, '.4f')}"
        middle = float(np.median(slopes))
        results[f"group {name}"] = close(middle, 1 / (drive * unit), relative=0.01, detail=detail)
    return results
