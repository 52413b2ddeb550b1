"""spread: how far apart the students of one teacher are, orthogonally to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import Problem, Weights, metric
from twolayer.core.arrays import norm
from twolayer.population.closed_form import unit

from ._students import closest_teacher, has_teachers

ROUNDING = 8 * np.finfo(np.float64).eps


@metric(
    "spread",
    ("seed", "time", "teacher"),
    "spread Z = Σ_{i<j}|z_i − z_j| of a teacher's students orthogonally to it; NaN below its floor",
    applies=has_teachers,
    by_default=False,
    per_frame=True,
)
def spread(problem: Problem, weights: Weights) -> Any:
    """Z_l = Σ_{i<j} |z_i − z_j| over the students closest to teacher l at that time, (seed, teacher).

    z_i = w_i − ⟨w_i, v̂_l⟩ v̂_l; where σ is even of the student turned to its teacher. 0 for a group of one or none.
    Along a teacher that is no coordinate axis float64 weights carry Z to about 1e-16 (m_l − 1) Σ|w_i|: what is below
    eight roundings of that is NaN. Source of Z: Xu and Du 2023, lower bound.
    """
    axes, hidden = unit(problem.data.teacher.hidden), weights.hidden
    closest = closest_teacher(problem, weights)
    member = closest[..., None] == np.arange(len(axes))
    if problem.network.activation.even:
        turned = (hidden * axes[closest]).sum(-1) < 0
        hidden = np.where(turned[..., None], -hidden, hidden)
    tilted = (axes != 0).sum(-1) > 1
    spreads = []
    for teacher, axis in enumerate(axes):
        across = hidden - (hidden @ axis)[..., None] * axis
        apart = norm(across[..., :, None, :] - across[..., None, :, :])  # (seed, neuron, neuron)
        inside = member[..., teacher]
        total = 0.5 * np.where(inside[..., :, None] & inside[..., None, :], apart, 0.0).sum((-2, -1))
        floor = ROUNDING * (inside.sum(-1) - 1) * np.where(inside, norm(hidden), 0.0).sum(-1)
        spreads.append(np.where(tilted[teacher] & (total < floor), np.nan, total))
    lost = ~np.isfinite(weights.hidden).all((-2, -1))
    return np.where(lost[..., None], np.nan, np.stack(spreads, axis=-1))
