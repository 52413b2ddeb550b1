"""Figures for Zhou, Ge and Jin 2021: Figure 1 and a film of it, its sketches computed, and checks of statements."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, bands, name_axes, reference
from twolayer.analysis.drawing import clipped, show_all
from twolayer.analysis.intervals import chance_interval
from twolayer.analysis.labels import LINES, marker_of, style_of, trained_by
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

DASHED = (0, (5, 2))

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


ROWS = {"sample": "on a sample", "population": "on the population"}
"""The problems of Figure 1, in words."""


def figure1_caption(end: str) -> Any:
    """The caption of Figure 1 by what was run, with the words for the red circles."""

    def caption(run: Run) -> str:
        rows = [row.problem for row in run.by("problem")]
        problems = " and ".join(ROWS.get(row, row) for row in rows) + " (rows)" * (len(rows) > 1)
        return (
            f"Figure 1: students in the plane by their starts (columns), {problems}: directions of teachers (blue "
            f"lines), paths of $|w_j|w_j$ (black), {end} (red circles)."
        )

    return caption


READ_OFF = (
    "The first seed. The paper states $m$ and $r$; angles and scales of starts are read off the print; $\\eta$, "
    "$\\eta T$ and $N$ are ours. Axes differ in scale."
)
NOTE: dict[str, Any] = {
    "xy": (0.03, 0.03),
    "xycoords": "axes fraction",
    "fontsize": 7,
    "bbox": {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
}


@paper.figure(
    "inferred",
    figure1_caption("end points"),
    on={"figure1": PLANES},
    check=in_the_plane,
    size=(7.0, 4.9),
    details=READ_OFF,
)
def figure1(canvas: Figure, run: Run) -> None:
    for axes, points, time, loss in planes(canvas, run):
        axes.plot(points[..., 0], points[..., 1], color="black", linewidth=0.6, zorder=2)
        axes.plot(*points[-1].T, "o", color="red", fillstyle="none", markersize=3.5, zorder=3)
        axes.annotate(rf"$\eta T$ = {time[-1]:.3g}, $L$ = {loss[0]:.2g} → {loss[-1]:.0e}", **NOTE)


@paper.figure(
    "inferred",
    figure1_caption("where students are"),
    on={"figure1": PLANES},
    check=in_the_plane,
    size=(7.0, 4.9),
    frames_per_second=10,
    details=READ_OFF,
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
            note.set_text(rf"$\eta t$ = {time[frame]:.3g}, $L$ = {loss[frame]:.1e}")
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
    r"Figure 2 (a sketch there), computed: two students at $\pm\delta$ of one teacher, $f - f^*$ on the circle, and "
    r"Claim 2, $L \sim \delta^3$.",
    on={"states": ["initialization", "loss", "teacher_angles"]},
    check=pair_of_one_teacher,
    size=(7.0, 2.5),
    details=r"$|w_1|w_1 + |w_2|w_2 = w^*$. Dotted: the lines $w \cdot x = 0$. Shaded: sectors where signs differ, "
    r"outside of which $f = f^*$. Pale: the limits $2/3\pi$ and $2/\pi$.",
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
            name, vector, xytext=(2, 0), textcoords="offset points", color=colour, fontsize=7.5, va="center"
        )
        left.axline((0, 0), (-vector[1], vector[0]), color=colour, linewidth=0.8, linestyle=":")
    left.set(xlim=(-0.45, 1.4), ylim=(-0.9, 0.9), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    left.set_title(rf"$\delta$ = {angle:.3f}")
    middle.plot(np.degrees(CIRCLE), theory.residual(math.sqrt(mass) * pair, axis, CIRCLE), color="black")
    circle_axes(middle)
    for end in (-90, 90):
        middle.axvspan(*(end + np.degrees([-angle, angle])), color=REGION, alpha=0.3, linewidth=0)
    middle.set(ylabel="$f - f^*$")
    for marker, colour, ratio, name, limit, value in (
        ("o", TEACHER, pairs.loss / delta**3, r"$L/\delta^3$", 2 / (3 * np.pi), r"$2/3\pi$"),
        ("s", FIRST, pairs.gradient_norm / delta**2, r"$|\nabla L|/\delta^2$", 2 / np.pi, r"$2/\pi$"),
    ):
        reference(right, [delta.min(), delta.max()], [limit, limit], color=colour)
        right.loglog(delta, ratio, marker, color=colour, fillstyle="none", markersize=2.5, label=name)
        right.annotate(value, (delta.min(), limit), xytext=(0, 4), textcoords="offset points", fontsize=8)
    right.set(xlabel=r"angle $\delta$", ylabel="ratio", ylim=(0.1, 1.4))
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
    r"Figure 3 (a sketch there), computed: $R = f - f^*$ on the circle, and near one teacher's kink (shaded) the test "
    r"function $g$ with $\frac{1}{2}E[Rg]^2/E[g^2] \leq L$.",
    on={"figure1": PLANES},
    check=lambda run: population_of_figure1(run, "ntk"),
    size=(7.0, 2.7),
    details=r"A state of Figure 1: NTK, its start, first seed. Vertical lines: where signs of students (grey, thin) "
    r"and teachers (blue) change. Shaded: $|\psi| \leq \delta$ of the teacher that is farthest from all other lines; "
    r"there $R$ is linear less $|v \cdot x|$, and $g$ is $|v \cdot x|$ less its linear fit.",
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
    right.plot(np.degrees(near), theory.residual(hidden, teachers, near), color="black", label="$R$")
    twin = right.twinx()
    twin.plot(np.degrees(near), g, color=FIRST, linestyle=DASHED)
    twin.set_ylabel("$g$", color=FIRST)
    twin.grid(False)
    reach = 1.3 * np.abs(g).max()
    twin.set_ylim(-reach, reach)
    twin.spines["right"].set_visible(True)
    right.plot([], [], color=FIRST, linestyle=DASHED, label="test function $g$")
    for axes in (left, right):
        axes.axvspan(*np.degrees([kink - delta, kink + delta]), color=REGION, alpha=0.3, linewidth=0)
    right.set(
        xlabel=r"$\varphi$ [°]",
        ylabel="$R$",
        title=rf"$\delta$ = {math.degrees(delta):.1f}°: $L$ = {float(state.loss):.3g} ≥ "
        rf"{theory.kink_bound(delta):.1e}",
    )
    right.legend(loc="lower left")


def sign_changes(vectors: Any) -> Any:
    """φ in degrees, in [−90, 90), at which w·x changes its sign, of vectors (vector, 2)."""
    return np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 180 - 90


@paper.figure(
    "inferred",
    r"Figure 4 (a sketch there), computed: $f - f^* = R_1 + R_2$ on the circle; $R_1$ is linear between teachers' "
    r"lines (blue), $R_2$ lives where signs of students and teachers differ.",
    on={"figure1": PLANES},
    check=lambda run: population_of_figure1(run, "local"),
    size=(7.0, 2.6),
    details="States of Figure 1: population, local convergence, first seed. $R_1$ takes students as their teachers' "
    "average neurons.",
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
        axes.plot(np.degrees(CIRCLE), first + second, color="0.75", linewidth=3.0, label="$f - f^*$")
        axes.plot(np.degrees(CIRCLE), first, color=SECOND, linestyle=DASHED, label="$R_1$")
        axes.plot(np.degrees(CIRCLE), second, color=FIRST, label="$R_2$")
        circle_axes(axes)
        axes.set_title(rf"$\eta t$ = {float(state.time):.3g}, $L$ = {float(state.loss):.0e}")
    panels[0].set_ylabel("$f - f^*$ and its parts")
    panels[0].legend(loc="best")


def bisected(run: Any) -> None:
    """Refuse teachers whose bisector the students would leave."""
    for part in run.by("run"):
        measured.bisected(part)


# ---- Theorem 4 ----


def states_and_saddles(states: Any, rates: Any, bisector: Any) -> None:
    """Refuse teachers that are not of one length, and those whose bisector the students would leave."""
    measured.lengths(rates)
    bisected(bisector)


def styled(run: Run, word: str = "initialization") -> list[tuple[Run, str, dict[str, Any]]]:
    """Runs by a swept word, each with its marker, and colour and line."""
    parts = list(run.by(word))
    values = [part.swept[word] for part in parts]
    return [
        (part, marker_of(value, values), style_of(value, values))
        for part, value in zip(parts, values, strict=True)
    ]


def scatter(
    axes: Axes, x: Any, y: Any, marker: str, style: dict[str, Any], label: str, size: float = 2.5
) -> None:
    """Open points."""
    axes.plot(
        x,
        y,
        marker,
        color=style["color"],
        fillstyle="none",
        markersize=size,
        markeredgewidth=0.7,
        label=label,
    )


@paper.figure(
    "theorem",
    lambda states, rates, bisector: (
        r"Theorem 4: $\sqrt{r w_{\max}}\,|\nabla L|/L$ is at least a constant, here ½ (grey: below it), at random "
        rf"states and along {trained_by(rates)}."
    ),
    on={
        "states": ["initialization", "loss"],
        "rates": ["initialization", "loss"],
        "bisector": ["angles", "loss"],
    },
    check=states_and_saddles,
    size=(7.0, 3.4),
    details=r"A line for each seed. ▽: saddles on the bisector of two teachers, with $|\nabla L| = 0$ and "
    r"$L = \Delta^3/3\pi$. The bound is claimed up to half the loss of students on both bisectors, the end of the "
    r"grey zone. Pale: slopes $-1/3$ ($|\nabla L| \sim L^{2/3}$) of near students, $-1/4$ ($L^{3/4}$) of far "
    r"background neurons.",
)
def lojasiewicz(canvas: Figure, states: Run, rates: Run, bisector: Run) -> None:
    left, right = canvas.subplots(1, 2, sharey=True, sharex=True)
    for run, marker, style in styled(states):
        start = run.isel(time=0)
        size, count = run.config.problem.dimension, len(measured.lengths(run))
        label = f"$d$ = {size}, $r$ = {count}, $m$ = {run.config.network.neurons}"
        scatter(left, start.loss, scaled_gradient(start), marker, style, label)
    for run, _, style in styled(rates):
        loss = measured.loss_of(run)
        lines(right, loss.where(loss > 1e-21), scaled_gradient(run), style, measured.spelled(run))
    saddles = [float(run.loss.isel(time=-1, seed=0)) for run in bisector.by("angles")]
    clipped(left, saddles, np.zeros(len(saddles)), 0.25, "black", "bisector saddles, 0")
    ceiling = theory.ceiling(theory.smallest_angle(measured.teacher_weights(rates)))
    grid = np.geomspace(1e-20, 1e-2, 2)
    for axes in (left, right):
        axes.fill_between([1e-20, ceiling], 0.1, 0.5, color="0.55", alpha=0.25, lw=0)
        reference(axes, grid, 2.0 * grid ** (-1 / 3))
        reference(axes, grid, 1.0 * grid ** (-1 / 4))
        axes.set(xscale="log", yscale="log", xlim=(1e-20, 3), ylim=(0.1, 1e11))
        show_all(axes)
        name_axes(axes, rates.loss)
        axes.legend(loc="upper right")
    for text, at in (
        ("slope −1/3", (1e-19, 1.2e7)),
        ("slope −1/4", (1e-19, 1.2e3)),
        ("below ½", (1e-19, 0.16)),
    ):
        left.annotate(text, at, fontsize=8)
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
        rf"Theorem 5: how the loss falls, by {' and by '.join(dict.fromkeys(map(trained_by, (rates, width))))}, below "
        r"the envelope $r w_{\max}/\eta t$, and the derived limits (pale)."
    ),
    on={"rates": ["initialization", "loss", "closest_teacher", "mass"], "width": ["initialization", "loss"]},
    check=flows_and_descents,
    size=(5.5, 4.0),
    details=lambda rates, width: (
        rf"Median and range of all seeds; descent with $\eta$ = {width.config.dynamics.step_size:g}. Limits: "
        r"$\sum\pi^2/(48pq)\,(\eta t)^{-3}$ of two students of each teacher, of masses $p$ and $q$; $(\eta "
        r"t)^{-2}/32\kappa$ of a student at right angles to all teachers; $e^{-2\lambda t}$ for $m = r$."
    ),
)
def rates(canvas: Figure, flows: Run, width: Run) -> None:
    axes = canvas.subplots()
    lengths = measured.lengths(flows)
    shown = [(run, style, "") for run, _, style in styled(flows)]
    descents = list(width.by("initialization"))
    shown += [
        (run, {"color": "C4", "linestyle": (0, (10, 2, 2, 2))}, ", descent")
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
            label = f"{measured.spelled(run)}, descent"
            axes.plot(later.time, median, "x", color="0.3", markersize=3, zorder=4, label=label)
    time = np.geomspace(0.3, float(flows.time.max()), 200)
    reference(axes, time, len(lengths) * lengths.max() / time)
    axes.annotate(r"$r w_{\max}/\eta t$", (time[150], 10 * len(lengths) / time[150]), fontsize=8)
    least = float(measured.loss_of(flows).where(flows.loss > 1e-30).min())
    axes.set(ylim=(1e-6 * least, 20), xlim=(0.09, 2 * time[-1]))
    show_all(axes, "y")
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
        axes.annotate(r"$(\eta t)^{-2}/32\kappa$", (late[-1], 0.1 / late[-1] ** 2), fontsize=8)
    elif start == "all near" and not measured.overparameterized(run):
        loss = measured.loss_of(run).median("seed")
        index = nearest_index(np.log(loss), math.log(1e-9))
        begin, rate = float(run.time[index]), 2 * float(theory.curvatures(teachers)[0])
        line = np.linspace(begin, begin + 25, 40)
        reference(axes, line, float(loss[index]) * np.exp(-rate * (line - begin)))
        axes.annotate(
            r"$e^{-2\lambda t}$", (line[-1], 1e-17), xytext=(4, 0), textcoords="offset points", fontsize=8
        )
    elif start == "all near" and np.isfinite(measured.pair_constant(run)).any():
        limit = float(measured.pair_constant(run).median("seed"))
        late = np.geomspace(3e-5 * stop, stop, 40)
        reference(axes, late, limit / late**3)
        axes.annotate(
            rf"{limit:.2f} $(\eta t)^{{-3}}$",
            (late[30], 0.1 * limit / late[30] ** 3),
            fontsize=8,
            ha="right",
        )


def several_numbers_of_students(width: Any) -> None:
    """Refuse runs of which no kind of start has two numbers of students."""
    if not measured.by_start(width):
        raise DataError(f"compares numbers of students; '{width.experiment}' has no start with two of them")


@paper.figure(
    "theorem",
    lambda run: (
        f"Theorem 5, whose bound does not contain $m$: {trained_by(run)} by the number of students, and its time to "
        "a loss."
    ),
    on={"width": ["initialization", "loss"]},
    check=several_numbers_of_students,
    size=(7.0, 3.0),
    details="Median and range of all seeds. Left: starts with background neurons, where there are any; dotted: the "
    "losses of the right panel. Open squares: all students around teachers.",
)
def width(canvas: Figure, run: Run) -> None:
    left, right = canvas.subplots(1, 2)
    starts = measured.by_start(run)
    shown = starts.get("background", next(iter(starts.values())))
    for m, part in shown.items():
        losses(left, part, style_of(m, list(shown)), f"$m$ = {m}")
    for number, level in enumerate(measured.LEVELS):
        left.axhline(level, color="0.6", linewidth=0.6, linestyle=":")
        for start, parts in starts.items():
            background = start == "background"
            times = np.array([measured.time_to(part, level).values for part in parts.values()])
            if not np.isfinite(times).any():
                continue
            middle = np.median(times, axis=1)
            reach = np.abs(np.stack([times.min(1), times.max(1)]) - middle)
            right.errorbar(
                np.array(list(parts)) * (1.0 if background else 1.07), middle, reach, fmt="o" if background else "s",
                linestyle=LINES[number] if background else "none", linewidth=0.7, color=f"C{number}", capsize=2,
                markersize=3.5, fillstyle="full" if background else "none",
                label=f"$L = 10^{{{round(math.log10(level))}}}$" if background or len(starts) == 1 else None,
            )  # fmt: skip
    ends = [float(part.time[-1]) for part in shown.values()]
    left.set(xlim=(1, min(ends, default=10.0)), ylim=(0.1 * min(measured.LEVELS), 2))
    show_all(left, "y")
    name_axes(left, run.time, run.loss)
    left.legend()
    right.set(xlabel="students $m$", ylabel=r"time $\eta t$ to the loss", xscale="log", yscale="log")
    right.set_ylim(None, 30 * right.get_ylim()[1])
    ticks = sorted({m for parts in starts.values() for m in parts})
    right.set_xticks(ticks, [str(m) for m in ticks])
    right.minorticks_off()
    if set(starts) - {"background"}:
        right.plot([], [], "s", color="0.3", fillstyle="none", markersize=3.5, label="all near teachers")
    right.legend(ncols=2, loc="upper left")


def from_the_same_start(batches: Any, width: Any) -> None:
    """Refuse batches without a descent to compare with."""
    same_start(batches, width)
    if "batch_size" not in batches.config.dynamics:
        raise DataError(f"shows descent by batches; that of '{batches.experiment}' takes none")


@paper.figure(
    "theorem",
    lambda batches, width: (
        f"Theorem 7: fresh batches of {batches.config.dynamics.batch_size} and gradient descent on the "
        f"population from the same starts, $m$ = {batches.config.network.neurons}."
    ),
    on={"batches": "loss", "width": "loss"},
    check=from_the_same_start,
    size=(5.5, 3.1),
    details=lambda batches, width: (
        rf"$\eta$ = {batches.config.dynamics.step_size:g}; median and range of all seeds. Pale: the envelope "
        r"$r w_{\max}/\eta t$ of Theorem 5."
    ),
)
def batches(canvas: Figure, run: Run, width: Run) -> None:
    axes = canvas.subplots()
    descent = same_start(run, width)
    losses(axes, descent, {"color": "C0"}, "gradient descent")
    losses(axes, run, {"color": "C1", "linestyle": DASHED}, f"batches of {run.config.dynamics.batch_size}")
    lengths, time = (
        measured.lengths(run),
        np.array([float(run.time[1]), float(max(descent.time[-1], run.time[-1]))]),
    )
    reference(axes, time, len(lengths) * lengths.max() / time, r"$r w_{\max}/\eta t$")
    axes.set(xlim=tuple(time))
    name_axes(axes, run.time, run.loss)
    axes.legend()


# ---- lemmas ----


LEMMAS = (
    "initialization", "loss", "descent_progress", "teacher_angles", "average_neuron_residual", "r2_norm",
    "mass_weighted_square_angle", "mass",
)  # fmt: skip
"""What the lemmas are about."""

LEAST_SHARE = 1e-8
"""Of what a lemma allows: shares below it, and none, are drawn at it."""


@paper.figure(
    "theorem",
    lambda states, rates: (
        "The lemmas: what is measured over what is allowed (grey: more), at random states and along "
        f"{trained_by(rates)}."
    ),
    on={"states": LEMMAS, "rates": LEMMAS},
    size=(7.0, 4.4),
    details=r"Lemma 8: $L$ over the progress along the descent direction, with $\delta_{\max} = (6\pi L)^{1/3}$. "
    r"Lemma 9: the angle within which half of a teacher's mass lies over $c\,r w_{\max} w_{\min}^{-5/3} L^{1/3}$, $c$ "
    r"that of one teacher as $L \to 0$. The others are allowed as many times the power of $L$ as random states with "
    r"$L \geq 10^{-5}$ reach. To half the loss of students on both bisectors of two teachers. ▽: below 1e-8, or none "
    r"(mirrored states).",
)
def lemmas(canvas: Figure, states: Run, rates: Run) -> None:
    grid = canvas.subplots(2, 3, sharex=True, sharey=True).ravel()
    flows = [(run, style) for run, _, style in styled(rates) if measured.overparameterized(run)]
    starts = [run.isel(time=[0]) for run in states.by("initialization")]
    for axes, (title, share) in zip(grid, measured.shares_allowed(starts), strict=False):
        axes.axhspan(1, 1e3, color="0.55", alpha=0.25, lw=0)
        for number, run in enumerate(starts):
            loss, found = measured.small_loss(run).values, share(run).values
            label = "" if number else "random states"
            axes.plot(
                loss,
                np.where(found > LEAST_SHARE, found, np.nan),
                ".",
                color="0.65",
                markersize=2.5,
                label=label,
            )
            clipped(axes, loss[np.isfinite(loss)], found[np.isfinite(loss)], LEAST_SHARE, "0.5")
        for run, style in flows:
            lines(axes, measured.small_loss(run), share(run), style, measured.spelled(run))
        axes.set(xscale="log", yscale="log", title=title, ylim=(LEAST_SHARE / 3, 30), xlim=(1e-20, 0.3))
    for axes in (grid[2], grid[3], grid[4]):
        name_axes(axes, rates.loss)
        axes.tick_params(labelbottom=True)
    for axes in (grid[0], grid[3]):
        axes.set_ylabel("measured over allowed")
    handles, labels = grid[0].get_legend_handles_labels()
    grid[5].axis("off")
    grid[5].legend(handles, labels, loc="center", markerscale=3)


# ---- teachers and starts ----


@paper.figure(
    "theorem",
    lambda bisector: (
        r"Teachers at angle $\Delta$: $\lambda_{\min}(M)$ over $\Delta^3/r^3$, which Lemma C.4 bounds below, and the "
        rf"loss of {trained_by(bisector)} on the bisector of two over $\Delta^3/3\pi$."
    ),
    on={"bisector": ["angles", "loss"]},
    check=bisected,
    size=(7.0, 2.8),
    details=r"$M_{ij} = E[xx^T s_i s_j]$, computed for $r$ teachers at steps of $\Delta$ in the plane; pale: "
    r"$(2/\pi)(\Delta - \sin\Delta)$ for $r = 2$. The bisector is stationary, so its loss is a ceiling on "
    r"$\varepsilon_0$ of Theorem 4; pale: its closed form, $1 + K(\Delta) - 2K(\Delta/2)^2$.",
)
def teachers(canvas: Figure, bisector: Run) -> None:
    left, right = canvas.subplots(1, 2)
    counts = (2, 3, 4, 6)
    steps = np.geomspace(0.02, np.pi / 2, 60)
    reference(left, steps, theory.smallest_of_two(steps) * (2 / steps) ** 3, "closed form, $r$ = 2")
    for count in counts:
        steps = np.geomspace(0.02, np.pi / count, 12)
        found = [theory.smallest(in_plane(step * np.arange(count))) * (count / step) ** 3 for step in steps]
        scatter(left, steps, found, marker_of(count, counts), style_of(count, counts), f"$r$ = {count}", 4)
    left.set(xscale="log", ylim=(0, None), ylabel=r"$\lambda_{\min}(M)\, r^3/\Delta^3$")
    left.legend(ncols=2)
    steps = np.geomspace(0.02, np.pi / 2, 60)
    reference(right, steps, theory.bisector_loss(steps) * 3 * np.pi / steps**3, "closed form")
    for number, run in enumerate(bisector.by("angles")):
        delta, loss = measured.bisected(run), run.loss.isel(time=-1, seed=0)
        ratio = float(loss) * 3 * np.pi / delta**3
        scatter(right, delta, ratio, "o", {"color": "C0"}, "" if number else "end of training", 5)
    right.set(xscale="log", ylabel=r"loss on the bisector over $\Delta^3/3\pi$")
    right.legend(loc="lower left")
    for axes in (left, right):
        axes.set_xlabel(r"separation $\Delta$ of teachers [rad]")


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


HIGHEST = 1e3
"""A loss at the end of training above which a start counts as lost."""


@paper.figure(
    "theorem",
    lambda run: (
        rf"The basin: the loss of {trained_by(run)} at $\eta t$ = {float(run.time.max()):g} against that of its "
        "start, and the share of starts that end below the envelope of Theorem 5."
    ),
    on={"basin": ["initialization", "neurons", "loss"]},
    check=lambda run: measured.lengths(run),
    size=(7.0, 3.3),
    details=lambda run: (
        step_of(run) + f"$m$ = {run.config.network.neurons}. Grey: what Theorem 5 forbids, and where, if "
        "$\\varepsilon_0$ is half the loss of students on both bisectors of two teachers. Bars: exact 95 % intervals. "
        "▽: below 1e-20. △: above 1e3, or diverged."
    ),
)
def basin(canvas: Figure, run: Run) -> None:
    left, right = canvas.subplots(1, 2, width_ratios=[1.2, 1], sharex=True)
    parts = styled(run)
    ceiling = theory.ceiling(theory.smallest_angle(measured.teacher_weights(run)))
    floor = measured.FLOOR
    envelope = min(measured.envelope_at_end(part) for part in run.by("run"))
    every = np.concatenate([measured.ends(part)[0].ravel() for part, _, _ in parts])
    low, high = min(1e-4, 0.3 * float(every.min())), max(30.0, 3 * float(every.max()))
    left.fill_between([low / 10, ceiling], envelope, HIGHEST, color="0.55", alpha=0.25, lw=0)
    right.axvspan(low / 10, ceiling, color="0.55", alpha=0.25, lw=0)
    reference(left, [low, high], [envelope] * 2, r"$r w_{\max}/\eta T$")
    edges = np.geomspace(low, high, 12)
    for number, (part, marker, style) in enumerate(parts):
        first, last, relative = measured.ends(part)
        name = part.initialization.replace("_", " ")
        shown = np.where(last > floor, last, np.nan)
        scatter(left, first, shown, marker, style, name)
        clipped(left, first, last, floor, style["color"])
        lost = ~(last < HIGHEST)
        left.plot(
            first[lost],
            np.full(lost.sum(), 0.5 * HIGHEST),
            "^",
            color=style["color"],
            fillstyle="none",
            markersize=4,
        )
        for least, most in itertools.pairwise(edges):
            inside = (first >= least) & (first < most)
            if inside.any():
                share, below, above = chance_interval(int((relative[inside] <= 1).sum()), int(inside.sum()))
                right.errorbar(
                    np.sqrt(least * most) * 1.1 ** (number - 1), share, [[share - below], [above - share]],
                    fmt=marker, color=style["color"], markersize=4, fillstyle="none", capsize=2,
                )  # fmt: skip
    left.set(
        xscale="log",
        yscale="log",
        xlim=(low, high),
        ylim=(floor / 10, HIGHEST),
        ylabel="loss $L(T)$ at the end",
    )
    left.legend(loc="center left", bbox_to_anchor=(0, 0.4), markerscale=1.5)
    right.set(xscale="log", ylim=(-0.03, 1.05), ylabel="share below the envelope")
    for axes in (left, right):
        axes.set_xlabel("loss $L(0)$ of the start")


def spaced(numbers: list[int]) -> list[int]:
    """Those of rising numbers that are a sixth above the one before: ticks whose labels stay apart."""
    kept = numbers[:1]
    for number in numbers[1:]:
        kept += [number] * (number > 7 / 6 * kept[-1])
    return kept


def step_of(run: Run) -> str:
    """`η = 0.05, ` of a descent."""
    dynamics = run.config.dynamics
    return rf"$\eta$ = {dynamics.step_size:g}, " if "step_size" in dynamics else ""


def start_name(run: Run) -> str:
    """`d = 10, r = 3, in 2 of them`, with mathematics."""
    dimension, drawn = run.config.problem.dimension, measured.drawn_dimension(run)
    name = f"$d$ = {dimension}, $r$ = {len(measured.lengths(run))}"
    return f"{name}, in {drawn} dimensions" if drawn < dimension else name
