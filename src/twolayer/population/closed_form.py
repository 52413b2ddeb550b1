"""Closed forms for Gaussian input: loss, its gradient and its Hessian, for networks against teachers.

x ~ N(0, I_d). Students and teachers stand in one list of units p, with coefficient c_p (s·a_i, or −b_l) and
vector u_p (w_i, or v_l), so that f − f* = Σ c_p σ(u_p·x). With the masses C_p = c_p|u_p|, r = Σ c_p u_p and
g(θ) = sin θ − θ cos θ,

    L = ½ E (f − f*)² = A|r|² + B Σ_{p,q} C_p C_q g(θ_pq) − D (Σ C_p)²,

    profile    A             B     D
    none       (p² + q²)/2   q²/π  0
    constant   (p² + q²)/2   q²/π  q²/π
    linear     q²/2          q²/π  q²/π

for σ(z) = p z + q|z|: p = q = ½ for relu, p = 0 and q = 1 for |·|. All derived: from E |u·x||v·x| = (2/π)|u||v|
(sin θ + (π/2 − θ) cos θ) and E (u·x)|v·x| = 0.
Arrays carry their namespace, and leading axes (seed) broadcast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twolayer.core.activation import Activation, two_slopes
from twolayer.core.arrays import array_namespace, norm

__all__ = [
    "Factors",
    "Units",
    "angles",
    "by_rows",
    "factors",
    "field",
    "field_at",
    "g",
    "hessian_blocks",
    "loss",
    "oriented",
    "unit",
]

Array = Any

SERIES = (10, 28, 54, 88, 130, 180, 238)
"""2n(2n + 3), n = 1 … 7, of g(θ) = θ³/3 (1 − θ²/10 (1 − θ²/28 (1 − …)))."""


BLOCK = 2**15
"""Numbers in an array over pairs and features: 256 KiB, so that several fit into a core's second-level cache."""


@dataclass(frozen=True)
class Factors:
    """A, B and D of the loss, and R of the field R r on a student at 0: E σ'(0)(f − f*) x."""

    linear: float
    curved: float
    constant: float
    resting: float = 0.0


def factors(activation: Activation, profile: str = "none") -> Factors:
    """A, B, D and R = σ'(0) p; profile: what of f − f* is removed before squaring.

    `none`, `constant` (its mean), or `linear` (its mean and its linear part, then R = 0; |·| has no linear part).
    """
    known = two_slopes(activation, "the closed form of the population loss")
    p, q = known.linear, known.absolute
    curved = q * q / math.pi
    constant = 0.0 if profile == "none" else curved
    if profile == "linear":
        return Factors(0.5 * q * q, curved, constant)
    return Factors(0.5 * (p * p + q * q), curved, constant, known.at_zero * p)


@dataclass(frozen=True)
class Units:
    """Students, then teachers: `vectors` (…, unit, feature), `coefficients` (…, unit); the first `students`
    of them are students. left_out: what rounding took from the coefficients, or None."""

    vectors: Array
    coefficients: Array
    students: int
    left_out: Array | None = None

    @property
    def masses(self) -> Array:
        """C_p = c_p|u_p|, (…, unit)."""
        return self.coefficients * norm(self.vectors)

    @property
    def residual(self) -> Array:
        """r = Σ c_p u_p, (…, feature)."""
        xp = array_namespace(self.vectors)
        return xp.sum(self.coefficients[..., None] * self.vectors, axis=-2)


def unit(vectors: Array) -> Array:
    """û = u/|u|, and 0 for 0, (…, feature)."""
    xp = array_namespace(vectors)
    length = norm(vectors)[..., None]
    return vectors / xp.where(length > 0, length, xp.ones_like(length))


