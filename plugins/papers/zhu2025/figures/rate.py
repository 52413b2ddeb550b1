"""The third phase of Zhu, Liu and Cevher 2025: the rate of the loss and its constants, and where it is exponential."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from twolayer import Run, bands, local_slope, name_axes, reference
from twolayer.analysis.labels import style_of, trained_by
from twolayer.population.asymptotics import gradient_limit

from .. import measured, theory
from ..drawing import decaying, named
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEAR_START = 200.0
"""ηT to which L^(−1/3) is shown as a straight line."""

CARRIED = 1e6
"""ηT to which float64 weights carry the gradient's part along the teacher."""


def by_groups(run: Run) -> str:
    """A run of `rate` in a legend: the first seed's projections at the end, teacher by teacher."""
    end = run.isel(seed=0, time=-1)
    heights, closest = end.projection.values, end.closest_teacher.values
    groups = [np.sort(heights[closest == teacher]) for teacher in np.unique(closest)]
    return f"$k$ = {len(groups)}: " + " | ".join("+".join(f"{h:.2f}" for h in group) for group in groups)


@paper.figure(
    "theorem",
    "Groups of two students or more learn as $T^{-3}$, with the derived constants $\\Sigma_l C_l$.",
    details=lambda runs: (
        f"{trained_by(runs).capitalize()} from students at an angle to their teachers (legend: projections at the "
        "end, teacher by teacher). a: L^(−1/3) against time, pale: the derived slope (Σ_l C_l)^(−1/3). b: how far "
        "L t³ is from Σ_l C_l; grey: below 0.1 %. c: the local slope, and for k = 1 pale −3t/(t + t₀) with a fitted "
        "t₀. Groups of three or more uneven students have no formula."
    ),
    on={"rate": ["loss", "projection", "closest_teacher"]},
    size=(7.0, 3.6),
)
def rate(canvas: Figure, runs: Run) -> None:
    left, middle, right = canvas.subplots(1, 3)
    each = {named(run): run for run in runs.by("run")}
    for name, run in each.items():
        run, style = run.isel(time=slice(1, None)), style_of(name, list(each))
        near = run.isel(time=run.time.values <= 1.2 * NEAR_START)
        bands(left, near.time, near.loss ** (-1 / 3), by_groups(run), **style)
        bands(right, run.time, local_slope(run.dataset), **style)
        limit = measured.constant(run)
        if not (limit > 0).all():  # no formula, or no such law
            continue
        if near.time.size:
            begin, end = near.time.values[0], near.time.values[-1]
            slope, level = float(limit.median()) ** (-1 / 3), float(near.loss[..., -1].median()) ** (-1 / 3)
            reference(left, [begin, end], [level - slope * (end - begin), level])
        bands(middle, run.time, abs(run.loss * run.time**3 / limit - 1), **style)
        if run.config.problem.teachers == 1:
            offset = measured.offset(run).median()
            reference(right, run.time, -3 * run.time / (run.time + offset))
    middle.set(xscale="log", yscale="log", ylabel=r"$|L\,t^3 / \Sigma_l C_l - 1|$", xlim=(1, None))
    bottom = middle.get_ylim()[0]
    middle.axhspan(0, 1e-3, color="0.55", alpha=0.15, lw=0)
    middle.set_ylim(bottom=bottom)
    left.set(ylabel="$L^{-1/3}$", xlim=(0, min(NEAR_START, float(runs.time.max()))), ylim=(0, None))
    right.set(xscale="log", ylabel=r"local slope of $\log L$", ylim=(-3.1, 0.1), xlim=(1, None))
    for axes in (left, middle, right):
        name_axes(axes, x=runs.time)
    canvas.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)


@paper.figure(
    "theorem",
    "The spread of a group falls as $1/T$ and $|\\nabla L|/L^{2/3}$ tends to a constant; students along the teacher, "
    "equal ones, and as many as teachers learn exponentially.",
    details=(
        "a: Z t, Z = Σ_{i<j}|z_i − z_j| within each group, pale: its derived limit. b: |∇L|/L^{2/3} to "
        f"t = {CARRIED:.0e} (later, float64 weights do not carry the gradient's part along the teacher), pale: √3 "
        "C^(−1/6). c: toys 2 (students along the teacher) and 3 (equal students), and as many students as teachers: "
        "the loss, pale: its derived exponential rate. Legend of a and b: projections at the end, teacher by teacher."
    ),
    on={"rate": ["loss", "projection", "closest_teacher", "spread"], "exponential": "loss"},
    size=(7.0, 3.6),
)
def lower_bound(canvas: Figure, runs: Run, exponential: Run) -> None:
    left, middle, right = canvas.subplots(1, 3)
    each = {named(run): run for run in runs.by("run")}
    drawn: set[tuple[str, str]] = set()  # a limit that several runs have is drawn once

    def limit_line(axes: Axes, end: float, begin: float, level: float) -> None:
        key = (axes.get_ylabel(), f"{level:.3g}")
        if math.isfinite(level) and key not in drawn:
            drawn.add(key)
            reference(axes, [begin, end], [level] * 2)

    left.set_ylabel(r"$Z\,t$")
    middle.set_ylabel(r"$|\nabla L| / L^{2/3}$")
    for name, run in each.items():
        run, style = run.isel(time=slice(1, None)), style_of(name, list(each))
        limits, label, time = measured.spread_limits(run), by_groups(run), run.time.values
        for teacher in np.flatnonzero((run.spread.isel(time=0) > 0).any("seed")):
            bands(left, time, run.spread.isel(teacher=teacher) * run.time, label, **style)
            limit_line(left, time[-1], 1e-4 * time[-1], float(limits[:, teacher].median()))
            label = ""
        early = run.isel(time=time < 1.01 * CARRIED)
        bands(middle, early.time, early.gradient_norm / early.loss ** (2 / 3), **style)
        if early.time.size:
            end = float(early.time[-1])
            limit_line(middle, end, 0.01 * end, float(gradient_limit(measured.constant(run).median())))
    draw_exponential(right, list(exponential.by("run")))
    first, last = float(runs.time.where(runs.time > 0).min()), float(runs.time.max())
    left.set(xscale="log", xlim=(first, last))
    middle.set(xscale="log", xlim=(first, min(CARRIED, last)))
    for axes in (left, middle):
        name_axes(axes, x=runs.time)
    canvas.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)


def draw_exponential(axes: Axes, each: Sequence[Run]) -> None:
    """Losses against rate × time, with the derived rates."""
    names, floor = [named(run) for run in each], 1e-26
    for name, run in zip(names, each, strict=True):
        teachers = run.config.problem.teachers
        exponent = 2 * theory.slowest_rate(teachers, run.config.network.neurons / teachers)
        bands(axes, exponent * run.time, run.loss, f"{name}: rate {exponent:.4g}", **style_of(name, names))
        exact = decaying(run.loss.median("seed"), exponent, 1e-12)
        reference(axes, exponent * run.time, exact.where(exact > floor))
    axes.set(xlabel=r"rate $\times$ time $t$", yscale="log", ylim=(floor, 1e7))
    name_axes(axes, y=each[0].loss)
    axes.legend(loc="upper right")
