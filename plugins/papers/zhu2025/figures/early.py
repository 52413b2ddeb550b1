"""The first two phases of Zhu, Liu and Cevher 2025: alignment from tiny starts, and growth of aligned students."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from twolayer import Run, bands, facets, name_axes, reference
from twolayer.analysis.labels import style_of, trained_by

from .. import measured, theory
from ..drawing import decaying, named
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


FLOOR = 1e-14
"""Of |H_l| in float64."""


def rate_name(groups: Sequence[Sequence[float]]) -> str:
    """`theory.growth_rate` as mathematics."""
    if math.isnan(theory.growth_rate(groups)):
        return "no rate is derived"
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
    reference(
        right, scaled, top * np.exp(-theory.quoted_rate(1, 1) * scaled), rf"${top:.2g}\,e^{{-m\eta t/9k}}$"
    )
    left.set(yscale="log", ylabel=r"largest $H_l - H_{l'}$, or $|H_1|$", ylim=(FLOOR, 3e3 * top))
    right.set(xlabel=r"$m\,\eta t/k$", ylabel=r"$|H_l|$")
    name_axes(left, x=runs.time)
    for axes in (left, right):
        axes.legend(loc="upper right")
