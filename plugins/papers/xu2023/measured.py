"""How runs are read for the claims and figures of Xu and Du 2023."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run
from twolayer.analysis.intervals import mean_interval
from twolayer.analysis.rates import power_slope, within_trust
from twolayer.core.wording import counted
from twolayer.errors import DataError

from . import theory

if TYPE_CHECKING:
    import xarray as xr

POWERS = {"loss": 2, "gradient_norm": 1, "hidden_norm": 1, "projection": 1, "teacher_deficit": 1, "spread": 1}
"""The power of |v| in each quantity; times and angles have none."""

CARRIED = 1e5
"""The time after which float64 weights do not carry the gradient's part along the teacher."""

MISFIT = 0.01
"""How far a curve may lie from its fit over the last decade and still be one."""


def teacher_norm(run: Run) -> float:
    """|v| of the one teacher; a DataError where there are more, or where it is not given by its norm."""
    problem = run.config.problem
    if problem.teachers != 1 or problem.vectors is not None or problem.coefficients != 1:
        raise DataError("the paper has one teacher with output weight 1, given by its norm")
    return float(np.ravel(1.0 if problem.norms is None else problem.norms)[0])


def in_units(run: Run) -> Run:
    """The run in units of |v|."""
    norm = teacher_norm(run)
    scaled = {
        name: (run.dataset[name] / norm**power).assign_attrs(run.dataset[name].attrs)
        for name, power in POWERS.items()
        if name in run.dataset
    }
    return run.with_dataset(run.dataset.assign(scaled))


def single(run: Run) -> list[Run]:
    """The run in units of |v|, if it has one student."""
    return [in_units(run)] if run.config.network.neurons == 1 else []


def several(run: Run) -> list[Run]:
    """The run in units of |v|, if it has more than one student."""
    return [in_units(run)] if run.config.network.neurons > 1 else []


def parallel(run: Run) -> list[Run]:
    """The run in units of |v|, if its students start along the teacher."""
    start = run.config.initialization
    return [in_units(run)] if start.name == "aligned" and start.angle == 0 else []


def equal(run: Run) -> list[Run]:
    """The run in units of |v|, if its students start equal."""
    return [in_units(run)] if run.config.initialization.name == "identical" else []


def start_size(run: Run) -> float:
    """σ√d/|v| of a Gaussian start."""
    config = run.config
    return float(config.initialization.scale * math.sqrt(config.problem.dimension) / teacher_norm(run))


def at_step(run: Run, step: int) -> Run:
    """The run after a step; a DataError where that step is not saved."""
    found = np.flatnonzero(run.step.values == step)
    if not len(found):
        raise DataError(f"the experiment '{run.experiment}' has not saved step {step}")
    return run.isel(time=int(found[0]))


def reached(run: Run, time: float) -> int:
    """The index of the first saved time that is not before another, but for rounding."""
    index = int(np.searchsorted(run.time.values, time * (1 - 1e-9)))
    if index == len(run.time):
        raise DataError(f"the experiment '{run.experiment}' ends before {time:.3g}")
    return index


def alignment_end(run: Run) -> int:
    """The index of T₁."""
    return reached(run, theory.aligned_by(run.config.network.neurons))


def carried(run: Run) -> xr.DataArray:
    """H, NaN where float64 no longer carries its decay, (seed, time)."""
    left = run.teacher_deficit.isel(teacher=0)
    return left.where(left > theory.least_carried(run.config.network.neurons, run.config.dynamics.step_size))


def envelope(run: Run) -> xr.DataArray:
    """(1 − nη/2)^(t − T₁), (time,)."""
    neurons = run.config.network.neurons
    return theory.grown(run.time, neurons, theory.aligned_by(neurons), run.config.dynamics.step_size)


def second_phase(run: Run) -> tuple[xr.DataArray, xr.DataArray]:
    """The smallest ε₂ that H allows, and the index of its T₂, each (seed,)."""
    begin, left = alignment_end(run), carried(run).transpose("seed", "time")
    bound = envelope(run).values[begin:]
    found = [theory.smallest_growth_error(values[begin:], bound) for values in left.values]
    errors, ends = (
        left.isel(time=0, drop=True).copy(data=np.array(column)) for column in zip(*found, strict=True)
    )
    return errors, ends.astype(int) + begin


def angle_shares(run: Run) -> xr.DataArray:
    """The least θ(T₂)/ε₂ over all T₂ of which H keeps within its bounds, (seed,)."""
    begin, left = alignment_end(run), carried(run).transpose("seed", "time")
    angle = run.teacher_angle.max("neuron").transpose("seed", "time").values
    bound = envelope(run).values[begin:]
    shares = [
        theory.least_angle_share(values[begin:], angle[seed, begin:], bound)
        for seed, values in enumerate(left.values)
    ]
    return left.isel(time=0, drop=True).copy(data=np.array(shares))


