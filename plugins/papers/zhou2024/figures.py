"""The figures of Zhou and Ge 2024 as far as they are known to us, and a check of each statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, facets, name_axes, reference
from twolayer.analysis.labels import marker_of, style_of
from twolayer.analysis.teachers import teachers_of
from twolayer.errors import DataError
from twolayer.population.closed_form import unit

from . import measured, theory
from .theory import paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure


PLUS, MINUS = "C0", "C1"
"""Colours of positive and negative masses, and of their teachers."""


def schedule(run: Run) -> str:
    """`λ = 0.02`, or how a λ that changes is called."""
    least, most = float(run.regularization.min()), float(run.regularization.max())
    return f"λ = {most:g}" if least == most else f"λ {run.swept.get('weight_decay', 'changes')}"


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
PIPELINE = ("loss", "regularization", "suboptimality", "mass_weighted_square_angle", "off_span_energy")
"""What figures show."""


def in_the_plane(runs: Any) -> None:
    """Refuse runs that are not in the plane."""
    dimension = runs.config.problem.dimension
    if dimension != 2:
        raise DataError(f"shows the plane, and problem.dimension of '{runs.experiment}' is {dimension}")


@paper.figure(
    "inferred",
    "After Zhou and Ge 2024, Figure 1, which illustrates the descent direction: a state near a solution, |·| "
    "neurons in the plane, each drawn on the side of its teacher. Grey: −∇ of the objective for a balanced neuron "
    "at each point, of positive sign left and of negative sign right. Dotted rays: teachers of that sign. Blue or "
    "orange: −∂L_λ/∂w of the neurons (direction); black: the descent direction q v − w (full length). Setting and "
    "q are not checked against the paper.",
    on={"near_solution": FIGURE1},
    check=in_the_plane,
    size=(7.5, 3.0),
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
        axes.set(xlabel="$w_1$", xlim=(-reach, reach), ylim=(-0.08 * reach, reach), aspect="equal")
        axes.set_title("positive neurons, a > 0" if sign > 0 else "negative neurons, a < 0")
    canvas.axes[0].set_ylabel("$w_2$")


@paper.figure(
    "inferred",
    "After Zhou and Ge 2024, Figure 2: the dual certificate. Black: η₀, of least norm with η₀ = s at the teachers "
    "and no slope there. Colours: η_λ(u) = ⟨f* − f, σ(u·x)⟩/λ of the network that flow has trained. Below: about "
    "a teacher, with the two parabolas of the one-sided curvatures of η₀ (dashed, numbers). Teachers and λ are "
    "ours.",
    on={"plane": ["certificate", "certificate_angle", "regularization"]},
    check=in_the_plane,
    size=(7.0, 5.2),
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
            label, style = f"$\\eta_\\lambda$, λ = {decay:g}", style_of(decay, shown)
            axes.plot(
                angle, ladder.sel(regularization=decay).certificate, lw=2.2, alpha=0.75, label=label, **style
            )
        axes.plot(grid, exact(theory.plane(grid)), color="black", lw=0.9, label=r"$\eta_0$")
    whole = parts["all"]
    for side in (-1, 1):
        whole.axhline(side, color="0.5", lw=0.8, ls=":")
    whole.plot(centres, signs, "o", mfc="white", color="black", zorder=5, label="teachers")
    whole.set(
        xlabel="angle of u in degrees",
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
            reference(
                axes, centre + side * away, sign + 0.5 * curvature * np.deg2rad(away) ** 2, color="0.35"
            )
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
            at = (centre + 8.5 * side, sign * 0.79)
            axes.text(*at, f"{curvature:+.2f}", ha="center", va="center", fontsize=8, bbox=box, zorder=6)
        axes.plot(centre, sign, "o", mfc="white", color="black", zorder=5)
        axes.set(xlim=(centre - 12, centre + 12), xlabel="angle of u in degrees")
        axes.set_ylim(*((0.75, 1.03) if sign > 0 else (-1.03, -0.75)))
    parts["0"].set_ylabel(r"$\eta(u)$")


def setting(run: Run) -> str:
    """`orthonormal, flow`: the teachers, and how a run was trained."""
    teachers = "orthonormal" if measured.orthonormal(run) else run.experiment.replace("_", " ")
    return f"{teachers}, {'descent' if 'step_size' in run.config.dynamics else 'flow'}"


@paper.figure(
    "theorem",
    "Loss at the end of each λ. Left: loss, and ½|η₀|²λ² (lines). Right: L/λ² over ½|η₀|², and the mass deficit "
    "over λ|η₀|² (open marks). Crosses: the measure problem min ½|f_μ − f*|² + λ|μ|₁, solved separately. The first "
    "seed is drawn.",
    on={"plane": LADDER, "ladder": LADDER, "ladder_descent": ["loss", "regularization"]},
    size=(7.2, 3.4),
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
        solved = "optimal_path_norm" in ladder.dataset
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
        left.loglog(fine, 0.5 * square * fine**2, color=colour, lw=0.8)
    right.axhline(1, color="0.5", lw=0.8)
    name_axes(left, x=experiments[0].regularization, y=experiments[0].loss)
    name_axes(right, x=experiments[0].regularization)
    right.set_ylabel("measured / limit for λ → 0")
    for size, face, label in (
        (6, "0.4", r"$L/\lambda^2$ over $\frac{1}{2}|\eta_0|^2$"),
        (9, "none", r"$(|\mu^*|-\Sigma|a||w|)/\lambda$ over $|\eta_0|^2$"),
    ):
        right.plot([], [], "o", color="0.4", ms=size, mfc=face, label=label)
    left.legend(loc="upper left")
    right.legend(loc="lower left")


def directions_caption(runs: Run) -> str:
    """With the schedules of λ that changes."""
    text = (
        "What weight decay buys: students near their teachers and background neurons of random sign, the same starts "
        "for each λ. Median and range over seeds. Dashed: slope of e^(−2κλt), κ the least curvature of the "
        "certificate at a teacher."
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
    directions_caption,
    on={"descents": ["loss", "mass_weighted_square_angle", "regularization"]},
    size=(7.2, 3.4),
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
            reference(left, late.time, line, zorder=4)
    reference(left, [], [], r"$e^{-2\kappa\lambda t}$")
    for axes, quantity in ((left, runs.mass_weighted_square_angle), (right, runs.loss)):
        axes.set(xscale="log", yscale="log")
        name_axes(axes, x=runs.time, y=quantity)
    left.set(ylim=(1e-30, 3), ylabel=r"$\Sigma|a||w|\theta^2$")
    left.legend(loc="lower left")


@paper.figure(
    "theorem",
    "Every neuron at the end: its mass |a||w| and its angle to the closest teacher. Blue: the sign of that "
    "teacher; orange: the other. Masses below 2e-9 are drawn there. Dashed: the limits of “aligned” and "
    "“vanished”; a neuron in the upper right is neither. Of several λ the first, the middle one and the last.",
    on={"descents": ["closest_teacher", "mass", "teacher_angle", "regularization"]},
    size=(7.5, 3.0),
)
def align_or_vanish(canvas: Figure, runs: Run) -> None:
    every = list(runs.by("run"))
    chosen = [every[index] for index in sorted({0, len(every) // 2, len(every) - 1})]
    for axes, run in facets(canvas, chosen):
        last = run.isel(time=-1)
        signs = np.sign(measured.teachers(run)[1])
        mass, angle = np.ravel(last.mass), np.maximum(np.ravel(last.teacher_angle), 1e-18)
        right = np.sign(mass) == signs[np.ravel(last.closest_teacher).astype(int)]
        for shown, colour, marker, label in (
            (right, PLUS, "o", "right sign"),
            (~right, MINUS, "s", "wrong sign"),
        ):
            size = np.maximum(np.abs(mass[shown]), 2e-9)
            axes.loglog(size, angle[shown], marker, color=colour, alpha=0.5, ms=4.5, mew=0, label=label)
        axes.axhline(1e-6, color="0.4", ls="--", lw=0.8)
        axes.axvline(1e-6, color="0.4", ls="--", lw=0.8)
        axes.set(xlim=(1e-9, 3), ylim=(1e-19, 9), xlabel="mass |a||w|", title=schedule(run))
    canvas.axes[0].set_ylabel("angle θ to the closest teacher")
    canvas.axes[0].legend(loc="lower left")


@paper.figure(
    "theorem",
    "Balance: |a² − |w|²| of each neuron from unbalanced Gaussian starts. Dashed: e^(−2λt) from the largest start.",
    on={"balance": ["imbalance", "regularization"]},
    size=(7.2, 3.0),
)
def balance(canvas: Figure, runs: Run) -> None:
    for axes, run in facets(canvas, runs.by("run")):
        size = np.abs(run.imbalance).stack(one=("seed", "neuron")).transpose("time", "one")
        axes.semilogy(run.time, size, color="C0", alpha=0.5, lw=0.8)
        decay = run.regularization[-1]
        reference(
            axes, run.time, size[0].max() * np.exp(-2 * decay * run.time), r"$e^{-2\lambda t}$", linewidth=1.4
        )
        name_axes(axes, x=run.time)
        dynamics = run.config.dynamics
        descent = "step_size" in dynamics
        name = f"descent, step {dynamics.step_size:g}" if descent else dynamics.name.replace("_", " ")
        axes.set_title(f"{name}, {schedule(run)}")
        axes.legend(loc="lower left")
    canvas.axes[0].set_ylabel(r"$|a^2-|w|^2|$")


@paper.figure(
    "theorem",
    "All saved states of all seeds. Left: |∇L_λ|² against the suboptimality ζ; dashed: the bound ζ⁴/λ² with "
    "constant 1 (wording not checked). Right: |∇L_λ|²/(λζ); shaded: [2, 5]; vertical lines: ζ = λ², below which a "
    "state is called near the optimum.",
    on={"descents": ["suboptimality", "regularization"]},
    size=(7.2, 3.4),
)
def gradient_bound(canvas: Figure, runs: Run) -> None:
    left, right = canvas.subplots(1, 2)
    every = list(runs.by("run"))
    names = [schedule(run) for run in every]
    for run, style, steady in styled(every):
        if not steady:
            continue
        decay = float(run.regularization[-1])
        excess = np.ravel(run.suboptimality.where(run.suboptimality > 1e-13))
        square = np.ravel(run.gradient_norm**2)
        marks: dict[str, Any] = {**style, "linestyle": "none", "marker": marker_of(schedule(run), names)}
        marks.update(ms=3, mew=0, alpha=0.6)
        left.loglog(excess, square, label=schedule(run), **marks)
        right.loglog(excess, square / (decay * excess), **marks)
        fine = np.geomspace(1e-13, np.nanmax(excess), 40)
        reference(left, fine, fine**4 / decay**2, color=style["color"])
        right.axvline(decay**2, color=style["color"], lw=0.8)
    left.plot([], [], "--", color="0.3", label=r"$\zeta^4/\lambda^2$")
    left.set(ylim=(1e-17, 100), xlabel="suboptimality ζ of the objective", ylabel=r"$|\nabla L_\lambda|^2$")
    right.axhspan(2, 5, color="0.85", zorder=0)
    right.set(xlabel="suboptimality ζ of the objective", ylabel=r"$|\nabla L_\lambda|^2/(\lambda\zeta)$")
    left.legend(loc="lower right")


def first_step_caption(steps: Run, one: Run) -> str:
    """What was drawn of each run."""
    directions = steps.off_span_energy.sizes["neuron"] * steps.seeds
    return (
        f"The first big step, from up to {directions} directions for each d. Left: energy outside the teachers' span, "
        "times d: median, quartiles, 5th and 95th percentile; shaded: [0.1, 0.3]. Right: each entry of the step "
        f"against its closed form, d = {one.config.problem.dimension}."
    )


@paper.figure(
    "theorem",
    first_step_caption,
    on={"first_step": "off_span_energy", "one_step": ["initial_hidden", "final_hidden"]},
    size=(7.0, 3.2),
)
def first_step(canvas: Figure, steps: Run, single: Run) -> None:
    left, right = canvas.subplots(1, 2)
    every = list(steps.by("run"))
    names = [f"a* = ({', '.join(f'{mass:g}' for mass in measured.teachers(run)[1])})" for run in every]
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
    left.axhspan(0.1, 0.3, color="0.88", zorder=0)
    left.set(
        xscale="log", yscale="log", xlabel="dimension d", ylabel="energy off the span × d", ylim=(1e-3, 8)
    )
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
    reference(right, ends, ends, linestyle="-")
    right.set(xlabel="predicted entry of w after the step", ylabel="measured entry")
    right.legend(loc="upper left")


def two_teachers(runs: Any) -> None:
    """Refuse runs of more or fewer teachers than two, and masses other than ±1."""
    for run in runs.by("run"):
        masses = measured.teachers(run)[1]
        if len(masses) != 2 or np.abs(np.abs(masses) - 1).max() > 1e-12:
            raise DataError(f"shows two teachers of mass 1 or −1; a run of '{runs.experiment}' has {masses}")


@paper.figure(
    "theorem",
    "Two teachers at an angle Δ: L/λ² at the end of a flow, and ½|η₀|² (lines). Crosses: the measure problem at the "
    "same λ; where they leave the line the limit λ → 0 is not reached at this λ.",
    on={"close_teachers": ["loss", "optimal_loss", "regularization"]},
    check=two_teachers,
    size=(4.6, 3.6),
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
        axes.loglog(fine, exact, color=colour, lw=1, label=rf"$\frac{{1}}{{2}}|\eta_0|^2$, {label}")
        if found[sign]:
            degrees, trained, solved = zip(*found[sign], strict=True)
            axes.loglog(degrees, trained, "o", color=colour, label=f"flow, {label}")
            axes.loglog(degrees, solved, "x", color="black", ms=5, zorder=4)
    axes.plot([], [], "x", color="black", label="measure problem")
    line = np.array([0.9 * min(gaps), 40.0])
    axes.loglog(line, 6.25 * (line / 40.0) ** -3.0, ":", color="0.4", label=r"slope $-3$")
    axes.set(xlabel="angle Δ between the teachers, degrees", ylabel=r"$L/\lambda^2$")
    ticks = [tick for tick in (1, 2, 5, 10, 20, 40, 90) if tick >= 0.8 * min(gaps)]
    axes.set_xticks(ticks, list(map(str, ticks)))
    axes.minorticks_off()
    axes.legend(loc="upper right")


@paper.figure(
    "inferred",
    "The whole algorithm, not checked against the paper: one big step on W and a ridge regression of the layer "
    "a (before t = 0), balancing, then both layers at falling λ (vertical lines). One line per seed. Time counts from "
    "the end of the regression. Dashed: ½|η₀|²λ²; crosses: the measure problem.",
    on={"pipeline": (*PIPELINE, "optimal_loss"), "pipeline_wide": PIPELINE},
    size=(7.4, 4.6),
)
def pipeline(canvas: Figure, *experiments: Run) -> None:
    rows = canvas.subplots(2, 2, sharex=True).ravel()
    every = [run for runs in experiments for run in runs.by("run")]
    lines = {
        f"m = {run.config.network.neurons}, seed {seed}": (run, seed)
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
        rows[3].plot(time, one.off_span_energy.median("neuron").clip(min=1e-20), **style)
    first = every[0]
    fitted = measured.regression_end(first)
    late = first.sel(time=first.time > fitted)
    ladder = measured.by_level(first)
    ladder = ladder.isel(regularization=np.flatnonzero(ladder.time > fitted))
    if measured.applies(first):
        limit = 0.5 * measured.certificate_of(first).square_norm * late.regularization**2
        label = r"$\frac{1}{2}|\eta_0|^2\lambda^2$"
        rows[0].step(late.time - fitted, limit, "k--", lw=1, where="mid", label=label)
    ends = ladder.time - fitted
    rows[0].plot(ends, ladder.optimal_loss, "x", color="black", ms=6, zorder=5, label="measure problem")
    names = (
        "loss L",
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
        rows[3].set_title(f"before the big step {energy[0]:.2f}, after it {step:.1e}", fontsize=8)
    for axes in rows[2:]:
        axes.set_xlabel("time t after the regression")
    rows[0].legend(loc="lower left")
