"""descent_direction: the direction in which each neuron should move, and the gradient along it."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Weights, metric
from twolayer.analysis.metric import frames
from twolayer.core.arrays import norm
from twolayer.population.closed_form import unit

from ._homogeneous import of_degree_one_with_teachers
from ._students import closest_teacher, has_teachers


@metric(
    "descent_direction",
    ("seed", "time", "neuron", "feature"),
    "descent direction w − q v of each neuron, q its share of the closest teacher v",
    applies=of_degree_one_with_teachers,
    by_default=False,
    per_frame=True,
)
def descent_direction(problem: Any, weights: Weights) -> Any:
    """w_j − q_ij v̂_i, of which the descent direction is the negative, (seed, neuron, feature).

    i is the neuron's closest teacher, v̂_i turned towards it where σ is even. Where s a_j has the sign of b_i,
    q_ij = b_i|v_i| a_j / (s Σ a²) over those neurons of the teacher, so that Σ s a_j q_ij = b_i|v_i|; q = 0 elsewhere:
    those neurons should vanish. (After Zhou and Ge 2024, Figure 1; the source of q_ij is not known, and the neurons
    of the sign stand for the set of close ones.)
    """
    axes = unit(problem.data.teacher.hidden)
    height = problem.data.teacher.output * np.linalg.norm(problem.data.teacher.hidden, axis=-1)
    closest = closest_teacher(problem, weights)
    towards = axes[closest]
    if problem.network.activation.even:
        away = (weights.hidden * towards).sum(-1) < 0
        towards = np.where(away[..., None], -towards, towards)
    scaled = problem.network.scale * weights.output
    right = (scaled * height[closest] > 0) & (closest >= 0)
    member = right[..., None] & (closest[..., None] == np.arange(len(axes)))
    total = (member * scaled[..., None] ** 2).sum(-2)  # (seed, teacher)
    shared = np.take_along_axis(total, np.maximum(closest, 0), axis=-1)
    share = np.where(right, height[closest] * scaled / np.where(shared > 0, shared, 1.0), 0.0)
    return weights.hidden - share[..., None] * towards


@metric(
    "hidden_gradient",
    ("seed", "time", "neuron", "feature"),
    "gradient of the objective in the hidden weights",
    by_default=False,
)
def hidden_gradient(problem: Any, trajectory: Any) -> Any:
    """∂/∂w_j of the objective, (seed, time, neuron, feature)."""
    moments = zip(frames(trajectory), trajectory.weight_decay, strict=True)
    return np.stack([problem.gradient(weights, decay).hidden for weights, decay in moments], axis=1)


@metric(
    "descent_inner_product",
    ("seed", "time"),
    "gradient along the descent direction Σ⟨∂L/∂w, w − q v⟩",
    applies=of_degree_one_with_teachers,
    by_default=False,
)
def descent_inner_product(problem: Any, trajectory: Any) -> Any:
    """Σ_j ⟨∂L_λ/∂w_j, w_j − q_ij v̂_i⟩, (seed, time): above 0 where it is a direction of descent."""
    along = np.stack([descent_direction(problem, frame) for frame in frames(trajectory)], axis=1)
    return (hidden_gradient(problem, trajectory) * along).sum((-2, -1))


@metric(
    "off_span_energy",
    ("seed", "time", "neuron"),
    "share of |w|² outside the span of the teachers",
    applies=has_teachers,
    by_default=False,
    per_frame=True,
)
def off_span_energy(problem: Any, weights: Weights) -> Any:
    """The share of |w_j|² outside the span of the teachers, (seed, neuron); NaN at w = 0."""
    left, sizes, _ = np.linalg.svd(unit(problem.data.teacher.hidden).T, full_matrices=False)
    span = left[:, sizes > 1e-12 * sizes[0]]
    direction = unit(weights.hidden)
    outside = norm(direction - (direction @ span) @ span.T) ** 2
    return np.where(norm(weights.hidden) > 0, outside, np.nan)
