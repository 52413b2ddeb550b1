"""Figures for Zhu, Liu and Cevher 2025: its panels as far as they are known, and checks of its statements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, facets, local_slope, name_axes, reference
from twolayer.analysis.intervals import mean_interval
from twolayer.analysis.labels import style_of, symbol_of
from twolayer.population.asymptotics import gradient_limit

from . import measured, theory
from .theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def named(run: Run, words: Sequence[str] = (), separator: str = ", ") -> str:
    """A run by its swept values, or those of some words: `$k$ = 2, $m$ = 20`; a label stands alone."""
    swept = {word: value for word, value in run.swept.items() if not words or word in words}
    labels = [value.replace("_", " ") for value in swept.values() if isinstance(value, str)]
    return separator.join(labels or [f"{symbol_of(word)} = {value:g}" for word, value in swept.items()])


def ordered(runs: Run) -> list[Run]:
    """Single runs by their swept values, rising."""
    return sorted(runs.by("run"), key=lambda run: tuple(run.swept.values()))


# ---- the panels ----


PANELS = ("loss", "teacher_angles", "closest_teacher", "teacher_deficit", "hidden_norm")
"""What the panels show."""


def panel_caption(runs: Run) -> str:
    """What the panels show, and how they were trained."""
    return (
        f"Zhu, Liu and Cevher 2025, the panels (k, m) as public reviews describe them; by {trained(runs)}. Top to "
        "bottom, of one seed: each student's angle to the teacher it ends with (in that teacher's colour) and to the "
        "others (grey), with arccos(1/√k) dashed; H_l, with students counted for the teacher closest at the time, "
        "hence its steps; |w|, with the factor 4 dashed; the loss of all seeds with a line 1/T³. Vertical lines, "
        "ours: t₁, mean angle to the closest teacher below 30°; t₂, all |H_l| below |v|/100. d, η, |v|, horizon and "
        "seeds are ours too."
    )


def trained(runs: Run) -> str:
    """By what: `gradient descent`, `batches of 512`."""
    dynamics = runs.config.dynamics
    return (
        f"batches of {dynamics.batch_size}"
        if "batch_size" in dynamics
        else f"{dynamics.name}".replace("_", " ")
    )


@paper.figure("inferred", panel_caption, on={"phases": PANELS}, size=(7.5, 7.5))
def phases(canvas: Figure, runs: Run) -> None:
    draw_panels(canvas, runs)


@paper.figure("inferred", panel_caption, on={"phases_sgd": PANELS}, size=(7.5, 7.5))
def phases_sgd(canvas: Figure, runs: Run) -> None:
    draw_panels(canvas, runs)


def draw_panels(canvas: Figure, runs: Run) -> None:
    """A column for each run, as the caption says."""
    each = ordered(runs)
    grid = canvas.subplots(4, len(each), sharex=True, sharey="row", squeeze=False)
    for column, run in zip(grid.T, each, strict=True):
        draw_panel(column, run.isel(time=slice(1, None)))
    for axes, label in zip(grid[:, 0], ("angle θ, degrees", "$H_l$", r"$|w|\,m_l\,/\,|v|$"), strict=False):
        axes.set_ylabel(label)
    name_axes(grid[-1, 0], y=runs.loss)
    for axes in grid[-1]:
        name_axes(axes, x=runs.time)
    canvas.legend(*grid[-1, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)


def draw_panel(column: Any, run: Run) -> None:
    """One column of the panels."""
    one, time, teachers = run.isel(seed=0), run.time.values, run.teacher_angles.sizes["teacher"]
    angles, norms = (
        np.degrees(one.teacher_angles),
        one.hidden_norm * measured.group_size_by_student(one.closest_teacher[-1]),
    )
    last = one.closest_teacher[-1].values
    for teacher in range(teachers):
        group = np.flatnonzero(last == teacher)
        colour, near = f"C{teacher}", angles.isel(neuron=group)
        for other in set(range(teachers)) - {teacher}:
            bundle(column[0], time, near.isel(teacher=other), color="0.75", linewidth=0.4, zorder=1)
        bundle(column[0], time, near.isel(teacher=teacher), color=colour, linewidth=0.6, zorder=2)
        column[1].plot(time, one.teacher_deficit.isel(teacher=teacher), color=colour)
        bundle(column[2], time, norms.isel(neuron=group), color=colour, linewidth=0.6)
    reference(column[0], time[[0, -1]], [math.degrees(theory.plateau(teachers))] * 2)
    for factor in (0.25, 4):
        reference(column[2], time[[0, -1]], [factor] * 2)
    bands(column[3], time, run.loss, "median and range of seeds", color="0.25")
    late = time[time >= 0.02 * time[-1]]
    end = float(run.loss[..., -1].median())
    reference(column[3], late, end * (late[-1] / late) ** 3, "1/T³ through the end")
    column[0].set(title=named(run, separator="\n"))
    column[2].set(yscale="log", ylim=(0.03, 10))
    column[3].set(xscale="log", yscale="log")
    for found, label, style in zip(measured.phase_times(run), ("t₁", "t₂"), ("-", ":"), strict=True):
        reached = float(found[0])
        for axes in column:
            axes.axvline(reached, color="0.4", linewidth=0.8, linestyle=style)
        if math.isfinite(reached):
            column[1].annotate(
                label, (reached, 0.93), xycoords=("data", "axes fraction"), xytext=(2, 0),
                textcoords="offset points", fontsize=8,
            )  # fmt: skip


def bundle(axes: Axes, x: Any, values: Any, **style: Any) -> None:
    """Lines over one x, values (time, neuron), as one artist: many are slow to lay out."""
    lines = values.transpose("time", "neuron").values
    gaps = np.full((1, lines.shape[1]), np.nan)
    axes.plot(np.tile(np.append(x, np.nan), lines.shape[1]), np.concatenate([lines, gaps]).T.ravel(), **style)


@paper.figure(
    "inferred",
    "t₁ (mean angle to the closest teacher below 30°) and t₂ (all |H_l| below |v|/100) of each seed, by (k, m), and "
    "geometric means with their 95 % intervals. The trends as quoted: a larger m shortens both, a larger k lengthens "
    "both. The paper's definitions of t₁ and t₂ are not known.",
    on={"phases": ["teacher_angles", "teacher_deficit"], "phases_sgd": ["teacher_angles", "teacher_deficit"]},
    size=(5.5, 2.8),
)
def phase_times(canvas: Figure, *experiments: Run) -> None:
    row = canvas.subplots(1, 2)
    columns: dict[str, int] = {}
    for index, runs in enumerate(experiments):
        colour, label = f"C{index}", trained(runs)
        for run in ordered(runs):
            x = columns.setdefault(named(run, separator="\n"), len(columns)) + 0.32 * index - 0.2
            for axes, times in zip(row, measured.phase_times(run), strict=True):
                axes.plot(np.full(run.seeds, x), times, ".", color=colour, alpha=0.5)
                mean, low, high = np.exp(mean_interval(np.log(times))) if run.seeds > 1 else (math.nan,) * 3
                axes.errorbar(
                    x + 0.08,
                    mean,
                    [[mean - low], [high - mean]],
                    fmt="o",
                    color=colour,
                    capsize=3,
                    label=label,
                )
                label = ""
    for axes, label in zip(row, ("t₁", "t₂"), strict=True):
        axes.set(yscale="log", ylabel=f"time {label}")
        axes.set_xticks(list(columns.values()), list(columns))
    row[0].legend()


# ---- alignment ----


@paper.figure(
    "theorem",
    lambda runs: (
        "Gradient flow from starts of scale σ. Solid: angle of students to their closest teacher, median and range "
        "over students and seeds. Dashed, in the same colour: the envelope quoted for phase 1 with ε₁ = 0, from the "
        "largest start, (1 + ηk|v|t/s₂)^(−1/8k), s₂ = 2σ√d. Dotted: arccos(1/√k). Grey line: "
        f"ηt = {theory.ALIGNED_BY:g}, our ηT₁."
    ),
    on={"alignment": "teacher_angles"},
    size=(7.5, 3.0),
)
def alignment(canvas: Figure, runs: Run) -> None:
    panels = facets(canvas, runs.varying("scale"))
    for axes, group in panels:
        each = list(group.by("run"))
        names = [named(run, ["scale"]) or named(run) for run in each]
        for run, name in zip(each, names, strict=True):
            teachers, colour = run.config.problem.teachers, style_of(name, names)["color"]
            time = run.time.clip(min=float(run.time[1]))  # 0 cannot be shown on a logarithmic axis
            angle = measured.closest_angle(run)
            bands(
                axes,
                time,
                np.degrees(angle.rename(seed="start").stack(seed=("start", "neuron"))),
                name,
                color=colour,
            )
            shrink = theory.envelope(time, teachers, measured.start_size(run))
            bound = 2 * np.arcsin(np.sqrt(shrink * math.sin(angle[:, 0].max() / 2) ** 2))
            reference(axes, time, np.degrees(bound), color=colour)
            if teachers > 1:
                axes.axhline(
                    math.degrees(theory.plateau(teachers)), color="black", linestyle=":", linewidth=0.9
                )
        axes.axvline(theory.ALIGNED_BY, color="0.6", linewidth=0.8)
        axes.set(xscale="log")
        name_axes(axes, x=runs.time)
    panels[0][0].set_ylabel("angle θ to the closest teacher, degrees")
    if len(names) > 1:
        panels[-1][0].legend(loc="lower left")


# ---- growth ----

FLOOR = 1e-14
"""Of |H_l| in float64."""


def decaying(values: Any, rate: float, level: float) -> Any:
    """e^(−rate t) through the point of values (time,) that is nearest to a level."""
    apart = abs(np.log(values.values / level))
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
    "What is left of teachers once students are aligned. Left: the largest H_l − H_l' (|H_1| where all sums are "
    "equal), and dashed the derived rates. Right: each |H_l| against mηt/k, and dotted the factor (1 − ηm/9k)^t that "
    "is quoted from phase 2, as e^(−mηt/9k).",
    on={"growth": "teacher_deficit"},
    size=(7.0, 3.2),
)
def growth(canvas: Figure, runs: Run) -> None:
    left, right = canvas.subplots(1, 2, sharey=True)
    each = {named(run): run for run in runs.by("run")}
    top = float(abs(runs.teacher_deficit).isel(time=0).max())
    ends = []
    for name, run in each.items():
        color = style_of(name, list(each))["color"]
        groups, students = run.config.initialization.projections, run.config.network.neurons
        teachers, rate = len(groups), theory.growth_rate(groups)
        shown = abs(measured.left_over(run))
        shown = shown.where(shown > FLOOR)
        bands(left, run.time, shown, f"{name}, {rate_name(groups)}", color=color)
        exact = decaying(shown.median("seed"), rate, math.sqrt(top * FLOOR))
        reference(left, run.time, exact.where((exact > FLOOR) & (exact < 2 * top)))
        scaled = run.time * students / teachers
        for teacher in range(teachers):
            bands(right, scaled, abs(run.teacher_deficit.isel(teacher=teacher)), color=color, linewidth=0.9)
        equal = ", equal sums" * (teachers > 1 and theory.have_equal_sums(groups))
        right.plot([], [], color=color, label=f"$k$ = {teachers}, $m$ = {students}{equal}")
        ends.append(float(scaled[-1]))
    scaled = np.linspace(0, max(ends), 2)
    reference(right, scaled, top * np.exp(-scaled / 9), rf"${top:.2g}\,e^{{-m\eta t/9k}}$", linestyle=":")
    left.set(yscale="log", ylabel=r"largest $H_l - H_{l'}$, or $|H_1|$", ylim=(FLOOR, 3 * top))
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
    return f"k = {len(groups)}: " + " | ".join("+".join(f"{h:.2f}" for h in group) for group in groups)


@paper.figure(
    "theorem",
    "Gradient flow from students at an angle to their teachers (legend: projections at the end, teacher by teacher). "
    "Left: L^(−1/3) against ηT, and dashed lines of the derived slope (Σ_l C_l)^(−1/3). Middle: how far L (ηT)³ is "
    "from Σ_l C_l; 0.1 % is grey. Right: the local slope, and for k = 1 dashed −3ηT/(ηT + t₀) with a fitted t₀. "
    "Groups of three or more uneven students have no formula.",
    on={"rate": ["loss", "projection", "closest_teacher"]},
    size=(7.5, 3.8),
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
            reference(left, [begin, end], [level - slope * (end - begin), level], linewidth=0.7)
        bands(middle, run.time, abs(run.loss * run.time**3 / limit - 1), **style)
        if run.config.problem.teachers == 1:
            offset = measured.offset(run).median()
            reference(right, run.time, -3 * run.time / (run.time + offset), linewidth=0.7)
    middle.axhline(1e-3, color="0.5", linewidth=0.8)
    middle.set(xscale="log", yscale="log", ylabel=r"$|L\,(\eta T)^3 / \Sigma_l C_l - 1|$", xlim=(1, None))
    left.set(ylabel="$L^{-1/3}$", xlim=(0, min(NEAR_START, float(runs.time.max()))), ylim=(0, None))
    right.set(xscale="log", ylabel="local slope of log L", ylim=(-3.1, 0.1), xlim=(1, None))
    for axes in (left, middle, right):
        name_axes(axes, x=runs.time)
    canvas.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)


@paper.figure(
    "theorem",
    f"Left: Z ηT, Z = Σ_{{i<j}}|z_i − z_j| within each group, and dashed its derived limit. Middle: |∇L|/L^{{2/3}} to "
    f"ηT = {CARRIED:.0e} (later, float64 weights do not carry the gradient's part along the teacher), and dashed √3 "
    "C^(−1/6). Right: toys 2 (students along the teacher) and 3 (equal students), and as many students as teachers: "
    "the loss, and dashed its derived exponential rate.",
    on={"rate": ["loss", "projection", "closest_teacher", "spread"], "exponential": "loss"},
    size=(7.5, 3.8),
)
def lower_bound(canvas: Figure, runs: Run, exponential: Run) -> None:
    left, middle, right = canvas.subplots(1, 3)
    each = {named(run): run for run in runs.by("run")}
    for name, run in each.items():
        run, style = run.isel(time=slice(1, None)), style_of(name, list(each))
        limits, label, time = measured.spread_limits(run), by_groups(run), run.time.values
        for teacher in np.flatnonzero((run.spread.isel(time=0) > 0).any("seed")):
            bands(left, time, run.spread.isel(teacher=teacher) * run.time, label, **style)
            reference(left, time[-1] * np.array([1e-4, 1]), [float(limits[:, teacher].median())] * 2)
            label = ""
        early = run.isel(time=time < 1.01 * CARRIED)
        bands(middle, early.time, early.gradient_norm / early.loss ** (2 / 3), **style)
        limit = gradient_limit(measured.constant(run).median())
        if np.isfinite(limit) and early.time.size:
            reference(middle, early.time.values[-1] * np.array([0.01, 1]), [limit] * 2)
    draw_exponential(right, list(exponential.by("run")))
    first, last = float(runs.time.where(runs.time > 0).min()), float(runs.time.max())
    left.set(xscale="log", ylabel=r"$Z\,\eta T$", xlim=(first, last))
    middle.set(xscale="log", ylabel=r"$|\nabla L| / L^{2/3}$", xlim=(first, min(CARRIED, last)))
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
    axes.set(xlabel=r"rate $\times$ time $t$", yscale="log", ylim=(floor, 10))
    name_axes(axes, y=each[0].loss)
    axes.legend(loc="upper right")


# ---- balance ----


@paper.figure(
    "theorem",
    "The end of training by the scale σ of the start. Left: |w_i| in units of |v|/m_l, all students and seeds; dashed "
    "the factor 4. Middle: B_l = m_l Σh²/(Σh)² − 1 of each group and seed. Right: Σ|w|² over Σ_l |v_l|²/m_l, the "
    "least that fits. Bars: medians. Where σ is below the size of a first step, that step sets the scale.",
    on={"balance": ["closest_teacher", "group_imbalance", "hidden_norm"]},
    size=(7.5, 3.2),
)
def balance(canvas: Figure, runs: Run) -> None:
    row = canvas.subplots(1, 3)
    random = np.random.default_rng(0)
    groups = [list(group.by("run")) for group in runs.varying("scale")]
    columns: dict[str, int] = {}
    for index, group in enumerate(groups):
        teachers = [each[0].config.problem.teachers for each in groups]
        color = style_of(teachers[index], teachers)["color"]
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
                axes.plot(jittered, values, ".", color=color, alpha=0.35, markersize=3, markeredgewidth=0)
                axes.plot(
                    x, np.median(values), "_", color=color, markersize=14, markeredgewidth=2, label=label
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
