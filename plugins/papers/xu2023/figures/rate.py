"""Theorem 6 of Xu and Du 2023 from random starts: the law L = C/(t + t₀)³ and its constant by n."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, fit_rate, name_axes, reference
from twolayer.analysis.intervals import mean_interval
from twolayer.errors import DataError
from twolayer.population.asymptotics import pair_constant, simplex_constant

from .. import measured
from ..drawing import error_bars, largest_group, logarithmic_in_students, of_several, students, styles_of
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def several_students(runs: Any) -> None:
    """Refuse runs none of which has more than one student."""
    if not any(students(run) > 1 for run in runs.by("run")):
        raise DataError(
            f"the rate is that of several students; no run of '{runs.experiment}' has more than one"
        )


@paper.figure(
    "theorem",
    "From random starts $L = C/(t + t_0)^3$, and $C$ does not grow with the number $n$ of students, where the theorem "
    "of Xu and Du 2023 allows $n^4$.",
    details=lambda runs: (
        "In the setting of Figure 1. a, "
        f"{paper.named(largest_group(runs)) or 'all n'}: the loss times t³, median and range over seeds; pale: the "
        "fit of the last decade; line: π²/6, what two even students have. b: C, mean and 95 % interval over seeds; "
        "pale: that of students with equal h at the corners of a regular simplex, exactly; line: the slope of the "
        f"bound. c: the loss over the fit of each seed; grey: {measured.MISFIT:.0%}."
    ),
    on={"figure1": "loss"},
    check=several_students,
    size=(7.0, 3.4),
)
def rate(canvas: Figure, runs: Run) -> None:
    parts = canvas.subplot_mosaic([["scaled", "constant"], ["ratio", "constant"]], height_ratios=[2, 1])
    for run in of_several(largest_group(runs)):
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
    ratio.axhspan(1 - measured.MISFIT, 1 + measured.MISFIT, color="0.85", lw=0, zorder=0)
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
    error_bars(axes, runs, lambda run: interval(fit_rate(run.dataset)["constant"]))
    sizes = sorted({students(run) for run in of_several(runs)})
    fine = np.linspace(2, max(sizes[-1], 3), 50)
    reference(axes, fine, simplex_constant(fine), "regular simplex")
    guide = np.array([2.0, 3.0])
    bound = simplex_constant(2) * (guide / 2) ** 4
    axes.plot(guide, bound, color="0.4", linewidth=0.8)
    axes.annotate("bound $\\propto n^4$", (guide[-1], bound[-1]), (4, -4), textcoords="offset points")
    logarithmic_in_students(axes, sizes)
    axes.set_ylabel("constant $C$ of the fit")
    axes.minorticks_off()
    axes.legend(loc="lower left")
