"""How runs are read for the claims and figures of Boursier, Pillaud-Vivien and Flammarion 2022."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.analysis.rates import along_time, first_below
from twolayer.core.times import Times
from twolayer.errors import DataError

from . import theory

if TYPE_CHECKING:
    import xarray as xr

    from twolayer import Run


FEWEST = 10
"""Common times that a largest difference over time is taken over, at least."""


def waiting_level(time: Any, loss: Any, below: float) -> float:
    """The loss where it moves least, |d log L/dt| smallest, while 0.1·below < L < below; NaN if it never is."""
    inside = (loss < below) & (loss > 0.1 * below)
    if not inside.any():
        return float("nan")
    rate = np.where(inside, np.abs(np.gradient(np.log(loss), time)), np.inf)
    return float(loss[np.argmin(rate)])


def single_sample_from(inputs: Any, hidden: Any) -> int:
    """The first frame of hidden (time, neuron, feature) from which on every neuron is active on at most one sample.

    The same one at all later frames; −1 if there is none.
    """
    lengths = np.linalg.norm(hidden, axis=-1)[..., None] * np.linalg.norm(inputs, axis=-1)
    active = hidden @ inputs.T > theory.ROUNDING * lengths
    same = (active == active[-1]).all((1, 2)) & (active.sum(-1) <= 1).all(-1)
    settled = np.logical_and.accumulate(same[::-1])[::-1]
    return int(np.argmax(settled)) if settled.any() else -1


def loss_unit(run: Run) -> float:
    """The run's loss, and the speed of its clock, over the paper's (1/2n) Σ r²."""
    units = {"half_mean_square": 1.0, "mean_square": 2.0}
    if run.config.problem.loss not in units:
        raise DataError(f"the paper's loss is the square one, this run's is {run.config.problem.loss}")
    return units[run.config.problem.loss]


def flow(run: Run) -> Run:
    """The exact flow, where the runs are descents and a flow."""
    return run.one(dynamics="flow") if "dynamics" in run.config.swept else run


def starts_balanced(run: Run) -> bool:
    """Whether |a_j| ≥ |w_j| at the start, to float32: as the start says it is, or as its weights are."""
    start = run.config.initialization
    if start.name == "covering" or ("balanced" in start and start.balanced is True):
        return True
    if "imbalance" not in run.dataset:
        return False
    first = run.isel(time=0)
    return bool((first.imbalance >= -1e-6 * first.output**2).all())


def descent(run: Run) -> Run:
    """The descent in float64, where the runs are descents in two precisions and a flow."""
    found = run.one(dynamics="descent", dtype="float64")
    if found.config.dynamics.name != "gradient_descent":
        raise DataError(f"the run 'descent' of '{run.experiment}' is one of {found.config.dynamics.name}")
    return found


def starts_like(run: Run, theirs: xr.Dataset) -> bool:
    """Whether a run has the data and the initial weights of a saved run, to float32."""
    output = run.output.isel(time=0, seed=0).values
    pairs = ((output, theirs["initial_output"]), (run.targets.values, theirs["targets"]))
    return all(
        len(ours) == len(saved) and np.allclose(ours, saved, rtol=1e-5, atol=0) for ours, saved in pairs
    )


def same_data(run: Run, theirs: xr.Dataset) -> bool:
    """Whether a run has the inputs and targets of a saved run, to float32."""
    pairs = ((run.inputs.values, theirs["inputs"].values), (run.targets.values, theirs["targets"].values))
    return all(
        ours.shape == saved.shape and np.allclose(ours, saved, rtol=1e-5, atol=0) for ours, saved in pairs
    )


def final_weights(run: Run) -> tuple[xr.DataArray, xr.DataArray]:
    """Hidden (neuron, feature) and output weights (neuron,) at the last time."""
    if "final_hidden" in run.dataset:
        return run.final_hidden.isel(seed=0), run.final_output.isel(seed=0)
    last = run.isel(time=-1, seed=0)
    return last.hidden, last.output


def mass(hidden: xr.DataArray, output: xr.DataArray) -> xr.DataArray:
    """|a_j||w_j| of each neuron: hidden (neuron, feature), output (neuron,)."""
    return abs(output) * np.sqrt((hidden**2).sum("feature"))


def time_below(run: Run, level: float) -> xr.DataArray:
    """When the loss first falls below a level, (seed,)."""
    return along_time(first_below, run.loss, level)


def fit_times(run: Run) -> list[xr.DataArray]:
    """When the labels of either sign are fitted half, in the order of `theory.fit_stages`."""
    stages = theory.fit_stages(run.inputs.values, run.targets.values)
    return [time_below(run, loss_unit(run) * level) for _, _, level in stages]


def plateau_between(run: Run) -> xr.DataArray:
    """The plateau between the fits of the labels of either sign, without dimensions."""
    import xarray as xr

    stages = theory.fit_stages(run.inputs.values, run.targets.values)
    if len(stages) < 2:
        raise DataError("there is no plateau: all labels have the same sign")
    fitted = 1.0 if stages[0][0] == "+" else -1.0
    return xr.DataArray(loss_unit(run) * theory.plateau(run.targets.values, fitted))


def loss_between(run: Run) -> xr.DataArray:
    """The loss half way in time between the fits of the labels of either sign, (seed,).

    NaN where the saved times around it are more than a fifth of that time apart.
    """
    early, late = fit_times(run)

    def between(time: Any, loss: Any, early: float, late: float) -> float:
        when = 0.5 * (early + late)
        index = np.clip(np.searchsorted(time, when), 1, len(time) - 1)
        coarse = not time[index] - time[index - 1] < 0.2 * (late - early)
        return float("nan") if coarse else float(np.interp(when, time, loss))

    return along_time(between, run.loss, early, late)


def up_to(run: Run, largest: float) -> list[Run]:
    """The single runs with scales λ ≤ `largest`, the largest first."""
    return sorted(
        (part for part in run.along("scale") if part.scale <= largest), key=lambda part: -part.scale
    )


FITTED = 1e-8
"""All labels are fitted where the loss is below this share of its start."""


def fitted(run: Run) -> xr.DataArray:
    """Whether all labels are fitted at the last time, (…, seed)."""
    return run.loss.isel(time=-1) <= FITTED * run.loss.isel(time=0)


def norm_excess(run: Run) -> xr.DataArray:
    """½|θ|²/(|v_+| + |v_−|) − 1 at the last time, (seed,); NaN where some labels are not fitted yet."""
    names = ("seed_inputs", "seed_targets") if "seed_inputs" in run.dataset else ("inputs", "targets")
    least = theory.minimum_norm(*(getattr(run, name).values for name in names))
    return (run.path_norm.isel(time=-1) / least - 1).where(fitted(run))


LEFT = 0.9
"""A run whose loss is below this share of the plateau has left it."""

SMALL = 1e-3
"""The largest λ of points on a line on which statements about λ → 0 are tested."""

BLIND = 1e-2
"""The share λ^p of the mass of neurons that miss a sample from which on they count."""


def escape_times(run: Run) -> xr.DataArray:
    """When the loss of each seed leaves the plateau of points on a line, along the scale; NaN where it does not."""
    return run.along("scale", lambda part: time_below(part, escape_level(part)))


def escaped(run: Run) -> xr.DataArray:
    """Whether the last loss of each seed is off the plateau of points on a line, (seed,)."""
    return run.loss.isel(time=-1) < escape_level(run)


def escape_level(run: Run) -> float:
    """The loss below which a run has left the plateau of points on a line."""
    targets = np.array(run.config.problem.targets)
    return LEFT * loss_unit(run) * theory.plateau_of_one_sign(points_of(run), targets)


def points_of(run: Run) -> Any:
    """The inputs of points on a line, (sample, 2); a DataError for others."""
    problem = run.config.problem
    if problem.name != "points":
        raise DataError(f"the plateau is known for points on a line, not for the problem '{problem.name}'")
    inputs = np.reshape(problem.inputs, (len(problem.targets), -1))
    if problem.bias:
        inputs = np.column_stack([inputs, np.ones(len(inputs))])
    theory.refuse_off_line(inputs)
    return inputs


def step_errors(run: Run) -> xr.DataArray:
    """Largest difference over time between the losses of each descent and of the flow, along the step size, the
    largest first."""
    import xarray as xr

    flow, steps = kinds(run)
    losses = {part.swept["dynamics"]: part.loss for part in run.by("dynamics")}
    common = common_times([losses[name].time.values for name in (flow, *steps)])
    exact, *others = (losses[name].sel(time=common, method="nearest").values for name in (flow, *steps))
    errors = [float(np.abs(other - exact).max()) for other in others]
    found = xr.DataArray(errors, {"step_size": list(steps.values())}, name="error")
    return found.sortby("step_size", ascending=False)


def common_times(saved: Sequence[Any]) -> Any:
    """The times that all have saved: a descent's are whole steps, which need not be the flow's times."""
    common = saved[0]
    for times in saved[1:]:
        common = common[np.isclose(common[:, None], times, rtol=1e-9, atol=0.0).any(-1)]
    if len(common) < FEWEST:
        raise DataError(
            f"losses are compared at the times that all runs save; they are {len(common)}, {FEWEST} are needed: "
            "give times that are multiples of all step sizes"
        )
    return common


def comparable(run: Any) -> None:
    """Refuse runs whose losses cannot be compared with the flow's, before there is anything else of them."""
    kinds(run)
    saved = []
    for part in run.by("dynamics"):
        times, dynamics = part.config.times, part.config.dynamics
        section = {field.name: getattr(times, field.name) for field in fields(Times) if field.name in times}
        saved.append(Times(**section).clock(dynamics.step_size if "step_size" in dynamics else None).time)
    common_times(saved)


