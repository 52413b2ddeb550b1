"""Figures for Zhou, Ge and Jin 2021: Figure 1 and a film of it, its sketches computed, and checks of statements."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, name_axes, reference
from twolayer.analysis.labels import marker_of, style_of
from twolayer.analysis.starts import same_start, starts_alike
from twolayer.analysis.teachers import in_plane
from twolayer.errors import DataError

from . import measured, theory
from .theory import paper

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


TEACHER, FIRST, SECOND, REGION = "C0", "C1", "C2", "C4"
"""Colours: teachers, the first and the second of two quantities, a shaded region."""

REGIMES = {"ntk": "NTK", "mean_field": "mean-field", "local": "local convergence"}
"""The paper's names for the starts of its Figure 1."""


# ---- Figure 1 ----

PLANES = ("initialization", "problem", "loss", "hidden")
"""What the panels of Figure 1 show."""


def in_the_plane(run: Any) -> None:
    """Refuse runs that are not in the plane."""
    for part in run.by("run"):
        measured.plane_teachers(part)


def planes(canvas: Figure, run: Run) -> Iterator[tuple[Axes, Any, Any, Any]]:
    """A panel for each problem (rows) and start (columns): axes, p_j = |w_j| w_j (time, neuron, feature), times and
    losses of the first seed."""
    rows = {row.problem: list(row.by("initialization")) for row in run.by("problem")}
    grid = canvas.subplots(len(rows), max(map(len, rows.values())), squeeze=False)
    for panels, (problem, parts) in zip(grid, rows.items(), strict=True):
        for axes, part in zip(panels, parts, strict=False):
            one = part.isel(seed=0)
            hidden = one.hidden.transpose("time", "neuron", "feature").values
            points = np.linalg.norm(hidden, axis=-1, keepdims=True) * hidden
            for line in measured.plane_teachers(part):
                axes.axline((0, 0), tuple(line), color=TEACHER, linewidth=0.9, zorder=1)
            reach = 1.08 * np.abs(points).max()
            title = REGIMES.get(part.initialization, part.initialization)
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", title=title)
            axes.grid(False)
            yield axes, points, one.time.values, one.loss.values
        panels[0].set_ylabel(f"{problem}\n" + r"$|w_j|\,w_{j,2}$")
    for axes in grid[-1]:
        axes.set_xlabel(r"$|w_j|\,w_{j,1}$")


