"""How many directions carry the network, and whether any neuron sees all samples of one sign."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Problem, Weights, metric
from twolayer.core.arrays import norm
from twolayer.core.trajectory import Trajectory

from ._homogeneous import flat_below, of_degree_one

ANGLE = 0.05
SHARE = 0.01


def sees_samples(problem: Problem, trajectory: Trajectory) -> bool:
    """Whether there are finite data, and σ is 0 under 0: a neuron sees the samples with w·x > 0 alone."""
    return not problem.on_population and flat_below(problem, trajectory)


@metric(
    "carrying_directions",
    ("seed", "time"),
    "number of directions with at least 1 % of the path norm",
    applies=of_degree_one,
    by_default=False,
    per_frame=True,
)
def carrying_directions(problem: Problem, weights: Weights) -> Any:
    """The number of distinct directions with at least 1 % of Σ|a||w|, (seed,).

    Neurons are counted from the heaviest down; one with the same sign of a and within 0.05 rad of a
    direction already found adds to it.
    """
    return np.array([directions_of(*state) for state in zip(weights.hidden, weights.output, strict=True)])


def directions_of(hidden: Any, output: Any) -> float:
    """The count for one seed: hidden (neuron, feature), output (neuron,)."""
    length = norm(hidden)
    mass = np.abs(output) * length
    total = mass.sum()
    if not np.isfinite(total) or total == 0:
        return float("nan")
    left = np.flatnonzero(mass > 0)
    left = left[np.argsort(-mass[left], kind="stable")]
    found = 0
    while len(left) and mass[left].sum() >= SHARE * total:
        first = left[0]
        cosine = (hidden[left] @ hidden[first]) / (length[left] * length[first])
        together = (cosine >= np.cos(ANGLE)) & (np.sign(output[left]) == np.sign(output[first]))
        together[0] = True
        found += int(mass[left[together]].sum() >= SHARE * total)
        left = left[~together]
    return float(found)


@metric(
    "covering_neurons",
    ("seed", "sign"),
    "neurons that see all samples of their sign at the start (+, −)",
    applies=sees_samples,
    by_default=False,
)
def covering_neurons(problem: Problem, trajectory: Trajectory) -> Any:
    """The size of S_{±,1} at the start: neurons with ±a > 0 and w·x_k > 0 for every k with ±y_k > 0, (seed, sign).

    The order of `sign` is +, −.
    """
    hidden, output = trajectory.weights.hidden[:, 0], trajectory.weights.output[:, 0]
    active = hidden @ np.swapaxes(problem.data.inputs, -1, -2) > 0
    targets = problem.data.targets[..., None, :]
    counts = []
    for sign in (1.0, -1.0):
        covers = (active | (sign * targets <= 0)).all(-1) & (sign * output > 0)
        counts.append(covers.sum(-1))
    return np.stack(counts, axis=-1)


@metric(
    "blind_exponent",
    ("seed",),
    "power of λ at which neurons that miss a sample of their sign die out",
    applies=sees_samples,
    by_default=False,
)
def blind_exponent(problem: Problem, trajectory: Trajectory) -> Any:
    """The power of λ at which the heaviest neuron that misses a sample dies out on orthogonal inputs, (seed,).

    min 2(1 − |D_A|/|D_±|) over neurons with ±a > 0 that see only a part A of the samples with ±y_k > 0 at the start,
    |D_A|² = Σ_{k∈A} (y_k|x_k|/n)². NaN where every neuron sees all of its sign. (Derived.)
    """
    hidden, output = trajectory.weights.hidden[:, 0], trajectory.weights.output[:, 0]
    active = hidden @ np.swapaxes(problem.data.inputs, -1, -2) > 0
    squares = problem.data.targets**2 * (problem.data.inputs**2).sum(-1)
    exponents = []
    for sign in (1.0, -1.0):
        weight = np.where(sign * problem.data.targets > 0, squares, 0.0)[..., None, :]
        share = (active * weight).sum(-1) / weight.sum(-1)
        part = (share < 1 - 1e-12) & (sign * output > 0)
        exponents.append(np.where(part, 2 * (1 - np.sqrt(share)), np.inf))
    smallest = np.concatenate(exponents, axis=-1).min(-1)
    return np.where(np.isfinite(smallest), smallest, np.nan)
