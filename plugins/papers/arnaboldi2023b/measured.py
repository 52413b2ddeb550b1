"""How runs are read for the claims and figures of Arnaboldi et al. 2023 (escaping mediocrity)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from twolayer import Run
from twolayer.core.wording import counted
from twolayer.errors import DataError

from . import theory


def neurons(run: Run) -> int:
    """p."""
    return int(run.config.network.neurons)


def rate(run: Run) -> float:
    """γ: that of the equations, or step_size × d of a descent."""
    if "rate" in run.config.dynamics:
        return float(run.config.dynamics.rate)
    return float(run.config.dynamics.step_size * run.config.problem.dimension)


def paper_time(run: Run) -> Any:
    """t = time/p, (time,)."""
    return run.time / neurons(run)


def threshold(run: Run) -> float:
    """T of a run that stops at the risk (1 − T)R(0), to three digits: random starts differ by 1/d."""
    if "loss" not in run.config.stop:
        raise DataError(f"'{run.experiment}' does not stop at a loss")
    return round(1.0 - float(run.config.stop.loss) / float(run.loss.isel(time=0).mean()), 3)


def exits(run: Run) -> Any:
    """The exit time t of each seed, (seed,); a DataError where one has not come to the loss."""
    found = exits_so_far(run)
    if found.size < run.seeds:
        raise DataError(
            f"{found.size} of {counted(run.seeds, 'seed')} of '{run.experiment}' come to the loss"
        )
    return found


def exits_so_far(run: Run) -> Any:
    """The exit time t of each seed that has come to the loss, (seed,), less half of the time between two looks of the
    stop rule, by which it is late on average."""
    found = run.stop_time.values / neurons(run)
    every = int(run.config.stop.every) if "every" in run.config.stop else 1
    late = 0.5 * (every - 1) * float(run.config.dynamics.step_size) / neurons(run)
    return found[np.isfinite(found)] - late


def in_stored_setting(run: Run) -> bool:
    """Whether a run has γ, Δ and the start of the authors' runs."""
    start, found = run.config.initialization, (rate(run), run.config.problem.noise)
    from_file = "path" in start and Path(start.path).name.startswith(theory.START)
    return from_file and np.allclose(found, (theory.STORED_RATE, theory.STORED_NOISE), rtol=1e-9)


def refuse_other_setting(run: Run) -> None:
    """A DataError where a run has not γ, Δ and the start of the authors' runs."""
    if not in_stored_setting(run):
        raise DataError(
            f"'{run.experiment}' has γ = {rate(run):g}, Δ = {run.config.problem.noise:g} and a start by "
            f"{run.config.initialization.name}; what is stored has γ = {theory.STORED_RATE:g}, Δ = "
            f"{theory.STORED_NOISE:g} and the authors' start"
        )


def left_out(runs: list[Run]) -> str:
    """Which runs have seeds that have not come to the loss, for a caption."""
    counts = {int(run.config.problem.dimension): (exits_so_far(run).size, run.seeds) for run in runs}
    parts = [
        f"d = {size} ({some} of {every} seeds)" for size, (some, every) in counts.items() if some < every
    ]
    return f" Left out, as not all seeds leave: {', '.join(parts)}." if parts else ""


def leaves(run: Any) -> bool:
    """Whether m = 0 is left on average: μ > 0."""
    return theory.growth(neurons(run), rate(run), float(run.config.problem.noise)) > 0


def diffusion_exit(run: Run) -> float:
    """The mean exit time of the diffusion near m = 0, of a run of one student from a given start; a DataError where it
    does not leave."""
    refuse_too_fast(run)
    return theory.diffusion_exit(
        float(run.loss.isel(time=0).mean()),
        threshold(run),
        run.config.problem.dimension,
        rate(run),
        run.config.problem.noise,
    )


