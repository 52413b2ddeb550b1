"""hessian_eigenvalues: the smallest and the largest curvature of the objective."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Problem, metric
from twolayer.analysis.metric import frames
from twolayer.core.trajectory import Trajectory


@metric(
    "hessian_eigenvalues",
    ("seed", "time", "extreme"),
    "smallest and largest eigenvalue of the objective's Hessian in the trained parameters",
    by_default=False,
)
def hessian_eigenvalues(problem: Problem, trajectory: Trajectory) -> Any:
    """λ_min and λ_max of the Hessian of L + (λ/2)(|a|² + |W|²), (seed, time, extreme); NaN where it is not finite.

    See `Problem.hessian_extremes`. On finite data with two slopes it is the Hessian away from w_j·x_k = 0.
    """
    penalized = 2.0 if problem.network.output == "tied" else 1.0  # a_j = |w_j| counts once more
    values = []
    for weights, decay in zip(frames(trajectory), trajectory.weight_decay, strict=True):
        values.append(problem.hessian_extremes(weights) + penalized * decay)
    return np.stack(values, axis=1)
