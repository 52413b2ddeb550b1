"""The neurons in the plane that carries most of the last hidden weights: measured only where asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import EmpiricalProblem, metric
from twolayer.core.trajectory import Trajectory


def finite_plane(problem: EmpiricalProblem, trajectory: Trajectory) -> bool:
    """Whether there are two directions, and last weights to take them from."""
    return problem.data.features >= 2 and bool(np.isfinite(trajectory.weights.hidden[:, -1]).all())


@metric(
    "principal_coordinates",
    ("seed", "time", "neuron", "component"),
    "hidden weights along the two leading principal directions of the last ones",
    applies=finite_plane,
    by_default=False,
)
def principal_coordinates(problem: EmpiricalProblem, trajectory: Trajectory) -> Any:
    """⟨w_j, c⟩ for the two leading right singular vectors c of the last W (uncentred), (seed, time, neuron, 2).

    The sign of each c is such that its largest entry is positive.
    """
    hidden = trajectory.weights.hidden
    _, _, directions = np.linalg.svd(hidden[:, -1], full_matrices=False)
    leading = directions[:, :2]
    largest = np.take_along_axis(leading, np.argmax(np.abs(leading), axis=-1)[..., None], axis=-1)
    return np.einsum("stjd,scd->stjc", hidden, leading * np.sign(largest))


@metric(
    "explained_variance_ratio",
    ("seed", "rank"),
    "share of |W|² along each principal direction of the last hidden weights",
    applies=finite_plane,
    by_default=False,
)
def explained_variance_ratio(problem: EmpiricalProblem, trajectory: Trajectory) -> Any:
    """The share of |W|² along each right singular vector of the last W, (seed, rank)."""
    squares = np.linalg.svd(trajectory.weights.hidden[:, -1], compute_uv=False) ** 2
    return squares / squares.sum(-1, keepdims=True)
