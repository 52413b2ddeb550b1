"""The figures of Xu and Du 2023, and a check of its toy cases. All in units of the teacher."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, fit_rate, floored, name_axes, reference
from twolayer.analysis.drawing import show_all
from twolayer.analysis.intervals import mean_interval
from twolayer.analysis.labels import marker_of, style_of, symbol_of, trained_by
from twolayer.analysis.rates import local_slope, power_slope, within_trust
from twolayer.core.wording import counted
from twolayer.errors import DataError
from twolayer.population.asymptotics import (
    gradient_limit,
    group_spread,
    loss_by_spread,
    pair_constant,
    simplex_constant,
)

from . import measured, theory
from .theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def students(run: Run) -> int:
    """n."""
    return int(run.config.network.neurons)


def named(runs: Run) -> str:
    """`$d$ = 5`: runs by the swept values that they share."""
    return ", ".join(
        value.replace("_", " ") if isinstance(value, str) else f"{symbol_of(word, paper.symbols)} = {value:g}"
        for word, value in runs.swept.items()
    )


def by_students(runs: Run) -> list[Run]:
    """The single runs in units of |v|, by n."""
    return sorted((measured.in_units(run) for run in runs.by("run")), key=students)


def styles_of(runs: Run) -> dict[int, dict[str, Any]]:
    """The style of each number of students in an experiment."""
    sizes = [students(run) for run in by_students(runs)]
    return {size: style_of(size, sizes) for size in sizes}


def largest_group(runs: Run) -> Run:
    """Of the groups that differ in n alone, that of the largest d."""
    return max(runs.varying("neurons"), key=lambda group: int(group.config.problem.dimension))


def several_students(runs: Any) -> None:
    """Refuse runs none of which has more than one student."""
    if not any(students(run) > 1 for run in runs.by("run")):
        raise DataError(
            f"the rate is that of several students; no run of '{runs.experiment}' has more than one"
        )


def descends(runs: Any) -> None:
    """Refuse runs without steps."""
    for run in runs.by("run"):
        if "step_size" not in run.config.dynamics:
            raise DataError(
                f"shows iterations; a run of '{runs.experiment}' is one of {run.config.dynamics.name}"
            )


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


def toys_of_two(mirrored: Any, exact_rank: Any) -> None:
    """Refuse what the two panels of toys cannot show."""
    two_students(mirrored)
    descends(exact_rank)


def two_students(mirrored: Any, *others: Any) -> None:
    """Refuse a number of students for which the limits are not known."""
    for run in mirrored.by("run"):
        if students(run) != 2:
            raise DataError(
                f"the limits are those of two students; a run of '{run.experiment}' has {students(run)}"
            )


def middle_group(runs: Run) -> Run:
    """Of the groups that differ in n alone, the middle one by d."""
    groups = sorted(runs.varying("neurons"), key=lambda group: int(group.config.problem.dimension))
    return groups[len(groups) // 2]


def figure1_caption(runs: Run) -> str:
    """Which dimension is drawn."""
    return (
        f"After Xu and Du 2023, Figure 1: {trained_by(runs)} learns one neuron exponentially fast, and $n ≥ 2$ "
        f"students learn it as $t^{{-3}}$ (here $d$ = {middle_group(runs).config.problem.dimension})."
    )


@paper.figure(
    "inferred",
    figure1_caption,
    details=(
        "a: population loss, the left half of the printed figure. b: the exponent log L(T) / log(ηT), the right half. "
        "Median and range of seeds; stars: ends of the curves as read off the print. The paper states neither d nor "
        "the seed; of several d that are run the middle one is drawn."
    ),
    on={"figure1": "loss"},
    check=descends,
    size=(5.5, 2.6),
)
def figure1(canvas: Figure, runs: Run) -> None:
    left, right = canvas.subplots(1, 2)
    styles = styles_of(runs)
    for run in by_students(middle_group(runs)):
        n = students(run)
        early, late = (
            run.isel(time=steps)
            for steps in (run.step.values <= theory.LEFT, run.step.values >= theory.RIGHT)
        )
        bands(left, early.step, early.loss, f"$n$ = {n}", **styles[n])
        star(left, theory.LEFT, theory.ENDS_LEFT.get(n), styles[n]["color"])
        if measured.several(run) and late.step.size:
            bands(right, late.step, np.log(late.loss) / np.log(late.time), **styles[n])
            star(right, theory.END, theory.ENDS_RIGHT.get(n), styles[n]["color"])
    left.plot([], [], "*", color="white", markersize=8, markeredgecolor="black", label="in print")
    reference(right, [theory.RIGHT, theory.END], [-3, -3], "$t^{-3}$")
    right.legend(loc="lower right")
    left.set(yscale="log", xlabel="iteration $T$")
    right.set(xlabel="iteration $T$", ylabel=r"exponent $\log L\,/\,\log\,\eta T$")
    right.locator_params(axis="x", nbins=3)
    name_axes(left, y=runs.loss)
    left.legend(loc="lower left")


def star(axes: Axes, step: int, end: float | None, color: str) -> None:
    """The end of a printed curve, where it was read off."""
    if end is not None:
        axes.plot(step, end, "*", color=color, markersize=8, markeredgecolor="black", clip_on=False, zorder=5)


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


# ---- the rate from random starts ----


MISFIT = 0.01
"""How far a curve may lie from its fit over the last decade and still be one."""


@paper.figure(
    "theorem",
    "From random starts $L = C/(t + t_0)^3$, and $C$ does not grow with the number $n$ of students, where the theorem "
    "of Xu and Du 2023 allows $n^4$.",
    details=lambda runs: (
        "In the setting of Figure 1. a, "
        f"{paper.named(largest_group(runs)) or 'all n'}: the loss times t³, median and range over seeds; pale: the "
        "fit of the last decade; line: π²/6, what two even students have. b: C, mean and 95 % interval over seeds; "
        "pale: that of students with equal h at the corners of a regular simplex, exactly; line: the slope of the "
        f"bound. c: the loss over the fit of each seed; grey: {MISFIT:.0%}."
    ),
    on={"figure1": "loss"},
    check=several_students,
    size=(7.0, 3.4),
)
def rate(canvas: Figure, runs: Run) -> None:
    parts = canvas.subplot_mosaic([["scaled", "constant"], ["ratio", "constant"]], height_ratios=[2, 1])
    for run in by_students(largest_group(runs)):
        if measured.several(run):
            draw_rate(parts["scaled"], parts["ratio"], run, styles_of(runs)[students(run)])
    scaled, ratio = parts["scaled"], parts["ratio"]
    sharp = pair_constant([0.5, 0.5])
    scaled.axhline(sharp, color="0.4", linewidth=0.8)
    scaled.annotate(r"$\pi^2/6$", (1, sharp), (-2, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
                    ha="right")  # fmt: skip
    scaled.set(xscale="log", yscale="log", ylabel=r"$L\,t^3$", xlim=(0.5, None))
    scaled.set_ylim(bottom=1e-2, top=2.2 * sharp)
    scaled.tick_params(labelbottom=False)
    scaled.legend(loc="lower right")
    ratio.axhspan(1 - MISFIT, 1 + MISFIT, color="0.85", lw=0, zorder=0)
    ratio.set(xscale="log", xlim=scaled.get_xlim(), ylim=(0.94, 1.06), ylabel="$L$ / fit")
    name_axes(ratio, x=runs.time)
    draw_constants(parts["constant"], runs)


def draw_rate(scaled: Axes, ratio: Axes, run: Run, style: dict[str, Any]) -> None:
    """L t³ of one run with the median fit, and the loss over each seed's fit."""
    later, law = run.isel(time=slice(1, None)), fit_rate(run.dataset)
    bands(scaled, later.time, later.loss * later.time**3, f"$n$ = {students(run)}", **style)
    late = later.isel(time=later.time.values > 0.04 * float(later.time[-1]))
    middle = law.median("seed")
    reference(scaled, late.time, middle["constant"] * (late.time / (late.time + middle["offset"])) ** 3)
    bands(ratio, late.time, late.loss * (late.time + law["offset"]) ** 3 / law["constant"], **style)


