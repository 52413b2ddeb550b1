"""For which activations a metric has a meaning: those that are homogeneous, or linear on either side of 0."""

from __future__ import annotations

from typing import Any

from twolayer.core.trajectory import Trajectory

from ._students import has_teachers


def of_degree_one(problem: Any, trajectory: Trajectory) -> bool:
    """Whether σ(cz) = cσ(z) for c > 0, so that a neuron is a mass s a|w| in a direction."""
    return problem.network.activation.degree == 1


def of_degree_one_with_teachers(problem: Any, trajectory: Trajectory) -> bool:
    """Whether there are teachers, and σ(cz) = cσ(z) for c > 0."""
    return of_degree_one(problem, trajectory) and has_teachers(problem, trajectory)


def of_two_slopes(problem: Any, trajectory: Trajectory) -> bool:
    """Whether σ is linear on either side of 0, as closed forms of the metric need."""
    return problem.network.activation.slopes is not None


def flat_below(problem: Any, trajectory: Trajectory) -> bool:
    """Whether σ is 0 under 0 and linear over it, so that a neuron sees the samples with w·x > 0 alone."""
    slopes = problem.network.activation.slopes
    return slopes is not None and slopes[0] == 0.0 < slopes[2]
