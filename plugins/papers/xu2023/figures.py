"""The figures of Xu and Du 2023, and a check of its toy cases. All in units of the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, facets, fit_rate, name_axes, reference
from twolayer.analysis.intervals import mean_interval
from twolayer.analysis.labels import marker_of, style_of
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

NOT_STATED = (
    "Stars: ends of the curves as read off the print. Median and range of seeds. The paper states neither d "
    "nor the seed."
)


def students(run: Run) -> int:
    """n."""
    return int(run.config.network.neurons)


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


def star(axes: Axes, step: int, end: float | None, color: str) -> None:
    """The end of a printed curve, where it was read off."""
    if end is not None:
        axes.plot(step, end, "*", color=color, markersize=9, markeredgecolor="black", clip_on=False)


@paper.figure(
    "inferred",
    f"Xu and Du 2023, Figure 1 left: population loss of gradient descent. {NOT_STATED}",
    on={"figure1": "loss"},
    check=descends,
    size=(7.5, 3.2),
)
def figure1_left(canvas: Figure, runs: Run) -> None:
    panels, styles = facets(canvas, runs.varying("neurons")), styles_of(runs)
    for axes, group in panels:
        for run in by_students(group):
            n, run = students(run), run.isel(time=run.step.values <= theory.LEFT)
            colour = bands(axes, run.step, run.loss, f"n = {n}", **styles[n])
            star(axes, theory.LEFT, theory.ENDS_LEFT.get(n), colour)
        axes.set(yscale="log", xlabel="iteration")
    name_axes(panels[0][0], y=runs.loss)
    panels[0][0].legend(loc="lower left")


@paper.figure(
    "inferred",
    f"Xu and Du 2023, Figure 1 right: the exponent log L(T) / log(ηT). {NOT_STATED}",
    on={"figure1": "loss"},
    check=descends,
    size=(7.5, 3.2),
)
def figure1_right(canvas: Figure, runs: Run) -> None:
    panels, styles = facets(canvas, runs.varying("neurons")), styles_of(runs)
    for axes, group in panels:
        axes.axhline(-3, color="0.4", linestyle="--", linewidth=0.8)
        for run in by_students(group):
            if measured.several(run):
                n, run = students(run), run.isel(time=run.step.values >= theory.RIGHT)
                exponent = np.log(run.loss) / np.log(run.time)
                colour = bands(axes, run.step, exponent, f"n = {n}", **styles[n])
                star(axes, theory.END, theory.ENDS_RIGHT.get(n), colour)
        axes.set_xlabel("iteration")
        axes.locator_params(axis="x", nbins=3)
    panels[0][0].set_ylabel(r"exponent $\log_{\eta T} L(T)$")
    panels[0][0].legend(loc="lower left")


@paper.figure(
    "theorem",
    "The three phases of Xu and Du 2023, Theorem 1, from small weights; ranges over all students and seeds. Dashed: "
    "the theorem's bounds, with T₁ = 3/4n and the smallest ε₂ that fits all seeds (where ε₂ is below 1e-20: that "
    "rounding allows). Time is ηt. The σ and η that the theorem asks for cannot be run.",
    on={"phases": ["hidden_norm", "teacher_angle", "teacher_deficit"]},
    check=past_the_first_phase,
    size=(7.5, 7.0),
)
def phases(canvas: Figure, runs: Run) -> None:
    each = by_students(runs)
    grid = canvas.subplots(3, len(each), sharex=True, sharey="row", squeeze=False)
    for column, run in zip(grid.T, each, strict=True):
        draw_phases(column, run)
    for axes, label in zip(
        grid[:, 0],
        (r"length $|w|$", r"$\sin^2(\theta/2)$ to the teacher", "teacher deficit $H$"),
        strict=True,
    ):
        axes.set_ylabel(label)
    for axes in grid[-1]:
        axes.set_xlabel("time ηt")


def draw_phases(column: Any, run: Run) -> None:
    """Lengths, angles and H of one run, from top to bottom, with their bounds in each phase."""
    n, size, begin = students(run), measured.start_size(run), theory.aligned_by(students(run))
    error = float(measured.second_phase(run)[0].max())
    end = begin + np.log(1 / (36 * error)) / n
    sine, left, bound = np.sin(0.5 * run.teacher_angle) ** 2, measured.carried(run), measured.envelope(run)
    shrunk = theory.shrinking(run.time, size) * float(sine.isel(time=0).max())
    low, high = theory.lengths(run.time, size)
    first, second, third = run.time <= begin, (run.time >= begin) & (run.time <= end), run.time >= end
    lengths, angles, height = column
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
    for axes in column:
        for time in (begin, end):
            axes.axvline(time, color="0.6", linewidth=0.8, linestyle=":")
        axes.set(xscale="log", yscale="log")
    lengths.set_title(f"$n$ = {n}, ε₂ = {error:.0e}")
    for name, time in (("$T_1$", begin), ("$T_2$", end)):
        height.annotate(name, (time, 0.02), xycoords=("data", "axes fraction"), ha="right")


def extent(axes: Axes, values: Any) -> None:
    """The range of a measurement over all but time, after the start."""
    later = values.isel(time=slice(1, None))
    others = [name for name in later.dims if name != "time"]
    low, high = later.min(others, skipna=False), later.max(others, skipna=False)
    axes.fill_between(later.time, low, high, color="C0", alpha=0.5, lw=0.8, edgecolor="C0")


@paper.figure(
    "theorem",
    lambda runs: (
        "The rate from random starts, in the setting of Figure 1. Left, "
        f"{paper.named(largest_group(runs)) or 'all n'}: the loss times T³, median and range over seeds, and "
        "C T³/(T + T₀)³ with the median fit of the last decade. Right: C, mean and 95 % interval over seeds, and that "
        "of students with equal h at the corners of a simplex. The theorem's bound allows n⁴."
    ),
    on={"figure1": "loss"},
    check=several_students,
    size=(7.0, 3.2),
)
def rate(canvas: Figure, runs: Run) -> None:
    left, right = canvas.subplots(1, 2)
    for run in by_students(largest_group(runs)):
        if measured.several(run):
            draw_rate(left, run, styles_of(runs)[students(run)])
    left.plot([], [], "--", color="black", linewidth=0.9, label="fit")
    left.set(xscale="log", yscale="log", xlabel="time T = ηt", ylabel=r"$L\,T^3$", xlim=(0.5, None))
    left.set_ylim(bottom=1e-2)
    left.legend(loc="lower right")
    groups = list(runs.varying("neurons"))
    sizes: set[int] = set()
    for number, group in enumerate(groups):
        each = [run for run in by_students(group) if measured.several(run)]
        if not each:
            continue
        sizes |= {students(run) for run in each}
        shift = 1.05 ** (number - (len(groups) - 1) / 2)
        mean, low, high = np.array([mean_interval(fit_rate(run.dataset)["constant"]) for run in each]).T
        right.errorbar(
            np.array([students(run) for run in each]) * shift, mean, (mean - low, high - mean),
            fmt=marker_of(number, range(len(groups))), color=f"C{number}", markersize=3, capsize=2,
            label=paper.named(group),
        )  # fmt: skip
    draw_simplex(right, sorted(sizes))


def draw_rate(axes: Axes, run: Run, style: dict[str, Any]) -> None:
    """L T³ of one run, and the median fit."""
    later, law = run.isel(time=slice(1, None)), fit_rate(run.dataset).median("seed")
    bands(axes, later.time, later.loss * later.time**3, f"n = {students(run)}", **style)
    late = later.time[later.time.values > 0.04 * float(later.time[-1])]
    reference(axes, late, law["constant"] * (late / (late + law["offset"])) ** 3)


def draw_simplex(axes: Axes, sizes: list[int]) -> None:
    """C of students at the corners of a simplex, and the slope of the theorem's bound."""
    fine, guide = np.linspace(2, max(sizes), 50), np.array([2.0, 3.0])
    axes.plot(fine, simplex_constant(fine), color="black", linewidth=0.9, label="regular simplex, exact")
    reference(axes, guide, simplex_constant(2) * (guide / 2) ** 4, "slope n⁴ (bound)")
    axes.set(xscale="log", yscale="log", xlabel="students $n$", ylabel=r"constant $C$ of $L = C/(T+T_0)^3$")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.legend(loc="lower left")


