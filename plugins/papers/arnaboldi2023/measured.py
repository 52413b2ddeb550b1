"""How runs are read for the claims and figures of Arnaboldi et al. 2023."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Result, Run, at_most
from twolayer.analysis.teachers import teachers_of
from twolayer.errors import DataError

from . import theory

if TYPE_CHECKING:
    import xarray as xr

OVERLAPS = ("student_overlaps", "teacher_overlaps")
"""Q and M."""

APART = 0.02
"""The largest share by which saved times may differ that are compared: a descent rounds them to its steps."""


def paper_time(run: Run) -> xr.DataArray:
    """t = time/p, (time,)."""
    return run.time / int(run.config.network.neurons)


def rate(run: Run) -> float:
    """γ: that of the equations, or step_size × d of a descent."""
    if "rate" in run.config.dynamics:
        return float(run.config.dynamics.rate)
    return float(run.config.dynamics.step_size * run.config.problem.dimension)


def scale(run: Run) -> float:
    """√δt of a descent."""
    return theory.error_scale(rate(run), run.config.network.neurons, run.config.problem.dimension)


def refuse_other_times(run: Run, times: Any) -> None:
    """A DataError where saved times of a descent are not those of the equations, up to its steps."""
    step = float(run.config.dynamics.step_size) if "step_size" in run.config.dynamics else 0.0
    room = 0.51 * step + APART * np.asarray(times)
    if len(run.time) != len(times) or (abs(run.time.values - times) > room).any():
        raise DataError(
            f"'{run.experiment}' has other saved times than the equations that it is compared with"
        )


def refuse_other_rate(run: Run, equations: Run) -> None:
    """A DataError where a descent has another γ or Δ than the equations."""
    if not np.isclose(rate(run), rate(equations), rtol=1e-9):
        raise DataError(
            f"'{run.experiment}' has γ = step_size × d = {rate(run):g}, '{equations.experiment}' {rate(equations):g}"
        )
    noise = [one.config.problem.noise for one in (run, equations)]
    if noise[0] != noise[1]:
        raise DataError(f"'{run.experiment}' has noise {noise[0]}, '{equations.experiment}' {noise[1]}")


def refuse_other_activation(run: Run, activation: str) -> None:
    """A DataError where a run has another activation."""
    if run.config.network.activation != activation:
        raise DataError(f"is about {activation}; '{run.experiment}' has {run.config.network.activation}")


def refuse_other_teachers(run: Run) -> None:
    """A DataError where f* is not the mean of orthonormal teachers."""
    vectors, masses = teachers_of(run)
    norms = run.config.problem.norms
    unit = norms is None or np.all(np.asarray(norms) == 1.0)
    mean = np.allclose(masses, 1.0 / len(vectors), rtol=1e-9)
    if not (unit and mean and np.allclose(vectors @ vectors.T, np.eye(len(vectors)), atol=1e-9)):
        raise DataError(
            f"is about f* = (1/k) Σ_l σ(v_l·x), v_l orthonormal, which that of '{run.experiment}' is not"
        )


def refuse_other_start(run: Run, *files: str) -> None:
    """A DataError where a run does not start from one of these files, by the beginnings of their names."""
    start = run.config.initialization
    if not ("path" in start and Path(start.path).name.startswith(files)):
        raise DataError(f"is about the start {' or '.join(files)}; '{run.experiment}' has another")


def plateau(run: Run) -> float:
    """R − Δ/2 at late times of students that start at the teachers; a DataError of others."""
    refuse_other_activation(run, "erf")
    refuse_other_teachers(run)
    if float(run.loss.isel(time=0).max()) > 1e-12:
        raise DataError(
            f"is about students that start at the teachers, as those of '{run.experiment}' do not"
        )
    return theory.plateau(rate(run), run.config.problem.noise, run.config.network.neurons)


def has_plateau(run: Run) -> bool:
    """Whether `plateau` is known."""
    try:
        plateau(run)
    except DataError:
        return False
    return True


def late_square(run: Run) -> float:
    """R t² at late times of the flow of z²; a DataError of other σ, and of students that do not span the space."""
    refuse_other_activation(run, "quadratic")
    problem, students = run.config.problem, int(run.config.network.neurons)
    if students < problem.dimension:
        raise DataError(f"is about p ≥ d; '{run.experiment}' has p = {students}, d = {problem.dimension}")
    return theory.late_square(problem.teachers, problem.dimension)


def errors(run: Run, equations: Run) -> list[Any]:
    """Q and M of a run less those of the equations, each (seed, time, …)."""
    refuse_other_rate(run, equations)
    refuse_other_times(run, equations.time.values)
    return [run.dataset[name].values - equations.dataset[name].values for name in OVERLAPS]


def deviation(run: Run, equations: Run) -> xr.DataArray:
    """The largest entry of |(Q, M) − (Q, M) of the equations|, (seed, time)."""
    parts = [abs(part).max((2, 3)) for part in errors(run, equations)]
    return run.loss.transpose("seed", "time").copy(data=np.maximum(*parts))


def noise_width(equations: Run) -> float:
    """`theory.NOISE_WIDTH` of the setting of a run; a DataError where it is another."""
    refuse_other_activation(equations, "erf")
    refuse_other_teachers(equations)
    refuse_other_start(equations, "classic_start", "span_start")
    config = equations.config
    key = (
        int(config.network.neurons),
        int(config.problem.teachers),
        rate(equations),
        float(config.problem.noise),
    )
    if key not in theory.NOISE_WIDTH:
        raise DataError(
            f"the width of the noise is not known for p, k, γ, Δ = {', '.join(f'{each:g}' for each in key)}"
        )
    return theory.NOISE_WIDTH[key]


def within_noise(run: Run, equations: Run) -> Result:
    """Whether (Q, M) of a descent is within `theory.LARGEST_Z` standard deviations of the equations, over √δt."""
    widest = noise_width(equations)
    share = deviation(run, equations) / scale(run)
    share = share.isel(time=paper_time(run).values <= theory.NOISE_TO * (1 + 1e-9))
    detail = f"over √δt; {run.range_over_seeds(share.max('time'), '.2f')}"
    return at_most(share, theory.LARGEST_Z * widest, detail)


def mean_excess(run: Run, equations: Run) -> tuple[float, float]:
    """Of the mean over seeds of (Q, M) less the equations: the largest |mean| − 3 standard errors, and the largest
    |mean|, over entries and times."""
    beyond, largest = 0.0, 0.0
    for part in errors(run, equations):
        mean = abs(part.mean(0))
        error = part.std(0, ddof=1) / np.sqrt(len(part))
        beyond, largest = max(beyond, float((mean - 3 * error).max())), max(largest, float(mean.max()))
    return beyond, largest


def by_dimension(runs: Run) -> list[Run]:
    """The runs of a sweep by d."""
    return sorted(runs.by("run"), key=lambda run: int(run.config.problem.dimension))


def with_variance(runs: Run, variance: str) -> Run:
    """The equations with one kind of variance."""
    return runs.one(variance=variance) if "variance" in runs.dataset.dims else next(runs.by("run"))


def largest_deviations(runs: Run, equations: Run) -> tuple[Any, Any]:
    """d and, for each, the largest deviation of each seed, (dimension,) and (dimension, seed)."""
    each = by_dimension(runs)
    sizes = np.array([run.config.problem.dimension for run in each], dtype=float)
    return sizes, np.stack([deviation(run, equations).max("time").values for run in each])


def refuse_other_noise(run: Run) -> None:
    """A DataError where a run has another γ, Δ, σ or start than the authors' stored solution and descent."""
    refuse_other_activation(run, "erf")
    refuse_other_teachers(run)
    refuse_other_start(run, "classic_start")
    found = rate(run), float(run.config.problem.noise)
    if not np.allclose(found, (theory.STORED_RATE, theory.STORED_NOISE), rtol=1e-9):
        raise DataError(
            f"'{run.experiment}' has γ = {found[0]:g}, Δ = {found[1]:g}; stored are γ = {theory.STORED_RATE:g}, Δ = "
            f"{theory.STORED_NOISE:g}"
        )


def refuse_other_sizes(run: Run, stored: xr.Dataset) -> None:
    """A DataError where a run has other p or k than a stored file."""
    sizes = int(run.config.network.neurons), int(run.config.problem.teachers)
    known = stored.sizes["neuron"], stored.sizes["teacher"]
    if sizes != known:
        raise DataError(
            f"'{run.experiment}' has p = {sizes[0]}, k = {sizes[1]}; stored are p = {known[0]}, k = {known[1]}"
        )


def stored_times(run: Run, stored: xr.Dataset) -> Any:
    """The records of a stored file at the saved times of a run, (time,), after the start; a DataError where there is
    none."""
    refuse_other_sizes(run, stored)
    time = paper_time(run).values[1:]
    found = np.searchsorted(stored.time.values, time * (1 - 1e-9))
    if (found >= stored.sizes["time"]).any() or (abs(stored.time.values[found] - time) > 1e-6 * time).any():
        raise DataError(f"'{run.experiment}' has times at which nothing is stored")
    return found
