"""mass, and what it weighs: how much of the network each neuron is, and how much of that is turned away."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Metric, Weights, hookimpl
from twolayer.analysis.metric import each_frame
from twolayer.core.arrays import norm

from ._students import closest_teacher, has_teachers, teacher_angles


def mass(problem: Any, weights: Weights) -> Any:
    """s a_j|w_j|, with the sign of a_j: the neuron's coefficient as a function of its direction, (seed, neuron)."""
    return problem.network.scale * weights.output * norm(weights.hidden)


def weighted(problem: Any, weights: Weights, power: int) -> Any:
    """|mass| θ^power of each neuron at its closest teacher, 0 at the others, (seed, neuron, teacher).

    A neuron that is 0 has no angle and no mass: it counts 0.
    """
    size = np.abs(mass(problem, weights))
    theta = np.where(size > 0, teacher_angles(problem, weights).min(-1), 0.0)
    member = closest_teacher(problem, weights)[..., None] == np.arange(len(problem.data.teacher.hidden))
    lost = ~np.isfinite(size)[..., None]
    return np.where(lost, np.nan, np.where(member, (size * theta**power)[..., None], 0.0))


def of_teachers(power: int) -> Any:
    """Σ |mass| θ^power over the students closest to each teacher, (seed, teacher)."""
    return lambda problem, weights: weighted(problem, weights, power).sum(-2)


def of_all(power: int) -> Any:
    """Σ |mass| θ^power over all students, (seed,)."""
    return lambda problem, weights: weighted(problem, weights, power).sum((-2, -1))


@hookimpl
def register_metrics(register: Any) -> None:
    time, neuron, teacher = ("seed", "time"), ("seed", "time", "neuron"), ("seed", "time", "teacher")

    def add(name: str, observe: Any, dimensions: tuple[str, ...], long_name: str, units: str = "1") -> None:
        register(
            name, Metric(each_frame(observe), dimensions, long_name, units, has_teachers, by_default=False)
        )

    register("mass", Metric(each_frame(mass), neuron, "mass s a|w|, with the sign of a", by_default=False))
    own = "over the students closest to a teacher"
    add("teacher_mass", of_teachers(0), teacher, f"Σ s|a||w| {own}")
    add("mass_weighted_angle", of_all(1), time, "Σ s|a||w|θ, θ the angle to the closest teacher", "rad")
    add("teacher_mass_weighted_angle", of_teachers(1), teacher, f"Σ s|a||w|θ {own}", "rad")
    add(
        "mass_weighted_square_angle",
        of_all(2),
        time,
        "Σ s|a||w|θ², θ the angle to the closest teacher",
        "rad²",
    )
    add("teacher_mass_weighted_square_angle", of_teachers(2), teacher, f"Σ s|a||w|θ² {own}", "rad²")
