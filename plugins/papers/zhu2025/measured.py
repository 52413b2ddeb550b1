"""How runs are read for the claims and figures of Zhu, Liu and Cevher 2025."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, fit_rate
from twolayer.analysis.rates import along_time, decay_rate, first_below, power_slope
from twolayer.population.asymptotics import group_constant, group_spread

from . import theory

if TYPE_CHECKING:
    import xarray as xr


def others_from_right(angles: xr.DataArray) -> xr.DataArray:
    """|θ − π/2| of the angles (…, teacher) to all teachers, NaN for the closest."""
    import xarray as xr

    ranks = xr.DataArray(np.arange(angles.sizes["teacher"]), dims="teacher")
    return abs(angles.where(angles.argmin("teacher") != ranks) - np.pi / 2)


def neighbours(runs: Run, word: str) -> Iterator[tuple[Run, Run]]:
    """Pairs of single runs that differ in one swept word alone, by values of it next to each other, rising."""
    for group in runs.varying(word):
        yield from pairwise(sorted(group.by(word), key=lambda run: run.swept[word]))


def start_size(run: Run) -> float:
    """|w_i(0)|: σ√d of Gaussian starts, else as measured."""
    start = run.config.initialization
    if start.name == "gaussian":
        return float(start.scale * math.sqrt(run.config.problem.dimension))
    return float(run.hidden_norm.isel(time=0).max())


def closest_angle(run: Run) -> xr.DataArray:
    """The angle of each student to its closest teacher, (seed, time, neuron)."""
    return run.teacher_angles.min("teacher")


def final_teacher_angle(run: Run) -> xr.DataArray:
    """The angle of each student to the teacher that it is closest to at the end, (seed, time, neuron)."""
    return run.teacher_angles.isel(teacher=run.closest_teacher.isel(time=-1, drop=True).astype(int))


def rise(values: xr.DataArray) -> xr.DataArray:
    """How far values (…, time) rise above what they were at any earlier time."""
    axis = values.get_axis_num("time")
    return values - values.copy(data=np.minimum.accumulate(values.values, axis=axis))


def group_size_by_student(closest: xr.DataArray) -> xr.DataArray:
    """m_τ of each student: the number of students closest to the same teacher (…, neuron)."""
    return (closest == closest.rename(neuron="other")).sum("other")


def group_size_by_teacher(closest: xr.DataArray, teachers: int) -> xr.DataArray:
    """m_l of each teacher, (…, teacher)."""
    import xarray as xr

    return (closest == xr.DataArray(np.arange(teachers), dims="teacher")).sum("neuron")


def shares(state: Run) -> xr.DataArray:
    """|w_i| m_τ at one time, 1 where a group shares its teacher equally, (seed, neuron)."""
    return state.hidden_norm * group_size_by_student(state.closest_teacher)


def norm_excess(state: Run) -> xr.DataArray:
    """Σ|w_i|² at one time over Σ_l 1/m_l = Σ_i 1/m_τ², the least that fits with these groups, (seed,)."""
    return (state.hidden_norm**2).sum("neuron") / (group_size_by_student(state.closest_teacher) ** -2.0).sum(
        "neuron"
    )


def phase_times(run: Run) -> tuple[xr.DataArray, xr.DataArray]:
    """t₁ and t₂ of each seed, (seed,): see `theory.NEAR` and `theory.GROWN`."""
    angle, left = closest_angle(run).mean("neuron"), abs(run.teacher_deficit).max("teacher")
    return (
        along_time(first_below, angle, theory.NEAR, spacing="log"),
        along_time(first_below, left, theory.GROWN, spacing="log"),
    )


def slopes(run: Run, start: Any, stop: Any = math.inf) -> xr.DataArray:
    """The slope of log L against log ηT from start to stop (numbers or one per seed), by least squares, (seed,)."""
    return along_time(power_slope, run.loss, start, stop)


def decay(values: xr.DataArray, low: float, high: float) -> xr.DataArray:
    """r of |values| ~ e^(−rt) while |values| is between two sizes, without `time`."""
    return along_time(lambda time, size: decay_rate(time, size, low, high)[0], values)


def left_over(run: Run) -> xr.DataArray:
    """What decays slowest from the run's start: H_1 where all sums are equal, else the largest H_l − H_l'."""
    if theory.have_equal_sums(run.config.initialization.projections):
        return run.teacher_deficit.isel(teacher=0)
    return run.teacher_deficit.max("teacher") - run.teacher_deficit.min("teacher")


def constant(run: Run) -> xr.DataArray:
    """Σ_l C_l with h at the end, (seed,); NaN where a group has no formula."""
    import xarray as xr

    return xr.apply_ufunc(
        lambda heights, closest: sum(
            group_constant(heights[closest == teacher]) for teacher in np.unique(closest)
        ),
        *(values.isel(time=-1) for values in (run.projection, run.closest_teacher)),
        input_core_dims=[["neuron"], ["neuron"]],
        vectorize=True,
        output_dtypes=[float],
    )


def spread_limits(run: Run) -> xr.DataArray:
    """lim Z T of each group with h at the end, (seed, teacher); NaN where a group has no formula or no spread."""
    import xarray as xr

    count = run.spread.sizes["teacher"]
    limits = xr.apply_ufunc(
        lambda heights, closest: np.array(
            [group_spread(heights[closest == teacher]) for teacher in range(count)]
        ),
        *(values.isel(time=-1) for values in (run.projection, run.closest_teacher)),
        input_core_dims=[["neuron"], ["neuron"]],
        output_core_dims=[["teacher"]],
        vectorize=True,
        output_dtypes=[float],
    )
    return limits.where(limits > 0)


def offset(run: Run) -> xr.DataArray:
    """t₀ of L = C/(T + t₀)³, fitted from T = 1e3 to 1e5, (seed,): later the tolerance of the flow shows in it."""
    return fit_rate(run.dataset, start=1e3, stop=1e5)["offset"]