def mean_known(run: Run) -> tuple[float, float]:
    """The mean exit time that is known for p and T of a run, and its standard error; a DataError where none is."""
    key = neurons(run), threshold(run)
    if key == (1, theory.EARLY):
        return diffusion_exit(run), 0.0
    refuse_other_setting(run)
    if key not in theory.EXITS:
        raise DataError(f"no mean is known for p = {key[0]}, T = {key[1]:g}")
    return theory.EXITS[key]


def standard_error(values: Any) -> float:
    """Of a mean; a DataError where it is that of one value."""
    if len(values) < 2:
        raise DataError("a standard error needs two seeds")
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def refuse_too_fast(run: Any) -> None:
    """A DataError where m = 0 is not left on average."""
    if not leaves(run):
        raise DataError(
            f"is about γ at which m = 0 is left; '{run.experiment}' has μ ≤ 0 at γ = {rate(run):g}"
        )


def one_student(runs: Any) -> None:
    """A DataError where runs have more than one student, or one that does not leave."""
    for run in runs.by("run"):
        if neurons(run) != 1:
            raise DataError(f"is about p = 1; '{runs.experiment}' has p = {neurons(run)}")
        refuse_too_fast(run)


def mean_exit(run: Run) -> float:
    """The mean exit time of one student from random starts; a DataError of more, and of one that does not leave."""
    one_student(run)
    share = 1.0 - float(run.config.stop.loss) / 2.0
    return theory.mean_exit(run.config.problem.dimension, rate(run), run.config.problem.noise, share)


def crossings(run: Run, share: float) -> Any:
    """The t at which R first is (1 − T)R(0) between saved times, (seed,), by the logarithm of 1 − R/R(0), which near a
    start grows evenly in time; NaN where it is not reached."""
    risk, time = run.loss.transpose("seed", "time").values, paper_time(run).values
    return np.array([crossing(time, 1.0 - path / path[0], share) for path in risk])


def crossing(time: Any, gained: Any, share: float) -> float:
    """The first time at which what is gained is a share."""
    above = np.flatnonzero(gained >= share)
    if not above.size:
        return float("nan")
    last = int(above[0])
    low, high = np.log(np.maximum(gained[last - 1 : last + 1], 1e-12))
    part = (np.log(share) - low) / (high - low)
    return float(time[last - 1] + part * (time[last] - time[last - 1]))


def growth(run: Run) -> tuple[Any, Any]:
    """d ln m_j/dt of the first seed over the saved times after the start, (neuron,), and the mean over these times of
    its part by the other students, −(4/p) Σ_i q_ij m_i/m_j over i ≠ j, (neuron,)."""
    later = run.isel(seed=0, time=slice(1, None))
    time, overlaps = paper_time(later).values, later.teacher_overlaps.values[..., 0]
    between = later.student_overlaps.values * (1.0 - np.eye(neurons(run)))
    coupling = -4.0 / neurons(run) * np.einsum("tij,tj->ti", between, overlaps) / overlaps
    whole = time[-1] - time[0]
    return np.log(overlaps[-1] / overlaps[0]) / whole, np.trapezoid(coupling, time, axis=0) / whole


def steepness(runs: Run) -> float:
    """p/(2γμ) of runs that differ in d alone."""
    return theory.sample_slope(neurons(runs), rate(by_dimension(runs)[0]), float(runs.config.problem.noise))


def by_dimension(runs: Run) -> list[Run]:
    """The single runs by d."""
    return sorted(runs.by("run"), key=lambda run: int(run.config.problem.dimension))


def slope(sizes: Any, values: Any, errors: Any = None) -> tuple[float, float]:
    """The slope of values against ln d, and its standard error from those of the values (0 without), by weighted least
    squares."""
    x, weights = np.log(sizes), np.ones(len(sizes)) if errors is None else 1.0 / np.asarray(errors) ** 2
    centred = x - np.sum(weights * x) / np.sum(weights)
    spread = np.sum(weights * centred**2)
    return float(np.sum(weights * centred * values) / spread), 0.0 if errors is None else float(spread**-0.5)
