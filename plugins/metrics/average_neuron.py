"""average_neuron_residual, r1_norm, r2_norm: what is left of f − f* when each teacher's students act as one neuron.

With T_l the students closest to teacher l, each turned towards it where σ is even, and ς(z) = σ(z)/z the slope,

    f − f* = R₁ + R₂,   R₁ = Σ_l ⟨r_l, x⟩ ς(v_l·x),   R₂ = Σ_l Σ_{j∈T_l} c_j w_j·x (ς(w_j·x) − ς(v_l·x)),

with c_j = s a_j and the average neuron's residual r_l = Σ_{j∈T_l} c_j w_j − b_l v_l. (Zhou, Ge and Jin 2021,
Lemmas 10 and 12, where c_j = |w_j|.) The norms are |R| = √(E R²) on x ~ N(0, I). Derived:

|·|, R₁: E⟨r, x⟩⟨r', x⟩ sgn(v·x) sgn(v'·x) = rᵀM r' with
    M = (2/π)[(π/2 − φ)I + sin φ (cos φ (uuᵀ − eeᵀ) + sin φ (ueᵀ + euᵀ))],
φ the angle between v and v', u = v̂, e ⟂ u in their plane.

|·|, R₂: a term is 2c_j|w_j·x| where the signs of w_j·x and v_l·x differ, and 0 elsewhere. Two terms of one
teacher, at angles δ, δ' to it and θ to each other, σ = δ + δ', have
    E = (2/π) c c'|w||w'| [g(θ) − g(σ) + σ(cos θ − cos σ)],   g(θ) = sin θ − θ cos θ,
every part of it of order δ³. Two of different teachers, w = h(v̂ + ζ) and w' = h'(v̂' + ζ'), have F(u, u') =
E|u·x||u'·x| less its expansions to first order about v̂ and about v̂', so by Taylor's theorem
    E = c c'h h' ∫∫ (1 − s)(1 − t) ∂⁴F/∂s²∂t² ds dt,   ∂⁴F/∂s²∂t² = (2/π)(AB + 2C²)/|u ∧ u'|
at u = v̂ + sζ, u' = v̂' + tζ', with A, B, C the products of ζ and ζ' projected off u and u'. That is of order δ²δ'²,
and is summed by Gauss's rule where ζ is small compared with the teachers' separation; elsewhere its four moments,
of order one, are added as they are.

p z + q|z|: ς = p + q sgn and E xxᵀ sgn(v·x) = 0, so |R₁|² = p²|Σ r_l|² + q²|R₁|² of |·|, and |R₂| is |q| that of |·|.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer import Weights, metric
from twolayer.population.closed_form import angles, g, unit

from ._homogeneous import of_degree_one_with_teachers, of_two_slopes
from ._students import closest_teacher, has_teachers

NODES = 6
"""Of Gauss's rule in s and in t: with ζ ≤ SMALL sin Δ its error is below 1e-12 of the term."""
SMALL = 0.1


def unprofiled(problem: Any, trajectory: Any) -> bool:
    """Whether f − f* itself is what the loss squares, and σ is linear on either side of 0."""
    known = has_teachers(problem, trajectory) and of_two_slopes(problem, trajectory)
    return known and problem.data.teacher.profile == "none"


def residuals(problem: Any, weights: Weights) -> Any:
    """r_l = Σ_{j∈T_l} s a_j w_j − b_l v_l, (seed, teacher, feature); students are turned to their teacher where σ is
    even."""
    hidden, member = turned(problem, weights)
    heavy = problem.network.scale * weights.output[..., None] * hidden
    grouped = np.swapaxes(member, -1, -2).astype(float) @ heavy
    return grouped - problem.data.teacher.output[:, None] * problem.data.teacher.hidden


def turned(problem: Any, weights: Weights) -> tuple[Any, Any]:
    """Students, turned towards their closest teacher where σ is even, (seed, neuron, feature), and which teacher that
    is, (seed, neuron, teacher); a neuron at 0 has none."""
    closest = closest_teacher(problem, weights)
    hidden = weights.hidden
    if problem.network.activation.even:
        away = (hidden * problem.data.teacher.hidden[closest]).sum(-1) < 0
        hidden = np.where(away[..., None], -hidden, hidden)
    return hidden, closest[..., None] == np.arange(len(problem.data.teacher.hidden))


@metric(
    "average_neuron_residual",
    ("seed", "time", "teacher"),
    "|Σ s a w − b v| over the students closest to a teacher, turned towards it",
    applies=of_degree_one_with_teachers,
    by_default=False,
    per_frame=True,
)
def residual_norms(problem: Any, weights: Weights) -> Any:
    """|r_l|, (seed, teacher)."""
    return np.linalg.norm(residuals(problem, weights), axis=-1)


def moment(left: Any, right: Any, first: Any, second: Any) -> Any:
    """E ⟨first, x⟩⟨second, x⟩ sgn(left·x) sgn(right·x), row by row of broadcast vectors (…, feature)."""
    u, v = unit(left), unit(right)
    phi = 2.0 * np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1))
    e = unit(v - (u * v).sum(-1, keepdims=True) * u)
    fu, fe = (first * u).sum(-1), (first * e).sum(-1)
    su, se = (second * u).sum(-1), (second * e).sum(-1)
    bent = np.cos(phi) * (fu * su - fe * se) + np.sin(phi) * (fu * se + fe * su)
    return (2.0 / math.pi) * ((0.5 * math.pi - phi) * (first * second).sum(-1) + np.sin(phi) * bent)


