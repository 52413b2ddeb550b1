"""Students and their teachers: what several metrics measure."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from twolayer import Problem, Weights, metric
from twolayer.core.trajectory import Trajectory
from twolayer.population.closed_form import unit
from twolayer.population.closest import closest_teachers as of_arrays
from twolayer.population.closest import student_angles


def teacher_angles(problem: Problem, weights: Weights) -> Any:
    """θ between each student and each teacher, up to sign where σ is even, (seed, neuron, teacher); NaN at w = 0."""
    return student_angles(weights.hidden, problem.data.teacher.hidden, problem.network.activation.even)


def closest_teachers(problem: Any, weights: Weights) -> tuple[Any, Any, Any]:
    """Index, angle and height of the closest teacher of each student, (seed, neuron): see
    `population.closest.closest_teachers`."""
    if problem.on_population:
        found: tuple[Any, Any, Any] = problem.closest_teachers(weights)
        return found
    return of_arrays(weights.hidden, problem.data.teacher.hidden, problem.network.activation.even)


def closest_teacher(problem: Problem, weights: Weights) -> Any:
    """The index of the closest teacher at that time, −1 where w = 0 or is not finite, (seed, neuron)."""
    return closest_teachers(problem, weights)[0]


def heights(problem: Problem, weights: Weights) -> Any:
    """⟨w_i, v̂_l⟩, its size where σ is even, (seed, neuron, teacher)."""
    along = weights.hidden @ unit(problem.data.teacher.hidden).T
    return np.abs(along) if problem.network.activation.even else along


def has_teachers(problem: Any, trajectory: Trajectory) -> bool:
    """Whether there are teachers: of a population, or of a sample of one."""
    return problem.data.teacher is not None


of_students = partial(metric, applies=has_teachers, per_frame=True)
"""Register a metric of a single frame that needs teachers; `further` ones only where they are asked for."""
further_of_students = partial(of_students, by_default=False)
