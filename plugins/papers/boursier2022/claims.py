"""The statements of Boursier, Pillaud-Vivien and Flammarion 2022 against the datasets."""

from __future__ import annotations

import itertools
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Result, at_least, at_most, close, equivalent, inconclusive
from twolayer.analysis.intervals import chance_interval, mean_interval, slope_interval
from twolayer.analysis.rates import first_below
from twolayer.core.wording import counted
from twolayer.errors import DataError

from . import measured, theory
from .theory import paper

if TYPE_CHECKING:
    import xarray as xr

    from twolayer import Run

NOTEBOOKS = "the authors' notebooks (eboursier/GFdynamics at dc5fce5), re-run with their seeds"
AUTHORS_RUNS = ("orthogonal", "nonorthogonal_large", "high_dimension")
FIVE_POINTS = "data/boursier2022_nonorthogonal_small_seed0.nc"
FILES = tuple(f"data/{file.name}" for file in sorted((Path(__file__).parent / "data").glob("*.nc")))


TOO_SHORT = "the loss has not come below half of its start: the run is too short"


def authors_run(run: Run, files: tuple[xr.Dataset, ...]) -> xr.Dataset:
    """The run that the authors saved from the same weights and with the same step size as a descent."""
    for theirs in files:
        if measured.starts_like(run, theirs):
            if run.config.problem.loss != "mean_square":
                raise DataError(f"the authors minimise the mean square, this run {run.config.problem.loss}")
            if not np.isclose(run.config.dynamics.step_size, theirs.attrs["learning_rate"]):
                raise DataError(
                    f"the authors' step size is {theirs.attrs['learning_rate']:g}, this run's "
                    f"{run.config.dynamics.step_size:g}"
                )
            return theirs
    raise DataError("no run that the authors saved has the data and initial weights of this one")


def authors_end(run: Run, files: tuple[xr.Dataset, ...]) -> xr.Dataset:
    """The authors' run, if this one ends at the same iteration; the weights in the file are those of its end."""
    theirs = authors_run(run, files)
    if int(run.step[-1]) != theirs.attrs["n_iterations"]:
        raise DataError(
            f"ends at iteration {int(run.step[-1])}, the authors' at {theirs.attrs['n_iterations']}"
        )
    return theirs


FEWEST_FRAMES = 10
"""Of the authors' frames after the start, without which no comparison with them is made."""


def common_losses(run: Run, theirs: xr.Dataset) -> tuple[Any, Any]:
    """Our losses and the authors', along the iterations that both have."""
    import xarray as xr

    losses = xr.DataArray(run.loss.isel(seed=0).values, {"iteration": run.step.values})
    ours, common = xr.align(losses, theirs["loss"])
    after = int((common.iteration > 0).sum())
    if after < FEWEST_FRAMES:
        frames = f"of the {theirs.sizes['iteration'] - 1} frames that the authors saved after the start"
        raise DataError(f"needs {FEWEST_FRAMES} {frames}; this run saves {after}")
    return ours, common


@paper.claim(
    "Descent from the authors' initial weights has the authors' loss at every frame that they saved",
    NOTEBOOKS,
    "derived",
    on=AUTHORS_RUNS,
    by="dtype",
    select={"dynamics": "descent"},
    files=FILES,
    figures=[f"loss_{name}" for name in AUTHORS_RUNS],
)
def authors_losses(run: Run, *files: xr.Dataset) -> Result:
    ours, theirs = common_losses(run, authors_run(run, files))
    difference = abs(ours - theirs) / theirs.values[0]
    above = f"{int((difference > 2e-6).sum())} of {difference.size} frames are above"
    return at_most(difference, 2e-6, f"{above}, relative to the initial loss; the authors' run is in float32")


@paper.claim(
    "Descent ends with the authors' groups: the same neurons carry the network, with the same signs and masses",
    NOTEBOOKS,
    "derived",
    on=AUTHORS_RUNS,
    by="dtype",
    select={"dynamics": "descent"},
    files=FILES,
    figures=[
        "animation_orthogonal",
        "animation_nonorthogonal_large",
        "animation_high_dimension",
        "high_dimension_directions",
    ],
)
def authors_groups(run: Run, *files: xr.Dataset) -> Result:
    theirs = authors_end(run, files)
    signed, saved = (
        np.sign(output) * measured.mass(hidden, output)
        for hidden, output in (measured.final_weights(run), (theirs["final_hidden"], theirs["final_output"]))
    )
    detail = "difference of a neuron's sign(a)|a||w|, relative to the largest"
    return at_most(abs(signed - saved) / float(abs(saved).max()), 1e-3, detail)


