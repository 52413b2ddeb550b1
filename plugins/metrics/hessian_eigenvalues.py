"""hessian_eigenvalues: the smallest and the largest curvature of the objective, at all saved times or at the last."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Problem, Weights, metric
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

    Seed by seed, as a Hessian may be large, by `Problem.hessian_with_outside`. On finite data with two slopes it is
    the Hessian away from w_j·x_k = 0.
    """
    pairs = zip(frames(trajectory), trajectory.weight_decay, strict=True)
    return np.stack([of_frame(problem, weights, decay) for weights, decay in pairs], axis=1)


@metric(
    "final_hessian_eigenvalues",
    ("seed", "extreme"),
    "smallest and largest eigenvalue of the objective's Hessian at the last saved time",
    by_default=False,
)
def final_hessian_eigenvalues(problem: Problem, trajectory: Trajectory) -> Any:
    """As `hessian_eigenvalues`, at the last saved time alone, (seed, extreme)."""
    return of_frame(problem, frames(trajectory)[-1], trajectory.weight_decay[-1])


def of_frame(problem: Problem, weights: Weights, decay: float) -> Any:
    """The extremes of all seeds, (seed, extreme): weights of one saved time, and the objective's λ there."""
    penalized = 2.0 if problem.network.output == "tied" else 1.0  # a_j = |w_j| counts once more
    return np.stack(
        [penalized * decay + extremes(problem, weights, seed) for seed in range(len(weights.hidden))]
    )


def extremes(problem: Problem, weights: Weights, seed: int) -> Any:
    """The smallest and the largest eigenvalue of the Hessian of L of one seed; NaN where it is not finite."""
    one = Weights(weights.hidden[seed], weights.output[seed])
    if not (np.isfinite(one.hidden).all() and np.isfinite(one.output).all()):
        return np.full(2, np.nan)
    matrix = problem.data.of_seed(seed).problem(problem.network).hessian_with_outside(one)
    if not np.isfinite(matrix).all():
        return np.full(2, np.nan)
    return np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[[0, -1]]
