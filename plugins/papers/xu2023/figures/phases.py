"""Theorem 1 of Xu and Du 2023: lengths, angles and the deficit in its three phases, against its bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, name_axes, reference
from twolayer.errors import DataError

from .. import measured, theory
from ..drawing import by_students, descends, students
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def past_the_first_phase(runs: Any) -> None:
    """Refuse runs that end before the first phase does."""
    descends(runs)
    for run in runs.by("run"):
        times, begin = run.config.times, theory.aligned_by(students(run))
        if "steps" in times:
            end = max(times.steps) * run.config.dynamics.step_size
        else:
            end = max(times.values) if "values" in times else times.stop
        if end < begin:
            raise DataError(
                f"shows three phases, the first of which ends at ηt = {begin:g}; a run ends at {end:g}"
            )


@paper.figure(
    "theorem",
    "The three phases of Xu and Du 2023, Theorem 1: students align until $T_1$, the deficit falls until $T_2$, and "
    "lengths stay near $|v|/n$.",
    details=(
        "Ranges over all students and seeds, from small weights; pale lines: the theorem's bounds, with T₁ = 3/4n and "
        "the smallest ε₂ that fits all seeds (where ε₂ is below 1e-20: that rounding allows). Time is η × iteration. "
        "The σ and η that the theorem asks for cannot be run."
    ),
    on={"phases": ["hidden_norm", "teacher_angle", "teacher_deficit"]},
    check=past_the_first_phase,
    size=(7.0, 5.4),
)
def phases(canvas: Figure, runs: Run) -> None:
    each = by_students(runs)
    grid = canvas.subplots(3, len(each), sharex=True, sharey="row", squeeze=False)
    for column, run in zip(grid.T, each, strict=True):
        draw_phases(column, run)
    name_axes(grid[0, 0], y=runs.hidden_norm)
    grid[0, 0].legend(loc="center left")
    for axes, label in zip(grid[1:, 0], (r"$\sin^2(\theta/2)$", "deficit $H$"), strict=True):
        axes.set_ylabel(label)
    for axes in grid[-1]:
        name_axes(axes, x=runs.time)


def draw_phases(column: Any, run: Run) -> None:
    """Lengths, angles and H of one run, from top to bottom, with their bounds in each phase."""
    n, size, begin = students(run), measured.start_size(run), theory.aligned_by(students(run))
    error = float(measured.second_phase(run)[0].max())
    end = begin + np.log(1 / (36 * error)) / n
    ended = bool(end > begin)  # else there is no phase 2 within its bounds
    sine, left, bound = np.sin(0.5 * run.teacher_angle) ** 2, measured.carried(run), measured.envelope(run)
    shrunk = theory.shrinking(run.time, size) * float(sine.isel(time=0).max())
    low, high = theory.lengths(run.time, size)
    first = run.time <= begin
    second, third = ((run.time >= begin) & (run.time <= end), (run.time >= end) & ended)
    lengths, angles, height = column
    reference(lengths, [], [], "bounds")
    extent(lengths, run.hidden_norm)
    extent(angles, sine)
    extent(height, left)
    lower = 2 / 3 * bound - 6 * error
    for axes, phase, curve in (
        (lengths, first, low + 0 * run.time),
        (lengths, first, high),
        (lengths, third, 0.25 / n + 0 * run.time),
        (lengths, third, 4.0 / n + 0 * run.time),
        (angles, first, shrunk),
        (height, second, bound + 6 * error),
        (height, second, lower.where(lower > 0)),
    ):
        reference(axes, run.time[1:], curve.where(phase)[1:])
    limits = [("$T_1$", begin, -2), *[("$T_2$", end, 2)] * ended]
    for axes in column:
        for _, time, _ in limits:
            axes.axvline(time, color="0.6", linewidth=0.8, linestyle=":")
        axes.set(xscale="log", yscale="log")
    lengths.set_title(f"$n$ = {n}, " + (rf"$\varepsilon_2$ = {error:.0e}" if ended else "no $T_2$"))
    for name, time, shift in limits:
        height.annotate(
            name, (time, 0.04), (shift, 0), xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="right" if shift < 0 else "left",
        )  # fmt: skip


def extent(axes: Axes, values: Any) -> None:
    """The range of a measurement over all but time, after the start."""
    later = values.isel(time=slice(1, None))
    others = [name for name in later.dims if name != "time"]
    low, high = later.min(others, skipna=False), later.max(others, skipna=False)
    axes.fill_between(later.time, low, high, color="C0", alpha=0.4, lw=0)
    for edge in (low, high):
        axes.plot(later.time, edge, color="C0", linewidth=0.8)
