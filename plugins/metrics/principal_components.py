"""The neurons in the plane that carries most of the last hidden weights: measured only where asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import EmpiricalProblem, metric
from twolayer.core.trajectory import Trajectory


def has_plane(problem: EmpiricalProblem, trajectory: Trajectory) -> bool:
    """Whether there are two directions."""
    return problem.data.features >= 2


@metric(
    "principal_coordinates",
    ("seed", "time", "neuron", "component"),
    "hidden weights along the two leading principal directions of the last ones",
    applies=has_plane,
    by_default=False,
)
def principal_coordinates(problem: EmpiricalProblem, trajectory: Trajectory) -> Any:
    """⟨w_j, c⟩ for the two leading right singular vectors c of the last W (uncentred), (seed, time, neuron, 2).

    The sign of each c is such that its largest entry is positive. NaN of a seed whose last weights are not finite.
    """
    hidden, (last, finite) = trajectory.weights.hidden, last_weights(trajectory)
    _, _, directions = np.linalg.svd(last, full_matrices=False)
    leading = directions[:, :2]
    largest = np.take_along_axis(leading, np.argmax(np.abs(leading), axis=-1)[..., None], axis=-1)
    coordinates = np.einsum("stjd,scd->stjc", hidden, leading * np.sign(largest))
    return np.where(finite[:, None, None, None], coordinates, np.nan)


@metric(
    "explained_variance_ratio",
    ("seed", "rank"),
    "share of |W|² along each principal direction of the last hidden weights",
    applies=has_plane,
    by_default=False,
)
def explained_variance_ratio(problem: EmpiricalProblem, trajectory: Trajectory) -> Any:
    """The share of |W|² along each right singular vector of the last W, (seed, rank); NaN where that is not finite."""
    last, finite = last_weights(trajectory)
    squares = np.linalg.svd(last, compute_uv=False) ** 2
    return np.where(finite[:, None], squares / squares.sum(-1, keepdims=True), np.nan)


def last_weights(trajectory: Trajectory) -> tuple[Any, Any]:
    """The last W, (seed, neuron, feature), 0 where a seed's is not finite, and whether it is, (seed,)."""
    last = trajectory.weights.hidden[:, -1]
    finite = np.isfinite(last).all((-2, -1))
    return np.where(finite[:, None, None], last, 0.0), finite
