"""How runs are read for the claims and figures of Zhou and Ge 2024: levels of a falling λ, and the certificate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, fit_slope
from twolayer.analysis.teachers import teachers_of
from twolayer.errors import DataError

from . import theory

if TYPE_CHECKING:
    import xarray as xr

LEAST_EXCESS = 1e-13
"""ζ is a difference of two objectives; below this it is rounding."""

ALIGNED, VANISHED = 1e-6, 1e-6
"""The angle below which a neuron of the right sign is aligned; the mass below which one has vanished."""

ROUNDED = 1e-26
"""Σ|a||w|θ² below which rounding of the weights shows in the angles."""

SMALL = 0.05
"""The largest λ|η₀|², which bounds by how much L/λ² is below its limit ½|η₀|²."""


# ---- the certificate of a run's teachers ----


def teachers(run: Run) -> tuple[Any, Any]:
    """Unit teachers (teacher, feature), in the features that any of them has, and the masses b|v| they stand for."""
    vectors, masses = teachers_of(run)
    return vectors[:, : np.flatnonzero(vectors.any(0))[-1] + 1], masses


def applies(run: Run) -> bool:
    """Whether a run learns from a population with |·| and the constant removed: what the theory is of."""
    network, problem = run.config.network, run.config.problem
    return bool(network.activation == "abs" and problem.profile == "constant" and problem.samples is None)


def certificate_of(run: Run) -> theory.Certificate:
    """η₀ of a run's teachers; a DataError where the theory is not of its law."""
    if not applies(run):
        raise DataError(
            "the certificate is that of the population, |·| and the constant removed (activation: abs, profile: "
            "constant, no samples); the run has another law"
        )
    vectors, masses = teachers(run)
    return theory.certificate(tuple(map(tuple, vectors.tolist())), tuple(np.sign(masses).tolist()))


def orthonormal(run: Run) -> bool:
    """Whether a run's teachers are at right angles."""
    vectors, _ = teachers(run)
    return bool(np.abs(vectors @ vectors.T - np.eye(len(vectors))).max() < 1e-12)


def orthonormal_masses(run: Run) -> Any:
    """The masses of orthonormal teachers (teacher,); a DataError where they are not orthonormal."""
    if not orthonormal(run):
        raise DataError("the closed form is of orthonormal teachers; the run's are not")
    return teachers(run)[1]


# ---- the algorithm ----


def step_size(run: Run) -> Any:
    """η s a: by what a first step from ŵ is `theory.first_step`, a number or (neuron, 1)."""
    network = run.config.network
    size = run.config.dynamics.step_size * network.output_scale * np.asarray(network.output_values)
    return size[..., None] if np.ndim(size) else size


def regression_end(run: Run) -> float:
    """When both layers start to move together: the end of the last regression of the output layer, 0 without one."""
    stages = run.config.dynamics.stages if "stages" in run.config.dynamics else []
    ends = [stage["until"] for stage in stages if stage["name"] == "output_fit"]
    return float(ends[-1]) if ends else 0.0


# ---- levels of λ ----


def by_level(run: Run) -> Run:
    """A ladder of falling λ: the last time saved with each λ > 0, labelled by it in place of time."""
    later = run.dataset.isel(time=slice(1, None)).swap_dims(time="regularization")
    ladder = later.drop_duplicates("regularization", keep="last")
    return run.with_dataset(ladder.sel(regularization=ladder.regularization > 0))


def levels(run: Run, most: float = math.inf) -> Iterator[Run]:
    """The levels of a ladder with λ up to `most`, one part per level."""
    ladder = by_level(run)
    for decay in map(float, ladder.regularization):
        if decay <= most:
            yield ladder.with_dataset(ladder.dataset.sel(regularization=[decay]), regularization=decay)


def smallest(run: Run) -> Iterator[Run]:
    """The level of a ladder with the smallest λ, where that is 1e-4 or less: there λ → 0 is reached to 1e-3."""
    return islice(sorted(levels(run, most=1e-4), key=lambda level: level.swept["regularization"]), 1)


def exponent(values: xr.DataArray) -> xr.DataArray:
    """The power of λ, up to 1e-2, with which a quantity of a ladder's levels falls."""
    decay = values["regularization"]
    small = values.where((decay <= 1e-2) & (values > 0))
    return fit_slope(np.log(small), np.log(decay), "regularization")


