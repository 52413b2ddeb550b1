"""Students and their teachers: what several metrics measure."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from twolayer import Problem, Weights, metric
from twolayer.core.trajectory import Trajectory
from twolayer.population.closed_form import angles, unit


def teacher_angles(problem: Problem, weights: Weights) -> Any:
    """θ between each student and each teacher, up to sign where σ is even, (seed, neuron, teacher); NaN at w = 0."""
    theta = angles(weights.hidden, problem.data.teacher.hidden)
    if problem.network.activation.even:
        theta = np.minimum(theta, angles(-weights.hidden, problem.data.teacher.hidden))
    return np.where((weights.hidden != 0).any(-1)[..., None], theta, np.nan)


def closest_teacher(problem: Problem, weights: Weights) -> Any:
    """The index of the closest teacher at that time, −1 where w = 0 or is not finite, (seed, neuron)."""
    theta = teacher_angles(problem, weights)
    finite = np.isfinite(theta).all(-1)
    return np.where(finite, np.where(np.isfinite(theta), theta, np.inf).argmin(-1), -1)


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
