"""Groups of neurons that point the same way."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Problem, Weights, metric
from twolayer.population.closest import student_angles

ANGLE = 0.05
"""Radians, of neurons that are joined."""


@metric(
    "direction_group",
    ("seed", "time", "neuron"),
    f"group of the neuron: those within {ANGLE} rad of each other in a chain, by the first one; −1: w = 0",
    by_default=False,
    per_frame=True,
)
def direction_group(problem: Problem, weights: Weights) -> Any:
    """The index of the first neuron of each neuron's group, (seed, neuron); −1 where w = 0 or is not finite.

    Two neurons are joined where their directions are within 0.05 rad (of an even σ: up to the sign of w); a group is
    what such pairs connect. Signs of a do not matter.
    """
    from scipy.sparse.csgraph import connected_components  # loaded where it is needed

    found = np.full(weights.hidden.shape[:2], -1, dtype=np.int64)
    for seed, hidden in enumerate(weights.hidden):
        alive = np.flatnonzero(np.isfinite(hidden).all(-1) & hidden.any(-1))
        if not len(alive):
            continue
        apart = student_angles(hidden[alive], hidden[alive], problem.network.activation.even)
        _, labels = connected_components(apart <= ANGLE, directed=False)
        _, first = np.unique(labels, return_index=True)
        found[seed, alive] = alive[first][labels]
    return found