def decayed(run: Run, steady: bool = False) -> Iterator[Run]:
    """A run with weight decay; if `steady`, one that does not change."""
    least, most = float(run.regularization.min()), float(run.regularization.max())
    if least > 0 and (least == most or not steady):
        yield run


steady = partial(decayed, steady=True)


def trained(run: Run) -> bool:
    """Whether a run has weight decay; a DataError where that had no time to act."""
    acted = float(run.regularization.integrate("time"))
    if not acted:
        return False
    if acted < 15:
        raise DataError(f"training is too short for its λ: ∫λ dt = {acted:.2g}, where e^(−2λt) needs 15")
    return True


def of_signs(run: Run, opposite: bool) -> Iterator[Run]:
    """A run of two teachers, of opposite or of the same sign."""
    _, masses = teachers(run)
    if len(masses) == 2 and (masses[0] * masses[1] < 0) == opposite:
        yield run


def ends_of(run: Run) -> tuple[Any, Any, Any]:
    """Size of mass, angle to the closest teacher, and whether the sign is that teacher's, of the neurons of all seeds
    at the end, (seed · neuron,)."""
    last, signs = run.isel(time=-1), np.sign(teachers(run)[1])
    mass, closest = np.ravel(last.mass), np.ravel(last.closest_teacher).astype(int)
    return np.abs(mass), np.ravel(last.teacher_angle), np.sign(mass) == signs[closest]


def fates(run: Run) -> tuple[Any, Any]:
    """Which neurons are aligned, with the right sign, and which have vanished, at the end, (seed · neuron,)."""
    mass, angle, right = ends_of(run)
    return right & (angle < ALIGNED), mass < VANISHED


def limit_of(run: Run, decay: float) -> float:
    """½|η₀|², to which L/λ² tends; a DataError where λ is too large for it."""
    square = certificate_of(run).square_norm
    if not decay * square <= SMALL:
        raise DataError(f"λ = {decay:g} is too far from the limit λ → 0: λ|η₀|² = {decay * square:.2g}")
    return 0.5 * square


def trained_loss(run: Run, relative: float) -> Any:
    """L/λ² (seed,) at the last saved time; a DataError where the objective is above its least value by more than this
    share of λ²·½|η₀|²."""
    last = run.isel(time=-1)
    decay = float(last.regularization)
    above, limit = float(last.suboptimality.max()) / decay**2, limit_of(run, decay)
    if not above <= relative * limit:
        raise DataError(f"is not trained: the objective ends {above:.2g} λ² above its least value")
    return last.loss / decay**2


def states(run: Run) -> tuple[Any, Any]:
    """ζ of all saved states, where it is above its rounding, and |∇L_λ|²."""
    return run.suboptimality.where(run.suboptimality > LEAST_EXCESS), run.gradient_norm**2


# ---- the stages of the algorithm ----


def stage_columns(run: Run) -> list[tuple[str, list[int]]]:
    """The stages in which states are saved: how each is called, and the indices of its states in time."""
    time, begin = run.time.values, 0.0
    columns = [("start", [0])]
    for stage in run.config.dynamics.stages:
        until = stage.get("until")
        if until is None:  # at once
            continue
        found = np.flatnonzero((time > begin) & (time <= until)).tolist()
        if found:
            columns.append((stage_name(stage), found))
        begin = until
    last = np.flatnonzero(time > begin).tolist()
    if last:
        columns.append((stage_name(run.config.dynamics.stages[-1]), last))
    return columns


def stage_name(stage: Any) -> str:
    """`step on W`, `fit of a`, `λ = 0.01`: what a stage does."""
    if stage["name"] == "output_fit":
        return "fit of $a$"
    if stage.get("layers") == "hidden":
        return "step on $W$"
    decay = stage.get("weight_decay")
    return rf"$\lambda$ = {decay:g}" if isinstance(decay, float | int) else stage["name"].replace("_", " ")


def quantiles(values: Any, weight: Any, levels: Sequence[float] = (0.1, 0.5, 0.9)) -> Any:
    """The weighted quantiles of values (neuron,) with weights (neuron,), (level,)."""
    order = np.argsort(values)
    share = np.cumsum(weight[order]) / weight.sum()
    return values[order][np.minimum(np.searchsorted(share, levels), len(values) - 1)]