def interval(constants: Any) -> tuple[float, float, float]:
    """Mean of C (seed,) and its 95 % interval, which one seed does not have."""
    return mean_interval(constants) if constants.size > 1 else (constants.item(), math.nan, math.nan)


def draw_constants(axes: Axes, runs: Run) -> None:
    """C by n for each d, that of a simplex, and the slope of the theorem's bound."""
    groups = list(runs.varying("neurons"))
    names = [named(group) for group in groups]
    sizes: set[int] = set()
    for number, (name, group) in enumerate(zip(names, groups, strict=True)):
        each = [run for run in by_students(group) if measured.several(run)]
        if not each:
            continue
        sizes |= {students(run) for run in each}
        shift = 1.05 ** (number - (len(groups) - 1) / 2)
        found = [fit_rate(run.dataset)["constant"] for run in each]
        mean, low, high = np.array([interval(one) for one in found]).T
        axes.errorbar(
            np.array([students(run) for run in each]) * shift, mean, (mean - low, high - mean),
            fmt=marker_of(name, names), color=style_of(name, names)["color"], markersize=3.5, capsize=2, linewidth=0.9,
            label=name,
        )  # fmt: skip
    largest = max(sizes)
    fine = np.linspace(2, max(largest, 3), 50)
    reference(axes, fine, simplex_constant(fine), "regular simplex")
    guide = np.array([2.0, 3.0])
    bound = simplex_constant(2) * (guide / 2) ** 4
    axes.plot(guide, bound, color="0.4", linewidth=0.8)
    axes.annotate("bound $\\propto n^4$", (guide[-1], bound[-1]), (4, -4), textcoords="offset points")
    axes.set(xscale="log", yscale="log", xlabel="students $n$", ylabel=r"constant $C$ of the fit")
    axes.set_xticks(sorted(sizes), [str(size) for size in sorted(sizes)])
    axes.minorticks_off()
    axes.legend(loc="lower left")


