"""The panels of Zhu, Liu and Cevher 2025, as far as they are known, and the ends of their phases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, name_axes, reference
from twolayer.analysis.drawing import show_all
from twolayer.analysis.intervals import mean_interval

from .. import measured, theory
from ..drawing import named, ordered
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEAR, GROWN = f"{math.degrees(theory.NEAR):.0f}°", f"|v|/{1 / theory.GROWN:g}"
"""The ends of the first two phases in words."""

PANELS = ("loss", "teacher_angles", "closest_teacher", "teacher_deficit", "hidden_norm")
"""What the panels show."""

DYNAMICS: tuple[dict[str, Any], ...] = (
    {"color": "C0", "linestyle": "-", "marker": "o"},
    {"color": "C1", "linestyle": (0, (4, 1.5)), "marker": "^"},
)
"""The styles of descent on the population and of fresh batches."""

LEAST = 0.03
"""The |w| m_l/|v| at which smaller ones are drawn."""


def trained(runs: Run) -> str:
    """By what: `gradient descent`, `batches of 512`."""
    dynamics = runs.config.dynamics
    return (
        f"batches of {dynamics.batch_size}"
        if "batch_size" in dynamics
        else f"{dynamics.name}".replace("_", " ")
    )


def panel_details(*experiments: Run) -> str:
    """How the panels were trained, and what they show."""
    ways = " and by ".join(trained(runs) for runs in experiments)
    return (
        f"The panels (k, m) as public reviews describe them, by {ways}. Top to bottom: each student's angle to the "
        "teacher it ends with, median and range over students and seeds, pale: arccos(1/√k); the largest |H_l| of "
        "each seed, with students counted for the teacher closest at the time, hence its steps, grey: below "
        f"{GROWN}; |w| m_l/|v| at the end, every student of every seed, pale: the factor {theory.FACTOR:g}; the loss "
        "of all seeds, pale: 1/T³ through the end. Vertical lines, ours, medians of seeds: t₁, mean angle to the "
        f"closest teacher below {NEAR}; t₂, all |H_l| below {GROWN}. d, η, |v|, horizons and seeds are ours too."
    )


def paired(experiments: Sequence[Run]) -> dict[str, list[Run | None]]:
    """The single runs of each experiment by their name, None where one has no such run."""
    names: dict[str, list[Run | None]] = {}
    for index, runs in enumerate(experiments):
        for run in ordered(runs):
            names.setdefault(named(run), [None] * len(experiments))[index] = run
    return names


@paper.figure(
    "inferred",
    "Zhu, Liu and Cevher 2025, its panels $(k, m)$, by descent on the population and by fresh batches: students "
    "align, teachers are learnt, and the loss falls as $T^{-3}$.",
    details=panel_details,
    on={"phases": PANELS, "phases_sgd": PANELS},
    size=(7.0, 7.4),
)
def phases(canvas: Figure, *experiments: Run) -> None:
    columns = paired(experiments)
    grid = canvas.subplots(4, len(columns), sharey="row", squeeze=False)
    for (name, runs), column in zip(columns.items(), grid.T, strict=True):
        column[0].set_title(name)
        present = [
            (number, run.isel(time=slice(1, None))) for number, run in enumerate(runs) if run is not None
        ]
        for number, run in present:
            draw_panel(column, run, number, len(runs))
        draw_references(column, present[0][1], len(runs))
        name_axes(column[-1], x=experiments[0].time)
    for axes, label in zip(
        grid[:, 0],
        ("angle $\\theta$, degrees", "largest $|H_l|$", r"$|w|\,m_l\,/\,|v|$ at the end"),
        strict=False,
    ):
        axes.set_ylabel(label)
    name_axes(grid[-1, 0], y=experiments[0].loss)
    teachers = next(iter(columns.values()))[0] or next(experiments[0].by("run"))
    plateau = math.degrees(theory.plateau(teachers.config.problem.teachers))
    for axes, level, label in (
        (grid[0, 0], plateau, r"$\arccos(1/\sqrt{k})$"),
        (grid[1, 0], theory.GROWN, f"${GROWN}$"),
        (grid[2, 0], theory.FACTOR, f"{theory.FACTOR:g}"),
        (grid[2, 0], 1 / theory.FACTOR, f"1/{theory.FACTOR:g}"),
    ):
        at = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "fontsize": 7}
        axes.annotate(label, (1, level), (-2, 3), ha="right", **at)
    canvas.legend(*grid[-1, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)


def draw_panel(column: Any, run: Run, number: int, count: int) -> None:
    """One column of the panels, by the dynamics of that number."""
    look = DYNAMICS[number % len(DYNAMICS)]
    style: dict[str, Any] = {key: look[key] for key in ("color", "linestyle")}
    angles, left, ends, losses = column
    time = run.time
    angle: Any = np.degrees(measured.final_teacher_angle(run))
    angle = angle.rename(seed="start")
    bands(angles, time, angle.stack(seed=("start", "neuron")), **style)
    for seed in run.dataset["seed"].values:
        deficit = abs(run.teacher_deficit.sel(seed=seed)).max("teacher")
        left.plot(time, deficit, linewidth=0.6, alpha=0.6, **style)
    end = run.isel(time=-1)
    shares = measured.shares(end).values.ravel()
    across = number + np.random.default_rng(0).uniform(-0.3, 0.3, shares.size)
    ends.plot(
        across, np.maximum(shares, LEAST), look["marker"], color=style["color"], markersize=2, alpha=0.4,
        markeredgewidth=0,
    )  # fmt: skip
    lost = shares < LEAST
    ends.plot(across[lost], np.full(lost.sum(), LEAST), "v", color=style["color"], mfc="white", markersize=4)
    bands(losses, time, run.loss, trained(run), **style)
    for found, line in zip(measured.phase_times(run), (":", "-."), strict=True):
        reached = float(np.median(found))
        for axes in (angles, left, losses):
            axes.axvline(reached, color=style["color"], linewidth=0.7, linestyle=line, zorder=0)
    for axes in (angles, left, losses):
        axes.set(xscale="log")
    left.set(yscale="log")
    ends.set(yscale="log", xlim=(-0.6, count - 0.4), ylim=(0.7 * LEAST, 10))
    show_all(ends)
    ends.set_xticks([])
    losses.set(yscale="log")


def draw_references(column: Any, run: Run, count: int) -> None:
    """The predictions in one column, and the names of the phases' ends, by one of its `count` dynamics."""
    angles, left, ends, losses = column
    time, last = run.time.values, float(run.time[-1])
    for found, label in zip(measured.phase_times(run), ("$t_1$", "$t_2$"), strict=True):
        reached = float(np.median(found))
        if math.isfinite(reached):
            at: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
            angles.annotate(label, (reached, 0.9), (2, 0), fontsize=7.5, **at)
    reference(
        angles, [time[0], last], [math.degrees(theory.plateau(run.teacher_angles.sizes["teacher"]))] * 2
    )
    left.axhspan(0, theory.GROWN, color="0.55", alpha=0.15, lw=0)
    for factor in (1 / theory.FACTOR, theory.FACTOR):
        reference(ends, [-0.6, count - 0.4], [factor] * 2)
    late = time[time >= 0.02 * last]
    reference(losses, late, float(run.loss[..., -1].median()) * (late[-1] / late) ** 3, "$T^{-3}$")