def between(run: Run, first: Any, last: Any) -> xr.DataArray:
    """Whether a saved time is one from an index to another, both included: (…, time) of (…) and (…)."""
    index = run.time.copy(data=np.arange(len(run.time)))
    return (index >= first) & (index <= last)


def least_to_largest(heights: xr.DataArray) -> xr.DataArray:
    """The least h_j/h_i over the largest, −1 where no h is positive: (…, neuron) -> (…); NaN stays NaN."""
    least, most = heights.min("neuron"), heights.max("neuron")
    return (least / most.where(most > 0)).where((most > 0) | most.isnull(), -1.0)


def of_pair(formula: Callable[[Any], float], run: Run) -> xr.DataArray:
    """A formula of the two projections at the end, (seed,); a DataError where there are not two students."""
    import xarray as xr

    if run.config.network.neurons != 2:
        raise DataError("the limits are those of two students")
    heights = run.projection.isel(time=-1, drop=True)
    return xr.apply_ufunc(formula, heights, input_core_dims=[["neuron"]], vectorize=True)


def fall_along_teacher(run: Run) -> xr.DataArray:
    """(1 − nη/2)^(2T), by which the loss of students along the teacher has fallen, (time,)."""
    factor: float = 1 - 0.5 * run.config.network.neurons * run.config.dynamics.step_size
    return factor ** (2 * run.step)


def scaled_gradient(run: Run) -> xr.DataArray:
    """|∇L|/L^{2/3}, which the gradient bound keeps above 0."""
    return run.gradient_norm / run.loss ** (2 / 3)


def loss_by_cubed_spread(run: Run) -> xr.DataArray:
    """L/Z³, which the lower bound keeps above Ω(n⁻⁵)."""
    return run.loss / run.spread**3


def late_slope(run: Run) -> float:
    """The slope of log L against log t over the last decade that is trusted, the median over seeds."""
    loss = within_trust(run.dataset).transpose("seed", "time").values
    time = run.time.values
    slopes = []
    for one in loss:
        known = np.isfinite(one) & (one > 0)
        last = time[known].max(initial=0.0)
        slopes.append(power_slope(time[known], one[known], last / 10, last) if known.sum() > 1 else math.nan)
    return float(np.median(slopes))


def fall(time: np.ndarray, loss: np.ndarray, high: float, low: float) -> float:
    """d log L/dt between the first saved times below two levels, (time,); NaN where it does not reach both."""
    if not (loss < low).any():
        return np.nan
    first, last = (int(np.argmax(loss < level)) for level in (high, low))
    return float(np.log(loss[last] / loss[first]) / (time[last] - time[first])) if last > first else np.nan


def described(values: Any) -> str:
    """Mean over seeds, its 95 % interval, and the range; the range alone where a seed has no finite value."""
    values = np.ravel(values)
    if len(values) < 2:
        return ", ".join(f"{value:.4g}" for value in values)
    extent = f"{counted(len(values), 'seed')} from {values.min():.4g} to {values.max():.4g}"
    if not np.isfinite(values).all():
        return extent
    mean, low, high = mean_interval(values)
    return f"{mean:.4g} (95 % interval {low:.4g} to {high:.4g}; {extent})"


def outside_theorem_4(run: Run, epsilon: float, constant: float) -> str:
    """How far a run's starts are outside of what Theorem 4 asks for, with O(x) read as x."""
    degrees = np.degrees(run.teacher_angle.isel(time=0).values)
    outside = int(((degrees < 60) | (degrees > 120)).sum())
    decades = np.log10(start_size(run) / constant) - 48 * np.log10(epsilon)
    return (
        f"outside of the theorem: σ√d is 1e{decades:+.0f} of C ε₁⁴⁸|v|, and {outside} of {degrees.size} starts are "
        "not 60° to 120° from the teacher"
    )


def outside_theorem_6(run: Run, epsilon: float) -> str:
    """How far a run is outside of what Theorem 6 asks for, with O(x) read as x."""
    neurons = run.config.network.neurons
    small = np.log10(epsilon) + 14 * np.log10(neurons)
    step = run.config.dynamics.step_size * neurons**2
    return (
        f"with ε₂ = {epsilon:.1e}, by H alone, Theorem 6's ε₂n¹⁴ is 1e{small:+.0f} and its ηn² {step:.1g}; it asks "
        "for O(1) of both"
    )