@paper.claim(
    "Two orthogonal points: the loss waits at the plateau of the unfitted label, for as long as the authors' run",
    f"Section 4 and Figure 2; level derived, times from {NOTEBOOKS}",
    "derived",
    on="orthogonal",
    select={"dynamics": "descent", "dtype": "float64"},
    files=FILES,
    figures=["figure2", "loss_orthogonal"],
)
def two_point_plateau(run: Run, *files: xr.Dataset) -> dict[str, Result]:
    ours, theirs = common_losses(run, authors_run(run, files))
    level = measured.loss_unit(run) * theory.plateau(run.targets.values)
    waiting = measured.waiting_level(run.time.values, run.loss.isel(seed=0).values, 1.25 * level)
    results = {"level (twice the paper's L)": close(waiting, level, relative=1e-3)}
    for below in (1.25 * level, 0.25 * level):
        ours_below, exact = (
            first_below(loss["iteration"].values, loss.values, below) for loss in (ours, theirs)
        )
        detail = "between the frames that the authors saved"
        results[f"iteration with L < {below:g}"] = close(ours_below, exact, relative=1e-3, detail=detail)
    return results


def starts_large(run: Run) -> str:
    """Why a statement on small scales is not about a run that starts with over 1e-4 of its final mass, or ""."""
    share = float(run.path_norm.isel(time=0).max() / run.path_norm.isel(time=-1).max())
    return (
        f"λ is too large: the run starts with {100 * share:.2g} % of its final mass" if share > 1e-4 else ""
    )


@paper.claim(
    "Two orthogonal points: two groups remain, Σ a|w| = |v_+| and −|v_−| over the positive and the negative outputs",
    "Theorem 1 (wording not checked)",
    "derived",
    on="orthogonal",
    by="dynamics",
    select={"dtype": "float64"},
    figures=["figure2", "animation_orthogonal", "progress_orthogonal"],
)
def two_point_groups(run: Run) -> dict[str, Result]:
    hidden, output = measured.final_weights(run)
    masses = measured.mass(hidden, output)
    if large := starts_large(run):
        return {"": inconclusive(large)}
    plus, minus = map(np.linalg.norm, theory.interpolators(run.inputs.values, run.targets.values))
    return {
        "+": close(float(masses.where(output > 0).sum()), plus, relative=1e-4),
        "−": close(-float(masses.where(~(output > 0)).sum()), -minus, relative=1e-4),
    }


@paper.claim(
    "Once each neuron sees one sample, the flow's loss follows its closed form",
    "closed form of the last stage on orthogonal inputs",
    "derived",
    on="orthogonal",
    select={"dynamics": "flow"},
    figures=["loss_orthogonal"],
)
def closed_form(run: Run) -> Result:
    run = run.isel(seed=0)
    start = measured.single_sample_from(run.inputs.values, run.hidden.values)
    if start < 0:
        return inconclusive("no saved frame from which every neuron sees at most one sample")
    rest, unit = run.isel(time=slice(start, None)), measured.loss_unit(run)
    residuals = theory.residuals_once_separate(
        run.inputs.values,
        run.targets.values,
        rest.hidden.values[0],
        rest.output.values[0],
        unit * (rest.time.values - rest.time.values[0]),
    )
    return at_most(abs(rest.loss - unit * (residuals**2).mean(-1) / 2), 1e-10)


@paper.claim(
    "Gradient flow conserves a_j² − |w_j|²",
    "Section 2",
    "published",
    on=("orthogonal", "nonorthogonal_small", "nonorthogonal_large", "scale_sweep"),
)
def balance(run: Run) -> Result:
    run = measured.flow(run)
    change = abs(run.imbalance - run.imbalance.isel(time=0, drop=True))
    return at_most(change, 1e-12, f"change from the start; Σ|a||w| reaches {float(run.path_norm.max()):.3g}")


