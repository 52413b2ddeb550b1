"""Students and their teachers: angles, projections, what is still to grow, and the residual."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import FiniteData, Metric, Problem, Weights, hookimpl
from twolayer.gaussian import angles, unit
from twolayer.measuring import each_frame
from twolayer.trajectory import Trajectory


def teacher_angles(problem: Problem, weights: Weights) -> Any:
    """θ between each student and each teacher, up to sign for |·|, (seed, neuron, teacher); NaN at w = 0."""
    theta = angles(weights.hidden, problem.data.teacher.hidden)
    if problem.network.activation == "abs":
        theta = np.minimum(theta, angles(-weights.hidden, problem.data.teacher.hidden))
    return np.where((weights.hidden != 0).any(-1)[..., None], theta, np.nan)


def teacher_angle(problem: Problem, weights: Weights) -> Any:
    """The angle to the closest teacher, in radians, (seed, neuron)."""
    return teacher_angles(problem, weights).min(-1)


def closest_teacher(problem: Problem, weights: Weights) -> Any:
    """The index of the closest teacher at that time, −1 where w = 0 or is not finite, (seed, neuron)."""
    theta = teacher_angles(problem, weights)
    finite = np.isfinite(theta).all(-1)
    return np.where(finite, np.where(np.isfinite(theta), theta, np.inf).argmin(-1), -1)


def heights(problem: Problem, weights: Weights) -> Any:
    """⟨w_i, v̂_l⟩, its size for |·|, (seed, neuron, teacher)."""
    along = weights.hidden @ unit(problem.data.teacher.hidden).T
    return np.abs(along) if problem.network.activation == "abs" else along


def projection(problem: Problem, weights: Weights) -> Any:
    """h_i = ⟨w_i, v̂⟩ on the closest teacher, (seed, neuron); NaN where there is none."""
    closest = closest_teacher(problem, weights)
    own = np.take_along_axis(heights(problem, weights), np.maximum(closest, 0)[..., None], axis=-1)[..., 0]
    return np.where(closest >= 0, own, np.nan)


def growth(problem: Problem, weights: Weights) -> Any:
    """H_l = b_l|v_l| − Σ s a_i h_i over the students closest to teacher l at that time, (seed, teacher).

    Float64 weights carry it to about 1e-16 |v_l|: what is below eight roundings of its largest term is NaN.
    """
    closest = closest_teacher(problem, weights)
    teachers = problem.data.teacher.hidden.shape[0]
    given = problem.data.teacher.output * np.linalg.norm(problem.data.teacher.hidden, axis=-1)
    member = closest[..., None] == np.arange(teachers)
    heavy = problem.network.scale * weights.output[..., None] * heights(problem, weights)
    left = given - np.where(member, heavy, 0.0).sum(-2)
    floor = 8 * np.finfo(np.float64).eps * np.abs(given)
    lost = ~np.isfinite(weights.hidden).all((-2, -1))[..., None]
    return np.where((np.abs(left) < floor) | lost, np.nan, left)


def residual_norm(problem: Problem, weights: Weights) -> Any:
    """|Σ s a_j w_j − Σ b_l v_l|, (seed,)."""
    students = problem.network.scale * (weights.output[..., None] * weights.hidden).sum(-2)
    return np.linalg.norm(students - problem.data.teacher.output @ problem.data.teacher.hidden, axis=-1)


def has_teachers(problem: Any, trajectory: Trajectory) -> bool:
    """Whether there are teachers: of a population, or of a sample of one."""
    return problem.data.teacher is not None


def plain_teachers(problem: Any, trajectory: Trajectory) -> bool:
    """Whether teachers enter with their direction (relu), so that the sum of vectors has a meaning."""
    return has_teachers(problem, trajectory) and problem.network.activation == "relu"


def population_loss(problem: Problem, weights: Weights) -> Any:
    """½ E (f − f*)² over the population that the data are a sample of, in closed form, (seed,)."""
    return problem.data.teacher.problem(problem.network).loss(weights)


def of_population(problem: Any, trajectory: Trajectory) -> bool:
    """Whether the data are a sample of a teacher's population."""
    return isinstance(problem.data, FiniteData) and problem.data.teacher is not None


def sharpness(problem: Any, weights: Weights) -> Any:
    """The top Hessian eigenvalue (finite data: of the Gauss–Newton matrix), (seed,)."""
    return problem.sharpness(weights)


@hookimpl
def register_metrics(register: Any) -> None:
    neuron = ("seed", "time", "neuron")

    def add(name: str, observe: Any, dimensions: tuple[str, ...], long_name: str, units: str = "1") -> None:
        applies = plain_teachers if name == "residual_norm" else has_teachers
        register(name, Metric(each_frame(observe), dimensions, long_name, units, applies))

    add("teacher_angle", teacher_angle, neuron, "angle θ to the closest teacher", "rad")
    add("closest_teacher", closest_teacher, neuron, "index of the closest teacher at that time; −1: none")
    add("projection", projection, neuron, "projection h on the closest teacher")
    add(
        "growth",
        growth,
        ("seed", "time", "teacher"),
        "growth still to come H = b|v| − Σ a h over the teacher's students; NaN below its floor 8 ε b|v|",
    )
    add("residual_norm", residual_norm, ("seed", "time"), "residual |Σ a w − Σ b v|")
    beyond = "loss ½E(f − f*)² over the population of the teacher"
    register(
        "population_loss", Metric(each_frame(population_loss), ("seed", "time"), beyond, "1", of_population)
    )
    largest = Metric(each_frame(sharpness), ("seed", "time"), "top Hessian eigenvalue", by_default=False)
    register("sharpness", largest)
