"""The implicit bias of Zhu, Liu and Cevher 2025: how equally students share a teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twolayer import Run, reference
from twolayer.analysis.labels import marker_of, style_of

from .. import measured, theory
from ..drawing import named
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@paper.figure(
    "theorem",
    "How equally students share a teacher at the end, by the scale $\\sigma$ of the start: small starts end near the "
    "least $\\Sigma|w|^2$ that fits.",
    details=(
        f"a: |w_i| in units of |v|/m_l, all students and seeds; pale: the factor {theory.FACTOR:g}. b: "
        "B_l = m_l Σh²/(Σh)² − 1 of each group and seed. c: Σ|w|² over Σ_l |v_l|²/m_l, the least that fits. Bars: "
        "medians. Where σ is below the size of a first step, that step sets the scale."
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
    for axes, levels in ((left, (1 / theory.FACTOR, theory.FACTOR)), (right, (1,))):
        for level in levels:
            reference(axes, ends, [level] * 2)
    for axes in row:
        axes.set_xticks(list(columns.values()), list(columns))
        axes.set_xlabel(r"scale $\sigma$ of the start")
    if len(groups) > 1:
        left.legend()