@paper.claim(
    "Output weights keep their sign, since balance is conserved",
    "Section 2",
    "published",
    on=("orthogonal", "nonorthogonal_small", "nonorthogonal_large", "high_dimension"),
    figures=[
        "animation_orthogonal",
        "animation_nonorthogonal_small",
        "animation_nonorthogonal_large",
        "progress_orthogonal",
        "progress_nonorthogonal_small",
    ],
)
def signs(run: Run) -> Result:
    if not measured.starts_balanced(measured.flow(run)):
        return inconclusive(
            "is about starts with |a_j| ≥ |w_j|; the flow does not start from balanced weights"
        )
    flow, descent = (
        int((np.sign(part.output) != np.sign(part.output.isel(time=0))).any("time").sum())
        for part in (measured.flow(run), measured.descent(run))
    )
    return at_most(flow, 0, f"neurons that change sign under the flow (under descent: {descent})")


@paper.claim(
    "Descent converges to the flow at first order in its step size",
    "two orthogonal points, largest difference of the loss over time",
    "derived",
    on="step_error",
    figures=["step_error"],
)
def first_order(run: Run) -> dict[str, Result]:
    errors = measured.step_errors(run)
    results = {}
    for large, small in itertools.pairwise(errors):
        steps = [np.format_float_scientific(e["step_size"], trim="-", exp_digits=1) for e in (large, small)]
        ratio = float(large["step_size"] / small["step_size"])
        detail = f"max|ΔL| of {large:.3g} and {small:.3g}; a method of second order has {ratio**2:.3g}"
        name = f"ratio from {steps[0]} to {steps[1]}"
        results[name] = close(float(large) / float(small), ratio, relative=0.05, detail=detail)
    return results or {"": inconclusive("two step sizes are needed")}


def small_scales(run: Run, largest: float = 1e-10) -> Run:
    """The runs with λ ≤ `largest`, on which statements about λ → 0 are tested."""
    scales = [part.scale for part in measured.up_to(run, largest)]
    if len(scales) < 3:
        raise DataError(f"a statement on λ → 0 needs three or more scales λ ≤ {largest:g}")
    return next(run.by(scale=scales))


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


@paper.claim(
    "High dimension: the run ends at another saddle, one sample unfitted: L = y²/n (twice the paper's L)",
    NOTEBOOKS,
    "derived",
    on="high_dimension",
    by="dynamics",
    select={"dtype": "float64"},
    figures=["loss_high_dimension"],
)
def another_saddle(run: Run) -> Result:
    loss = run.loss.isel(seed=0)
    if not loss[-1] < 0.5 * loss[0]:
        return inconclusive(TOO_SHORT)
    before = float(np.interp(0.9 * float(run.time[-1]), run.time, loss))
    if before > 1.01 * float(loss[-1]):
        return inconclusive(
            "the run is too short: in the last tenth of its time the loss still falls by over 1 %"
        )
    hidden, output = measured.final_weights(run)
    prediction = np.maximum(hidden.values @ run.inputs.values.T, 0).T @ output.values
    missed = (prediction - run.targets.values) ** 2
    worst = int(missed.argmax())
    level = measured.loss_unit(run) * float(run.targets[worst]) ** 2 / (2 * len(missed))
    share = f"with {100 * missed[worst] / missed.sum():.2f} % of the squared residuals"
    detail = f"the unfitted sample is number {worst}, {share}"
    return close(float(loss[-1]), level, relative=2e-3, detail=detail)


@paper.claim(
    "High dimension: two principal components hold as much of the hidden weights as in the authors' run, 75.6 %",
    NOTEBOOKS,
    "derived",
    on="high_dimension",
    select={"dynamics": "descent", "dtype": "float64"},
    files=FILES,
    figures=["explained_variance", "high_dimension_directions"],
)
def explained_variance(run: Run, *files: xr.Dataset) -> Result:
    squares = np.linalg.svd(authors_end(run, files)["final_hidden"].values, compute_uv=False) ** 2
    share = run.explained_variance_ratio.isel(seed=0)[:2].sum()
    return close(float(share), float(squares[:2].sum() / squares.sum()), absolute=1e-3)


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