@paper.figure(
    "inferred",
    "The ends of the first two phases, $t_1$ and $t_2$: more students $m$ shorten both, more teachers $k$ lengthen "
    "both.",
    details=(
        f"t₁: mean angle to the closest teacher below {NEAR}; t₂: all |H_l| below {GROWN}; of each seed, and "
        "geometric means with their 95 % intervals. The trends are as quoted; the paper's definitions of t₁ and t₂ "
        "are not known."
    ),
    on={"phases": ["teacher_angles", "teacher_deficit"], "phases_sgd": ["teacher_angles", "teacher_deficit"]},
    size=(5.5, 2.6),
)
def phase_times(canvas: Figure, *experiments: Run) -> None:
    row = canvas.subplots(1, 2)
    columns = {name: number for number, name in enumerate(paired(experiments))}
    for index, runs in enumerate(experiments):
        look = DYNAMICS[index % len(DYNAMICS)]
        colour, label = look["color"], trained(runs)
        for run in ordered(runs):
            x = columns[named(run)] + 0.32 * index - 0.2
            for axes, times in zip(row, measured.phase_times(run), strict=True):
                axes.plot(np.full(run.seeds, x), times, ".", color=colour, alpha=0.5)
                mean, low, high = np.exp(mean_interval(np.log(times))) if run.seeds > 1 else (math.nan,) * 3
                bars, style = [[mean - low], [high - mean]], {"fmt": look["marker"], "color": colour}
                axes.errorbar(x + 0.1, mean, bars, capsize=3, label=label, **style)
                label = ""
    for axes, label in zip(row, ("$t_1$", "$t_2$"), strict=True):
        axes.set(yscale="log", ylabel=f"time {label}")
        axes.set_xticks(list(columns.values()), [name.replace(", ", "\n") for name in columns])
    canvas.legend(*row[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
