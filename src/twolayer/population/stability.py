"""The step size above which gradient descent on a teacher has no stable minimum.

At a minimum with L = 0 the Hessian is E[∇f ∇fᵀ] (the profile removed from ∇f), so any direction z bounds its top
eigenvalue λ from below by E⟨∇f, z⟩²/|z|², and descent leaves the minimum where step_size > 2/λ. With σ(z) = p z + q|z|
and c_i = s a_i:

    fixed     z_i = c_i u, any unit u:  λ ≥ γ Σc²,  γ = p², by E[σ'(w·x)(u·x)²] = p and Cauchy–Schwarz;
              z_i = c_i ŵ_i: γ = (E σ(ŵ·x))² = 2q²/π;  one teacher: γ = p² + q², as students are parallel
    trained   z = (0, a): λ ≥ E f*²/|a|²; as for fixed, λ ≥ γ s²|a|²; so λ ≥ s √(γ E f*²)
    tied      z = W, f being of degree 2: λ ≥ 4 E f*²/|W|², and E f = E f* says s|W|² = Σ b|v|

With a profile E f*² is what is left of it, and the first line is that of the heaviest student alone with z ⟂ w:
λ ≥ κ max c² ≥ κ Σc²/m, κ = E σ'² = p² + q², or q² without linear part. Students at 0 do not count. Derived.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from twolayer.core.activation import TwoSlope
from twolayer.core.network import Network, Weights
from twolayer.population.problem import Teacher

__all__ = ["step_limit"]


def step_limit(teacher: Teacher, network: Network) -> float:
    """2/λ with the lower bound λ of the top Hessian eigenvalue at all minima with L = 0 and no student at 0.

    Infinite where such minima need not exist or the bound is not known: fewer students than teachers, teachers of
    coefficient 0 alone, negative fixed outputs, negative teachers of positive students, an activation that is not
    `TwoSlope`.
    """
    m, activation = network.neurons, network.activation
    if not isinstance(activation, TwoSlope):
        return math.inf
    p, q = activation.linear, activation.absolute
    count, positive = len(teacher.output), bool((teacher.output > 0).all())
    if m < count or teacher.features < 2 or not teacher.output.any():
        return math.inf
    hidden, output = (
        np.asarray(array, dtype=np.float64).tobytes() for array in (teacher.hidden, teacher.output)
    )
    left = mean_square(hidden, output, teacher.profile, activation)
    if network.output == "tied":
        mass = float(teacher.output @ np.linalg.norm(teacher.hidden, axis=-1))
        return 2.0 * mass / (4.0 * network.scale * left) if positive and q != 0 else math.inf
    if teacher.profile == "none":
        share = max(p * p, 2.0 * q * q / math.pi)
        if count == 1 and network.output == "fixed":
            share = p * p + q * q
    else:
        share = (p * p + q * q if teacher.profile == "constant" else q * q) / m
    if share == 0.0:
        return math.inf
    if network.output == "trained":
        return 2.0 / (network.scale * math.sqrt(share * left))
    outputs = np.broadcast_to(np.asarray(network.output_values, dtype=np.float64), m)
    if not positive or not (outputs > 0).all():
        return math.inf
    return float(2.0 / (share * network.scale**2 * (outputs**2).sum()))


@functools.cache
def mean_square(hidden: bytes, output: bytes, profile: str, activation: TwoSlope) -> float:
    """E f*² over the inputs of the teachers with these arrays, without what a profile takes: twice the loss of a
    student that is 0. The runs of a study share few teachers."""
    teacher = Teacher(np.frombuffer(hidden).reshape(len(output) // 8, -1), np.frombuffer(output), profile)
    zero = Weights(np.zeros((1, teacher.features)), np.zeros(1))
    return 2.0 * float(teacher.problem(Network(1, activation, "fixed", 0.0)).loss(zero))
