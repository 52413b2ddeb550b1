"""The neural tangent kernel: how well it aligns with the targets, and how far it has moved from the start."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Problem, Weights, metric
from twolayer.core.trajectory import Trajectory


def has_samples(problem: Problem, trajectory: Trajectory) -> bool:
    """Whether there are finite data."""
    return not problem.on_population


def kernel_target_alignment(kernel: Any, targets: Any) -> Any:
    """yᵀKy/(|K|_F |y|²), (…,): kernel (…, sample, sample), targets (…, sample); NaN where K or y is 0."""
    along = (targets * (kernel @ targets[..., None])[..., 0]).sum(-1)
    size = np.sqrt((kernel**2).sum((-2, -1))) * (targets**2).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return along / size


@metric(
    "kernel_alignment",
    ("seed", "time"),
    "alignment yᵀKy/(|K||y|²) of the tangent kernel K and the targets",
    applies=has_samples,
    by_default=False,
    per_frame=True,
)
def kernel_alignment(problem: Problem, weights: Weights) -> Any:
    """yᵀKy/(|K|_F |y|²), (seed,), with K = J Jᵀ, J the Jacobian of the predictions in the trained parameters.

    Between 0 and 1; 1 where K = c y yᵀ. Source: Cristianini, Shawe-Taylor, Elisseeff and Kandola 2001, not centred.
    """
    return kernel_target_alignment(problem.tangent_kernel(weights), problem.data.targets)


@metric(
    "kernel_change",
    ("seed", "time"),
    "relative change |K − K(0)|/|K(0)| of the tangent kernel since the start",
    applies=has_samples,
    by_default=False,
)
def kernel_change(problem: Problem, trajectory: Trajectory) -> Any:
    """|K(t) − K(0)|_F/|K(0)|_F, (seed, time): small in the lazy limit (Chizat, Oyallon and Bach 2019)."""
    hidden, output = trajectory.weights.hidden, trajectory.weights.output
    start = problem.tangent_kernel(Weights(hidden[:, 0], output[:, 0]))
    found = np.empty(hidden.shape[:2])
    with np.errstate(divide="ignore", invalid="ignore"):
        for time in range(hidden.shape[1]):
            moved = problem.tangent_kernel(Weights(hidden[:, time], output[:, time])) - start
            found[:, time] = np.sqrt((moved**2).sum((-2, -1)) / (start**2).sum((-2, -1)))
    return found
