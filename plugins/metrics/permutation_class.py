"""permutation_class: which seeds are one network, up to the order of their neurons."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Problem, metric
from twolayer.analysis.metric import frames
from twolayer.core.network import Weights
from twolayer.core.trajectory import Trajectory

TOLERANCE = 1e-6
"""Neurons (w, a) are equal within this share of the longest of the two networks, in the Euclidean norm."""
PROBES = 3
"""Directions along which networks are compared before their neurons are matched."""


@metric(
    "permutation_class",
    ("seed", "time"),
    "first seed, by its place, whose network is the same up to permuting neurons (even σ: and up to the sign of w); "
    "−1: not finite",
    by_default=False,
    across_seeds=True,
)
def permutation_class(problem: Problem, trajectory: Trajectory) -> Any:
    """For each seed the place along `seed` of the first one of its class, (seed, time); −1 where it is not finite.

    Two networks are equal where their neurons (w_j, a_j) can be paired so that no two of a pair are further apart than
    `TOLERANCE` times the longest neuron; for even σ, (w, a) and (−w, a) are one. A seed joins the first class whose
    first member it equals.
    """
    even = problem.network.activation.even
    return np.stack([classes(frame, even) for frame in frames(trajectory)], axis=1)


def classes(weights: Weights, even: bool) -> Any:
    """The place of the first network equal to each, (seed,): hidden (seed, neuron, feature), output (seed, neuron)."""
    hidden, output = weights.hidden, weights.output
    finite = np.isfinite(hidden).all((1, 2)) & np.isfinite(output).all(1)
    found = np.full(len(hidden), -1, dtype=np.int64)
    size = np.sqrt((hidden**2).sum(-1) + output**2).max(1)
    signatures = signatures_of(hidden, output, even)
    first: list[int] = []
    for seed in np.flatnonzero(finite).tolist():
        known = np.asarray(first, dtype=np.int64)
        reach = TOLERANCE * np.maximum(size[seed], size[known])
        apart = np.abs(signatures[known] - signatures[seed]).max((1, 2), initial=0.0)
        near = apart <= reach * (1.0 + 1e-9) + 1e-14 * size[seed]
        for place, distance in zip(known[near].tolist(), reach[near].tolist(), strict=True):
            one, other = (Weights(hidden[index], output[index]) for index in (seed, place))
            if are_equal(one, other, distance, even):
                found[seed] = place
                break
        else:
            found[seed] = seed
            first.append(seed)
    return found


def signatures_of(hidden: Any, output: Any, even: bool) -> Any:
    """Numbers that no permutation changes, (seed, neuron, number): w's coordinates along fixed directions, |w| and a,
    each sorted over neurons. Where neurons can be paired within a distance, these differ by no more."""
    directions = np.random.default_rng(0).standard_normal((hidden.shape[-1], PROBES))
    along = hidden @ (directions / np.linalg.norm(directions, axis=0))
    along = np.abs(along) if even else along
    length = np.linalg.norm(hidden, axis=-1)
    numbers: Any = np.sort(np.concatenate([along, length[..., None], output[..., None]], axis=-1), axis=1)
    return numbers


def are_equal(one: Weights, other: Weights, reach: float, even: bool) -> bool:
    """Whether the neurons of two networks can be paired so that each pair is within a distance: a perfect matching."""
    from scipy.optimize import linear_sum_assignment  # loaded where it is needed

    def squares(sign: float) -> Any:
        apart = one.hidden[:, None] - sign * other.hidden[None, :]
        return (apart**2).sum(-1)

    moved = np.minimum(squares(1.0), squares(-1.0)) if even else squares(1.0)
    far = moved + (one.output[:, None] - other.output[None, :]) ** 2 > reach**2
    if far.all(0).any() or far.all(1).any():
        return False
    rows, columns = linear_sum_assignment(far)
    return not far[rows, columns].any()