FIGURE1 = (
    "Zhou, Ge and Jin 2021, Figure 1: students in the plane by their starts (columns), on a sample and on the "
    "population (rows). Blue: directions of the teachers. Black: trajectories of |w_j| w_j. Red: {end}. The paper "
    "states m and r; angles and scales of starts are read off the print; η, ηT and N are ours. Axes differ in scale."
)
NOTE: dict[str, Any] = {
    "xy": (0.03, 0.03),
    "xycoords": "axes fraction",
    "fontsize": 6,
    "bbox": {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
}


@paper.figure(
    "inferred", FIGURE1.format(end="end points"), on={"figure1": PLANES}, check=in_the_plane, size=(5.5, 3.9)
)
def figure1(canvas: Figure, run: Run) -> None:
    for axes, points, time, loss in planes(canvas, run):
        axes.plot(points[..., 0], points[..., 1], color="black", linewidth=0.6, zorder=2)
        axes.plot(*points[-1].T, "o", color="red", fillstyle="none", markersize=3.5, zorder=3)
        axes.annotate(f"ηT = {time[-1]:.0f}, L = {loss[0]:.2g} → {loss[-1]:.0e}", **NOTE)


@paper.figure(
    "inferred",
    FIGURE1.format(end="where students are"),
    on={"figure1": PLANES},
    check=in_the_plane,
    size=(5.5, 3.9),
    frames_per_second=10,
)
def figure1_film(canvas: Figure, run: Run) -> Iterator[list[Any]]:
    panels = []
    for axes, points, time, loss in planes(canvas, run):
        paths = axes.plot(points[:1, :, 0], points[:1, :, 1], color="black", linewidth=0.6)
        (ends,) = axes.plot(*points[0].T, "o", color="red", fillstyle="none", markersize=3.5)
        panels.append((paths, ends, axes.annotate("", **NOTE), points, time, loss))
    for step in range(max(len(panel[4]) for panel in panels)):
        moved: list[Any] = []
        for paths, ends, note, points, time, loss in panels:
            frame = min(step, len(time) - 1)
            for neuron, path in enumerate(paths):
                path.set_data(*points[: frame + 1, neuron].T)
            ends.set_data(*points[frame].T)
            note.set_text(f"ηt = {time[frame]:.0f}, L = {loss[frame]:.1e}")
            moved += [*paths, ends, note]
        yield moved


# ---- Figures 2 to 4, computed ----


def nearest_index(values: Any, wanted: float) -> int:
    """The index of the value that is nearest to the wanted one."""
    return int(np.nanargmin(np.abs(np.asarray(values) - wanted)))


CIRCLE = np.linspace(-np.pi / 2, np.pi / 2, 2881)
"""φ of x = (cos φ, sin φ); functions here are even, so that half a circle shows all."""


def circle_axes(axes: Axes) -> None:
    """The axis of φ."""
    axes.set_xlabel(r"$\varphi$, $x = (\cos\varphi, \sin\varphi)$ [°]")
    axes.axhline(0, color="0.5", linewidth=0.6)
    axes.set_xlim(-90, 90)
    axes.set_xticks([-90, -45, 0, 45, 90])


def pair_of_one_teacher(run: Any) -> Any:
    """The run of mirrored pairs at one teacher of norm 1 in the plane."""
    found = run.one(initialization="pair")
    start, teachers = found.config.initialization, measured.plane_teachers(found)
    if start.name != "around_teachers" or not start.mirrored or found.config.network.neurons != 2:
        raise DataError("shows two students that mirror each other in one teacher; the run 'pair' has others")
    if len(teachers) != 1 or abs(measured.lengths(found)[0] - 1) > 1e-12:
        raise DataError("shows one teacher of norm 1; the run 'pair' has others")
    return found


@paper.figure(
    "inferred",
    "Zhou, Ge and Jin 2021, Figure 2 (a sketch there), computed: one teacher and two students at ±δ with |w₁|w₁ + "
    "|w₂|w₂ = w*. Left: a pair of the runs and the lines w·x = 0. Middle: f − f* on the circle; it is 0 but for the "
    "sectors where signs differ (shaded). Right: L/δ³, and |∇L|/δ², of all pairs, and their limits 2/3π and 2/π "
    "(Claim 2).",
    on={"states": ["initialization", "loss", "teacher_angles"]},
    check=pair_of_one_teacher,
    size=(5.5, 2.2),
)
def figure2(canvas: Figure, run: Run) -> None:
    left, middle, right = canvas.subplots(1, 3)
    pairs = pair_of_one_teacher(run).isel(time=0)
    delta = pairs.teacher_angles.isel(neuron=0, teacher=0)
    angle = float(delta[nearest_index(delta, 0.25)])  # wide enough to be seen
    axis = np.array([[1.0, 0.0]])
    mass = 1 / (2 * math.cos(angle))
    pair = in_plane(np.array([angle, -angle]))
    for vector, colour, name in (
        (axis[0], TEACHER, "$w^*$"),
        (mass * pair[0], FIRST, "$|w_1|w_1$"),
        (mass * pair[1], SECOND, "$|w_2|w_2$"),
    ):
        left.annotate("", vector, (0, 0), arrowprops={"arrowstyle": "->", "color": colour})
        left.annotate(
            name, vector, xytext=(2, 0), textcoords="offset points", color=colour, fontsize=6.5, va="center"
        )
        left.axline((0, 0), (-vector[1], vector[0]), color=colour, linewidth=0.8, linestyle=":")
    left.set(xlim=(-0.45, 1.4), ylim=(-0.9, 0.9), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    left.set_title(f"δ = {angle:.3f}")
    middle.plot(np.degrees(CIRCLE), theory.residual(math.sqrt(mass) * pair, axis, CIRCLE), color="black")
    circle_axes(middle)
    for end in (-90, 90):
        middle.axvspan(*(end + np.degrees([-angle, angle])), color=REGION, alpha=0.3, linewidth=0)
    middle.set(ylabel="$f - f^*$")
    for marker, colour, ratio, name, limit, value in (
        ("o", TEACHER, pairs.loss / delta**3, r"$L/\delta^3$", 2 / (3 * np.pi), "2/3π"),
        ("s", FIRST, pairs.gradient_norm / delta**2, r"$|\nabla L|/\delta^2$", 2 / np.pi, "2/π"),
    ):
        right.loglog(delta, ratio, marker, color=colour, fillstyle="none", markersize=2.5, label=name)
        reference(right, [delta.min(), delta.max()], [limit, limit])
        right.annotate(value, (delta.min(), limit), xytext=(0, 2), textcoords="offset points", fontsize=6.5)
    right.set(xlabel="angle δ", ylabel="ratio", ylim=(0.1, 1.2))
    right.legend(loc="center right")


def state_of_figure1(run: Run, start: str) -> Run:
    """The first seed of Figure 1 on the population."""
    return population_of_figure1(run, start).isel(seed=0)


def population_of_figure1(run: Any, start: str) -> Any:
    """The run of Figure 1 on the population, which is in the plane."""
    found = run.one(initialization=start, problem="population")
    measured.plane_teachers(found)
    return found


@paper.figure(
    "inferred",
    "Zhou, Ge and Jin 2021, Figure 3 (a sketch there), computed on a state of Figure 1 (NTK, its start, first seed): "
    "R = f − f* on the circle. Vertical lines: where students' (grey) and teachers' (blue) signs change. Shaded: the "
    "non-linear region |ψ| ≤ δ of the teacher that is farthest from all other lines. Right: there R is linear less "
    "|v·x|; the test function g is |v·x| less its linear fit, and ½ E[Rg]²/E[g²] ≤ L.",
    on={"figure1": PLANES},
    check=lambda run: population_of_figure1(run, "ntk"),
    size=(5.5, 2.4),
)
def figure3(canvas: Figure, run: Run) -> None:
    left, right = canvas.subplots(1, 2)
    state = state_of_figure1(run, "ntk").isel(time=0)
    hidden = state.hidden.transpose("neuron", "feature").values
    teachers = measured.plane_teachers(state)
    teacher, delta = measured.most_isolated(hidden, teachers)
    kink = math.atan2(teachers[teacher, 1], teachers[teacher, 0]) - np.pi / 2
    left.plot(np.degrees(CIRCLE), theory.residual(hidden, teachers, CIRCLE), color="black", zorder=3)
    for vectors, colour, linewidth in ((hidden, "0.75", 0.6), (teachers, TEACHER, 0.9)):
        for turned in sign_changes(vectors):
            left.axvline(turned, color=colour, linewidth=linewidth)
    circle_axes(left)
    left.set(ylabel="$R = f - f^*$")
    near = np.linspace(kink - 1.6 * delta, kink + 1.6 * delta, 1601)
    g = theory.test_function(teachers[teacher], delta, near)
    right.plot(np.degrees(near), theory.residual(hidden, teachers, near), color="black", label="R")
    twin = right.twinx()
    twin.plot(np.degrees(near), g, color=FIRST)
    twin.set_ylabel("g", color=FIRST)
    twin.grid(False)
    reach = 1.3 * np.abs(g).max()
    twin.set_ylim(-reach, reach)
    right.plot([], [], color=FIRST, label="test function g (right)")
    for axes in (left, right):
        axes.axvspan(*np.degrees([kink - delta, kink + delta]), color=REGION, alpha=0.3, linewidth=0)
    right.set(
        xlabel=r"$\varphi$ [°]",
        ylabel="R",
        title=f"δ = {math.degrees(delta):.1f}°: L = {float(state.loss):.3g} ≥ {theory.kink_bound(delta):.1e}",
    )
    right.legend(loc="lower left")


def sign_changes(vectors: Any) -> Any:
    """φ in degrees, in [−90, 90), at which w·x changes its sign, of vectors (vector, 2)."""
    return np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 180 - 90


@paper.figure(
    "inferred",
    "Zhou, Ge and Jin 2021, Figure 4 (a sketch there), computed on states of Figure 1 (population, local convergence, "
    "first seed): f − f* = R₁ + R₂ on the circle. R₁, students as their teachers' average neurons, is linear between "
    "teachers' lines (blue); R₂ lives where a student's sign differs from its teacher's.",
    on={"figure1": PLANES},
    check=lambda run: population_of_figure1(run, "local"),
    size=(5.5, 2.4),
)
def figure4(canvas: Figure, run: Run) -> None:
    local = state_of_figure1(run, "local")
    teachers, stop = measured.plane_teachers(local), float(local.time[-1])
    panels = canvas.subplots(1, 3)
    for axes, time in zip(panels, (0, 0.1 * stop, stop), strict=True):
        state = local.isel(time=nearest_index(local.time, time))
        hidden = state.hidden.transpose("neuron", "feature").values
        first, second = theory.split(hidden, teachers, CIRCLE)
        for turned in sign_changes(teachers):
            axes.axvline(turned, color=TEACHER, linewidth=0.6)
        axes.plot(np.degrees(CIRCLE), first + second, color="0.6", linewidth=2.2, label="$f - f^*$")
        axes.plot(np.degrees(CIRCLE), first, color=SECOND, label="$R_1$")
        axes.plot(np.degrees(CIRCLE), second, color=FIRST, label="$R_2$")
        circle_axes(axes)
        axes.set_title(f"ηt = {float(state.time):.0f}, L = {float(state.loss):.0e}")
    panels[0].set_ylabel("$f - f^*$ and its parts")
    panels[0].legend()


# ---- Theorem 4 ----


def styled(run: Run, word: str = "initialization") -> list[tuple[Run, str, dict[str, Any]]]:
    """Runs by a swept word, each with its marker, and colour and line."""
    parts = list(run.by(word))
    values = [part.swept[word] for part in parts]
    return [
        (part, marker_of(value, values), style_of(value, values))
        for part, value in zip(parts, values, strict=True)
    ]


def scatter(axes: Axes, x: Any, y: Any, marker: str, style: dict[str, Any], label: str) -> None:
    """Open points."""
    axes.plot(
        x, y, marker, color=style["color"], fillstyle="none", markersize=2.5, markeredgewidth=0.7, label=label
    )


@paper.figure(
    "theorem",
    "Theorem 4, √(r w_max)|∇L|/L against L. Left: random states; triangles at the bottom: saddles on the bisector of "
    "two teachers, with |∇L| = 0 and L = Δ³/3π. Right: along flows, a line for each seed. Dashed: the bound ½, which "
    "is claimed up to half the loss of students on both bisectors (dotted), and the slopes −1/3 (|∇L| ~ L^{2/3}) of "
    "near students and −1/4 (L^{3/4}) of far background neurons.",
    on={
        "states": ["initialization", "loss"],
        "rates": ["initialization", "loss"],
        "bisector": ["angles", "loss"],
    },
    check=lambda states, rates, bisector: measured.lengths(rates),
    size=(5.5, 3.4),
)
def lojasiewicz(canvas: Figure, states: Run, rates: Run, bisector: Run) -> None:
    left, right = canvas.subplots(1, 2, sharey=True, sharex=True)
    for run, marker, style in styled(states):
        start = run.isel(time=0)
        size, count = run.config.problem.dimension, len(measured.lengths(run))
        label = f"d = {size}, r = {count}, m = {run.config.network.neurons}"
        scatter(left, start.loss, scaled_gradient(start), marker, style, label)
    for run, _, style in styled(rates):
        loss = measured.loss_of(run)
        lines(right, loss.where(loss > 1e-21), scaled_gradient(run), style, measured.spelled(run))
    saddles = [float(run.loss.isel(time=-1, seed=0)) for run in bisector.by("angles")]
    left.plot(
        saddles, np.full(len(saddles), 0.3), "v", color="black", markersize=3.5, label="bisector saddles"
    )
    ceiling = theory.ceiling(theory.smallest_angle(measured.teacher_weights(rates)))
    grid = np.geomspace(1e-20, 1e-2, 2)
    for axes in (left, right):
        reference(axes, [1e-20, 3], [0.5, 0.5])
        reference(axes, [ceiling] * 2, [0.2, 1e3], linestyle=":")
        reference(axes, grid, 2.0 * grid ** (-1 / 3))
        reference(axes, grid, 1.0 * grid ** (-1 / 4))
        axes.set(xscale="log", yscale="log", xlim=(1e-20, 3), ylim=(0.2, 1e11))
        name_axes(axes, rates.loss)
        axes.legend(loc="upper right")
    left.annotate("slope −1/3", (1e-19, 2e7), fontsize=6.5)
    left.annotate("slope −1/4", (1e-19, 2e3), fontsize=6.5)
    left.set_ylabel(r"$\sqrt{r w_{\max}}\,|\nabla L|/L$")


def scaled_gradient(run: Run) -> xr.DataArray:
    """√(r w_max)|∇L|/L."""
    lengths = measured.lengths(run)
    return math.sqrt(len(lengths) * lengths.max()) * run.gradient_norm / measured.loss_of(run)


def lines(axes: Axes, x: Any, y: Any, style: dict[str, Any], label: str) -> None:
    """A thin line for each seed."""
    for seed in range(x.sizes["seed"]):
        axes.plot(x.isel(seed=seed), y.isel(seed=seed), linewidth=0.7, label="" if seed else label, **style)


# ---- Theorem 5 ----


def flows_and_descents(rates: Any, width: Any) -> None:
    """Refuse flows from different teachers, and descents without steps."""
    measured.lengths(rates)
    if "step_size" not in width.config.dynamics:
        raise DataError(f"shows descents; '{width.experiment}' has none")


@paper.figure(
    "theorem",
    lambda rates, width: (
        "How the loss falls; median and range of all seeds. Flows; by gradient descent with η = "
        f"{width.config.dynamics.step_size} the student at right angles, and the crosses. Dashed: the envelope "
        "r w_max/ηt of Theorem 5 (constant 1), the derived limits Σπ²/(48pq) (ηt)⁻³ of two students a teacher and "
        "(ηt)⁻²/32κ of a student at right angles to all teachers, and e^{−2λt} for m = r."
    ),
    on={"rates": ["initialization", "loss", "closest_teacher", "mass"], "width": ["initialization", "loss"]},
    check=flows_and_descents,
    size=(5.5, 4.0),
)
def rates(canvas: Figure, flows: Run, width: Run) -> None:
    axes = canvas.subplots()
    lengths = measured.lengths(flows)
    shown = [(run, style, "") for run, _, style in styled(flows)]
    descents = list(width.by("initialization"))
    shown += [
        (run, {"color": "C4"}, " (descent)")
        for run in descents
        if measured.starts(run) == "one at right angles"
    ]
    for run, style, kind in shown:
        losses(axes, run, style, measured.spelled(run) + kind)
        limits(axes, run)
    for run in descents:
        if any(starts_alike(run, flow) for flow, _, _ in styled(flows)):
            later = run.isel(time=slice(1, None))
            median = measured.loss_of(later).median("seed")
            label = f"{measured.spelled(run)} (descent)"
            axes.plot(later.time, median, "x", color="0.3", markersize=3, zorder=4, label=label)
    time = np.geomspace(0.3, float(flows.time.max()), 200)
    reference(axes, time, len(lengths) * lengths.max() / time)
    axes.annotate("$r w_{max}/\\eta t$", (time[150], 10 * len(lengths) / time[150]), fontsize=6.5)
    axes.set(ylim=(1e-26, 20), xlim=(0.09, 2 * time[-1]))
    name_axes(axes, flows.time, flows.loss)
    axes.legend(loc="lower left")


def losses(axes: Axes, run: Run, style: dict[str, Any], label: str) -> None:
    """Median and range over seeds on logarithmic axes."""
    later = run.isel(time=slice(1, None))
    loss = measured.loss_of(later)
    bands(axes, later.time, loss.where(loss > 1e-30), label, **style)
    axes.set(xscale="log", yscale="log")


def limits(axes: Axes, run: Run) -> None:
    """What the loss tends to, where that is known of its start."""
    start, teachers, stop = measured.starts(run), measured.teacher_weights(run), float(run.time[-1])
    if start == "one at right angles":
        late = np.geomspace(0.003 * stop, 10 * stop, 40)
        reference(axes, late, 1 / (32 * theory.orthogonal_curvature(teachers)) / late**2)
        axes.annotate("$(\\eta t)^{-2}/32\\kappa$", (late[-1], 0.1 / late[-1] ** 2), fontsize=6.5)
    elif start == "all near" and not measured.overparameterized(run):
        loss = measured.loss_of(run).median("seed")
        index = nearest_index(np.log(loss), math.log(1e-9))
        begin, rate = float(run.time[index]), 2 * float(theory.curvatures(teachers)[0])
        line = np.linspace(begin, begin + 25, 40)
        reference(axes, line, float(loss[index]) * np.exp(-rate * (line - begin)))
        axes.annotate(
            "$e^{-2\\lambda t}$", (line[-1], 1e-17), xytext=(4, 0), textcoords="offset points", fontsize=6.5
        )
    elif start == "all near" and np.isfinite(measured.pair_constant(run)).any():
        limit = float(measured.pair_constant(run).median("seed"))
        late = np.geomspace(3e-5 * stop, stop, 40)
        reference(axes, late, limit / late**3)
        axes.annotate(
            f"{limit:.2f} $(\\eta t)^{{-3}}$",
            (late[30], 0.1 * limit / late[30] ** 3),
            fontsize=6.5,
            ha="right",
        )


@paper.figure(
    "theorem",
    "Theorem 5, independence of m: gradient descent, median and range of all seeds. Left: a student for each teacher, "
    "and background neurons of one whole mass for every m; dotted: the losses of the right panel. Right: the time to "
    "a loss; open squares: all students around teachers, without background neurons.",
    on={"width": ["initialization", "loss"]},
    size=(5.5, 2.9),
)
def width(canvas: Figure, run: Run) -> None:
    left, right = canvas.subplots(1, 2)
    starts = measured.by_start(run)
    with_background = starts.get("background", {})
    for m, part in with_background.items():
        losses(left, part, style_of(m, list(with_background)), f"m = {m}")
    for number, level in enumerate(measured.LEVELS):
        left.axhline(level, color="0.6", linewidth=0.6, linestyle=":")
        for start, parts in starts.items():
            marker, fill, shift = ("o", "full", 1.0) if start == "background" else ("s", "none", 1.06)
            times = np.array([measured.time_to(part, level).values for part in parts.values()])
            middle = np.median(times, axis=1)
            reach = np.abs(np.stack([times.min(1), times.max(1)]) - middle)
            right.errorbar(
                shift * np.array(list(parts)), middle, reach, fmt=marker, color=f"C{number}", capsize=2,
                markersize=3.5, fillstyle=fill,
                label=f"L = $10^{{{round(math.log10(level))}}}$" if parts is next(iter(starts.values())) else None,
            )  # fmt: skip
    ends = [float(part.time[-1]) for part in with_background.values()]
    left.set(xlim=(1, min(ends, default=10.0)), ylim=(0.1 * min(measured.LEVELS), 2))
    name_axes(left, run.time, run.loss)
    left.legend()
    right.set(xlabel="students m", ylabel=r"time $\eta t$ to the loss", xscale="log", yscale="log")
    right.set_ylim(1, 2e4)
    ticks = sorted({m for parts in starts.values() for m in parts})
    right.set_xticks(ticks, [str(m) for m in ticks])
    right.minorticks_off()
    right.plot([], [], "s", color="0.3", fillstyle="none", markersize=3.5, label="no background")
    right.legend(ncols=2, loc="upper left")


def from_the_same_start(batches: Any, width: Any) -> None:
    """Refuse batches without a descent to compare with."""
    same_start(batches, width)
    if "batch_size" not in batches.config.dynamics:
        raise DataError(f"shows descent by batches; that of '{batches.experiment}' takes none")


@paper.figure(
    "theorem",
    lambda batches, width: (
        f"Theorem 7: fresh batches of {batches.config.dynamics.batch_size} against gradient descent on the population "
        f"from the same starts, m = {batches.config.network.neurons}, η = {batches.config.dynamics.step_size}; median "
        "and range of all seeds. Dashed: r w_max/ηt."
    ),
    on={"batches": "loss", "width": "loss"},
    check=from_the_same_start,
    size=(5.5, 3.4),
)
def batches(canvas: Figure, run: Run, width: Run) -> None:
    axes = canvas.subplots()
    descent = same_start(run, width)
    losses(axes, descent, {"color": "C0"}, "gradient descent")
    losses(axes, run, {"color": "C1"}, f"batches of {run.config.dynamics.batch_size}")
    lengths, time = measured.lengths(run), np.array([float(run.time[1]), float(descent.time[-1])])
    reference(axes, time, len(lengths) * lengths.max() / time, "$r w_{max}/\\eta t$")
    axes.set(xlim=tuple(time))
    name_axes(axes, run.time, run.loss)
    axes.legend()


# ---- lemmas ----


LEMMAS = (
    "initialization", "loss", "descent_progress", "teacher_angles", "average_neuron_residual", "r2_norm",
    "mass_weighted_square_angle", "mass_weighted_angle",
)  # fmt: skip
"""What the lemmas are about."""


@paper.figure(
    "theorem",
    "The lemmas' ratios against L, to half the loss of students on both bisectors of two orthogonal teachers: random "
    "states (grey), and flows with m > r, a line for each seed. Lemma 8: at least 1 (dashed), with δ_max = "
    "(6πL)^{1/3}; the others: bounded as L falls, Lemma 9 in the plane by (6π)^{1/3} (dashed). Lemma 10: mirrored "
    "random states, whose v_i = 0, are out of sight.",
    on={"states": LEMMAS, "rates": LEMMAS},
    size=(5.5, 3.8),
)
def lemmas(canvas: Figure, states: Run, rates: Run) -> None:
    grid = canvas.subplots(2, 3, sharex=True).ravel()
    flows = [(run, style) for run, _, style in styled(rates) if measured.overparameterized(run)]
    for axes, (title, measure, power) in zip(grid, MEASURES, strict=True):
        for number, run in enumerate(states.by("initialization")):
            start = run.isel(time=0)
            ratio = measure(start) / start.loss**power
            axes.plot(
                start.loss, ratio, ".", color="0.65", markersize=2, zorder=1,
                label="" if number else "random states",
            )  # fmt: skip
        for run, style in flows:
            loss = measured.loss_of(run)
            lines(axes, loss, measure(run) / loss**power, style, measured.spelled(run))
        axes.set(xscale="log", yscale="log", title=title, xlim=(1e-20, theory.ceiling(math.pi / 2)))
    grid[0].set(yscale="linear", ylim=(0, 3.6))
    reference(grid[0], [1e-20, 1], [1, 1])
    grid[1].set(ylim=(1e-3, 5))
    reference(grid[1], [1e-20, 1], [float(np.cbrt(6 * np.pi))] * 2)
    grid[2].set(ylim=(1e-9, 10))
    for axes in grid[3:]:
        name_axes(axes, rates.loss)
    grid[2].legend(loc="lower right", fontsize=5.5)


MEASURES: tuple[tuple[str, Any, float], ...] = (
    (r"Lemma 8: $\langle\nabla L, \cdot\rangle/L$", lambda run: run.descent_progress, 0.0),
    (r"Lemma 9: $\delta_{\mathrm{near}}/L^{1/3}$", measured.nearest, 1 / 3),
    (r"Lemma 10: $\max_i |v_i|/L^{3/8}$", lambda run: run.average_neuron_residual.max("teacher"), 3 / 8),
    (r"Lemma 12: $|R_2|^2/L^{3/4}$", lambda run: run.r2_norm**2, 3 / 4),
    (r"C.6: $\Sigma|w|^2\delta^2/L^{1/2}$", lambda run: run.mass_weighted_square_angle, 1 / 2),
    (r"Theorem 3: $\Sigma|w|^2\delta$ [rad]", lambda run: run.mass_weighted_angle, 0.0),
)
"""What `lemmas` shows: title, measure, and the power of L that it is divided by."""


# ---- teachers and starts ----


@paper.figure(
    "theorem",
    "Left: λ_min(M), M_ij = E[xxᵀ s_i s_j] of Lemma C.4, of r teachers at steps of Δ in the plane (points, computed "
    "from M), and (2/π)(Δ − sin Δ) for r = 2 (dashed). Middle: the loss where all students sit on the bisector of two "
    "teachers, a stationary point and so a ceiling on ε₀: flows of equal students (points), its closed form (dashed), "
    "Δ³/3π (dotted). Right: the start of Appendix E, median and range of all seeds; dashed: m^{−2/d} of Theorem 6, d "
    "the dimension that directions are drawn in, through the first medians.",
    on={
        "bisector": ["angles", "loss"],
        "start": ["problem", "neurons", "loss"],
        "subspace": ["initialization", "neurons", "loss"],
    },
    size=(5.5, 2.8),
)
def teachers(canvas: Figure, bisector: Run, start: Run, subspace: Run) -> None:
    left, middle, right = canvas.subplots(1, 3)
    counts = (2, 3, 4, 6)
    for count in counts:
        steps = np.geomspace(0.02, np.pi / count, 12)
        found = [theory.smallest(in_plane(step * np.arange(count))) for step in steps]
        scatter(left, steps, found, marker_of(count, counts), style_of(count, counts), f"r = {count}")
    steps = np.geomspace(0.02, np.pi / 2, 60)
    reference(left, steps, theory.smallest_of_two(steps))
    left.set(xlabel="separation Δ", ylabel=r"$\lambda_{\min}(M)$", xscale="log", yscale="log")
    left.legend()
    for number, run in enumerate(bisector.by("angles")):
        delta, loss = theory.smallest_angle(measured.teacher_weights(run)), run.loss.isel(time=-1, seed=0)
        scatter(middle, delta, loss, "o", {"color": "C0"}, "" if number else "flow")
    steps = np.geomspace(0.05, np.pi / 2, 60)
    reference(middle, steps, theory.bisector_loss(steps), "closed form")
    reference(middle, steps, steps**3 / (3 * np.pi), "Δ³/3π", linestyle=":")
    middle.set(xlabel="separation Δ", ylabel="loss on the bisector", xscale="log", yscale="log")
    middle.legend()
    cases = {start_name(run): run for run in (*start.by("problem"), *subspace.by("initialization"))}
    for name, run in cases.items():
        students, fits = measured.fits(run)
        median = np.median(fits, axis=1)
        right.errorbar(
            students, median, [median - fits.min(1), fits.max(1) - median], fmt=marker_of(name, list(cases)),
            color=style_of(name, list(cases))["color"], fillstyle="none", markersize=3, capsize=2, label=name,
        )  # fmt: skip
        reference(
            right, students, median[0] * (students / students[0]) ** (-2 / measured.drawn_dimension(run))
        )
    right.set(xlabel="students m", ylabel="loss at the start", xscale="log", yscale="log")
    ticks = sorted({int(m) for run in cases.values() for m in measured.fits(run)[0]})
    right.set_xticks(ticks, [str(m) for m in ticks])
    right.minorticks_off()
    right.set_ylim(1e-7, 3e2)
    right.legend(fontsize=5.5)


def start_name(run: Run) -> str:
    """`d = 10, r = 3, subspace`."""
    dimension = run.config.problem.dimension
    name = f"d = {dimension}, r = {len(measured.lengths(run))}"
    return name + ", subspace" * (measured.drawn_dimension(run) < dimension)