@paper.figure(
    "theorem",
    "Toys of Xu and Du 2023. Left, two students by flow, z₁ = −z₂: loss and its limit (8π²/3)(h₁h₂)²/T³. Right, by "
    "descent: students along the teacher, and equal students (range over seeds); L falls by (1 − nη/2)² per step.",
    on={"mirrored": ["loss", "projection"], "exact_rank": "loss"},
    check=toys_of_two,
    size=(7.0, 3.2),
)
def toys(canvas: Figure, mirrored: Run, exact_rank: Run) -> None:
    left, right = canvas.subplots(1, 2)
    each = by_students(mirrored)
    names = [label_of(run) for run in each]
    for name, run in zip(names, each, strict=True):
        later, heights = run.isel(time=slice(1, None)), run.projection.isel(time=-1, seed=0).values
        ends = ", ".join(f"{h:.2f}" for h in heights)
        colour = bands(left, later.time, later.loss, f"{name}: {ends} at the end", **style_of(name, names))
        late = later.time[later.time.values > 10]
        reference(left, late, pair_constant(heights) / late**3)
        left.plot(later.time[-1], later.loss[0, -1], marker_of(name, names), color=colour)
    left.plot([], [], "--", color="black", linewidth=0.8, label="limit")
    left.set(xscale="log", yscale="log")
    name_axes(left, x=mirrored.time, y=mirrored.loss)
    left.legend()
    toys = {toy_name(run): run for run in by_students(exact_rank)}
    for name, run in toys.items():
        draw_exact_rank(right, run, name, style_of(name, list(toys)))
    right.plot([], [], "--", color="black", linewidth=0.8, label=r"$L(0)(1 - n\eta/2)^{2T}$")
    right.set(xlabel="iteration $T$", yscale="log")
    name_axes(right, y=exact_rank.loss)
    right.legend(loc="upper right")


