"""descent_progress: how fast the gradient leads students to the average neurons that would fit the teacher.

For |·| with a_j = |w_j|, with T_l the students closest to teacher l and u_l = √(b_l|v_l|) v̂_l the one neuron that
fits it (|u_l| u_l = b_l v_l),

    Σ_l Σ_{j∈T_l} ⟨∇_j L, (I + ŵ_j ŵ_jᵀ)⁻¹ (w_j − q_lj sgn(w_j·v_l) b_l v_l)⟩ / L,

q_lj = |w_j| / Σ_{k∈T_l, θ_k ≤ δ_l} |w_k|² if θ_j ≤ δ_l, else 0. (Zhou, Ge and Jin 2021, Lemma 8: at least 1 near the
minimum, with δ_l of order L^{1/3}.) Here δ_l = (6πL)^{1/3}/(b_l|v_l|)^{2/3}, the angle within which a plane has a
student: derived from the test function of their Lemma 9, |v̂·x| less its linear part on |v̂·x| ≤ sin(δ)|x|.
NaN where a teacher has no student so near.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer import Weights, metric
from twolayer.core.arrays import norm
from twolayer.population.closed_form import unit

from ._students import closest_teacher, has_teachers, teacher_angles


def tied_absolute(problem: Any, trajectory: Any) -> bool:
    """The networks of the lemma: |·| with a_j = |w_j|, on teachers whose profile is whole."""
    network = problem.network
    return (
        has_teachers(problem, trajectory)
        and (network.activation.slopes, network.output) == ((-1.0, 0.0, 1.0), "tied")
        and problem.data.teacher.profile == "none"
    )


@metric(
    "descent_progress",
    ("seed", "time"),
    "progress of −∇L towards teachers, over L; NaN where one has no near student",
    applies=tied_absolute,
    by_default=False,
    per_frame=True,
)
def descent_progress(problem: Any, weights: Weights) -> Any:
    """The ratio, (seed,)."""
    teacher = problem.data.teacher
    of_population = teacher.problem(problem.network)
    weights = problem.network.with_tied_outputs(weights)
    loss = of_population.loss(weights)
    heavy = teacher.output[:, None] * teacher.hidden
    reach = np.cbrt(6.0 * math.pi * loss)[:, None] / np.cbrt(norm(heavy)) ** 2
    member = closest_teacher(problem, weights)[..., None] == np.arange(len(heavy))
    near = member & (teacher_angles(problem, weights) <= reach[:, None, :])  # (seed, neuron, teacher)
    total = np.where(near, norm(weights.hidden)[..., None] ** 2, 0.0).sum(-2)
    length = norm(weights.hidden)[..., None]
    share = np.where(near, length / np.where(total > 0, total, np.nan)[:, None, :], 0.0)
    toward = (share * np.sign(weights.hidden @ teacher.hidden.T)) @ heavy
    direction = unit(weights.hidden)
    step = weights.hidden - toward
    step = step - 0.5 * (step * direction).sum(-1, keepdims=True) * direction  # (I + ŵŵᵀ)⁻¹ = I − ½ŵŵᵀ
    progress = (of_population.gradient(weights).hidden * step).sum((-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((total > 0).all(-1), progress / loss, np.nan)