def kinds(run: Run) -> tuple[str, dict[str, float]]:
    """The label of the flow among runs, and the step size of each descent by its label."""
    found = {str(part.swept["dynamics"]): part.config.dynamics for part in run.by("dynamics")}
    flows = [name for name, dynamics in found.items() if dynamics.name == "gradient_flow"]
    steps = {name: dynamics.step_size for name, dynamics in found.items() if "step_size" in dynamics}
    if not (flows and steps):
        raise DataError(f"descents are compared with a flow, and the runs are {', '.join(found)}")
    return flows[0], steps


def authors_losses(run: Run, theirs: xr.Dataset) -> xr.DataArray:
    """The authors' losses in the unit of a descent's, along its iterations: theirs are mean squares."""
    unit = loss_unit(run) / 2.0
    iteration = theirs["iteration"] * (theirs.attrs["learning_rate"] / (unit * run.config.dynamics.step_size))
    return (unit * theirs["loss"]).drop_vars("iteration").assign_coords(iteration=iteration.values)


def losses_by_iteration(run: Run, step: float) -> xr.DataArray:
    """The loss of the first seed along t/step, the iteration of a descent with that step size."""
    import xarray as xr

    iteration = np.round(run.time.values / step, 6)
    return xr.DataArray(run.loss.isel(seed=0).values, {"iteration": iteration}, name="loss")