FLOOR = 1e-28
"""Of the loss in float64."""


def toy_name(run: Run) -> str:
    """`toy 2, along v, n = 4`."""
    kind = "toy 2, along v" if measured.parallel(run) else "toy 3, all equal"
    return f"{kind}, n = {students(run)}"


def draw_exact_rank(axes: Axes, run: Run, name: str, style: dict[str, Any]) -> None:
    """The loss of one run, and its exact course where students are along the teacher."""
    bands(axes, run.step, run.loss.where(run.loss > FLOOR), name, **style)
    if measured.parallel(run):
        factor = 1 - 0.5 * students(run) * run.config.dynamics.step_size
        exact = run.loss.isel(time=0, drop=True).median().item() * factor ** (2 * run.step)
        reference(axes, run.step, exact.where(exact > FLOOR))


def label_of(run: Run) -> str:
    """A run of two students by its label: `even h` of mirror images."""
    return paper.named(run).replace("mirror_images", "even h").replace("_", " ")


@paper.figure(
    "theorem",
    lambda mirrored, runs: (
        "The lower bound of Xu and Du 2023. Two students by flow, h even or uneven, and dashed their exact limits: "
        "4πh₁h₂/T, n⁵/(24πh₁h₂), and that of L = C/T³. Bands: descent from random starts "
        f"({paper.named(largest_group(runs)) or 'all n'}, Figure 1's setting), range over seeds. The bounds say that "
        "the last two panels stay above a constant for every n."
    ),
    on={
        "mirrored": ["gradient_norm", "loss", "projection", "spread"],
        "figure1": ["gradient_norm", "loss", "spread"],
    },
    check=two_students,
    size=(7.5, 3.2),
)
def lower_bound(canvas: Figure, mirrored: Run, runs: Run) -> None:
    row = canvas.subplots(1, 3)
    random = [run for run in by_students(largest_group(runs)) if measured.several(run)]
    pairs = by_students(mirrored)
    values = [*map(students, random), *map(label_of, pairs)]
    for run in random:
        draw_lower_bound(row, run, f"n = {students(run)}", style_of(students(run), values))
    for run in pairs:
        draw_lower_bound(row, run, f"n = {students(run)}, {label_of(run)}", style_of(label_of(run), values))
        draw_limits(row, run)
    for axes in row:
        axes.set(xscale="log", yscale="log", xlabel="time T = ηt")
    spread, cubed, gradient = row
    spread.set_ylabel(r"spread $Z = \sum_{i<j}|z_i - z_j|$")
    cubed.set_ylabel(r"$n^5 L / Z^3$")
    gradient.set_ylabel(r"$n^{2/3} |\nabla L| / L^{2/3}$")
    for axes, ticks in ((cubed, [2, 5, 10, 20]), (gradient, [2, 5, 10])):
        axes.set_yticks(ticks, [str(tick) for tick in ticks])
        axes.tick_params(axis="y", which="minor", left=False, labelleft=False)
    spread.legend(loc="lower left")


def draw_lower_bound(row: Any, run: Run, label: str, style: dict[str, Any]) -> None:
    """Z, n⁵L/Z³ and n^{2/3}|∇L|/L^{2/3} of one run."""
    n, later = students(run), run.isel(time=slice(1, None), teacher=0)
    early = later.isel(time=later.time.values <= measured.CARRIED)
    shown = (later.spread, n**5 * later.loss / later.spread**3, early.gradient_norm / early.loss ** (2 / 3))
    for axes, values, scale in zip(row, shown, (1.0, 1.0, n ** (2 / 3)), strict=True):
        bands(axes, values.time, scale * values, label, **style)


def draw_limits(row: Any, run: Run) -> None:
    """The exact limits of two students."""
    late = np.geomspace(10, float(run.time[-1]), 2)
    spread, cubed, constant = (
        float(measured.of_pair(formula, run).median())
        for formula in (group_spread, loss_by_spread, pair_constant)
    )
    reference(row[0], late, spread / late)
    reference(row[1], late, [2**5 * cubed] * 2)
    reference(row[2], [late[0], measured.CARRIED], [2 ** (2 / 3) * gradient_limit(constant)] * 2)
