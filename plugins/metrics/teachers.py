"""Students and their teachers: angles, projections, what is still to grow, and the residual."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Problem, Weights, metric
from twolayer.core.trajectory import Trajectory

from ._homogeneous import of_degree_one_with_teachers
from ._students import (
    closest_teacher,
    closest_teachers,
    further_of_students,
    heights,
    of_students,
    teacher_angles,
)


def plain_teachers(problem: Any, trajectory: Trajectory) -> bool:
    """Whether σ has degree 1 and is not even, so that the sum of vectors has a meaning."""
    return of_degree_one_with_teachers(problem, trajectory) and not problem.network.activation.even


def of_population(problem: Any, trajectory: Trajectory) -> bool:
    """Whether the data are a sample of a teacher's population."""
    return not problem.on_population and problem.data.teacher is not None


@of_students(
    "teacher_angle",
    ("seed", "time", "neuron"),
    "angle θ to the closest teacher",
    units="rad",
)
def teacher_angle(problem: Problem, weights: Weights) -> Any:
    """The angle to the closest teacher, in radians, (seed, neuron)."""
    return closest_teachers(problem, weights)[1]


@of_students(
    "closest_teacher",
    ("seed", "time", "neuron"),
    "index of the closest teacher at that time; −1: none",
)
def index_of_closest(problem: Problem, weights: Weights) -> Any:
    """The index of the closest teacher, −1 where w = 0 or is not finite, (seed, neuron)."""
    return closest_teacher(problem, weights)


@further_of_students(
    "teacher_angles",
    ("seed", "time", "neuron", "teacher"),
    "angle θ to each teacher",
    units="rad",
)
def all_angles(problem: Problem, weights: Weights) -> Any:
    """The angle to each teacher, in radians, (seed, neuron, teacher)."""
    return teacher_angles(problem, weights)


@of_students(
    "projection",
    ("seed", "time", "neuron"),
    "projection h on the closest teacher",
)
def projection(problem: Problem, weights: Weights) -> Any:
    """h_i = ⟨w_i, v̂⟩ on the closest teacher, (seed, neuron); NaN where there is none."""
    return closest_teachers(problem, weights)[2]


@metric(
    "teacher_deficit",
    ("seed", "time", "teacher"),
    "deficit of the teacher H = b|v| − Σ s a h over the teacher's students; NaN below its floor 8 ε b|v|",
    applies=of_degree_one_with_teachers,
    per_frame=True,
)
def teacher_deficit(problem: Problem, weights: Weights) -> Any:
    """H_l = b_l|v_l| − Σ s a_i h_i over the students closest to teacher l at that time, (seed, teacher).

    Float64 weights carry it to about 1e-16 |v_l|: what is below eight roundings of its largest term is NaN.
    """
    closest, _, height = closest_teachers(problem, weights)
    teachers = problem.data.teacher.hidden.shape[0]
    given = problem.data.teacher.output * np.linalg.norm(problem.data.teacher.hidden, axis=-1)
    member = closest[..., None] == np.arange(teachers)
    heavy = problem.network.scale * weights.output * height
    left = given - np.where(member, heavy[..., None], 0.0).sum(-2)
    floor = 8 * np.finfo(np.float64).eps * np.abs(given)
    lost = ~np.isfinite(weights.hidden).all((-2, -1))[..., None]
    return np.where((np.abs(left) < floor) | lost, np.nan, left)


@metric(
    "group_imbalance",
    ("seed", "time", "teacher"),
    "imbalance of a teacher's students B = m Σh²/(Σh)² − 1; NaN without students",
    applies=of_degree_one_with_teachers,
    by_default=False,
    per_frame=True,
)
def group_imbalance(problem: Problem, weights: Weights) -> Any:
    """B_l = m_l Σ h²/(Σ h)² − 1 over the m_l students closest to teacher l at that time, (seed, teacher).

    0 where they share the teacher equally, m_l − 1 where one has it all; NaN without students or where Σ h = 0.
    Taken as m_l Σ (h − mean)²/(Σ h)², which keeps the digits of a small one.
    """
    closest = closest_teacher(problem, weights)
    member = closest[..., None] == np.arange(problem.data.teacher.hidden.shape[0])
    height = np.where(member, heights(problem, weights), 0.0)
    count, total = member.sum(-2), height.sum(-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(member, height - (total / count)[..., None, :], 0.0)
        imbalance = count * (apart**2).sum(-2) / total**2
    return np.where(np.isfinite(imbalance), imbalance, np.nan)


@metric(
    "residual_norm", ("seed", "time"), "residual |Σ s a w − Σ b v|", applies=plain_teachers, per_frame=True
)
def residual_norm(problem: Problem, weights: Weights) -> Any:
    """|Σ s a_j w_j − Σ b_l v_l|, (seed,)."""
    students = problem.network.scale * (weights.output[..., None] * weights.hidden).sum(-2)
    return np.linalg.norm(students - problem.data.teacher.output @ problem.data.teacher.hidden, axis=-1)


@metric(
    "population_loss",
    ("seed", "time"),
    "loss ½E(f − f*)² over the population of the teacher",
    applies=of_population,
    per_frame=True,
)
def population_loss(problem: Problem, weights: Weights) -> Any:
    """½ E (f − f*)² over the population that the data are a sample of, in closed form, (seed,)."""
    return problem.data.teacher.problem(problem.network).loss(weights)


@metric("sharpness", ("seed", "time"), "top Hessian eigenvalue", by_default=False, per_frame=True)
def sharpness(problem: Any, weights: Weights) -> Any:
    """The top Hessian eigenvalue (finite data: of the Gauss–Newton matrix), (seed,)."""
    return problem.sharpness(weights)
