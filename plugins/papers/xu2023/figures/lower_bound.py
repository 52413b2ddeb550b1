"""The lower bound of Xu and Du 2023: the spread of students over time, and its powers of n."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, name_axes, reference
from twolayer.analysis.labels import style_of, trained_by
from twolayer.population.asymptotics import gradient_limit, group_spread, loss_by_spread, pair_constant

from .. import measured
from ..drawing import (
    by_students,
    error_bars,
    label_of,
    largest_group,
    logarithmic_in_students,
    of_several,
    students,
    two_students,
)
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
    random = of_several(largest_group(runs))
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

    limits = (loss_by_spread([0.5, 0.5]), gradient_limit(pair_constant([0.5, 0.5])))
    bounds = (-5.0, -2 / 3)
    for axes, measure in zip(row, (measured.loss_by_cubed_spread, measured.scaled_gradient), strict=True):
        error_bars(axes, runs, range_at_end(measure))
    sizes = sorted({students(run) for run in of_several(runs)})
    if not sizes:
        return
    guide = np.array([2.0, max(3.0, sizes[-1])])
    for axes, limit, power, label in zip(row, limits, bounds, ("n^{-5}", "n^{-2/3}"), strict=True):
        axes.plot(guide, limit * (guide / 2) ** power, color="0.4", linewidth=0.8)
        axes.annotate(f"bound $\\propto {label}$", (guide[0], limit), (18, -14), textcoords="offset points")
        reference(axes, [1.8, 2.25], [limit] * 2)
        logarithmic_in_students(axes, sizes)
        axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        axes.yaxis.set_minor_formatter(NullFormatter())
    row[0].set_ylabel(r"$L\,/\,Z^3$ at the end")
    row[1].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    row[1].yaxis.set_major_formatter("{x:g}")
    row[1].set_ylabel(r"$|\nabla L|\,/\,L^{2/3}$ at the end")
    row[0].legend(loc="lower left")


def range_at_end(measure: Callable[[Run], Any]) -> Callable[[Run], tuple[float, float, float]]:
    """Reads the median, least and largest of a measure (seed,) at the end of a run."""

    def read(run: Run) -> tuple[float, float, float]:
        low, middle, high = np.quantile(measure(run.isel(time=-1, teacher=0)), (0, 0.5, 1))
        return middle, low, high

    return read
