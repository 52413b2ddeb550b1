"""How the objective is curved in one neuron, in its halves, and along what students have off their teachers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from twolayer import Problem, Weights, metric
from twolayer.analysis.metric import frames
from twolayer.core.trajectory import Trajectory

from ._homogeneous import of_degree_one
from ._students import has_teachers

SHARES = (0.5, 0.1, 0.01)
"""Of the part of a neuron that stays in its place."""


def of_one_layer(problem: Any, trajectory: Trajectory) -> bool:
    """Whether σ(cz) = cσ(z) for c > 0, outputs are fixed at one number and not scaled by m, without weight decay."""
    network = problem.network
    alike = not isinstance(network.output_values, list) and not isinstance(network.output_scale, str)
    undecayed = not np.any(trajectory.weight_decay)
    return of_degree_one(problem, trajectory) and network.output == "fixed" and alike and undecayed


def on_teachers(problem: Any, trajectory: Trajectory) -> bool:
    """Whether there are teachers, and outputs are fixed."""
    return has_teachers(problem, trajectory) and problem.network.output == "fixed"


def seeds_of(problem: Problem, weights: Weights) -> list[tuple[Problem, Weights]]:
    """Each seed's problem and weights, without an axis of seeds."""
    return [
        (
            problem.data.of_seed(seed).problem(problem.network),
            Weights(weights.hidden[seed], weights.output[seed]),
        )
        for seed in range(len(weights.hidden))
    ]


def is_finite(weights: Weights) -> bool:
    """Whether all weights are finite numbers."""
    return bool(np.isfinite(weights.hidden).all() and np.isfinite(weights.output).all())


def lowest(matrix: Any) -> float:
    """The smallest eigenvalue of a symmetric matrix, up to rounding of its symmetry."""
    return float(np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[0])


@metric(
    "final_neuron_curvature",
    ("seed", "neuron"),
    "smallest eigenvalue of the Hessian of the loss in one neuron's hidden weights, at the last saved time",
    by_default=False,
)
def final_neuron_curvature(problem: Problem, trajectory: Trajectory) -> Any:
    """The smallest eigenvalue of ∂²L/∂w_j∂w_j, a diagonal block of the Hessian, (seed, neuron); NaN where not finite.

    In the span of teachers and students and one direction outside, as `Problem.hessian_with_outside`.
    """
    frame = frames(trajectory)[-1]
    neurons = frame.hidden.shape[1]
    values = np.full(frame.hidden.shape[:2], np.nan)
    for seed, (single, weights) in enumerate(seeds_of(problem, frame)):
        if is_finite(weights):
            matrix = single.hessian_with_outside(weights)
            width = len(matrix) // neurons - (problem.network.output == "trained")  # those of a come last
            blocks = matrix[: neurons * width, : neurons * width].reshape(neurons, width, neurons, width)
            values[seed] = [lowest(blocks[neuron, :, neuron]) for neuron in range(neurons)]
    return values


@metric(
    "final_split_curvature",
    ("seed", "neuron", "share"),
    f"smallest eigenvalue of the Hessian with a neuron in two, of shares {', '.join(map(str, SHARES))} and the rest",
    applies=of_one_layer,
    by_default=False,
)
def final_split_curvature(problem: Problem, trajectory: Trajectory) -> Any:
    """λ_min of the Hessian of L after w_j → α w_j and (1 − α) w_j, which is one function, (seed, neuron, share).

    At the last saved time, for each neuron j and α of `SHARES`; NaN where weights are not finite. A stationary point
    stays one: ∂L/∂w_j depends on the direction of w_j alone. Source: Safran, Yehudai and Shamir 2021, Theorems 14
    and 16.
    """
    frame = frames(trajectory)[-1]
    network = replace(problem.network, neurons=problem.network.neurons + 1)
    values = np.full((*frame.hidden.shape[:2], len(SHARES)), np.nan)
    for seed, (single, weights) in enumerate(seeds_of(problem, frame)):
        if not is_finite(weights):
            continue
        wider = single.data.problem(network)
        for neuron in range(len(weights.hidden)):
            for place, share in enumerate(SHARES):
                hidden = np.concatenate([weights.hidden, (1.0 - share) * weights.hidden[neuron : neuron + 1]])
                hidden[neuron] *= share
                split = Weights(hidden, np.append(weights.output, weights.output[neuron]))
                values[seed, neuron, place] = lowest(wider.hessian_with_outside(split))
    return values


@metric(
    "split_share",
    ("share",),
    "share of a neuron that stays in its place after a split",
    applies=of_one_layer,
    by_default=False,
)
def split_share(problem: Problem, trajectory: Trajectory) -> Any:
    """α of `final_split_curvature`, (share,)."""
    return np.array(SHARES)


@metric(
    "deviation_curvature",
    ("seed", "time"),
    "gᵀ∇²L g/|g|² along what students have at right angles to their nearest teachers",
    applies=on_teachers,
    by_default=False,
)
def deviation_curvature(problem: Problem, trajectory: Trajectory) -> Any:
    """gᵀ∇²L(W) g/|g|² with g_j = w_j − (w_j·v̂)v̂, v̂ the teacher nearest to w_j by angle, (seed, time); NaN where g = 0
    or weights are not finite. Source: Safran, Yehudai and Shamir 2021, Theorem 10 and Conjecture 12, at w = w̃ + g."""
    values = []
    for frame in frames(trajectory):
        row = []
        for single, weights in seeds_of(problem, frame):
            off = off_teachers(single, weights).ravel() if is_finite(weights) else np.zeros(0)
            square = float(off @ off)
            matrix = single.hessian(weights) if square > 0 else None
            row.append(np.nan if matrix is None else float(off @ matrix @ off) / square)
        values.append(row)
    return np.asarray(values).T


def off_teachers(problem: Problem, weights: Weights) -> Any:
    """What each student has at right angles to the teacher nearest by angle, (neuron, feature)."""
    teachers = problem.data.teacher.hidden
    units = teachers / np.linalg.norm(teachers, axis=-1, keepdims=True)
    nearest = units[np.argmax(weights.hidden @ units.T, axis=1)]
    return weights.hidden - (weights.hidden * nearest).sum(-1, keepdims=True) * nearest