def angles(left: Array, right: Array) -> Array:
    """θ = 2 atan2(|û − v̂|, |û + v̂|) between each row of one and each of the other, (…, left, right).

    Exact to rounding at both ends, where the arc cosine of û·v̂ loses every angle below 1.5e-8 and may be NaN.
    """
    xp = array_namespace(left, right)
    directions, v = unit(left), unit(right)[..., None, :, :]

    def of_rows(rows: slice) -> Array:
        u = directions[..., rows, None, :]
        return 2.0 * xp.atan2(norm(u - v), norm(u + v))

    return by_rows(of_rows, left, right.shape[-2])


def by_rows(function: Callable[[slice], Array], vectors: Array, partners: int) -> Array:
    """function(slice(0, count)) of `count` vectors (…, vector, feature), a few rows at a time: (…, vector, anything).

    Each vector meets `partners` others, so that arrays over pairs and features, which can be far larger than all
    weights, stay in the processor's cache.
    """
    xp = array_namespace(vectors)
    count = vectors.shape[-2]
    row = partners * math.prod(vectors.shape) // max(1, count)
    step = max(1, BLOCK // max(1, row))
    if step >= count:
        return function(slice(0, count))
    return xp.concat([function(slice(first, first + step)) for first in range(0, count, step)], axis=-2)


def g(theta: Array) -> Array:
    """g(θ) = sin θ − θ cos θ, by its series below 0.5, where the difference would lose digits."""
    xp = array_namespace(theta)
    square = theta * theta
    series = xp.ones_like(theta)
    for factor in reversed(SERIES):
        series = 1.0 - square / factor * series
    return xp.where(theta < 0.5, theta * square / 3.0 * series, xp.sin(theta) - theta * xp.cos(theta))


def oriented(units: Units) -> tuple[Units, Array]:
    """The same function of |·| neurons with each student turned towards its nearest teacher, and the signs.

    |−u·x| = |u·x|, but g near θ = π keeps no digits. signs (…, student) are ±1: gradients turn with them.
    """
    xp = array_namespace(units.vectors)
    students, teachers = units.vectors[..., : units.students, :], units.vectors[..., units.students :, :]
    cosine = xp.matmul(students, xp.matrix_transpose(unit(teachers)))
    turned = xp.max(cosine, axis=-1) < -xp.min(cosine, axis=-1)
    signs = xp.where(turned, -xp.ones_like(cosine[..., 0]), xp.ones_like(cosine[..., 0]))
    vectors = xp.concat([signs[..., None] * students, teachers], axis=-2)
    return Units(vectors, units.coefficients, units.students, units.left_out), signs


def loss(units: Units, factor: Factors) -> Array:
    """L, (…,), never negative.

    One teacher: digits are kept down to L = 1e-25. Several: terms of order one cancel between their groups,
    and the error is about 1e-16 |v|² absolute; `orthogonal_form.loss` keeps the digits for orthogonal teachers.
    """
    xp = array_namespace(units.vectors)
    masses = units.masses
    pairs = masses[..., :, None] * masses[..., None, :] * g(angles(units.vectors, units.vectors))
    value = factor.linear * xp.sum(units.residual**2, axis=-1) + factor.curved * xp.sum(pairs, axis=(-2, -1))
    value = value - factor.constant * xp.sum(masses, axis=-1) ** 2
    return xp.maximum(value, xp.zeros_like(value))


def field(units: Units, factor: Factors) -> Array:
    """F_i with ∂L/∂w_i = c_i F_i and ∂L/∂c_i = ⟨w_i, F_i⟩, (…, student, feature); R r where w_i = 0."""
    return field_at(units.vectors[..., : units.students, :], units, factor)


def field_at(vectors: Array, units: Units, factor: Factors) -> Array:
    """F at any vectors w (…, vector, feature): the gradient of ⟨f − f*, σ(w·)⟩, profile removed; R r at w = 0.

    F_i = 2A r + 2B Σ_q c_q (|u_q| sin θ_iq ŵ_i − θ_iq u_q) − 2D (ΣC) ŵ_i, one θ in both places, or the
    leading errors would not cancel.
    """
    xp = array_namespace(units.vectors)
    theta = angles(vectors, units.vectors)
    masses = units.masses
    along = 2.0 * factor.curved * xp.matmul(xp.sin(theta), masses[..., None])
    along = along - 2.0 * factor.constant * xp.sum(masses, axis=-1)[..., None, None]
    pulled = xp.matmul(theta, units.coefficients[..., None] * units.vectors)
    direction = unit(vectors)
    total = 2.0 * factor.linear * units.residual[..., None, :]
    total = total + along * direction - 2.0 * factor.curved * pulled
    resting = factor.resting * units.residual[..., None, :]
    return xp.where(norm(vectors)[..., None] > 0, total, resting)


def hessian_blocks(units: Units, factor: Factors) -> tuple[Array, Array, Array]:
    """The derivatives of F_i of `field`: ∂F_i/∂w_i at fixed others (…, i, a, b), ∂F_i/∂u_j through u_j
    (…, i, j, a, b), already times c_j, and ∂F_i/∂c_j (…, i, j, a). i, j: students; a, b: features.

    Zero for a student at w = 0, unless σ is linear. With N(u, v) = |v| sin θ û − θ v and t = v − (û·v) û:
    ∂N/∂u = (|t|(I − ûûᵀ) + ttᵀ/|t|)/|u|,
    ∂N/∂v = −θ I + sin θ (û tᵀ/|v| + v̂ ûᵀ) − cos θ ttᵀ/(|t||v|).
    """
    xp = array_namespace(units.vectors)
    count = units.students
    students = units.vectors[..., :count, :]
    theta = angles(students, units.vectors)[..., None, None]
    u, v = unit(students)[..., :, None, :], unit(units.vectors)[..., None, :, :]
    length, lengths = norm(students)[..., :, None, None], norm(units.vectors)[..., None, :, None, None]
    safe = xp.where(length > 0, length, xp.ones_like(length))
    tangent = v - xp.sum(u * v, axis=-1)[..., None] * u  # sin θ n, (…, i, p, a)
    normal = unit(tangent)
    identity = xp.eye(students.shape[-1], dtype=students.dtype, device=students.device)
    across = identity - outer(u, u)
    coefficients = units.coefficients[..., None, :, None, None]
    bend = xp.sum(coefficients * lengths * xp.sin(theta) * (across + outer(normal, normal)), axis=-3)
    total = xp.sum(units.masses, axis=-1)[..., None, None, None]
    diagonal = (2.0 * factor.curved * bend - 2.0 * factor.constant * total * across[..., 0, :, :]) / safe

    theta, v, normal = theta[..., :count, :, :], v[..., :count, :], normal[..., :count, :]
    sine, cosine = xp.sin(theta), xp.cos(theta)
    turn = sine * (sine * outer(u, normal) - cosine * outer(normal, normal) + outer(v, u)) - theta * identity
    through = (
        2.0 * factor.linear * identity + 2.0 * factor.curved * turn - 2.0 * factor.constant * outer(u, v)
    )
    weight = units.coefficients[..., None, :count, None, None]
    by_coefficient = lengths[..., :count, :, 0] * (
        2.0 * factor.linear * v
        + 2.0 * factor.curved * (sine[..., 0] * u - theta[..., 0] * v)
        - 2.0 * factor.constant * u
    )
    # Without a kink F = 2A r everywhere; else it has no derivative at 0.
    alive = xp.astype((norm(students) > 0) | (factor.curved == 0.0), students.dtype)
    return (
        diagonal * alive[..., :, None, None],
        weight * through * alive[..., :, None, None, None],
        by_coefficient * alive[..., :, None, None],
    )


def outer(left: Array, right: Array) -> Array:
    """u vᵀ over the last axis, (…, a, b)."""
    return left[..., :, None] * right[..., None, :]
