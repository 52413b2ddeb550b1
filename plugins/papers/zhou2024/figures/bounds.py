"""Bounds of Zhou and Ge 2024: the gradient by the suboptimality, and what close teachers cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, reference
from twolayer.analysis.labels import marker_of
from twolayer.errors import DataError

from .. import measured, theory
from ..drawing import MINUS, PLUS, schedule, styled
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@paper.figure(
    "theorem",
    r"The gradient bounds the suboptimality $\zeta$: as $\zeta^4/\lambda^2$ where $\zeta \leq \lambda$, and near the "
    r"optimum by $|\nabla L_\lambda|^2 \geq c\lambda\zeta$, which is sharper.",
    details=(
        "All saved states of all seeds, in units of λ, in which all λ agree. a: |∇L_λ|²λ²/ζ⁴ against ζ/λ; pale: the "
        "recalled bound with constant 1 (wording not checked); grey: ζ > λ, where it is not tested. b: "
        "|∇L_λ|²/(λζ) against ζ/λ²; pale: the derived constant c below ζ = λ², and 2κ, to which it tends late in "
        "training."
    ),
    on={"descents": ["suboptimality", "regularization"]},
    size=(7.0, 3.0),
)
def gradient_bound(canvas: Figure, runs: Run) -> None:
    left, right = canvas.subplots(1, 2)
    every = list(runs.by("run"))
    names = [schedule(run) for run in every]
    least = math.inf
    for run, style, steady in styled(every):
        if not steady:
            continue
        decay, name = float(run.regularization[-1]), schedule(run)
        excess, square = (np.ravel(values) for values in measured.states(run))
        marks: dict[str, Any] = {"color": style["color"], "marker": marker_of(name, names), "ls": "none"}
        marks.update(ms=2.5, mew=0, alpha=0.6)
        left.plot(excess / decay, square * decay**2 / excess**4, label=name, **marks)
        right.plot(excess / decay**2, square / (decay * excess), **marks)
        least = min(least, float(np.nanmin(excess / decay**2)))
    left.set(
        xscale="log",
        yscale="log",
        xlabel=r"$\zeta/\lambda$",
        ylabel=r"$|\nabla L_\lambda|^2\,\lambda^2/\zeta^4$",
    )
    right.set(
        xscale="log",
        yscale="log",
        xlabel=r"$\zeta/\lambda^2$",
        ylabel=r"$|\nabla L_\lambda|^2/(\lambda\zeta)$",
    )
    left.axvspan(1, max(1.5, left.get_xlim()[1]), color="0.55", alpha=0.15, lw=0)
    reference(left, [left.get_xlim()[0], 1], [1, 1], "recalled bound")
    if measured.applies(every[0]) and math.isfinite(least):
        certificate = measured.certificate_of(every[0])
        late = min(1e-6, 1e3 * least)
        for level, end, label in (
            (theory.gradient_constant(certificate), 1.0, "$c$"),
            (2 * theory.least_curvature(certificate), late, r"$2\kappa$"),
        ):
            reference(right, [least, end], [level] * 2)
            right.annotate(label, (least, level), (1, 4), textcoords="offset points")
    left.legend(loc="upper right", markerscale=2)


def two_teachers(runs: Any) -> None:
    """Refuse runs of more or fewer teachers than two, and masses other than ±1."""
    for run in runs.by("run"):
        masses = measured.teachers(run)[1]
        if len(masses) != 2 or np.abs(np.abs(masses) - 1).max() > 1e-12:
            raise DataError(f"shows two teachers of mass 1 or −1; a run of '{runs.experiment}' has {masses}")


@paper.figure(
    "theorem",
    r"Close teachers are hard where their signs differ: $L/\lambda^2$ grows as $\Delta^{-3}$ in the angle $\Delta$ "
    "between them.",
    details=(
        "L/λ² at the end of training, pale: ½|η₀|². Crosses: the measure problem at the same λ; where they leave the "
        "line the limit λ → 0 is not reached at this λ."
    ),
    on={"close_teachers": ["loss", "optimal_loss", "regularization"]},
    check=two_teachers,
    size=(5.5, 3.2),
)
def close_teachers(canvas: Figure, runs: Run) -> None:
    axes = canvas.subplots()
    found: dict[float, list[tuple[float, float, float]]] = {-1.0: [], 1.0: []}
    for run in runs.by("run"):
        vectors, masses = measured.teachers(run)
        last = run.isel(time=-1, seed=0)
        square = float(last.regularization) ** 2
        gap = float(np.rad2deg(np.arccos(abs(vectors[0] @ vectors[1]))))
        point = (gap, float(last.loss) / square, float(last.optimal_loss) / square)
        found[float(np.sign(masses[0] * masses[1]))].append(point)
    gaps = [gap for points in found.values() for gap, _, _ in points]
    fine = np.geomspace(0.8 * min(gaps), 90, 60)
    for sign, colour, label in ((-1.0, MINUS, "opposite signs"), (1.0, PLUS, "same sign")):
        exact = [theory.limit_of_two(gap, sign) for gap in fine]
        reference(axes, fine, exact, rf"$\frac{{1}}{{2}}|\eta_0|^2$, {label}", color=colour)
        if found[sign]:
            degrees, trained, solved = zip(*found[sign], strict=True)
            axes.plot(degrees, trained, "s" if sign < 0 else "o", color=colour, label=f"trained, {label}")
            axes.plot(degrees, solved, "x", color="black", ms=5, zorder=4)
    axes.plot([], [], "x", color="black", label="measure problem")
    line = np.array([0.9 * min(gaps), 40.0])
    below = 0.25 * theory.limit_of_two(line[-1], -1.0)
    axes.plot(line, below * (line / line[-1]) ** -3.0, ":", color="0.4", label=r"slope $-3$")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel=r"angle $\Delta$ between the teachers, degrees",
        ylabel=r"$L/\lambda^2$",
    )
    ticks = [tick for tick in (1, 2, 5, 10, 20, 40, 90) if tick >= 0.8 * min(gaps)]
    axes.set_xticks(ticks, list(map(str, ticks)))
    axes.minorticks_off()
    axes.legend(loc="upper right")
