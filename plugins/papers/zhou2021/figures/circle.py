"""Figures 2 to 4 of Zhou, Ge and Jin 2021, sketches there, computed: functions of x on the circle at one state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run, reference
from twolayer.analysis.teachers import in_plane
from twolayer.errors import DataError

from .. import measured, theory
from ..drawing import DASHED, FIRST, REGION, SECOND, TEACHER
from ..theory import paper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLANES = ("initialization", "problem", "hidden", "loss")
"""What Figures 3 and 4 show of the runs of Figure 1."""

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
    angle = float(delta[measured.nearest_index(delta, 0.25)])  # wide enough to be seen
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
        ("o", TEACHER, pairs.loss / delta**3, r"$L/\delta^3$", theory.PAIR_LOSS, r"$2/3\pi$"),
        (
            "s",
            FIRST,
            pairs.gradient_norm / delta**2,
            r"$|\nabla L|/\delta^2$",
            theory.PAIR_GRADIENT,
            r"$2/\pi$",
        ),
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
    length = float(np.linalg.norm(teachers[teacher]))
    kink = math.radians(float(sign_changes(teachers[[teacher]])[0]))
    left.plot(np.degrees(CIRCLE), theory.residual(hidden, teachers, CIRCLE), color="black", zorder=3)
    for vectors, colour, linewidth in ((hidden, "0.75", 0.6), (teachers, TEACHER, 0.9)):
        for turned in sign_changes(vectors):
            left.axvline(turned, color=colour, linewidth=linewidth)
    circle_axes(left)
    left.set(ylabel="$R = f - f^*$")
    near = np.linspace(kink - 1.6 * delta, kink + 1.6 * delta, 1601)
    g = theory.test_function(teachers[teacher] / length, delta, near)
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
        rf"{theory.kink_bound(delta, length):.1e}",
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
        state = local.isel(time=measured.nearest_index(local.time, time))
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
