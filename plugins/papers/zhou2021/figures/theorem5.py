"""Theorems 5 and 7 of Zhou, Ge and Jin 2021: how the loss falls, by width and in batches, and from which starts."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, name_axes, reference
from twolayer.analysis.drawing import clipped, show_all
from twolayer.analysis.intervals import chance_interval
from twolayer.analysis.labels import LINES, style_of, trained_by
from twolayer.analysis.starts import same_start, starts_alike
from twolayer.errors import DataError

from .. import measured, theory
from ..drawing import DASHED, LEAST, losses, scatter, styled
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def flows_and_descents(rates: Any, width: Any) -> None:
    """Refuse flows from different teachers, and descents without steps."""
    measured.lengths(rates)
    if "step_size" not in width.config.dynamics:
        raise DataError(f"shows descents; '{width.experiment}' has none")


@paper.figure(
    "theorem",
    lambda rates, width: (
        rf"Theorem 5: how the loss falls, by {' and by '.join(dict.fromkeys(map(trained_by, (rates, width))))}, below "
        r"the envelope $r w_{\max}/\eta t$, and the derived limits (pale)."
    ),
    on={"rates": ["initialization", "loss", "closest_teacher", "mass"], "width": ["initialization", "loss"]},
    check=flows_and_descents,
    size=(5.5, 4.0),
    details=lambda rates, width: (
        rf"Median and range of all seeds; descent with $\eta$ = {width.config.dynamics.step_size:g}. Limits: "
        r"$\sum\pi^2/(48pq)\,(\eta t)^{-3}$ of two students of each teacher, of masses $p$ and $q$; $(\eta "
        r"t)^{-2}/32\kappa$ of a student at right angles to all teachers; $e^{-2\lambda t}$ for $m = r$."
    ),
)
def rates(canvas: Figure, flows: Run, width: Run) -> None:
    axes = canvas.subplots()
    shown = [(run, style, "") for run, _, style in styled(flows)]
    descents = list(width.by("initialization"))
    shown += [
        (run, {"color": "C4", "linestyle": (0, (10, 2, 2, 2))}, ", descent")
        for run in descents
        if measured.starts(run) == "one at right angles"
    ]
    for run, style, kind in shown:
        losses(axes, run, style, measured.spelled(run) + kind)
        limits(axes, run)
    for run in descents:
        if any(starts_alike(run, flow) for flow, _, _ in styled(flows)):
            later = run.isel(time=slice(1, None))
            median = measured.loss_of(later).median("seed")
            label = f"{measured.spelled(run)}, descent"
            axes.plot(later.time, median, "x", color="0.3", markersize=3, zorder=4, label=label)
    time = np.geomspace(0.3, float(flows.time.max()), 200)
    envelope = measured.envelope(flows, time)
    reference(axes, time, envelope)
    axes.annotate(r"$r w_{\max}/\eta t$", (time[150], 10 * envelope[150]), fontsize=8)
    least = float(measured.loss_of(flows).where(flows.loss > LEAST).min())
    axes.set(ylim=(1e-6 * least, 20), xlim=(0.09, 2 * time[-1]))
    show_all(axes, "y")
    name_axes(axes, flows.time, flows.loss)
    axes.legend(loc="lower left")


def limits(axes: Axes, run: Run) -> None:
    """What the loss tends to, where that is known of its start."""
    start, teachers, stop = measured.starts(run), measured.teacher_weights(run), float(run.time[-1])
    if start == "one at right angles":
        late = np.geomspace(0.003 * stop, 10 * stop, 40)
        reference(axes, late, theory.orthogonal_decay(teachers) / late**2)
        axes.annotate(r"$(\eta t)^{-2}/32\kappa$", (late[-1], 0.1 / late[-1] ** 2), fontsize=8)
    elif start == "all near" and not measured.overparameterized(run):
        loss = measured.loss_of(run).median("seed")
        index = measured.nearest_index(np.log(loss), math.log(1e-9))
        begin, level, rate = float(run.time[index]), float(loss[index]), theory.exponential_rate(teachers)
        line = begin + np.linspace(0, math.log(1e9) / rate, 40)  # nine decades
        reference(axes, line, level * np.exp(-rate * (line - begin)))
        end = (line[-1], 10 * 1e-9 * level)
        axes.annotate(r"$e^{-2\lambda t}$", end, xytext=(4, 0), textcoords="offset points", fontsize=8)
    elif start == "all near" and np.isfinite(measured.pair_constant(run)).any():
        limit = float(measured.pair_constant(run).median("seed"))
        late = np.geomspace(3e-5 * stop, stop, 40)
        reference(axes, late, limit / late**3)
        axes.annotate(
            rf"{limit:.2f} $(\eta t)^{{-3}}$",
            (late[30], 0.1 * limit / late[30] ** 3),
            fontsize=8,
            ha="right",
        )


def several_numbers_of_students(width: Any) -> None:
    """Refuse runs of which no kind of start has two numbers of students."""
    if not measured.by_start(width):
        raise DataError(f"compares numbers of students; '{width.experiment}' has no start with two of them")


@paper.figure(
    "theorem",
    lambda run: (
        f"Theorem 5, whose bound does not contain $m$: {trained_by(run)} by the number of students, and its time to "
        "a loss."
    ),
    on={"width": ["initialization", "loss"]},
    check=several_numbers_of_students,
    size=(7.0, 3.0),
    details="Median and range of all seeds. Left: starts with background neurons, where there are any; dotted: the "
    "losses of the right panel. Open squares: all students around teachers.",
)
def width(canvas: Figure, run: Run) -> None:
    left, right = canvas.subplots(1, 2)
    starts = measured.by_start(run)
    shown = starts.get("background", next(iter(starts.values())))
    for m, part in shown.items():
        losses(left, part, style_of(m, list(shown)), f"$m$ = {m}")
    for number, level in enumerate(measured.LEVELS):
        left.axhline(level, color="0.6", linewidth=0.6, linestyle=":")
        for start, parts in starts.items():
            background = start == "background"
            times = np.array([measured.time_to(part, level).values for part in parts.values()])
            if not np.isfinite(times).any():
                continue
            middle = np.median(times, axis=1)
            reach = np.abs(np.stack([times.min(1), times.max(1)]) - middle)
            right.errorbar(
                np.array(list(parts)) * (1.0 if background else 1.07), middle, reach, fmt="o" if background else "s",
                linestyle=LINES[number] if background else "none", linewidth=0.7, color=f"C{number}", capsize=2,
                markersize=3.5, fillstyle="full" if background else "none",
                label=f"$L = 10^{{{round(math.log10(level))}}}$" if background or len(starts) == 1 else None,
            )  # fmt: skip
    ends = [float(part.time[-1]) for part in shown.values()]
    left.set(xlim=(1, min(ends, default=10.0)), ylim=(0.1 * min(measured.LEVELS), 2))
    show_all(left, "y")
    name_axes(left, run.time, run.loss)
    left.legend()
    right.set(xlabel="students $m$", ylabel=r"time $\eta t$ to the loss", xscale="log", yscale="log")
    right.set_ylim(None, 30 * right.get_ylim()[1])
    ticks = sorted({m for parts in starts.values() for m in parts})
    right.set_xticks(ticks, [str(m) for m in ticks])
    right.minorticks_off()
    if set(starts) - {"background"}:
        right.plot([], [], "s", color="0.3", fillstyle="none", markersize=3.5, label="all near teachers")
    right.legend(ncols=2, loc="upper left")


def from_the_same_start(batches: Any, width: Any) -> None:
    """Refuse batches without a descent to compare with."""
    same_start(batches, width)
    if "batch_size" not in batches.config.dynamics:
        raise DataError(f"shows descent by batches; that of '{batches.experiment}' takes none")


@paper.figure(
    "theorem",
    lambda batches, width: (
        f"Theorem 7: fresh batches of {batches.config.dynamics.batch_size} and gradient descent on the "
        f"population from the same starts, $m$ = {batches.config.network.neurons}."
    ),
    on={"batches": "loss", "width": "loss"},
    check=from_the_same_start,
    size=(5.5, 3.1),
    details=lambda batches, width: (
        rf"$\eta$ = {batches.config.dynamics.step_size:g}; median and range of all seeds. Pale: the envelope "
        r"$r w_{\max}/\eta t$ of Theorem 5."
    ),
)
def batches(canvas: Figure, run: Run, width: Run) -> None:
    axes = canvas.subplots()
    descent = same_start(run, width)
    losses(axes, descent, {"color": "C0"}, "gradient descent")
    losses(axes, run, {"color": "C1", "linestyle": DASHED}, f"batches of {run.config.dynamics.batch_size}")
    time = np.array([float(run.time[1]), float(max(descent.time[-1], run.time[-1]))])
    reference(axes, time, measured.envelope(run, time), r"$r w_{\max}/\eta t$")
    axes.set(xlim=tuple(time))
    name_axes(axes, run.time, run.loss)
    axes.legend()


HIGHEST = 1e3
"""A loss at the end of training above which a start counts as lost."""


@paper.figure(
    "theorem",
    lambda run: (
        rf"The basin: the loss of {trained_by(run)} at $\eta t$ = {float(run.time.max()):g} against that of its "
        "start, and the share of starts that end below the envelope of Theorem 5."
    ),
    on={"basin": ["initialization", "neurons", "loss"]},
    check=lambda run: measured.lengths(run),
    size=(7.0, 3.3),
    details=lambda run: (
        step_of(run) + f"$m$ = {run.config.network.neurons}. Grey: what Theorem 5 forbids, and where, if "
        "$\\varepsilon_0$ is half the loss of students on both bisectors of two teachers. Bars: exact 95 % intervals. "
        f"▽: below {measured.FLOOR:g}. △: above {HIGHEST:g}, or diverged."
    ),
)
def basin(canvas: Figure, run: Run) -> None:
    left, right = canvas.subplots(1, 2, width_ratios=[1.2, 1], sharex=True)
    parts = styled(run)
    ceiling, floor = measured.ceiling(run), measured.FLOOR
    envelope = min(measured.envelope_at_end(part) for part in run.by("run"))
    every = np.concatenate([measured.ends(part)[0].ravel() for part, _, _ in parts])
    low, high = min(1e-4, 0.3 * float(every.min())), max(30.0, 3 * float(every.max()))
    left.fill_between([low / 10, ceiling], envelope, HIGHEST, color="0.55", alpha=0.25, lw=0)
    right.axvspan(low / 10, ceiling, color="0.55", alpha=0.25, lw=0)
    reference(left, [low, high], [envelope] * 2, r"$r w_{\max}/\eta T$")
    edges = np.geomspace(low, high, 12)
    for number, (part, marker, style) in enumerate(parts):
        first, last, relative = measured.ends(part)
        name = part.initialization.replace("_", " ")
        shown = np.where(last > floor, last, np.nan)
        scatter(left, first, shown, marker, style, name)
        clipped(left, first, last, floor, style["color"])
        lost = ~(last < HIGHEST)
        left.plot(
            first[lost],
            np.full(lost.sum(), 0.5 * HIGHEST),
            "^",
            color=style["color"],
            fillstyle="none",
            markersize=4,
        )
        for least, most in itertools.pairwise(edges):
            inside = (first >= least) & (first < most)
            if inside.any():
                share, below, above = chance_interval(int((relative[inside] <= 1).sum()), int(inside.sum()))
                aside = 1.1 ** (number - 0.5 * (len(parts) - 1))
                right.errorbar(
                    np.sqrt(least * most) * aside, share, [[share - below], [above - share]],
                    fmt=marker, color=style["color"], markersize=4, fillstyle="none", capsize=2,
                )  # fmt: skip
    left.set(
        xscale="log",
        yscale="log",
        xlim=(low, high),
        ylim=(floor / 10, HIGHEST),
        ylabel="loss $L(T)$ at the end",
    )
    left.legend(loc="center left", bbox_to_anchor=(0, 0.4), markerscale=1.5)
    right.set(xscale="log", ylim=(-0.03, 1.05), ylabel="share below the envelope")
    for axes in (left, right):
        axes.set_xlabel("loss $L(0)$ of the start")


def step_of(run: Run) -> str:
    """`η = 0.05, ` of a descent."""
    dynamics = run.config.dynamics
    return rf"$\eta$ = {dynamics.step_size:g}, " if "step_size" in dynamics else ""
