"""The figures of Zhou and Ge 2024 as far as they are known to us, and a check of each statement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, facets, floored, name_axes, reference
from twolayer.analysis.drawing import show_all
from twolayer.analysis.labels import QUANTITIES, marker_of, style_of
from twolayer.analysis.teachers import teachers_of
from twolayer.core.wording import counted
from twolayer.errors import DataError
from twolayer.population.closed_form import unit

from . import measured, theory
from .theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


PLUS, MINUS = "C0", "C1"
"""Colours of positive and negative masses, and of their teachers."""


def schedule(run: Run) -> str:
    """`$λ$ = 0.02`, or how a λ that changes is called."""
    least, most = float(run.regularization.min()), float(run.regularization.max())
    return (
        rf"$\lambda$ = {most:g}"
        if least == most
        else rf"$\lambda$ {run.swept.get('weight_decay', 'changes')}"
    )


def styled(runs: list[Run]) -> list[tuple[Run, dict[str, str], bool]]:
    """Runs with the style of their weight decay, and whether that is constant and above 0."""
    names = [schedule(run) for run in runs]
    steady = [run.regularization.min() == run.regularization.max() > 0 for run in runs]
    return [
        (run, style_of(name, names), bool(one)) for run, name, one in zip(runs, names, steady, strict=True)
    ]


FIGURE1 = (
    "certificate", "certificate_angle", "certificate_slope", "hidden", "output", "hidden_gradient",
    "descent_direction", "regularization",
)  # fmt: skip
LADDER = ("loss", "regularization", "path_norm", "optimal_loss")
ROUNDING = {"float64": 1e-14, "float32": 1e-5}
"""Of |a² − |w|²|, as a share of the largest at the start."""

PIPELINE = ("loss", "regularization", "suboptimality", "mass_weighted_square_angle", "off_span_energy")
"""What figures show."""


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
    shown = [*decays[:3], *decays[4:5]]
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


def setting(run: Run) -> str:
    """`orthonormal, flow`: the teachers, and how a run was trained."""
    teachers = "orthonormal" if measured.orthonormal(run) else run.experiment.replace("_", " ")
    return f"{teachers}, {'descent' if 'step_size' in run.config.dynamics else 'flow'}"


@paper.figure(
    "theorem",
    r"Weight decay $\lambda$ leaves a loss of $\frac{1}{2}|\eta_0|^2\lambda^2$ and a mass deficit of "
    r"$\lambda|\eta_0|^2$, as the measure problem says.",
    details=(
        "At the end of each λ, of the first seed. a: loss, pale: ½|η₀|²λ². b: L/λ² over ½|η₀|², and the mass deficit "
        "over λ|η₀|² (open marks). Crosses: the measure problem min ½|f_μ − f*|² + λ|μ|₁, solved separately."
    ),
    on={"plane": LADDER, "ladder": LADDER, "ladder_descent": ["loss", "regularization"]},
    size=(7.0, 3.0),
)
def loss_by_decay(canvas: Figure, *experiments: Run) -> None:
    left, right = canvas.subplots(1, 2)
    every = [run for runs in experiments for run in runs.by("run")]
    names = [", ".join([setting(run), *map(str, run.swept.values())]) for run in every]
    for name, run in zip(names, every, strict=True):
        square = measured.certificate_of(run).square_norm
        total = np.abs(measured.teachers(run)[1]).sum()
        ladder = measured.by_level(run.isel(seed=0))
        decay = ladder.regularization
        solved = "optimal_loss" in ladder.dataset and "path_norm" in ladder.dataset
        colour = style_of(name, names)["color"]
        style: dict[str, Any] = {"color": colour, "marker": marker_of(name, names), "ls": "none"}
        style["ms"] = 6 if solved else 4.5
        left.loglog(decay, ladder.loss, label=name, **style)
        right.semilogx(decay, ladder.loss / decay**2 / (0.5 * square), **style)
        if not solved:
            continue
        cross = {"marker": "x", "ls": "none", "color": "black", "ms": 4, "zorder": 4}
        left.loglog(decay, ladder.optimal_loss, label="" if name != names[0] else "measure problem", **cross)
        right.semilogx(decay, ladder.optimal_loss / decay**2 / (0.5 * square), **cross)
        deficit = (total - ladder.path_norm) / decay / square
        right.semilogx(decay, deficit, **{**style, "mfc": "none", "ms": 9})
        fine = np.geomspace(float(decay.min()), float(decay.max()), 50)
        reference(left, fine, 0.5 * square * fine**2, color=colour)
    reference(right, [float(experiments[0].regularization.where(experiments[0].regularization > 0).min()),
                      float(experiments[0].regularization.max())], [1, 1])  # fmt: skip
    name_axes(left, x=experiments[0].regularization, y=experiments[0].loss)
    name_axes(right, x=experiments[0].regularization)
    right.set_ylabel(r"measured over limit, $\lambda \to 0$")
    for size, face, label in (
        (6, "0.4", r"$L/\lambda^2$ over $\frac{1}{2}|\eta_0|^2$"),
        (9, "none", r"$(|\mu^*|-\Sigma|a||w|)/\lambda$ over $|\eta_0|^2$"),
    ):
        right.plot([], [], "o", color="0.4", ms=size, mfc=face, label=label)
    left.legend(loc="upper left")
    right.legend(loc="lower left")


ROUNDED = 1e-26
"""Σ|a||w|θ² below which rounding of the weights shows in the angles."""


def directions_details(runs: Run) -> str:
    """With the schedules of λ that changes."""
    text = (
        "Students near their teachers and background neurons of random sign, the same starts for each λ. Median and "
        "range over seeds. Pale: slope of e^(−2κλt), κ the least curvature of the certificate at a teacher; grey: "
        "below the rounding of the angles."
    )
    for run in runs.by("run"):
        decay = run.config.dynamics.weight_decay
        if not isinstance(decay, float | int):
            values, until = (
                ", ".join(f"{value:g}" for value in part) for part in (decay.values, decay.until)
            )
            text += f" {schedule(run)}: {values}, changed at t = {until}."
    return text


@paper.figure(
    "theorem",
    r"What weight decay $\lambda$ buys: directions converge to the teachers, exponentially at a rate in proportion to "
    r"$\lambda$; without it they do not.",
    details=directions_details,
    on={"descents": ["loss", "mass_weighted_square_angle", "regularization"]},
    size=(7.0, 3.0),
)
def directions(canvas: Figure, runs: Run) -> None:
    left, right = canvas.subplots(1, 2)
    for run, style, steady in styled([run.isel(time=slice(1, None)) for run in runs.by("run")]):
        square = run.mass_weighted_square_angle
        bands(left, run.time, square.clip(min=1e-34), schedule(run), **style)
        bands(right, run.time, run.loss, schedule(run), **style)
        middle = square.median("seed")
        late = middle[((middle < 1e-4) & (middle > 1e-26)).values]
        if steady and late.size and measured.applies(run):
            rate = 2 * theory.least_curvature(measured.certificate_of(run)) * float(run.regularization[-1])
            line = late[-1] * np.exp(-rate * (late.time - late.time[-1]))
            reference(left, late.time, line)
    reference(left, [], [], r"$e^{-2\kappa\lambda t}$")
    for axes, quantity in ((left, runs.mass_weighted_square_angle), (right, runs.loss)):
        axes.set(xscale="log", yscale="log")
        name_axes(axes, x=runs.time, y=quantity)
    left.axhspan(0, ROUNDED, color="0.55", alpha=0.15, lw=0)
    left.set(ylim=(1e-30, 3), ylabel=r"$\Sigma|a||w|\theta^2$")
    show_all(left)
    left.legend(loc="lower left")


ALIGNED, VANISHED = 1e-6, 1e-6
"""The angle below which a neuron of the right sign is aligned; the mass below which one has vanished."""

LEAST_ANGLE, LEAST_MASS = 1e-17, 1e-9
"""What is smaller is drawn there."""


@paper.figure(
    "theorem",
    "With weight decay each neuron aligns with a teacher of its sign or vanishes; without it most do neither.",
    details=(
        "a: share of all neurons of all seeds at the end, by λ: aligned (right sign, angle to the closest teacher "
        "below 1e-6), vanished (mass |a||w| below 1e-6), neither. b, c: each of these neurons, of the smallest λ and "
        "of the last run: mass and angle; grey: the zones of vanished and of aligned ones; values below the floor of "
        "either axis are drawn on it (▽)."
    ),
    on={"descents": ["closest_teacher", "mass", "teacher_angle", "regularization"]},
    size=(7.0, 2.8),
)
def align_or_vanish(canvas: Figure, runs: Run) -> None:
    every = sorted(runs.by("run"), key=lambda run: float(run.regularization.max()) != 0)
    parts = canvas.subplots(1, 1 + min(2, len(every)), width_ratios=[1.15, *[1] * min(2, len(every))])
    draw_shares(parts[0], every)
    for axes, run in zip(parts[1:], (every[0], every[-1]), strict=False):
        draw_ends(axes, run)
        axes.set_title(schedule(run))
    parts[1].set_ylabel(QUANTITIES["teacher_angle"])
    parts[1].legend(loc="center left")
    for axes in parts[2:]:
        axes.tick_params(labelleft=False)


def ends_of(run: Run) -> tuple[Any, Any, Any]:
    """Size of mass, angle to the closest teacher, and whether the sign is that teacher's, of every neuron, at
    the end."""
    last, signs = run.isel(time=-1), np.sign(measured.teachers(run)[1])
    mass, closest = np.ravel(last.mass), np.ravel(last.closest_teacher).astype(int)
    return np.abs(mass), np.ravel(last.teacher_angle), np.sign(mass) == signs[closest]


def draw_shares(axes: Axes, every: Sequence[Run]) -> None:
    """Stacked bars of what neurons have become, one for each run."""
    height = np.arange(len(every))[::-1]
    shares = []
    for run in every:
        mass, angle, right = ends_of(run)
        aligned, vanished = right & (angle < ALIGNED), mass < VANISHED
        shares.append([(aligned & ~vanished).mean(), vanished.mean(), (~aligned & ~vanished).mean()])
    left = np.zeros(len(every))
    for share, label, face, hatch in zip(
        np.transpose(shares),
        ("aligned", "vanished", "neither"),
        ("C2", "0.85", "C1"),
        ("", "...", "///"),
        strict=True,
    ):
        edge = "white" if face == "C1" else "0.3"
        axes.barh(
            height, share, 0.7, left, color=face, hatch=hatch, edgecolor=edge, linewidth=0.6, label=label
        )
        left += share
    axes.set_yticks(height, [schedule(run) for run in every])
    axes.set(xlim=(0, 1), ylim=(-0.6, len(every) + 0.2), xlabel="share of neurons")
    axes.grid(visible=False)
    axes.legend(loc="upper center", ncols=3, columnspacing=0.8, handlelength=1.2, handletextpad=0.4)


def draw_ends(axes: Axes, run: Run) -> None:
    """Every neuron at the end by mass and angle; those below the floors on them."""
    mass, angle, right = ends_of(run)
    axes.axhspan(0, ALIGNED, color="0.55", alpha=0.15, lw=0)
    axes.axvspan(0, VANISHED, color="0.55", alpha=0.15, lw=0)
    at: dict[str, Any] = {"xycoords": "axes fraction", "color": "0.35", "fontsize": 7.5}
    axes.annotate("aligned", (0.97, 0.05), ha="right", **at)
    axes.annotate("vanished", (0.05, 0.97), rotation=90, va="top", **at)
    floored = (mass < LEAST_MASS) | (angle < LEAST_ANGLE)
    for shown, colour, marker, label in (
        (right, PLUS, "o", "right sign"),
        (~right, MINUS, "s", "wrong sign"),
    ):
        above, below = shown & ~floored, shown & floored
        axes.plot(mass[above], angle[above], marker, color=colour, alpha=0.6, ms=3.5, mew=0, label=label)
        ends = np.maximum(mass[below], LEAST_MASS), np.maximum(angle[below], LEAST_ANGLE)
        axes.plot(*ends, "v", color=colour, mfc="white", ms=4)
    left = max(LEAST_MASS / 4, min(VANISHED / 20, float(mass.min()) / 4))
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(left, 3),
        ylim=(LEAST_ANGLE / 30, 9),
        xlabel="mass $|a||w|$",
    )
    show_all(axes)


@paper.figure(
    "theorem",
    r"Weight decay balances each neuron: $|a^2-|w|^2|$ falls as $e^{-2\lambda t}$ from unbalanced starts.",
    details="Every neuron of every seed, from Gaussian starts; pale: e^(−2λt) from the largest start.",
    on={"balance": ["imbalance", "regularization"]},
    size=(7.0, 2.6),
)
def balance(canvas: Figure, runs: Run) -> None:
    for axes, run in facets(canvas, runs.by("run")):
        size = np.abs(run.imbalance).stack(one=("seed", "neuron")).transpose("time", "one")
        law = size[0].max() * np.exp(-2 * run.regularization[-1] * run.time)
        floor = ROUNDING[str(run.config.dtype)] * float(size[0].max())
        if float(size.min()) < floor:
            size, law = floored(axes, size, floor, "rounding"), law.where(law > floor)
            axes.set_ylim(bottom=floor / 100)
        axes.semilogy(run.time, size, color="C0", alpha=0.5, lw=0.8)
        reference(axes, run.time, law, r"$e^{-2\lambda t}$")
        name_axes(axes, x=run.time)
        dynamics = run.config.dynamics
        descent = "step_size" in dynamics
        name = rf"descent, $\eta$ = {dynamics.step_size:g}" if descent else dynamics.name.replace("_", " ")
        axes.set_title(f"{name}, {schedule(run)}")
        axes.legend(loc="lower left")
    canvas.axes[0].set_ylabel(r"$|a^2-|w|^2|$")


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
        linear = size * (2 / np.pi) * (start @ vectors.T * masses) @ vectors
        span = np.abs(vectors).max(0) > 0
        right.plot(exact.ravel(), end.ravel(), "o", color="C0", ms=4, mew=0, alpha=0.6, label="closed form")
        label = r"$(2/\pi)H\hat w$, in the span"
        right.plot(linear[:, span].ravel(), end[:, span].ravel(), "x", color="C1", ms=4, label=label)
    ends = [end.min(), end.max()]
    reference(right, ends, ends)
    right.set(xlabel="predicted entry of $w$ after the step", ylabel="measured entry")
    right.legend(loc="upper left")


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
        pairs = [theory.Certificate(theory.plane([0, gap]), np.array([1.0, sign])) for gap in fine]
        exact = [0.5 * pair.square_norm for pair in pairs]
        reference(axes, fine, exact, rf"$\frac{{1}}{{2}}|\eta_0|^2$, {label}", color=colour)
        if found[sign]:
            degrees, trained, solved = zip(*found[sign], strict=True)
            axes.plot(degrees, trained, "s" if sign < 0 else "o", color=colour, label=f"trained, {label}")
            axes.plot(degrees, solved, "x", color="black", ms=5, zorder=4)
    axes.plot([], [], "x", color="black", label="measure problem")
    line = np.array([0.9 * min(gaps), 40.0])
    axes.plot(line, 6.25 * (line / 40.0) ** -3.0, ":", color="0.4", label=r"slope $-3$")
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


LEAST_ENERGY = 1e-20
"""Energy off the span that is drawn as such; less is drawn there."""


def floor_zone(axes: Axes, floor: float) -> None:
    """A grey zone up to a floor, at which what is smaller is drawn."""
    axes.axhspan(0, 1.5 * floor, color="0.55", alpha=0.15, lw=0)
    axes.set_ylim(bottom=0.1 * floor)


STAGES = ("mass", "teacher_angle", "off_span_energy")


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
    columns = stage_columns(run)
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
        found = np.transpose([quantiles(one, weight) for one, weight in zip(each, mass, strict=True)])
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


LEAST_DEGREES = 1e-6
"""As `LEAST_ENERGY`, of an angle."""


def stage_columns(run: Run) -> list[tuple[str, list[int]]]:
    """The stages in which states are saved: how each is called, and the indices of its states in time."""
    time, begin = run.time.values, 0.0
    columns = [("start", [0])]
    for stage in run.config.dynamics.stages:
        until = stage.get("until")
        if until is None:  # at once
            continue
        found = np.flatnonzero((time > begin) & (time <= until)).tolist()
        if found:
            columns.append((stage_name(stage), found))
        begin = until
    last = np.flatnonzero(time > begin).tolist()
    if last:
        columns.append((stage_name(run.config.dynamics.stages[-1]), last))
    return columns


def stage_name(stage: Any) -> str:
    """`step on W`, `fit of a`, `λ = 0.01`: what a stage does."""
    if stage["name"] == "output_fit":
        return "fit of $a$"
    if stage.get("layers") == "hidden":
        return "step on $W$"
    decay = stage.get("weight_decay")
    return rf"$\lambda$ = {decay:g}" if isinstance(decay, float | int) else stage["name"].replace("_", " ")


def quantiles(values: Any, weight: Any, levels: Sequence[float] = (0.1, 0.5, 0.9)) -> Any:
    """The weighted quantiles of values (neuron,) with weights (neuron,), (level,)."""
    order = np.argsort(values)
    share = np.cumsum(weight[order]) / weight.sum()
    return values[order][np.minimum(np.searchsorted(share, levels), len(values) - 1)]