# ---- the toys ----


@paper.figure(
    "theorem",
    "The toys of Xu and Du 2023: two students at an angle to the teacher learn as $t^{-3}$; students along it, or "
    "all equal, learn exponentially.",
    details=lambda mirrored, exact_rank: (
        f"a: all toys, on a logarithmic time axis. Toy 1 by {trained_by(mirrored)}, two students with z₁ = −z₂; pale: "
        f"its limit (8π²/3)(h₁h₂)²/t³. b: the exponential ones by {trained_by(exact_rank)}, against n t, by which "
        "they coincide; pale: L(0)(1 − nη/2)^(2T) after T iterations, of students along the teacher. Median and range "
        "over seeds."
    ),
    on={"mirrored": ["loss", "projection"], "exact_rank": "loss"},
    check=toys_of_two,
    size=(5.5, 3.0),
)
def toys(canvas: Figure, mirrored: Run, exact_rank: Run) -> None:
    left, right = canvas.subplots(1, 2, sharey=True)
    pairs = {f"1, {label_of(run)}": run for run in by_students(mirrored)}
    exact = {toy_name(run): run for run in by_students(exact_rank)}
    names = [*pairs, *exact]
    for name, run in pairs.items():
        later, heights = run.isel(time=slice(1, None)), run.projection.isel(time=-1, seed=0).values
        bands(left, later.time, later.loss, name, **style_of(name, names))
        late = later.time[later.time.values > 10]
        reference(left, late, pair_constant(heights) / late**3, color=style_of(name, names)["color"])
    for name, run in exact.items():
        shown = (
            floored(right, run.loss, FLOOR)
            if run is next(iter(exact.values()))
            else run.loss.where(run.loss > FLOOR)
        )
        shown, style = shown.isel(time=slice(1, None)), style_of(name, names)
        bands(left, shown.time, shown, **style)
        bands(right, students(run) * shown.time, shown, name, **style)
        if measured.parallel(run):
            factor = 1 - 0.5 * students(run) * run.config.dynamics.step_size
            law = run.loss.isel(time=0, drop=True).median().item() * factor ** (2 * run.step)
            reference(right, students(run) * run.time, law.where(law > FLOOR), color=style["color"])
    for axes in (left, right):
        floored(axes, exact_rank.loss, FLOOR)
    left.set(xscale="log", yscale="log", ylim=(FLOOR / 100, 10))
    show_all(left)
    name_axes(left, x=mirrored.time, y=mirrored.loss)
    right.set_xlabel("students × time, $n\\,t$")
    canvas.legend(
        *(part + more for part, more in zip(left.get_legend_handles_labels(), right.get_legend_handles_labels(),
                                            strict=True)),
        loc="outside upper center", ncols=3, title="toy",
    )  # fmt: skip
    right.annotate("rounding", (1, FLOOR / 10), (-3, 0), xycoords=("axes fraction", "data"),
                   textcoords="offset points", ha="right", va="center", fontsize=7)  # fmt: skip


