"""loss, objective, regularization, gradient_norm: what training minimises, and how steep it still is."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import EmpiricalProblem, Weights, metric
from twolayer.analysis.metric import each_decay
from twolayer.core.trajectory import Trajectory


def is_regularized(problem: EmpiricalProblem, trajectory: Trajectory) -> bool:
    """Whether the objective differs from the loss."""
    return bool(np.any(trajectory.weight_decay > 0))


@metric("loss", ("seed", "time"), "loss L (without penalty)", per_frame=True)
def loss(problem: EmpiricalProblem, weights: Weights) -> Any:
    """L, (seed,)."""
    return problem.loss(weights)


@metric(
    "objective",
    ("seed", "time"),
    "objective L + (λ/2)|θ|², θ = (a, W), without a where it is fixed",
    applies=is_regularized,
)
def objective(problem: EmpiricalProblem, trajectory: Trajectory) -> Any:
    """L + (λ/2)|θ|² with the λ of each time, (seed, time): θ = (a, W), or W alone where outputs are fixed."""

    def at(problem: EmpiricalProblem, weights: Weights, decay: float) -> Any:
        return problem.loss(weights) + problem.penalty(weights, decay)

    return each_decay(at, problem, trajectory)


@metric("gradient_norm", ("seed", "time"), "Frobenius norm of the objective's gradient")
def gradient_norm(problem: EmpiricalProblem, trajectory: Trajectory) -> Any:
    """The Frobenius norm of the objective's gradient over the trained parameters, (seed, time).

    Of a flow it is that of its velocity: of the least element of the subdifferential where neurons slide or rest on
    activation boundaries (`finite.subgradient`).
    """
    flows = trajectory.dynamics is not None and "flow" in trajectory.dynamics.kinds

    def at(problem: EmpiricalProblem, weights: Weights, decay: float) -> Any:
        return problem.gradient_norm(weights, decay, least=flows)

    return each_decay(at, problem, trajectory)


@metric("regularization", ("time",), "weight decay λ", by_default=False)
def regularization(problem: EmpiricalProblem, trajectory: Trajectory) -> Any:
    """λ of the objective, (time,)."""
    return trajectory.weight_decay
