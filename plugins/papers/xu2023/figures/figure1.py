"""Figure 1 of Xu and Du 2023, after the print: one student learns exponentially fast, several as a power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twolayer import Run, bands, name_axes, reference
from twolayer.analysis.labels import trained_by

from .. import theory
from ..drawing import by_students, descends, students, styles_of
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
        if n > 1 and late.step.size:
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
