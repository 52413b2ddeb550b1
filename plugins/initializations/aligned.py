"""aligned: students that start near their teachers, in chosen positions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer import FiniteData, InitializationSpec, Network, ProblemSpec, Teacher, Weights, initialization
from twolayer.core.wording import counted
from twolayer.population.closed_form import unit


@initialization("aligned")
@dataclass(frozen=True)
class Aligned(InitializationSpec):
    """w_i = h_i v̂_l + z_i: students of teacher l with the given projections h_i, at about `angle` to it.

    projections: for each teacher a list of h_i; students are numbered teacher by teacher.
    angle: in radians; |z_i| = tan(angle) × the group's mean h, with Σ z = 0: two students ±e, more at the corners of
    a simplex, a single one z = 0. Each group has separate directions, orthogonal to all teachers where the
    dimension allows, and a plane may be shared by groups where it does not.
    Projections are absolute: a group that sums to |v_l| starts with no residual along v_l. Trained outputs are 1.
    """

    projections: list[list[float]]
    angle: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.angle < math.pi / 2:
            raise ValueError(f"angle: must lie in [0, π/2) radians, is {self.angle!r}")
        if not any(self.projections):
            raise ValueError("projections: at least one student is needed")
        for index, group in enumerate(self.projections):
            if self.angle > 0 and len(group) > 1 and not sum(group) > 0:
                raise ValueError(
                    f"projections: [{index}] has a sum of {sum(group)!r}; students at an angle to their "
                    "teacher need one above 0"
                )

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse numbers of students and teachers that differ from the run's."""
        students = sum(len(group) for group in self.projections)
        if students != network.neurons:
            raise ValueError(
                f"projections: {counted(students, 'student')} for {counted(network.neurons, 'neuron')}; "
                "give one for each"
            )
        teachers, dimension = len(problem.teacher_outputs), problem.size[1] or 0
        if not teachers:
            raise ValueError(
                "projections: only a problem with teachers ('gaussian_teacher') can be aligned with"
            )
        if teachers != len(self.projections):
            raise ValueError(
                f"projections: {counted(len(self.projections), 'list')} for {counted(teachers, 'teacher')}; "
                "give one for each, [] where a teacher has no student"
            )
        for index, group in enumerate(self.projections):
            corners = max(len(group) - 1, 0)
            if corners > dimension - 1 and self.angle > 0:
                raise ValueError(
                    f"projections: the {len(group)} students of [{index}] need {corners} directions orthogonal "
                    f"to their teacher; dimension {dimension} has {dimension - 1}"
                )

    def draw(self, data: FiniteData | Teacher, network: Network, random: np.random.Generator) -> Weights:
        """Place the students; nothing is drawn."""
        axes = unit(data.teacher.hidden)
        hidden, used = [], np.empty((0, data.features))
        for axis, group in zip(axes, self.projections, strict=True):
            height = np.asarray(group, dtype=np.float64)
            students = height[:, None] * axis
            if len(group) > 1 and self.angle > 0:
                length = math.tan(self.angle) * height.mean()
                corners = simplex(len(group))
                free = orthogonal_directions(axes, used, axis, corners.shape[1])
                used = np.concatenate([used, free])
                students = students + length * corners @ free
            hidden.append(students)
        return Weights(np.concatenate(hidden), np.ones(network.neurons))


def simplex(count: int) -> Any:
    """The corners of a regular simplex on the unit sphere, centred, (corner, count − 1); two are ±1."""
    corners = np.eye(count) - 1.0 / count
    basis = np.zeros((count, count - 1))  # Helmert's: orthonormal, orthogonal to (1, …, 1)
    for column in range(count - 1):
        basis[: column + 1, column] = 1.0
        basis[column + 1, column] = -(column + 1.0)
        basis[:, column] /= math.sqrt((column + 1.0) * (column + 2.0))
    inside = corners @ basis
    return inside / np.linalg.norm(inside, axis=1, keepdims=True)


def orthogonal_directions(axes: Any, used: Any, teacher: Any, count: int) -> Any:
    """`count` orthonormal directions (count, feature): orthogonal to all teachers and to those in use, as far as
    the dimension allows; then to all teachers; then to the group's teacher."""
    for kept in (np.concatenate([axes, used]), axes, teacher[None]):
        projector = np.eye(axes.shape[1])
        left, sizes, _ = np.linalg.svd(kept.T, full_matrices=False)
        span = left[:, sizes > 1e-12]
        projector -= span @ span.T
        found: list[Any] = []
        for row in projector:  # Gram–Schmidt along the axes keeps exact zeros where teachers lie along axes
            row = row - sum((np.dot(row, other) * other for other in found), np.zeros_like(row))
            if np.linalg.norm(row) > 1e-6:
                row = row / np.linalg.norm(row)
                row = row - span @ (span.T @ row)
                found.append(row / np.linalg.norm(row))
            if len(found) == count:
                return np.stack(found)
    raise ValueError(
        f"projections: there are no {count} directions orthogonal to a teacher in {axes.shape[1]} dimensions"
    )