FLOOR = 1e-28
"""Of the loss in float64."""


def toy_name(run: Run) -> str:
    """`2, along the teacher, n = 4`."""
    kind = "2, along the teacher" if measured.parallel(run) else "3, all equal"
    return f"{kind}, $n$ = {students(run)}"


def label_of(run: Run) -> str:
    """A run of two students by its label: `even h` of mirror images."""
    return named(run).replace("mirror images", "even $h$")


# ---- the lower bound ----


@paper.figure(
    "theorem",
    "The lower bound of Xu and Du 2023: the spread $Z$ of $n$ students falls as $1/t$, and at the end of training "
    "$L/Z^3$ and $|\\nabla L|/L^{2/3}$ fall less with $n$ than its bounds allow.",
    details=lambda mirrored, runs: (
        "a: Z t, Z = Σ_{i<j}|z_i − z_j|, "
        f"of two students by {trained_by(mirrored)}, h even or uneven, with their exact limits 4πh₁h₂ (pale), and of "
        f"{trained_by(runs)} from random starts "
        f"({paper.named(largest_group(runs)) or 'all n'}, Figure 1's setting), median and range over seeds. b, c: at "
        "the end of training, median and range over seeds; lines: the slopes n⁻⁵ and n^(−2/3) of the bounds, and "
        "pale, at n = 2, the exact limits 1/(24πh₁h₂) and √3 C^(−1/6) of even students."
    ),
    on={
        "mirrored": ["gradient_norm", "loss", "projection", "spread"],
        "figure1": ["gradient_norm", "loss", "spread"],
    },
    check=two_students,
    size=(7.0, 2.8),
)
def lower_bound(canvas: Figure, mirrored: Run, runs: Run) -> None:
    left, *others = canvas.subplots(1, 3)
    random = [run for run in by_students(largest_group(runs)) if measured.several(run)]
    pairs = by_students(mirrored)
    values = [*map(students, random), *map(label_of, pairs)]
    for run in random:
        draw_spread(left, run, f"$n$ = {students(run)}", style_of(students(run), values))
    for run in pairs:
        style = style_of(label_of(run), values)
        draw_spread(left, run, f"{trained_by(run).removeprefix('gradient ')}, {label_of(run)}", style)
        late = np.geomspace(10, float(run.time[-1]), 2)
        limit = float(measured.of_pair(group_spread, run).median())
        reference(left, late, [limit] * 2, color=style["color"])
    reference(left, [], [], r"limit $4\pi h_1h_2$")
    left.set(xscale="log", yscale="log", ylabel=r"$Z\,t$")
    name_axes(left, x=mirrored.time)
    left.legend(loc="lower right")
    draw_by_students(others, runs)


def draw_spread(axes: Axes, run: Run, label: str, style: dict[str, Any]) -> None:
    """Z t of one run."""
    later = run.isel(time=slice(1, None), teacher=0)
    bands(axes, later.time, later.spread * later.time, label, **style)


def draw_by_students(row: Any, runs: Run) -> None:
    """L/Z³ and |∇L|/L^{2/3} at the end of training by n, for each d, with the slopes of their bounds."""
    from matplotlib.ticker import LogLocator, NullFormatter

    groups = list(runs.varying("neurons"))
    names = [named(group) for group in groups]
    limits = (loss_by_spread([0.5, 0.5]), gradient_limit(pair_constant([0.5, 0.5])))
    bounds = (-5.0, -2 / 3)
    sizes: set[int] = set()
    for number, (name, group) in enumerate(zip(names, groups, strict=True)):
        each = [run.isel(time=-1, teacher=0) for run in by_students(group) if measured.several(run)]
        sizes |= {students(run) for run in each}
        shift = 1.05 ** (number - (len(groups) - 1) / 2)
        cubed = [end.loss / end.spread**3 for end in each]
        slopes = [end.gradient_norm / end.loss ** (2 / 3) for end in each]
        for axes, ends in zip(row, (cubed, slopes), strict=True):
            found = [np.quantile(values, (0, 0.5, 1)) for values in ends]
            if not found:
                continue
            low, middle, high = np.array(found).T
            axes.errorbar(
                [shift * students(end) for end in each], middle, (middle - low, high - middle),
                fmt=marker_of(name, names), color=style_of(name, names)["color"], markersize=3.5, capsize=2,
                linewidth=0.9, label=name,
            )  # fmt: skip
    if not sizes:
        return
    guide = np.array([2.0, max(3.0, max(sizes))])
    for axes, limit, power, label in zip(row, limits, bounds, ("n^{-5}", "n^{-2/3}"), strict=True):
        axes.plot(guide, limit * (guide / 2) ** power, color="0.4", linewidth=0.8)
        axes.annotate(f"bound $\\propto {label}$", (guide[0], limit), (18, -14), textcoords="offset points")
        reference(axes, [1.8, 2.25], [limit] * 2)
        axes.set(xscale="log", yscale="log", xlabel="students $n$")
        axes.set_xticks(sorted(sizes), [str(size) for size in sorted(sizes)])
        axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        axes.yaxis.set_minor_formatter(NullFormatter())
    row[0].set_ylabel(r"$L\,/\,Z^3$ at the end")
    row[1].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    row[1].yaxis.set_major_formatter("{x:g}")
    row[1].set_ylabel(r"$|\nabla L|\,/\,L^{2/3}$ at the end")
    row[0].legend(loc="lower left")


