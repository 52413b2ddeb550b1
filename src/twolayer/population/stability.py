"""The step size above which gradient descent on a teacher has no stable minimum.

At a minimum with L = 0 the Hessian is E[∇f ∇fᵀ] (the profile removed from ∇f), so any direction z bounds its top
eigenvalue λ from below by E⟨∇f, z⟩²/|z|², and descent leaves the minimum where step_size > 2/λ. With c_i = s a_i:

    fixed     z_i = c_i u, any unit u:  λ ≥ γ Σc²,  γ = 1/4 for relu, by E[1(w·x > 0)(u·x)²] = ½ and Cauchy–Schwarz;
              |·|, z_i = c_i ŵ_i: γ = (E|ŵ·x|)² = 2/π;  one teacher: γ = ½ or 1, as students are parallel
    trained   z = (0, a): λ ≥ E f*²/|a|²; as for fixed, λ ≥ γ s²|a|²; so λ ≥ s √(γ E f*²)
    tied      z = W, f being of degree 2: λ ≥ 4 E f*²/|W|², and E f = E f* says s|W|² = Σ b|v|

With a profile E f*² is what is left of it, and the first line is that of the heaviest student alone with z ⟂ w:
λ ≥ κ max c² ≥ κ Σc²/m, κ = ½, ¼ (relu without linear part) or 1 (|·|). Students at 0, which never move, do not count.
Derived.
"""

from __future__ import annotations

import math

import numpy as np

from twolayer.core.network import Network, Weights
from twolayer.population.problem import Teacher

__all__ = ["step_limit"]


def step_limit(teacher: Teacher, network: Network) -> float:
    """2/λ with the lower bound λ of the top Hessian eigenvalue at all minima with L = 0 and no student at 0.

    Infinite where such minima need not exist or the bound is not known: fewer students than teachers, negative
    fixed outputs, negative teachers of positive students.
    """
    m, relu = network.neurons, network.activation == "relu"
    count, positive = len(teacher.output), bool((teacher.output > 0).all())
    if m < count or teacher.features < 2:
        return math.inf
    start = Network(1, network.activation, "fixed", 0.0)
    left = 2.0 * float(teacher.problem(start).loss(Weights(np.zeros((1, teacher.features)), np.zeros(1))))
    if network.output == "tied":
        mass = float(teacher.output @ np.linalg.norm(teacher.hidden, axis=-1))
        return 2.0 * mass / (4.0 * network.scale * left) if positive else math.inf
    if teacher.profile == "none":
        share = 0.25 if relu else 2.0 / math.pi
        if count == 1 and network.output == "fixed":
            share = 0.5 if relu else 1.0
    else:
        share = (0.5 if teacher.profile == "constant" else 0.25) / m if relu else 1.0 / m
    if network.output == "trained":
        return 2.0 / (network.scale * math.sqrt(share * left))
    outputs = np.broadcast_to(np.asarray(network.output_values, dtype=np.float64), m)
    if not positive or not (outputs > 0).all():
        return math.inf
    return float(2.0 / (share * network.scale**2 * (outputs**2).sum()))