def distance(loss: xr.DataArray, other: xr.DataArray) -> tuple[Any, Any]:
    """The iterations that two runs share, and |ΔL| there."""
    here, there = np.round(loss["iteration"].values, 6), np.round(other["iteration"].values, 6)
    common, first, second = np.intersect1d(here, there, return_indices=True)
    return common, np.abs(loss.values[first] - other.values[second])


def progress(run: Run) -> Any:
    """How far a run of one seed has come, (time,), from 0 to 1.

    Half the mean angle that neurons have turned by, half the fall of the loss, each as a share of the whole run's.
    """
    hidden, loss = run.hidden.transpose("time", "neuron", "feature").values, run.loss.values
    length = np.linalg.norm(hidden, axis=-1, keepdims=True)
    units = hidden / np.where(length > 0, length, 1.0)
    turned = 2 * np.arcsin(np.clip(0.5 * np.linalg.norm(np.diff(units, axis=0), axis=-1), 0, 1)).mean(-1)
    shares = [np.cumsum(moved) / (moved.sum() or 1.0) for moved in (turned, np.abs(np.diff(loss)))]
    return np.concatenate([[0.0], 0.5 * sum(shares)])


def evenly(run: Run, values: Any, count: int) -> Any:
    """Values (time, …) of a run of one seed at `count` moments even in progress, between saved times linearly."""
    known = progress(run)
    place = np.interp(np.linspace(0, known[-1], count), known, np.arange(len(known)))
    before = np.minimum(place.astype(int), len(known) - 2)
    share = (place - before).reshape(-1, *[1] * (np.ndim(values) - 1))
    return (1 - share) * values[before] + share * values[before + 1]


def group(run: Run, sign: float) -> tuple[xr.DataArray, xr.DataArray]:
    """Of S_{sign,1}: the cosine of w_j to sign · D_sign, weighted by mass, and Σ|a_j||w_j|, (seed, time).

    These are the neurons with sign(a) = sign that see all samples of that sign at the start.
    """
    seen = run.inputs.values[sign * run.targets.values > 0]
    drive = np.abs(run.targets.values[sign * run.targets.values > 0]) @ seen
    hidden, output = (run.hidden, run.output)
    start = hidden.isel(time=0).transpose("seed", "neuron", "feature").values
    members = (start @ seen.T > 0).all(-1) & (
        sign * output.isel(time=0).transpose("seed", "neuron").values > 0
    )
    masses = mass(hidden, output) * output.isel(time=0, drop=True).copy(data=members).astype(float)
    length = np.sqrt((hidden**2).sum("feature"))
    direction = hidden.isel(seed=0, time=0, neuron=0, drop=True).copy(data=drive / np.linalg.norm(drive))
    along = hidden.dot(direction, dim="feature")
    cosine = (masses * along / length.where(length > 0)).sum("neuron") / masses.sum("neuron")
    return cosine, masses.sum("neuron")


def half_grown(run: Run, sign: float) -> Any:
    """The time at which Σ|a_j||w_j| of S_{sign,1} first is half of |v_sign|, its end as λ → 0, (seed,), between saved
    times exponentially; NaN where it never is."""
    _, end = theory.end_of_group(run.inputs.values, run.targets.values, sign)
    mass_of_seed = group(run, sign)[1].transpose("seed", "time").values
    with np.errstate(divide="ignore"):
        return np.array(
            [first_below(run.time.values, -np.log(row), -math.log(0.5 * end)) for row in mass_of_seed]
        )