# ---- the law of three papers ----


SOURCES = {"xu2023": "Xu and Du 2023", "zhu2025": "Zhu et al. 2025", "zhou2021": "Zhou et al. 2021"}
"""The papers whose losses fall as t⁻³, by the first part of an experiment's full name."""

NEAR_CUBIC = 0.3
"""How far the slope of the last decade may lie from −3 for a run to be shown."""


def late_slope(run: Run) -> float:
    """The slope of log L against log t over the last decade that is trusted, the median over seeds."""
    loss = within_trust(run.dataset).transpose("seed", "time").values
    time = run.time.values
    slopes = []
    for one in loss:
        known = np.isfinite(one) & (one > 0)
        last = time[known].max(initial=0.0)
        slopes.append(power_slope(time[known], one[known], last / 10, last) if known.sum() > 1 else math.nan)
    return float(np.median(slopes))


def cubic_runs(runs: Run) -> list[Run]:
    """The runs of an experiment whose loss ends as t⁻³."""
    return [run for run in runs.by("run") if abs(late_slope(run) + 3) < NEAR_CUBIC]


def drawn_of(name: str, runs: Run) -> str:
    """`Xu and Du 2023 (9 of 12 runs)`."""
    every = list(runs.by("run"))
    return f"{SOURCES.get(name, name)} ({len(cubic_runs(runs))} of {counted(len(every), 'run')})"


@paper.figure(
    "theorem",
    "One law of three papers: where several students share a teacher, the loss falls as $t^{-3}$, for relu and "
    "$|\\cdot|$, one teacher and several, small starts and starts near the teachers.",
    details=lambda *runs: (
        "a: the loss times t³, the median over the seeds of each run; b: the local slope, pale: −3. Of each paper the "
        f"runs whose loss falls over its last decade with an exponent within {NEAR_CUBIC} of −3: "
        + ", ".join(drawn_of(key, each) for key, each in zip(SOURCES, runs, strict=True))
        + ". Each in the units of its paper, so that levels of different papers are not compared."
    ),
    on={"figure1": "loss", "zhu2025.rate": "loss", "zhou2021.rates": "loss"},
    size=(7.0, 3.2),
)
def one_law(canvas: Figure, *experiments: Run) -> None:
    left, right = canvas.subplots(1, 2)
    for key, runs in zip(SOURCES, experiments, strict=True):
        style, label = style_of(SOURCES[key], list(SOURCES.values())), SOURCES[key]
        for run in cubic_runs(runs):
            later = run.isel(time=slice(1, None))
            loss = within_trust(later.dataset).median("seed")
            left.plot(later.time, loss * later.time**3, label=label, linewidth=0.9, **style)
            slope = local_slope(later.dataset).median("seed")
            right.plot(later.time, slope, label=label, linewidth=0.9, **style)
            label = ""
    reference(right, [1e-1, 1e8], [-3, -3])
    left.set(xscale="log", yscale="log", ylabel="$L\\,t^3$", ylim=(1e-2, None), xlim=(0.5, None))
    right.set(xscale="log", ylabel=r"local slope of $\log L$", ylim=(-4.2, 0.2), xlim=(0.5, None))
    for axes in (left, right):
        name_axes(axes, x=experiments[0].time)
    left.legend(loc="lower right")
