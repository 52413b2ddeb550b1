"""Figures for Zhu, Liu and Cevher 2025: its panels as far as they are known, and checks of its statements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, facets, local_slope, name_axes, reference
from twolayer.analysis.drawing import show_all
from twolayer.analysis.intervals import mean_interval
from twolayer.analysis.labels import marker_of, style_of, symbol_of, trained_by
from twolayer.population.asymptotics import gradient_limit

from . import measured, theory
from .theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def named(run: Run, words: Sequence[str] = (), separator: str = ", ") -> str:
    """A run by its swept values, or those of some words: `$k$ = 2, $m$ = 20`; a label stands alone.

    A run by itself, where nothing is swept, is named by its k and m.
    """
    swept = {word: value for word, value in run.swept.items() if not words or word in words}
    if not run.swept:
        swept = {"teachers": run.config.problem.teachers, "neurons": run.config.network.neurons}
    labels = [value.replace("_", " ") for value in swept.values() if isinstance(value, str)]
    return separator.join(labels or [f"{symbol_of(word)} = {value:g}" for word, value in swept.items()])


def ordered(runs: Run) -> list[Run]:
    """Single runs by their swept values, rising."""
    return sorted(runs.by("run"), key=lambda run: tuple(run.swept.values()))


# ---- the panels ----


PANELS = ("loss", "teacher_angles", "closest_teacher", "teacher_deficit", "hidden_norm")
"""What the panels show."""

DYNAMICS: tuple[dict[str, Any], ...] = (
    {"color": "C0", "linestyle": "-", "marker": "o"},
    {"color": "C1", "linestyle": (0, (4, 1.5)), "marker": "^"},
)
"""The styles of descent on the population and of fresh batches."""


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
        "each seed, with students counted for the teacher closest at the time, hence its steps, grey: below |v|/100; "
        "|w| m_l/|v| at the end, every student of every seed, pale: the factor 4; the loss of all seeds, pale: 1/T³ "
        "through the end. Vertical lines, ours, medians of seeds: t₁, mean angle to the closest teacher below 30°; "
        "t₂, all |H_l| below |v|/100. d, η, |v|, horizons and seeds are ours too."
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
        (grid[1, 0], theory.GROWN, "$|v|/100$"),
        (grid[2, 0], 4, "4"),
        (grid[2, 0], 0.25, "1/4"),
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
    for factor in (0.25, 4):
        reference(ends, [-0.6, count - 0.4], [factor] * 2)
    late = time[time >= 0.02 * last]
    reference(losses, late, float(run.loss[..., -1].median()) * (late[-1] / late) ** 3, "$T^{-3}$")


LEAST = 0.03
"""The |w| m_l/|v| at which smaller ones are drawn."""


@paper.figure(
    "inferred",
    "The ends of the first two phases, $t_1$ and $t_2$: more students $m$ shorten both, more teachers $k$ lengthen "
    "both.",
    details=(
        "t₁: mean angle to the closest teacher below 30°; t₂: all |H_l| below |v|/100; of each seed, and geometric "
        "means with their 95 % intervals. The trends are as quoted; the paper's definitions of t₁ and t₂ are not "
        "known."
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


# ---- alignment ----


@paper.figure(
    "theorem",
    r"From tiny starts students first turn to the teachers' common direction, $\arccos(1/\sqrt{k})$ from each "
    "(pale: the envelope quoted for phase 1).",
    details=lambda runs: (
        f"{trained_by(runs).capitalize()} from starts of scale σ: angle of students to their closest teacher, median "
        "and range over students and seeds. Pale, in the same colour: the envelope quoted for phase 1 with ε₁ = 0, "
        "from the largest start, (1 + ηk|v|t/s₂)^(−1/8k), s₂ = 2σ√d. Dotted: arccos(1/√k). Vertical line: "
        f"ηt = {theory.ALIGNED_BY:g}, our ηT₁."
    ),
    on={"alignment": "teacher_angles"},
    size=(7.0, 2.8),
)
def alignment(canvas: Figure, runs: Run) -> None:
    panels = facets(canvas, runs.varying("scale"))
    for axes, group in panels:
        each = list(group.by("run"))
        names = [named(run, ["scale"]) or named(run) for run in each]
        for run, name in zip(each, names, strict=True):
            teachers, style = run.config.problem.teachers, style_of(name, names)
            time = run.time.clip(min=float(run.time[1]))  # 0 cannot be shown on a logarithmic axis
            angle = measured.closest_angle(run)
            bands(
                axes,
                time,
                np.degrees(angle.rename(seed="start").stack(seed=("start", "neuron"))),
                name,
                **style,
            )
            shrink = theory.envelope(time, teachers, measured.start_size(run))
            bound = 2 * np.arcsin(np.sqrt(shrink * math.sin(angle[:, 0].max() / 2) ** 2))
            reference(axes, time, np.degrees(bound), color=style["color"])
            if teachers > 1:
                axes.axhline(
                    math.degrees(theory.plateau(teachers)), color="black", linestyle=":", linewidth=0.9
                )
        axes.axvline(theory.ALIGNED_BY, color="0.6", linewidth=0.8)
        axes.set(xscale="log")
        name_axes(axes, x=runs.time)
    panels[0][0].set_ylabel(r"angle $\theta$, degrees")
    if len(names) > 1:
        panels[-1][0].legend(loc="lower left")


# ---- growth ----

FLOOR = 1e-14
"""Of |H_l| in float64."""


def decaying(values: Any, rate: float, level: float) -> Any:
    """e^(−rate t) through the point of values (time,) that is nearest to a level."""
    apart = abs(np.log(np.where(values > 0, values, math.nan) / level))
    index = int(np.argmin(np.where(np.isfinite(apart), apart, math.inf)))
    return float(values[index]) * np.exp(-rate * (values.time - float(values.time[index])))


def rate_name(groups: Sequence[Sequence[float]]) -> str:
    """`theory.growth_rate` as mathematics."""
    if len(groups) == 1:
        return "$n/2$"
    sign = "+" if theory.have_equal_sums(groups) else "-"
    return rf"$m_l(\frac{{1}}{{4}} {sign} \frac{{1}}{{2\pi}})$"


@paper.figure(
    "theorem",
    "What is left of teachers once students are aligned falls exponentially at the derived rates, here against the "
    "factor $(1 - \\eta m/9k)^t$ quoted from phase 2.",
    details=(
        "a: the largest H_l − H_l' (|H_1| where all sums are equal), pale: the derived rates (legend). b: each |H_l| "
        "against mηt/k, pale: the quoted factor, as e^(−mηt/9k)."
    ),
    on={"growth": "teacher_deficit"},
    size=(7.0, 3.0),
)
def growth(canvas: Figure, runs: Run) -> None:
    left, right = canvas.subplots(1, 2, sharey=True)
    each = {named(run): run for run in runs.by("run")}
    top = float(abs(runs.teacher_deficit).isel(time=0).max())
    ends = []
    for name, run in each.items():
        style = style_of(name, list(each))
        groups, students = run.config.initialization.projections, run.config.network.neurons
        teachers, rate = len(groups), theory.growth_rate(groups)
        shown = abs(measured.left_over(run))
        shown = shown.where(shown > FLOOR)
        bands(left, run.time, shown, f"{name}, {rate_name(groups)}", **style)
        exact = decaying(shown.median("seed"), rate, math.sqrt(top * FLOOR))
        reference(left, run.time, exact.where((exact > FLOOR) & (exact < 2 * top)))
        scaled = run.time * students / teachers
        for teacher in range(teachers):
            bands(right, scaled, abs(run.teacher_deficit.isel(teacher=teacher)), linewidth=0.9, **style)
        equal = ", equal sums" * (teachers > 1 and theory.have_equal_sums(groups))
        right.plot([], [], **style, label=f"$k$ = {teachers}, $m$ = {students}{equal}")
        ends.append(float(scaled[-1]))
    scaled = np.linspace(0, max(ends), 2)
    reference(right, scaled, top * np.exp(-scaled / 9), rf"${top:.2g}\,e^{{-m\eta t/9k}}$")
    left.set(yscale="log", ylabel=r"largest $H_l - H_{l'}$, or $|H_1|$", ylim=(FLOOR, 3e3 * top))
    right.set(xlabel=r"$m\,\eta t/k$", ylabel=r"$|H_l|$")
    name_axes(left, x=runs.time)
    for axes in (left, right):
        axes.legend(loc="upper right")


# ---- rate and lower bound ----

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


# ---- balance ----


@paper.figure(
    "theorem",
    "How equally students share a teacher at the end, by the scale $\\sigma$ of the start: small starts end near the "
    "least $\\Sigma|w|^2$ that fits.",
    details=(
        "a: |w_i| in units of |v|/m_l, all students and seeds; pale: the factor 4. b: B_l = m_l Σh²/(Σh)² − 1 of each "
        "group and seed. c: Σ|w|² over Σ_l |v_l|²/m_l, the least that fits. Bars: medians. Where σ is below the size "
        "of a first step, that step sets the scale."
    ),
    on={"balance": ["closest_teacher", "group_imbalance", "hidden_norm"]},
    size=(7.0, 2.8),
)
def balance(canvas: Figure, runs: Run) -> None:
    row = canvas.subplots(1, 3)
    random = np.random.default_rng(0)
    groups = [list(group.by("run")) for group in runs.varying("scale")]
    columns: dict[str, int] = {}
    for index, group in enumerate(groups):
        teachers = [each[0].config.problem.teachers for each in groups]
        color, marker = style_of(teachers[index], teachers)["color"], marker_of(teachers[index], teachers)
        shift = 0.34 * (index - (len(groups) - 1) / 2)
        label = named(group[0], [word for word in group[0].swept if word != "scale"])
        for run in group:
            end = run.isel(time=-1)
            x = columns.setdefault(f"{run.config.initialization.scale:g}", len(columns)) + shift
            for axes, shown in zip(
                row, (measured.shares(end), end.group_imbalance, measured.norm_excess(end)), strict=True
            ):
                values = shown.values[np.isfinite(shown.values)]
                jittered = x + random.uniform(-0.1, 0.1, len(values))
                axes.plot(
                    jittered, values, marker, color=color, alpha=0.35, markersize=2.5, markeredgewidth=0
                )
                axes.plot(
                    x, np.median(values), "_", color=color, markersize=10, markeredgewidth=2, label=label
                )
            label = ""
    left, middle, right = row
    left.set(yscale="log", ylabel=r"$|w_i|\,m_l\,/\,|v|$")
    middle.set(yscale="log", ylabel="$B_l$")
    right.set_ylabel(r"$\Sigma|w|^2\,/\,\Sigma_l\,|v_l|^2/m_l$")
    ends = np.array([-0.5, len(columns) - 0.5])
    for axes, levels in ((left, (0.25, 4)), (right, (1,))):
        for level in levels:
            reference(axes, ends, [level] * 2)
    for axes in row:
        axes.set_xticks(list(columns.values()), list(columns))
        axes.set_xlabel(r"scale $\sigma$ of the start")
    if len(groups) > 1:
        left.legend()
