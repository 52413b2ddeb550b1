"""mass, and angles weighted by it: the coefficient of each neuron, and its angle to the closest teacher."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from twolayer import Weights, metric
from twolayer.core.arrays import norm

from ._homogeneous import of_degree_one, of_degree_one_with_teachers
from ._students import closest_teachers

of_masses = partial(metric, applies=of_degree_one_with_teachers, by_default=False, per_frame=True)
"""Register a metric of teachers' students by their masses, only where it is asked for."""


@metric(
    "mass",
    ("seed", "time", "neuron"),
    "mass s a|w|, with the sign of a",
    applies=of_degree_one,
    by_default=False,
    per_frame=True,
)
def mass(problem: Any, weights: Weights) -> Any:
    """s a_j|w_j|, with the sign of a_j: the neuron's coefficient as a function of its direction, (seed, neuron)."""
    return problem.network.scale * weights.output * norm(weights.hidden)


def weighted(problem: Any, weights: Weights, power: int) -> Any:
    """|mass| θ^power of each neuron at its closest teacher, 0 at the others, (seed, neuron, teacher).

    A neuron that is 0 has no angle and no mass: it counts 0.
    """
    size = np.abs(mass(problem, weights))
    closest, angle, _ = closest_teachers(problem, weights)
    theta = np.where(size > 0, angle, 0.0)
    member = closest[..., None] == np.arange(len(problem.data.teacher.hidden))
    lost = ~np.isfinite(size)[..., None]
    return np.where(lost, np.nan, np.where(member, (size * theta**power)[..., None], 0.0))


@of_masses(
    "teacher_mass",
    ("seed", "time", "teacher"),
    "Σ s|a||w| over the students closest to a teacher",
)
def teacher_mass(problem: Any, weights: Weights) -> Any:
    """Σ |mass| over the students closest to each teacher, (seed, teacher)."""
    return weighted(problem, weights, 0).sum(-2)


@of_masses(
    "mass_weighted_angle",
    ("seed", "time"),
    "Σ s|a||w|θ, θ the angle to the closest teacher",
    units="rad",
)
def mass_weighted_angle(problem: Any, weights: Weights) -> Any:
    """Σ |mass| θ over all students, (seed,)."""
    return weighted(problem, weights, 1).sum((-2, -1))


@of_masses(
    "teacher_mass_weighted_angle",
    ("seed", "time", "teacher"),
    "Σ s|a||w|θ over the students closest to a teacher",
    units="rad",
)
def teacher_mass_weighted_angle(problem: Any, weights: Weights) -> Any:
    """Σ |mass| θ over the students closest to each teacher, (seed, teacher)."""
    return weighted(problem, weights, 1).sum(-2)


@of_masses(
    "mass_weighted_square_angle",
    ("seed", "time"),
    "Σ s|a||w|θ², θ the angle to the closest teacher",
    units="rad²",
)
def mass_weighted_square_angle(problem: Any, weights: Weights) -> Any:
    """Σ |mass| θ² over all students, (seed,)."""
    return weighted(problem, weights, 2).sum((-2, -1))


@of_masses(
    "teacher_mass_weighted_square_angle",
    ("seed", "time", "teacher"),
    "Σ s|a||w|θ² over the students closest to a teacher",
    units="rad²",
)
def teacher_mass_weighted_square_angle(problem: Any, weights: Weights) -> Any:
    """Σ |mass| θ² over the students closest to each teacher, (seed, teacher)."""
    return weighted(problem, weights, 2).sum(-2)
