"""Activation patterns: which neurons are on for which samples, how many are dead, and how patterns differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Problem, Weights, metric
from twolayer.core.trajectory import Trajectory

from ._homogeneous import flat_below


def has_patterns(problem: Problem, trajectory: Trajectory) -> bool:
    """Whether there are finite data, and σ has two slopes: a neuron is on for a sample where w·x > 0."""
    slopes = problem.network.activation.slopes
    return not problem.on_population and slopes is not None and slopes[0] != slopes[2]


def can_die(problem: Problem, trajectory: Trajectory) -> bool:
    """Whether there are finite data, and σ is 0 under 0: a neuron that is on for no sample has no gradient."""
    return not problem.on_population and flat_below(problem, trajectory)


def patterns(problem: Any, weights: Weights) -> Any:
    """Whether w_j·x_k > 0, (seed, neuron, sample)."""
    return problem.preactivations(weights) > 0


@metric(
    "activation_pattern",
    ("seed", "time", "neuron", "sample"),
    "activation pattern: 1 where w·x > 0, else 0; −1: not finite",
    applies=has_patterns,
    by_default=False,
    per_frame=True,
)
def activation_pattern(problem: Problem, weights: Weights) -> Any:
    """1 where w_j·x_k > 0, 0 where not, −1 where weights are not finite, (seed, neuron, sample)."""
    finite = np.isfinite(weights.hidden).all(-1)[..., None]
    return np.where(finite, patterns(problem, weights), -1).astype(np.int8)


@metric(
    "dead_count",
    ("seed", "time"),
    "number of dead neurons: on for no sample",
    applies=can_die,
    by_default=False,
    per_frame=True,
)
def dead_count(problem: Problem, weights: Weights) -> Any:
    """#{j: w_j·x_k ≤ 0 for all k}, which no gradient moves any more, (seed,); NaN where weights are not finite."""
    finite = np.isfinite(weights.hidden).all((-2, -1))
    return np.where(finite, (~patterns(problem, weights).any(-1)).sum(-1), np.nan)


@metric(
    "pattern_distance",
    ("seed", "time", "neuron", "other_neuron"),
    "share of samples for which one of two neurons is on and the other is not (Hamming distance over n)",
    applies=has_patterns,
    by_default=False,
    per_frame=True,
)
def pattern_distance(problem: Problem, weights: Weights) -> Any:
    """(1/n) #{k: [w_i·x_k > 0] ≠ [w_j·x_k > 0]}, (seed, neuron, neuron); NaN where weights are not finite.

    Taken as (|p_i| + |p_j| − 2 p_i·p_j)/n, with p the patterns and |p| their numbers of ones.
    """
    on = patterns(problem, weights).astype(np.float64)
    count = on.sum(-1)
    differing = count[..., :, None] + count[..., None, :] - 2 * on @ np.swapaxes(on, -2, -1)
    finite = np.isfinite(weights.hidden).all(-1)
    return np.where(finite[..., :, None] & finite[..., None, :], differing / on.shape[-1], np.nan)


@metric(
    "pattern_count",
    ("seed", "time"),
    "number of different activation patterns",
    applies=has_patterns,
    by_default=False,
    per_frame=True,
)
def pattern_count(problem: Problem, weights: Weights) -> Any:
    """How many rows of the patterns (neuron, sample) differ, (seed,): the groups of neurons that see the same samples.

    NaN where weights are not finite.
    """
    packed = np.packbits(patterns(problem, weights), axis=-1)
    finite = np.isfinite(weights.hidden).all((-2, -1))
    counts = [len(np.unique(rows, axis=0)) for rows in packed]
    return np.where(finite, counts, np.nan)


@metric(
    "pattern_change",
    ("seed", "time"),
    "share of pairs of neuron and sample whose activation is not that of the start (Hamming distance over mn)",
    applies=has_patterns,
    by_default=False,
)
def pattern_change(problem: Problem, trajectory: Trajectory) -> Any:
    """(1/mn) #{(j, k): [w_j(t)·x_k > 0] ≠ [w_j(0)·x_k > 0]}, (seed, time): 0 in the lazy limit, where no neuron turns.

    NaN where weights are not finite.
    """
    hidden, output = trajectory.weights.hidden, trajectory.weights.output
    start = patterns(problem, Weights(hidden[:, 0], output[:, 0]))
    found = np.empty(hidden.shape[:2])
    for time in range(hidden.shape[1]):
        frame = Weights(hidden[:, time], output[:, time])
        found[:, time] = (patterns(problem, frame) != start).mean((-2, -1))
    return np.where(np.isfinite(hidden).all((-2, -1)), found, np.nan)
