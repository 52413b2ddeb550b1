"""The algorithm of Zhou and Ge 2024: its first big step, and all of its stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, reference
from twolayer.analysis.drawing import show_all
from twolayer.analysis.labels import marker_of, style_of
from twolayer.analysis.teachers import teachers_of
from twolayer.core.wording import counted
from twolayer.errors import DataError
from twolayer.population.closed_form import unit

from .. import measured, theory
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PIPELINE = ("loss", "regularization", "suboptimality", "mass_weighted_square_angle", "off_span_energy")
"""What figures show."""

STAGES = ("mass", "teacher_angle", "off_span_energy")
"""What the figures of the stages show."""

LEAST_ENERGY = 1e-20
"""Energy off the span that is drawn as such; less is drawn there."""

LEAST_DEGREES = 1e-6
"""As `LEAST_ENERGY`, of an angle."""


def first_step_details(steps: Run, one: Run) -> str:
    """What was drawn of each run."""
    directions = steps.off_span_energy.sizes["neuron"] * steps.seeds
    return (
        f"From up to {counted(directions, 'direction')} for each d. a: energy outside the teachers' span, times "
        "d: median, "
        "quartiles, 5th and 95th percentile; pale: the median by the closed form. b: each entry of the step against "
        "its closed form and "
        f"its linear part, d = {one.config.problem.dimension}."
    )


@paper.figure(
    "theorem",
    "The first big step finds the teachers' span: the energy outside of it is of order $1/d$, and each entry is that "
    "of the closed form.",
    details=first_step_details,
    on={"first_step": "off_span_energy", "one_step": ["initial_hidden", "final_hidden"]},
    size=(7.0, 3.0),
)
def first_step(canvas: Figure, steps: Run, single: Run) -> None:
    left, right = canvas.subplots(1, 2)
    every = list(steps.by("run"))
    names = [f"$a^*$ = ({', '.join(f'{mass:g}' for mass in measured.teachers(run)[1])})" for run in every]
    distinct = list(dict.fromkeys(names))
    for name, run in zip(names, every, strict=True):
        dimension = run.config.problem.dimension
        energy = dimension * run.off_span_energy.isel(time=-1)
        low, first, middle, third, high = np.percentile(energy, (5, 25, 50, 75, 95))
        x, colour = dimension * (1 + 0.12 * distinct.index(name)), style_of(name, names)["color"]
        left.vlines(x, low, high, color=colour, lw=0.8)
        left.vlines(x, first, third, color=colour, lw=3.5)
        label = "" if name in left.get_legend_handles_labels()[1] else name
        left.plot(x, middle, marker_of(name, names), color=colour, mec="black", label=label)
        if measured.applies(run) and measured.orthonormal(run):
            exact = np.median(theory.off_span_energies(dimension, measured.orthonormal_masses(run), 40000))
            reference(left, [x / 1.25, 1.25 * x], [dimension * exact] * 2)
    left.set(
        xscale="log",
        yscale="log",
        xlabel="dimension $d$",
        ylabel=r"energy off the span $\times\,d$",
        ylim=(1e-3, 8),
    )
    show_all(left)
    ticks = sorted({run.config.problem.dimension for run in every})
    left.set_xticks(ticks, [str(tick) for tick in ticks])
    left.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    left.legend(loc="upper left")
    one = next(single.by("run")).isel(seed=0)
    vectors, masses = teachers_of(one)
    start, end = unit(one.initial_hidden.values), one.final_hidden.values
    if measured.applies(one):
        size = measured.step_size(one)
        exact = size * theory.first_step(start, vectors, masses)
        linear = size * theory.linear_first_step(start, vectors, masses)
        span = np.abs(vectors).max(0) > 0
        right.plot(exact.ravel(), end.ravel(), "o", color="C0", ms=4, mew=0, alpha=0.6, label="closed form")
        label = r"$(2/\pi)H\hat w$, in the span"
        right.plot(linear[:, span].ravel(), end[:, span].ravel(), "x", color="C1", ms=4, label=label)
    ends = [end.min(), end.max()]
    reference(right, ends, ends)
    right.set(xlabel="predicted entry of $w$ after the step", ylabel="measured entry")
    right.legend(loc="upper left")


@paper.figure(
    "inferred",
    r"The whole algorithm ends at $L = \frac{1}{2}|\eta_0|^2\lambda^2$ with neurons along the teachers.",
    details=(
        "One big step on W and a ridge regression of the layer a (before t = 0), balancing, then both layers at "
        "falling λ (vertical lines); the algorithm is not checked against the paper. One line per seed; time counts "
        "from the end of the regression. Pale: ½|η₀|²λ²; crosses: the measure problem."
    ),
    on={"pipeline": (*PIPELINE, "optimal_loss"), "pipeline_wide": PIPELINE},
    size=(7.0, 4.4),
)
def pipeline(canvas: Figure, *experiments: Run) -> None:
    rows = canvas.subplots(2, 2, sharex=True).ravel()
    every = [run for runs in experiments for run in runs.by("run")]
    lines = {
        f"$m$ = {run.config.network.neurons}, seed {seed}": (run, seed)
        for run in every
        for seed in run.dataset["seed"].values
    }
    for name, (run, seed) in lines.items():
        fitted = measured.regression_end(run)
        one = run.sel(seed=seed, time=run.time > fitted)
        time = one.time - fitted
        style = {**style_of(name, list(lines)), "marker": marker_of(name, list(lines)), "ms": 3, "lw": 1}
        rows[0].plot(time, one.loss, label=name, **style)
        rows[1].plot(time, one.suboptimality / one.regularization**2, **style)
        rows[2].plot(time, one.mass_weighted_square_angle, **style)
        energy = one.off_span_energy.median("neuron")
        rows[3].plot(time, energy.where(energy > LEAST_ENERGY), **style)
        lost = time[(energy <= LEAST_ENERGY).values]
        rows[3].plot(lost, np.full(lost.size, LEAST_ENERGY), "v", color=style["color"], mfc="none", ms=4)
    floor_zone(rows[3], LEAST_ENERGY)
    first = every[0]
    fitted = measured.regression_end(first)
    late = first.sel(time=first.time > fitted)
    ladder = measured.by_level(first)
    ladder = ladder.isel(regularization=np.flatnonzero(ladder.time > fitted))
    if measured.applies(first):
        limit = 0.5 * measured.certificate_of(first).square_norm * late.regularization**2
        label = r"$\frac{1}{2}|\eta_0|^2\lambda^2$"
        reference(rows[0], late.time - fitted, limit, label, drawstyle="steps-mid")
    ends = ladder.time - fitted
    rows[0].plot(ends, ladder.optimal_loss, "x", color="black", ms=6, zorder=5, label="measure problem")
    names = (
        "loss $L$",
        r"suboptimality $\zeta/\lambda^2$",
        r"$\Sigma|a||w|\theta^2$",
        "energy off the span, median",
    )
    for axes, name in zip(rows, names, strict=True):
        for end in ends.values[:-1]:
            axes.axvline(end, color="0.7", lw=0.7, zorder=0)
        axes.set(xscale="log", yscale="log", ylabel=name)
    if "stages" in first.config.dynamics:
        energy = first.off_span_energy.median(("seed", "neuron"))
        step = energy.sel(time=first.config.dynamics.stages[0]["until"], method="nearest")
        rows[3].set_title(f"before the big step {energy[0]:.2f}, after it {step:.1e}", fontsize=7.5)
    for axes in rows[2:]:
        axes.set_xlabel("time $t$ after the regression")
    rows[0].legend(loc="lower left")


def floor_zone(axes: Axes, floor: float) -> None:
    """A grey zone up to a floor, at which what is smaller is drawn."""
    axes.axhspan(0, 1.5 * floor, color="0.55", alpha=0.15, lw=0)
    axes.set_ylim(bottom=0.1 * floor)


def in_stages(runs: Any) -> None:
    """Refuse runs that have no stages."""
    for run in runs.by("run"):
        if "stages" not in run.config.dynamics:
            raise DataError(
                f"shows the stages of a sequence; a run of '{runs.experiment}' is one of {run.config.dynamics.name}"
            )


@paper.figure(
    "inferred",
    "Features are learnt twice: the first big step turns neurons into the teachers' span, and the last stages turn "
    "them to the teachers.",
    details=(
        "Alignment through all stages of the algorithm, which is not checked against the paper; states in the order "
        "in which they are saved, one column for each stage. a: angle to the closest teacher; b: energy outside the "
        "teachers' span; of all neurons of all seeds, weighted with their mass |a||w|: median, and from the 10th to "
        "the 90th percentile."
    ),
    on={"pipeline": STAGES},
    check=in_stages,
    size=(7.0, 3.4),
)
def stages(canvas: Figure, runs: Run) -> None:
    upper, lower = canvas.subplots(2, 1, sharex=True)
    run = next(runs.by("run"))
    columns = measured.stage_columns(run)
    states = [state for _, members in columns for state in members]
    x = [
        number + (index + 0.5) / len(members)
        for number, (_, members) in enumerate(columns)
        for index in range(len(members))
    ]
    mass = np.abs(run.mass).transpose("time", ...).values.reshape(run.time.size, -1)[states]
    for axes, values, floor in (
        (upper, np.degrees(run.teacher_angle), LEAST_DEGREES), (lower, run.off_span_energy, LEAST_ENERGY)
    ):  # fmt: skip
        each = values.transpose("time", ...).values.reshape(run.time.size, -1)[states]
        found = np.transpose(
            [measured.quantiles(one, weight) for one, weight in zip(each, mass, strict=True)]
        )
        low, middle, high = np.maximum(found, floor)
        axes.fill_between(x, low, high, color="C0", alpha=0.25, lw=0)
        axes.plot(x, middle, "o-", color="C0", ms=3)
        axes.set_yscale("log")
        if (found[1] < floor).any():
            floor_zone(axes, floor)
            axes.plot(
                np.array(x)[found[1] < floor], middle[found[1] < floor], "v", color="C0", mfc="white", ms=5
            )
        for edge in range(1, len(columns)):
            axes.axvline(edge, color="0.7", lw=0.7, zorder=0)
    for number, (label, _) in enumerate(columns):
        upper.annotate(
            label, (number + 0.5, 1), (0, 4), xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="center", va="bottom", fontsize=7.5,
        )  # fmt: skip
    upper.set_ylabel(r"angle $\theta$, degrees")
    ends = [f"{float(run.time[members[-1]]):g}" for _, members in columns]
    lower.set_xticks(np.arange(len(columns)) + 1, ends)
    lower.set(ylabel="energy off the span", xlim=(0, len(columns)), xlabel="time $t$ at the end of a stage")
