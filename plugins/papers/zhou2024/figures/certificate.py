"""Figures 1 and 2 of Zhou and Ge 2024: the descent direction near a solution, and the dual certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, reference
from twolayer.analysis.labels import style_of
from twolayer.errors import DataError
from twolayer.population.closed_form import unit

from .. import measured, theory
from ..drawing import MINUS, PLUS
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE1 = (
    "certificate", "certificate_angle", "certificate_slope", "hidden", "output", "hidden_gradient",
    "descent_direction", "regularization",
)  # fmt: skip


def in_the_plane(runs: Any) -> None:
    """Refuse runs that are not in the plane."""
    dimension = runs.config.problem.dimension
    if dimension != 2:
        raise DataError(f"shows the plane, and problem.dimension of '{runs.experiment}' is {dimension}")


@paper.figure(
    "inferred",
    "After Zhou and Ge 2024, Figure 1: near a solution, moving each neuron towards its share of its teacher, or to 0, "
    "lowers the objective.",
    details=(
        "A state near a solution, |·| neurons in the plane, each drawn on the side of its teacher; positive neurons "
        "in a, negative ones in b. Grey: −∇ of the objective for a balanced neuron of that sign at each point. Dotted "
        "rays: teachers of that sign. Coloured arrows: −∂L_λ/∂w of the neurons (direction); black: the descent "
        "direction q v − w (full length). Setting and q are not checked against the paper."
    ),
    on={"near_solution": FIGURE1},
    check=in_the_plane,
    size=(7.0, 2.5),
)
def figure1(canvas: Figure, runs: Run) -> None:
    later = next(runs.by("run")).isel(seed=0, time=slice(1, None))
    run = later.isel(time=later.time.size // 2)
    vectors, masses = measured.teachers(run)
    hidden, output = run.hidden.values, run.output.values
    up = np.where(hidden[:, 1] < 0, -1.0, 1.0)[:, None]  # |−w·x| = |w·x|
    hidden = up * hidden
    gradient, towards = up * run.hidden_gradient.values, up * run.descent_direction.values
    reach = max(1.0, 1.1 * float(np.linalg.norm(hidden, axis=-1).max()))
    count = run.certificate_angle.size
    radius, turned = np.meshgrid(reach * np.linspace(0.15, 0.95, 6), np.arange(20, count, count // 21))
    phi = run.certificate_angle.values[turned]
    for axes, sign, colour in zip(
        canvas.subplots(1, 2, sharey=True), (1.0, -1.0), (PLUS, MINUS), strict=True
    ):
        fall = theory.fall(run.certificate.values[turned], run.certificate_slope.values[turned], sign, radius)
        outward, around = float(run.regularization) * np.stack(fall)
        axes.quiver(
            radius * np.cos(phi),
            radius * np.sin(phi),
            outward * np.cos(phi) - around * np.sin(phi),
            outward * np.sin(phi) + around * np.cos(phi),
            color="0.72",
            angles="xy",
            width=0.004,
        )
        for vector in vectors[masses * sign > 0]:
            axes.plot([0, vector[0]], [0, vector[1]], ":", color="0.2", lw=1.2)
        chosen = output * sign > 0
        axes.plot(
            hidden[chosen, 0], hidden[chosen, 1], "o", color=colour, ms=5, mec="black", mew=0.5, zorder=4
        )
        kind = {"angles": "xy", "scale_units": "xy", "scale": 1.0, "zorder": 3}
        axes.quiver(*hidden[chosen].T, *(-towards[chosen].T), color="black", width=0.005, **kind)
        axes.quiver(*hidden[chosen].T, *(-0.14 * unit(gradient[chosen])).T, color=colour, width=0.008, **kind)
        axes.set(xlabel="$w_1$", xlim=(-reach, reach), ylim=(-0.15 * reach, reach), aspect="equal")
        axes.set_title("positive neurons, $a > 0$" if sign > 0 else "negative neurons, $a < 0$")
        axes.set_xticks(np.linspace(-reach, reach, 5).round(1))
    canvas.axes[0].set_ylabel("$w_2$")
    arrows = (
        ("0.72", r"$-\nabla L_\lambda$ of a balanced neuron"),
        (PLUS, r"$-\partial L_\lambda/\partial w$, $a > 0$"),
        (MINUS, r"$-\partial L_\lambda/\partial w$, $a < 0$"),
        ("black", "descent direction"),
    )
    for colour, label in arrows:
        canvas.axes[0].plot([], [], ">", color=colour, ms=5, label=label)
    canvas.axes[0].plot([], [], ":", color="0.2", label="teachers")
    canvas.legend(
        *canvas.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, columnspacing=1
    )


@paper.figure(
    "inferred",
    r"After Zhou and Ge 2024, Figure 2: the dual certificate $\eta_\lambda$ of trained networks tends to $\eta_0$, "
    r"which "
    "is ±1 at the teachers alone.",
    details=(
        "Wide grey: η₀, of least norm with η₀ = s at the teachers and no slope there. Colours: η_λ(u) = ⟨f* − f, "
        "σ(u·x)⟩/λ of the trained network. Below: about a teacher, dotted: the two parabolas of the "
        "one-sided curvatures of η₀ (numbers). Teachers and λ are ours."
    ),
    on={"plane": ["certificate", "certificate_angle", "regularization"]},
    check=in_the_plane,
    size=(7.0, 4.8),
)
def figure2(canvas: Figure, runs: Run) -> None:
    run = next(runs.by("run")).isel(seed=0)
    vectors, masses = measured.teachers(run)
    exact, signs = measured.certificate_of(run), np.sign(masses)
    centres = np.rad2deg(np.arctan2(vectors[:, 1], vectors[:, 0])) % 180
    angle, grid = np.rad2deg(run.certificate_angle), np.linspace(0, 180, 1441)
    panels = [str(teacher) for teacher in range(len(vectors))]
    mosaic: list[Any] = [["all"] * len(panels), panels]
    parts = canvas.subplot_mosaic(mosaic)
    ladder = measured.by_level(run)
    decays = [float(decay) for decay in ladder.regularization]
    shown = [*decays[:3], *decays[4:5]]  # the fourth is close to both neighbours, later ones lie on η₀
    for axes in parts.values():
        for decay in shown:
            label, style = f"$\\eta_\\lambda$, $\\lambda$ = {decay:g}", style_of(decay, shown)
            axes.plot(angle, ladder.sel(regularization=decay).certificate, label=label, **style)
        reference(axes, grid, exact(theory.plane(grid)), r"$\eta_0$")
    whole = parts["all"]
    for side in (-1, 1):
        whole.axhline(side, color="0.5", lw=0.8, ls=":")
    whole.plot(centres, signs, "o", mfc="white", color="black", zorder=5, label="teachers")
    whole.set(
        xlabel="angle of $u$, degrees",
        ylabel=r"certificate $\eta(u)$",
        xlim=(0, 180),
        xticks=range(0, 181, 30),
    )
    whole.legend(ncol=2, loc="upper center", bbox_to_anchor=(0.5, 1.0))
    for teacher, (vector, centre, sign) in enumerate(zip(vectors, centres, signs, strict=True)):
        axes = parts[str(teacher)]
        bends = exact.curvatures(teacher, np.array([-vector[1], vector[0]]))
        for side, curvature in zip((-1, 1), bends, strict=True):
            away = np.linspace(0, 12, 50)
            parabola = sign + 0.5 * curvature * np.deg2rad(away) ** 2
            axes.plot(centre + side * away, parabola, ":", color="black", lw=0.9)
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
            at = (centre + 8.5 * side, sign * 0.79)
            axes.text(*at, f"{curvature:+.2f}", ha="center", va="center", fontsize=8, bbox=box, zorder=6)
        axes.plot(centre, sign, "o", mfc="white", color="black", zorder=5)
        axes.set(xlim=(centre - 12, centre + 12), xlabel="angle of $u$, degrees")
        axes.set_ylim(*((0.75, 1.03) if sign > 0 else (-1.03, -0.75)))
    parts["0"].set_ylabel(r"$\eta(u)$")
