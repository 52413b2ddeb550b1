"""loss, objective, regularization, gradient_norm: what training minimises, and how steep it still is."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import EmpiricalProblem, Metric, hookimpl
from twolayer.analysis.metric import each_frame, frames
from twolayer.core.trajectory import Trajectory


def objective(problem: EmpiricalProblem, trajectory: Trajectory) -> Any:
    """L + (λ/2)|θ|² with the λ of each moment, (seed, time): θ = (a, W), or W alone where outputs are fixed."""
    moments = zip(frames(trajectory), trajectory.weight_decay, strict=True)
    values = [problem.loss(weights) + problem.penalty(weights, decay) for weights, decay in moments]
    return np.stack(values, axis=1)


def gradient_norm(problem: EmpiricalProblem, trajectory: Trajectory) -> Any:
    """The Frobenius norm of the objective's gradient over the trained parameters, (seed, time)."""
    values = []
    for weights, decay in zip(frames(trajectory), trajectory.weight_decay, strict=True):
        gradient = problem.gradient(weights, decay)
        squares = (gradient.hidden**2).sum((-2, -1)) + (gradient.output**2).sum(-1)
        values.append(np.sqrt(squares))
    return np.stack(values, axis=1)


def is_regularized(problem: EmpiricalProblem, trajectory: Trajectory) -> bool:
    """Whether the objective differs from the loss."""
    return bool(np.any(trajectory.weight_decay > 0))


@hookimpl
def register_metrics(register: Any) -> None:
    time = ("seed", "time")
    loss = each_frame(lambda problem, weights: problem.loss(weights))
    register("loss", Metric(loss, time, "loss L (without penalty)"))
    register(
        "objective",
        Metric(
            objective,
            time,
            "objective L + (λ/2)|θ|², θ = (a, W), without a where it is fixed",
            applies=is_regularized,
        ),
    )
    decay = Metric(lambda _, path: path.weight_decay, ("time",), "weight decay λ", by_default=False)
    register("regularization", decay)
    register("gradient_norm", Metric(gradient_norm, time, "Frobenius norm of the objective's gradient"))
