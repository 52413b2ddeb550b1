"""Theorem 6 of Zhou, Ge and Jin 2021: the loss at the start of Appendix E."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twolayer import Run, reference
from twolayer.analysis.labels import marker_of, style_of

from .. import measured
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@paper.figure(
    "theorem",
    r"Theorem 6: the loss at the start of Appendix E by the number of students, and $m^{-2/d}$ (pale).",
    on={"start": ["problem", "neurons", "loss"], "subspace": ["initialization", "neurons", "loss"]},
    size=(5.5, 3.2),
    details=r"Median and range of all seeds; pale: $m^{-2/d}$ through the first medians, $d$ the dimension that "
    r"directions are drawn in, where these contain the teachers.",
)
def starts(canvas: Figure, start: Run, subspace: Run) -> None:
    axes = canvas.subplots()
    cases = {start_name(run): run for run in (*start.by("problem"), *subspace.by("initialization"))}
    for number, (name, run) in enumerate(cases.items()):
        students, fits = measured.fits(run)
        median, color = np.median(fits, axis=1), style_of(name, list(cases))["color"]
        aside = 1.03 ** (2 * number - len(cases) + 1)
        axes.errorbar(
            students * aside, median, [median - fits.min(1), fits.max(1) - median], fmt=marker_of(name, list(cases)),
            color=color, fillstyle="none", markersize=4, capsize=2, label=name,
        )  # fmt: skip
        if not measured.lacks_teachers(run):
            power = -2 / measured.drawn_dimension(run)
            reference(axes, students * aside, median[0] * (students / students[0]) ** power, color=color)
    axes.set(xlabel="students $m$", ylabel="loss $L$ at the start", xscale="log", yscale="log")
    ticks = spaced(sorted({int(m) for run in cases.values() for m in measured.fits(run)[0]}))
    axes.set_xticks(ticks, [str(m) for m in ticks])
    axes.minorticks_off()
    axes.set_ylim(None, 30 * axes.get_ylim()[1])
    axes.legend(ncols=2, loc="upper center")


def spaced(numbers: list[int]) -> list[int]:
    """Those of rising numbers that are a sixth above the one before: ticks whose labels stay apart."""
    kept = numbers[:1]
    for number in numbers[1:]:
        kept += [number] * (number > 7 / 6 * kept[-1])
    return kept


def start_name(run: Run) -> str:
    """`d = 10, r = 3, in 2 of them`, with mathematics."""
    dimension, drawn = run.config.problem.dimension, measured.drawn_dimension(run)
    name = f"$d$ = {dimension}, $r$ = {len(measured.lengths(run))}"
    return f"{name}, in {drawn} dimensions" if drawn < dimension else name
