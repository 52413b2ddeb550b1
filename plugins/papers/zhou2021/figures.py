"""Figures for Zhou, Ge and Jin 2021: Figure 1 and a film of it, its sketches computed, and checks of statements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import band, figure, hookimpl, runs_by, unpadded
from twolayer.analysis.figures import Drawing

from . import theory

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Data = Mapping[str, "xr.Dataset"]

BLUE, RED, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
BLACK: Any = {"color": "black", "linewidth": 0.9, "linestyle": "--"}
"""Theory, drawn over measurement."""

REGIMES = {"ntk": "NTK", "mean_field": "mean-field", "local": "local convergence"}
PROBLEMS = {"sample": "20 samples", "population": "population"}


# ---- Figure 1 ----


def planes(canvas: Figure, data: Data) -> Iterator[tuple[Axes, Any, Any, Any]]:
    """The six panels: axes, p_j = |w_j| w_j (time, neuron, feature), times and losses, of seed 0."""
    grid = canvas.subplots(2, 3)
    for row, (problem, shown) in zip(grid, PROBLEMS.items(), strict=True):
        for axes, (regime, title) in zip(row, REGIMES.items(), strict=True):
            run = unpadded(data["figure1"].sel(initialization=regime, problem=problem)).isel(seed=0)
            hidden = run["hidden"].transpose("time", "neuron", "feature").values
            points = np.linalg.norm(hidden, axis=-1, keepdims=True) * hidden
            for line in theory.plane(theory.ANGLES):
                axes.axline((0, 0), tuple(line), color=BLUE, linewidth=0.9, zorder=1)
            reach = 1.08 * np.abs(points).max()
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", title=title)
            axes.grid(False)
            axes.tick_params(labelsize=6)
            yield axes, points, run["time"].values, run["loss"].values
        row[0].set_ylabel(f"{shown}\n" + r"$|w_j|\,w_{j,2}$")
    for axes in grid[-1]:
        axes.set_xlabel(r"$|w_j|\,w_{j,1}$")


FIGURE1 = (
    "Zhou, Ge and Jin 2021, Figure 1: 20 students in the plane by three starts; above on 20 samples, below on the "
    "population. Blue: directions of the three teachers. Black: trajectories of |w_j| w_j. Red: {end}. The paper "
    "states m and r; angles and scales of starts are read off the print; η, ηT and N are ours. Axes differ in scale."
)


@figure(status="inferred", caption=FIGURE1.format(end="end points (ηT = 50, 50, 100)"), size=(7.5, 5.4))
def figure1(canvas: Figure, data: Data) -> None:
    for axes, points, _, loss in planes(canvas, data):
        axes.plot(points[..., 0], points[..., 1], color="black", linewidth=0.7, zorder=2)
        axes.plot(*points[-1].T, "o", color="red", fillstyle="none", markersize=4, zorder=3)
        axes.annotate(
            f"L = {loss[0]:.2g} → {loss[-1]:.1e}", (0.03, 0.03), xycoords="axes fraction", fontsize=6.5
        )


@figure(
    status="inferred", caption=FIGURE1.format(end="where students are"), size=(7.5, 5.4), frames_per_second=10
)
def figure1_film(canvas: Figure, data: Data) -> Iterator[list[Any]]:
    panels = []
    for axes, points, time, loss in planes(canvas, data):
        paths = axes.plot(points[:1, :, 0], points[:1, :, 1], color="black", linewidth=0.7)
        (ends,) = axes.plot(*points[0].T, "o", color="red", fillstyle="none", markersize=4)
        told = axes.annotate("", (0.03, 0.03), xycoords="axes fraction", fontsize=6.5)
        panels.append((paths, ends, told, points, time, loss))
    for moment in range(max(len(panel[4]) for panel in panels)):
        moved: list[Any] = []
        for paths, ends, told, points, time, loss in panels:
            frame = min(moment, len(time) - 1)
            for neuron, path in enumerate(paths):
                path.set_data(*points[: frame + 1, neuron].T)
            ends.set_data(*points[frame].T)
            told.set_text(f"ηt = {time[frame]:.0f}, L = {loss[frame]:.1e}")
            moved += [*paths, ends, told]
        yield moved


# ---- Figures 2 to 4, computed ----

CIRCLE = np.linspace(-np.pi / 2, np.pi / 2, 2881)
"""φ of x = (cos φ, sin φ); functions here are even, so that half a circle shows all."""


def circle_axes(axes: Axes) -> None:
    """The axis of φ."""
    axes.set_xlabel(r"φ, $x = (\cos\varphi, \sin\varphi)$, degrees")
    axes.axhline(0, color="0.5", linewidth=0.6)
    axes.set_xlim(-90, 90)
    axes.set_xticks([-90, -45, 0, 45, 90])


@figure(
    status="inferred",
    caption=(
        "Zhou, Ge and Jin 2021, Figure 2 (a sketch there), computed: one teacher and two students at ±δ with |w₁|w₁ + "
        "|w₂|w₂ = w*. Left: a pair of the runs and the lines w·x = 0. Middle: f − f* on the circle; it is 0 but for "
        "the sectors where signs differ (shaded). Right: L/δ³, and |∇L|/δ², of all pairs, and their limits 2/3π and "
        "2/π (Claim 2)."
    ),
    size=(9.0, 3.2),
)
def figure2(canvas: Figure, data: Data) -> None:
    left, middle, right = canvas.subplots(1, 3)
    run = runs_by(data["states"], "problem")["plane_1"].isel(time=0)
    delta = run["teacher_angles"].transpose("seed", "neuron", "teacher").values[:, 0, 0]
    spot = int(np.argmin(np.abs(delta - 0.25)))
    angle = delta[spot]
    axis = np.array([[1.0, 0.0]])
    mass = 1 / (2 * math.cos(angle))
    pair = math.sqrt(mass) * theory.plane(np.array([angle, -angle]))
    for vector, colour, name in (
        (axis[0], BLUE, "w*"),
        (mass * theory.plane(angle), RED, r"$|w_1|w_1$"),
        (mass * theory.plane(-angle), GREEN, r"$|w_2|w_2$"),
    ):
        left.annotate("", vector, (0, 0), arrowprops={"arrowstyle": "->", "color": colour})
        left.annotate(
            name, vector, xytext=(3, 0), textcoords="offset points", color=colour, fontsize=8, va="center"
        )
        beside = np.array([-vector[1], vector[0]])
        left.axline((0, 0), tuple(beside), color=colour, linewidth=0.8, linestyle=":")
    left.set(
        xlim=(-0.45, 1.3),
        ylim=(-0.75, 0.75),
        aspect="equal",
        xlabel="$x_1$",
        ylabel="$x_2$",
        title=f"δ = {angle:.3f}, dotted: $w\\cdot x = 0$",
    )
    phi = np.degrees(CIRCLE)
    middle.plot(phi, theory.residual(pair, axis, CIRCLE), color="black")
    circle_axes(middle)
    for end in (-90, 90):
        middle.axvspan(
            end - math.degrees(angle), end + math.degrees(angle), color=ORANGE, alpha=0.3, linewidth=0
        )
    middle.set(ylabel="f − f*", ylim=(-0.02, 0.3))
    loss, gradient = run["loss"].values, run["gradient_norm"].values
    right.loglog(delta, loss / delta**3, "o", color=BLUE, fillstyle="none", markersize=3, label="L/δ³")
    right.loglog(delta, gradient / delta**2, "s", color=RED, fillstyle="none", markersize=3, label="|∇L|/δ²")
    for limit, name in ((2 / (3 * np.pi), "2/3π"), (2 / np.pi, "2/π")):
        right.axhline(limit, **BLACK)
        right.annotate(
            name,
            (0.02, limit),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            fontsize=8,
        )
    right.set(xlabel="angle δ", ylabel="ratio", ylim=(0.1, 1.2))
    right.legend(loc="center right")


@figure(
    status="inferred",
    caption=(
        "Zhou, Ge and Jin 2021, Figure 3 (a sketch there), computed on a state of Figure 1 (NTK, its start, seed 0): "
        "R = f − f* on the circle. Vertical lines: where students' (grey) and teachers' (blue) signs change. Shaded: "
        "the non-linear region |ψ| ≤ δ of the teacher that is farthest from all other lines. Right: there R is linear "
        "less |v·x|; the test function g is |v·x| less its linear fit, and ½ E[Rg]²/E[g²] ≤ L."
    ),
    size=(9.0, 3.2),
)
def figure3(canvas: Figure, data: Data) -> None:
    left, right = canvas.subplots(1, 2)
    run = unpadded(data["figure1"].sel(initialization="ntk", problem="population")).isel(seed=0, time=0)
    hidden = run["hidden"].transpose("neuron", "feature").values
    axes_of = theory.plane(theory.ANGLES)
    teacher, delta = theory.loneliest(hidden, axes_of)
    kink = theory.ANGLES[teacher] - np.pi / 2
    phi = np.degrees(CIRCLE)
    left.plot(phi, theory.residual(hidden, axes_of, CIRCLE), color="black", zorder=3)
    for vector in hidden:
        turned = (math.degrees(math.atan2(vector[1], vector[0])) % 180) - 90
        left.axvline(turned, color="0.75", linewidth=0.6)
    for angle in theory.ANGLES:
        left.axvline(math.degrees(angle) - 90, color=BLUE, linewidth=0.9)
    circle_axes(left)
    left.set(ylabel="R = f − f*")
    near = np.linspace(kink - 1.6 * delta, kink + 1.6 * delta, 1601)
    residual = theory.residual(hidden, axes_of, near)
    g = theory.test_function(axes_of[teacher], delta, near)
    right.plot(np.degrees(near), residual, color="black", label="R")
    twin = right.twinx()
    twin.plot(np.degrees(near), g, color=RED, label="test function g")
    twin.set_ylabel("g", color=RED)
    twin.grid(False)
    reach = 1.3 * np.abs(g).max()
    twin.set_ylim(-reach, reach)
    right.plot([], [], color=RED, label="test function g (right)")
    for axes in (left, right):
        axes.axvspan(*np.degrees([kink - delta, kink + delta]), color=ORANGE, alpha=0.3, linewidth=0)
    right.set(
        xlabel="φ, degrees",
        ylabel="R",
        title=f"δ = {math.degrees(delta):.1f}°: L = {float(run['loss']):.3g} ≥ {theory.kink_bound(delta):.1e}",
    )
    right.legend(loc="lower left")


@figure(
    status="inferred",
    caption=(
        "Zhou, Ge and Jin 2021, Figure 4 (a sketch there), computed on states of Figure 1 (population, local "
        "convergence, seed 0): f − f* = R₁ + R₂ on the circle. R₁, students as their teachers' average neurons, is "
        "linear between teachers' lines (blue); R₂ lives where a student's sign differs from its teacher's."
    ),
    size=(9.0, 3.2),
)
def figure4(canvas: Figure, data: Data) -> None:
    run = unpadded(data["figure1"].sel(initialization="local", problem="population")).isel(seed=0)
    phi = np.degrees(CIRCLE)
    for axes, moment in zip(canvas.subplots(1, 3), (0, 10, 100), strict=True):
        state = run.isel(time=int(np.argmin(np.abs(run["time"].values - moment))))
        hidden = state["hidden"].transpose("neuron", "feature").values
        first, second = theory.split(hidden, theory.plane(theory.ANGLES), CIRCLE)
        for angle in theory.ANGLES:
            axes.axvline(math.degrees(angle) - 90, color=BLUE, linewidth=0.6)
        axes.plot(phi, first + second, color="0.6", linewidth=2.2, label="f − f*")
        axes.plot(phi, first, color=GREEN, label="$R_1$")
        axes.plot(phi, second, color=RED, label="$R_2$")
        circle_axes(axes)
        axes.set_title(f"ηt = {float(state['time']):.0f}, L = {float(state['loss']):.1e}")
    canvas.axes[0].set_ylabel(r"$f - f^*$ and its parts")
    canvas.axes[0].legend()


# ---- Theorem 4 ----

MARKS = (("o", BLUE), ("s", RED), ("^", GREEN), ("D", PINK), ("v", ORANGE), ("P", SKY))


@figure(
    status="theorem",
    caption=(
        "Theorem 4, √r|∇L|/L against L (w_max = 1). Left: random states; triangles at the bottom: saddles on the "
        "bisector of two teachers at 5 to 40 degrees, with |∇L| = 0 and L = Δ³/3π. Right: along flows from 8 seeds, d "
        "= 5, r = 3. Dashed: the bound ½, held up to half the loss of students on both bisectors (dotted: Δ = π/2), "
        "and the slopes −1/3 (|∇L| ~ L^{2/3}) of near students and −1/4 (L^{3/4}) of far dust."
    ),
    size=(8.5, 3.8),
)
def lojasiewicz(canvas: Figure, data: Data) -> None:
    left, right = canvas.subplots(1, 2, sharey=True, sharex=True)
    for (marker, colour), (label, run) in zip(MARKS, runs_by(data["states"], "problem").items(), strict=True):
        loss = theory.values(run, "loss")[:, 0]
        ratio = math.sqrt(run.sizes["teacher"]) * theory.values(run, "gradient_norm")[:, 0] / loss
        left.loglog(
            loss,
            ratio,
            marker,
            color=colour,
            fillstyle="none",
            markersize=3,
            label=f"{theory.told_state(label)}, m = {int(run['neurons'])}",
        )
    for (_, colour), (label, run) in zip(
        MARKS, runs_by(data["rates"], "initialization").items(), strict=False
    ):
        for seed, (loss, gradient) in enumerate(
            zip(theory.values(run, "loss"), theory.values(run, "gradient_norm"), strict=True)
        ):
            own = loss > 1e-21
            right.loglog(
                loss[own],
                math.sqrt(theory.TEACHERS) * gradient[own] / loss[own],
                color=colour,
                linewidth=0.7,
                label=theory.FLOWS[label] if seed == 0 else None,
            )
    saddles = data["bisector"]["loss"].isel(time=-1, seed=0)
    left.plot(
        saddles, np.full(saddles.shape, 0.3), "v", color="black", markersize=4, label="bisector saddles"
    )
    grid = np.geomspace(1e-20, 1e-2, 2)
    for axes in (left, right):
        axes.axhline(0.5, **BLACK)
        axes.loglog([theory.ceiling(math.pi / 2)] * 2, [0.2, 1e3], ":", color="black", linewidth=0.9)
        axes.loglog(grid, 2.0 * grid ** (-1 / 3), **BLACK)
        axes.loglog(grid, 1.0 * grid ** (-1 / 4), **BLACK)
        axes.set(xlabel="loss L", xlim=(1e-20, 3), ylim=(0.2, 1e9))
    left.annotate("slope −1/3", (1e-19, 2e7), fontsize=7.5)
    left.annotate("slope −1/4", (1e-19, 2e3), fontsize=7.5)
    left.set_ylabel(r"$\sqrt{r}\,|\nabla L|/L$")
    for axes in (left, right):
        axes.legend(loc="upper right")


# ---- Theorem 5 ----


@figure(
    status="theorem",
    caption=(
        "How the loss falls, r = 3 orthonormal teachers in d = 5; median and range of 8 seeds. Solid: flow; the "
        "student at right angles, and the crosses, by gradient descent with η = 0.1. Dashed: the envelope r w_max/ηt "
        "of Theorem 5 (constant 1), the derived limits Σπ²/(48pq) (ηt)⁻³ of two students a teacher and (ηt)⁻²/32κ of "
        "a student at right angles to all teachers, and e^{−2λt} for m = r."
    ),
    size=(7.5, 4.4),
)
def rates(canvas: Figure, data: Data) -> None:
    axes = canvas.subplots()
    runs = runs_by(data["rates"], "initialization")
    for colour, (label, run) in zip((BLUE, RED, GREEN, PINK), runs.items(), strict=True):
        losses_of(axes, run, colour, theory.FLOWS[label])
    width = runs_by(data["width"], "initialization")
    losses_of(axes, width["beside"], ORANGE, "m = 4, one student at right angles (descent)")
    check = width["near_6"]
    axes.plot(
        check["time"][1:],
        np.median(theory.values(check, "loss"), axis=0)[1:],
        "x",
        color="0.3",
        markersize=3,
        label="m = 6, two a teacher (descent)",
        zorder=4,
    )
    time = np.geomspace(0.3, 1e7, 200)
    axes.loglog(time, theory.TEACHERS / time, **BLACK)
    axes.annotate("r w_max/ηt", (3e4, 3e-4), fontsize=8)
    limit = float(np.nanmedian(theory.pair_constant(runs["two"])))
    late = time > 300
    axes.loglog(time[late], limit / time[late] ** 3, **BLACK)
    axes.annotate(f"{limit:.2f} (ηt)⁻³", (2e5, 3e-18), fontsize=8, ha="right")
    axes.loglog(
        time[(time > 30) & (time < 1e5)],
        theory.beside_constant(theory.TEACHERS) / time[(time > 30) & (time < 1e5)] ** 2,
        **BLACK,
    )
    axes.annotate("(ηt)⁻²/32κ", (1.2e5, 6e-12), fontsize=8)
    one = runs["one"]
    loss, rate = (
        np.median(theory.values(one, "loss"), axis=0),
        2 * float(theory.curvatures(np.eye(5)[: theory.TEACHERS])[0]),
    )
    spot = int(np.argmin(np.abs(np.log(loss / 1e-9))))
    start = one["time"].values[spot]
    line = np.linspace(start - 8, start + 18, 40)
    axes.loglog(line, loss[spot] * np.exp(-rate * (line - start)), **BLACK)
    axes.annotate(
        r"$e^{-2\lambda t}$", (line[-1], 1e-16), xytext=(4, 0), textcoords="offset points", fontsize=8
    )
    axes.set(xlabel="time ηt", ylabel="loss L", ylim=(1e-26, 20), xlim=(0.09, 2e7))
    axes.legend(loc="lower left")


def losses_of(axes: Axes, run: xr.Dataset, colour: str, label: str) -> None:
    """Median and range over seeds on logarithmic axes."""
    time, losses = run["time"].values[1:], theory.values(run, "loss")[:, 1:]
    losses = np.where(losses > 1e-30, losses, np.nan)
    band(axes, time, losses, label, color=colour)
    axes.set(xscale="log", yscale="log")


@figure(
    status="theorem",
    caption=(
        "Theorem 5, independence of m: gradient descent, r = 3 orthonormal teachers in d = 5, median and range of 8 "
        "seeds. Left: a student of share 0.8 for each teacher, and dust of whole mass 0.6 for every m. Right: the "
        "time to a loss; open squares: all students around teachers, without dust."
    ),
    size=(8.5, 3.6),
)
def width(canvas: Figure, data: Data) -> None:
    left, right = canvas.subplots(1, 2)
    runs = runs_by(data["width"], "initialization")
    for colour, label in zip((BLUE, RED, GREEN, PINK, ORANGE), theory.LAWS["with dust"], strict=True):
        losses_of(left, runs[label], colour, f"m = {int(runs[label]['neurons'])}")
    left.set(xlabel="time ηt", ylabel="loss L", xlim=(1, 400), ylim=(1e-6, 2))
    for level in theory.LEVELS:
        left.axhline(level, color="0.6", linewidth=0.6, linestyle=":")
    left.legend()
    for colour, level in zip((BLUE, RED, GREEN, PINK), theory.LEVELS, strict=True):
        for labels, mark, fill, shift in zip(
            theory.LAWS.values(), "os", ("full", "none"), (1.0, 1.06), strict=True
        ):
            times = theory.times_of(data["width"], labels, level)
            middle = np.array([np.median(one) for one in times.values()])
            reach = np.array(
                [[m - one.min(), one.max() - m] for m, one in zip(middle, times.values(), strict=True)]
            ).T
            right.errorbar(
                shift * np.array(list(times)), middle, reach, fmt=mark, color=colour, capsize=2, markersize=4,
                fillstyle=fill, label=f"L = $10^{{{round(math.log10(level))}}}$" if mark == "o" else None,
            )  # fmt: skip
    right.set(xlabel="students m", ylabel="time ηt to the loss", xscale="log", yscale="log", ylim=(1, 2e3))
    right.set_xticks([6, 12, 24, 48, 96], ["6", "12", "24", "48", "96"])
    right.minorticks_off()
    right.plot([], [], "s", color="0.3", fillstyle="none", markersize=4, label="without dust")
    right.legend(ncols=2, loc="upper left")


@figure(
    status="theorem",
    caption=(
        "Theorem 7: fresh batches of 256 against gradient descent on the population from the same starts, m = 12, η = "
        "0.1; median and range of 8 seeds. Dashed: r w_max/ηt."
    ),
    size=(5.0, 3.6),
)
def batches(canvas: Figure, data: Data) -> None:
    axes = canvas.subplots()
    losses_of(axes, runs_by(data["width"], "initialization")["dust_12"], BLUE, "gradient descent")
    losses_of(axes, data["batches"], RED, "batches of 256")
    time = np.array([1.0, 1e4])
    axes.loglog(time, theory.TEACHERS / time, **BLACK, label="r w_max/ηt")
    axes.set(xlabel="time ηt", ylabel="loss L", xlim=(1, 1e4))
    axes.legend()


# ---- lemmas ----


@figure(
    status="theorem",
    caption=(
        "The lemmas' ratios against L, to half the loss of students on both bisectors of two orthogonal teachers: "
        "random states (grey), and 8 flows of each of three starts. "
        "Lemma 8: at least 1 (dashed), with δ_max = (6πL)^{1/3}; the others: bounded as L falls, Lemma 9 in "
        "the plane by (6π)^{1/3} (dashed). Lemma 10: mirrored random states, whose v_i = 0, are out of sight."
    ),
    size=(9.0, 5.0),
)
def lemmas(canvas: Figure, data: Data) -> None:
    grid = canvas.subplots(2, 3, sharex=True).ravel()
    shown: list[tuple[str, Callable[[Any], Any], float]] = [
        (
            r"Lemma 8: $\langle\nabla L, \cdot\rangle/L$",
            lambda run: theory.values(run, "descent_progress"),
            0.0,
        ),
        (r"Lemma 9: $\delta_{\mathrm{near}}/L^{1/3}$", theory.nearest, 1 / 3),
        (
            r"Lemma 10: $\max_i |v_i|/L^{3/8}$",
            lambda run: theory.values(run, "average_neuron_residual").max(-1),
            3 / 8,
        ),
        (r"Lemma 12: $|R_2|^2/L^{3/4}$", lambda run: theory.values(run, "r2_norm") ** 2, 3 / 4),
        (
            r"C.6: $\Sigma|w|^2\delta^2/L^{1/2}$",
            lambda run: theory.values(run, "mass_weighted_square_angle"),
            1 / 2,
        ),
        (
            r"Theorem 3: $\Sigma|w|^2\delta$, radians",
            lambda run: theory.values(run, "mass_weighted_angle"),
            0.0,
        ),
    ]
    random = runs_by(data["states"], "problem")
    flows = {label: run for label, run in runs_by(data["rates"], "initialization").items() if label != "one"}
    for axes, (label, measure, power) in zip(grid, shown, strict=True):
        for place, run in enumerate(random.values()):
            loss = theory.values(run, "loss")[:, 0]
            axes.plot(
                loss,
                measure(run)[:, 0] / loss**power,
                ".",
                color="0.65",
                markersize=2.5,
                label="random states" if place == 0 else None,
                zorder=1,
            )
        for colour, (name, run) in zip((RED, GREEN, PINK), flows.items(), strict=True):
            loss = theory.values(run, "loss")
            for seed, line in enumerate(measure(run) / loss**power):
                axes.plot(
                    loss[seed],
                    line,
                    color=colour,
                    linewidth=0.7,
                    label=theory.FLOWS[name] if seed == 0 else None,
                )
        axes.set(xscale="log", yscale="log", title=label, xlim=(1e-20, theory.ceiling(math.pi / 2)))
    grid[0].set(yscale="linear", ylim=(0, 3.6))
    grid[0].axhline(1, **BLACK)
    grid[1].set(ylim=(1e-3, 5))
    grid[2].set(ylim=(1e-9, 10))
    grid[1].axhline(float(np.cbrt(6 * np.pi)), **BLACK)
    for axes in grid[3:]:
        axes.set_xlabel("loss L")
    grid[2].legend(loc="lower right")


# ---- teachers and starts ----


@figure(
    status="theorem",
    caption=(
        "Left: λ_min(M), M_ij = E[xxᵀ s_i s_j] of Lemma C.4, of r teachers at steps of Δ in the plane (points, "
        "computed from M), and (2/π)(Δ − sin Δ) for r = 2 (dashed). Middle: the loss where all students sit on the "
        "bisector of two teachers, a stationary point and so a ceiling on ε₀: flows of four equal students (points), "
        "its closed form (dashed), Δ³/3π (dotted). Right: the start of Appendix E, median and range of 32 seeds; "
        "dashed: m^{−2/d} of Theorem 6, m^{−2/r} in the subspace, through the first medians."
    ),
    size=(9.5, 3.4),
)
def teachers(canvas: Figure, data: Data) -> None:
    left, middle, right = canvas.subplots(1, 3)
    for (marker, colour), count in zip(MARKS, (2, 3, 4, 6), strict=False):
        steps = np.geomspace(0.02, np.pi / count, 12)
        left.loglog(
            steps,
            [theory.smallest(theory.plane(step * np.arange(count))) for step in steps],
            marker,
            color=colour,
            fillstyle="none",
            label=f"r = {count}",
        )
    steps = np.geomspace(0.02, np.pi / 2, 60)
    left.loglog(steps, theory.smallest_of_two(steps), **BLACK)
    left.set(xlabel="separation Δ", ylabel=r"$\lambda_{\min}(M)$")
    left.legend()
    runs = data["bisector"].isel(time=-1, seed=0)
    delta = np.radians(runs["angles"].values.astype(float))
    middle.loglog(delta, runs["loss"], "o", color=BLUE, fillstyle="none", label="flow")
    steps = np.geomspace(0.05, np.pi / 2, 60)
    middle.loglog(steps, theory.bisector_loss(steps), **BLACK, label="closed form")
    middle.loglog(steps, steps**3 / (3 * np.pi), ":", color="black", linewidth=0.9, label="Δ³/3π")
    middle.set(xlabel="separation Δ", ylabel="loss on the bisector")
    middle.legend()
    cases = (
        (data["start"].sel(problem="plane"), 2, "d = 2, r = 3"),
        (data["start"].sel(problem="space"), 3, "d = 3, r = 3"),
        (data["subspace"].sel(initialization="all"), 10, "d = 10, r = 2"),
        (data["subspace"].sel(initialization="leading"), 2, "d = 10, r = 2, subspace"),
    )
    for (marker, colour), (dataset, dimension, label) in zip(MARKS, cases, strict=False):
        run = dataset.isel(time=0)
        losses, students = run["loss"].transpose("neurons", "seed").values, run["neurons"].values
        median = np.median(losses, axis=1)
        right.errorbar(
            students, median, [median - losses.min(1), losses.max(1) - median], fmt=marker, color=colour,
            fillstyle="none", capsize=2, label=label,
        )  # fmt: skip
        right.plot(students, median[0] * (students / students[0]) ** (-2 / dimension), **BLACK)
    right.set(xlabel="students m", ylabel="loss at the start", xscale="log", yscale="log")
    right.set_xticks([8, 16, 32, 64], ["8", "16", "32", "64"])
    right.minorticks_off()
    right.set_ylim(1e-7, 100)
    right.legend(ncols=2, fontsize=6.5)


@hookimpl
def register_figures(register: Callable[[str, Drawing], None]) -> None:
    for name, thing in globals().items():
        if isinstance(thing, Drawing):
            register(f"zhou2021.{name}", thing)