@metric(
    "r1_norm",
    ("seed", "time"),
    "norm of the part of f − f* due to students as their teacher's average neuron",
    applies=unprofiled,
    by_default=False,
    per_frame=True,
)
def r1_norm(problem: Any, weights: Weights) -> Any:
    """√(E R₁²), (seed,)."""
    rest, teachers = residuals(problem, weights), problem.data.teacher.hidden
    square = moment(teachers[:, None], teachers[None], rest[..., :, None, :], rest[..., None, :, :]).sum(
        (-2, -1)
    )
    activation = problem.network.activation
    square = activation.absolute**2 * square + activation.linear**2 * (rest.sum(-2) ** 2).sum(-1)
    return np.sqrt(np.maximum(square, 0.0))


@metric(
    "r2_norm",
    ("seed", "time"),
    "norm of the part of f − f* due to students' planes that differ from their teacher's",
    applies=unprofiled,
    by_default=False,
    per_frame=True,
)
def r2_norm(problem: Any, weights: Weights) -> Any:
    """√(E R₂²), (seed,)."""
    hidden, member = turned(problem, weights)
    output = problem.network.scale * weights.output
    values = [
        r2_square(problem.data.teacher.hidden, *one) for one in zip(hidden, output, member, strict=True)
    ]
    return abs(problem.network.activation.absolute) * np.sqrt(np.maximum(values, 0.0))


def r2_square(teachers: Any, hidden: Any, output: Any, member: Any) -> Any:
    """E R₂² for |·| of one seed: hidden (neuron, feature), output (neuron,), member (neuron, teacher)."""
    if not np.isfinite(hidden).all():
        return np.nan
    moved = member.any(-1)
    hidden, output, closest = hidden[moved], output[moved], member[moved].argmax(-1)
    axes = unit(teachers)[closest]
    length = np.linalg.norm(hidden, axis=-1)
    mass = output * length
    delta = 2.0 * np.arctan2(
        np.linalg.norm(unit(hidden) - axes, axis=-1), np.linalg.norm(unit(hidden) + axes, axis=-1)
    )
    theta = angles(hidden, hidden)
    both = delta[:, None] + delta
    # cos θ − cos σ as a product
    apart = 2.0 * np.sin(0.5 * (both + theta)) * np.sin(0.5 * (both - theta))
    together = (2.0 / math.pi) * (g(theta) - g(both) + both * apart)
    same = closest[:, None] == closest
    total = (np.outer(mass, mass) * together * same).sum()
    first, second = np.nonzero(np.triu(~same))
    if len(first):
        total += 2.0 * across(hidden, output, axes, first, second).sum()
    return total


def across(hidden: Any, output: Any, axes: Any, first: Any, second: Any) -> Any:
    """E of the product of two terms of R₂ that belong to different teachers, (pair,)."""
    height = (hidden * axes).sum(-1)
    rest = hidden - height[:, None] * axes
    separation = 1.0 - (axes[first] * axes[second]).sum(-1) ** 2
    safe = np.where(height > 0, height, 1.0)
    zeta = rest / safe[:, None]
    size = np.linalg.norm(zeta, axis=-1)
    small = np.maximum(size[first], size[second]) <= SMALL * np.sqrt(separation)
    small &= (height[first] > 0) & (height[second] > 0)
    value = np.empty(len(first))
    near, far = np.nonzero(small)[0], np.nonzero(~small)[0]
    i, j = first[near], second[near]
    value[near] = height[i] * height[j] * remainder(axes[i], axes[j], zeta[i], zeta[j])
    i, j = first[far], second[far]
    w, q, v, p = hidden[i], hidden[j], axes[i], axes[j]
    value[far] = moment(w, q, w, q) - moment(w, p, w, q) - moment(v, q, w, q) + moment(v, p, w, q)
    return output[first] * output[second] * value


def remainder(v: Any, p: Any, zeta: Any, eta: Any) -> Any:
    """∫∫ (1 − s)(1 − t) (2/π)(AB + 2C²)/|u ∧ u'| ds dt at u = v + sζ, u' = p + tη, for pairs (pair, feature)."""
    nodes, heavy = np.polynomial.legendre.leggauss(NODES)
    nodes, heavy = 0.5 * (nodes + 1.0), 0.5 * heavy
    total = np.zeros(len(v))
    for s, s_weight in zip(nodes, heavy, strict=True):
        u = unit(v + s * zeta)
        length = np.sqrt(1.0 + s * s * (zeta * zeta).sum(-1))
        for t, t_weight in zip(nodes, heavy, strict=True):
            other = p + t * eta
            e = other - (other * u).sum(-1, keepdims=True) * u
            area = np.linalg.norm(e, axis=-1)
            e = e / area[:, None]
            zu, ze, nu, ne = (zeta * u).sum(-1), (zeta * e).sum(-1), (eta * u).sum(-1), (eta * e).sum(-1)
            a = (zeta * zeta).sum(-1) - zu * zu - ze * ze
            b = (eta * eta).sum(-1) - nu * nu - ne * ne
            c = (zeta * eta).sum(-1) - zu * nu - ze * ne
            weight = s_weight * t_weight * (1.0 - s) * (1.0 - t)
            total += weight * (2.0 / math.pi) * (a * b + 2.0 * c * c) / (length * area)
    return total
