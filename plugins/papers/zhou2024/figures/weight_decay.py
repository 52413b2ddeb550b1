"""What weight decay does, by Zhou and Ge 2024: to the loss, to directions, to single neurons, to their balance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, facets, floored, name_axes, reference
from twolayer.analysis.drawing import show_all
from twolayer.analysis.labels import QUANTITIES, marker_of, style_of

from .. import measured, theory
from ..drawing import MINUS, PLUS, schedule, styled
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LADDER = ("loss", "regularization", "path_norm", "optimal_loss")
"""What a ladder of falling λ shows."""


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
        late = middle[((middle < 1e-4) & (middle > measured.ROUNDED)).values]
        if steady and late.size and measured.applies(run):
            rate = 2 * theory.least_curvature(measured.certificate_of(run)) * float(run.regularization[-1])
            line = late[-1] * np.exp(-rate * (late.time - late.time[-1]))
            reference(left, late.time, line)
    reference(left, [], [], r"$e^{-2\kappa\lambda t}$")
    for axes, quantity in ((left, runs.mass_weighted_square_angle), (right, runs.loss)):
        axes.set(xscale="log", yscale="log")
        name_axes(axes, x=runs.time, y=quantity)
    left.axhspan(0, measured.ROUNDED, color="0.55", alpha=0.15, lw=0)
    left.set(ylim=(1e-30, 3), ylabel=r"$\Sigma|a||w|\theta^2$")
    show_all(left)
    left.legend(loc="lower left")


LEAST_ANGLE, LEAST_MASS = 1e-17, 1e-9
"""What is smaller is drawn there."""


@paper.figure(
    "theorem",
    "With weight decay each neuron aligns with a teacher of its sign or vanishes; without it most do neither.",
    details=(
        "a: share of all neurons of all seeds at the end, by λ: aligned (right sign, angle to the closest teacher "
        f"below {measured.ALIGNED:.0e}), vanished (mass |a||w| below {measured.VANISHED:.0e}), neither. b, c: each of "
        "these neurons, of the smallest λ and of the last run: mass and angle; grey: the zones of vanished and of "
        "aligned ones; values below the floor of either axis are drawn on it (▽)."
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


def draw_shares(axes: Axes, every: Sequence[Run]) -> None:
    """Stacked bars of what neurons have become, one for each run."""
    height = np.arange(len(every))[::-1]
    shares = []
    for run in every:
        aligned, vanished = measured.fates(run)
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
    mass, angle, right = measured.ends_of(run)
    axes.axhspan(0, measured.ALIGNED, color="0.55", alpha=0.15, lw=0)
    axes.axvspan(0, measured.VANISHED, color="0.55", alpha=0.15, lw=0)
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
    left = max(LEAST_MASS / 4, min(measured.VANISHED / 20, float(mass.min()) / 4))
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(left, 3),
        ylim=(LEAST_ANGLE / 30, 9),
        xlabel="mass $|a||w|$",
    )
    show_all(axes)


ROUNDING = {"float64": 1e-14, "float32": 1e-5}
"""Of |a² − |w|²|, as a share of the largest at the start."""


@paper.figure(
    "theorem",
    r"Weight decay balances each neuron: $|a^2-|w|^2|$ falls as $e^{-2\lambda t}$ from unbalanced starts.",
    details="Every neuron of every seed, from Gaussian starts; pale: e^(−2λt) from the largest start.",
    on={"balance": ["imbalance", "regularization"]},
    size=(7.0, 2.6),
)
def balance(canvas: Figure, runs: Run) -> None:
    floors: list[float] = []
    for axes, run in facets(canvas, runs.by("run")):
        size = np.abs(run.imbalance).stack(one=("seed", "neuron")).transpose("time", "one")
        largest, decay = float(size[0].max()), float(run.regularization[-1])
        law, floor = largest * np.exp(-2 * decay * run.time), ROUNDING[str(run.config.dtype)] * largest
        if float(size.min()) < floor:
            size, law = floored(axes, size, floor, "rounding"), law.where(law > floor)
            floors.append(floor)
        axes.semilogy(run.time, size, color="C0", alpha=0.5, lw=0.8)
        reference(axes, run.time, law, r"$e^{-2\lambda t}$")
        name_axes(axes, x=run.time)
        dynamics = run.config.dynamics
        descent = "step_size" in dynamics
        name = rf"descent, $\eta$ = {dynamics.step_size:g}" if descent else dynamics.name.replace("_", " ")
        axes.set_title(f"{name}, {schedule(run)}")
        axes.legend(loc="lower left")
    if floors:
        canvas.axes[0].set_ylim(bottom=min(floors) / 100)
    canvas.axes[0].set_ylabel(r"$|a^2-|w|^2|$")
