"""Loss and gradient near orthogonal teachers, with digits kept down to L = 1e-25.

The plain sums of `gaussian` lose what lies below 1e-16: pairs of different groups are at right angles and
contribute terms of order one that cancel. Here every student belongs to the teacher l that it is closest to,
u = h(v̂_l + ζ), and has the weight q = c h; the teacher itself has ζ = 0. For two units of different groups,
with A = |ζ|², B = |ζ'|², ρ = ζ·v̂_s + ζ'·v̂_l + ζ·ζ' and X = A + B + AB − ρ²,

    c c'|u||u'| g(θ) = q q' (1 + ψ(X, ρ) − πρ/2),   ψ = ξ(X) + ρ ω(X, ρ),
    ξ = √(1 + X) − 1,   ω = π/2 − θ = asin(ρ/√(1 + X + ρ²)),

and what is of order zero and one is summed over a group before it is multiplied. Derived.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace

from twolayer import gaussian
from twolayer.gaussian import Factors, Units, unit
from twolayer.model import norm

__all__ = ["Groups", "field", "groups", "loss"]

Array = Any

CLOSE = 0.1
"""Students count as belonging to a teacher from this cosine on: the form is exact for any ζ, and 1/ζ stays small."""


@dataclass(frozen=True)
class Groups:
    """Units by teacher: `member` (…, unit, teacher) is 1 for a unit's own teacher, `weight` q (…, unit),
    `rest` ζ (…, unit, feature), `axes` v̂ (teacher, feature)."""

    member: Array
    weight: Array
    rest: Array
    axes: Array


def groups(units: Units) -> tuple[Groups, Array]:
    """The groups, and where (…,) each student that is not zero has a teacher within reach.

    The teachers must be orthogonal to rounding; elsewhere use `gaussian`.
    """
    xp = array_namespace(units.vectors)
    axes = unit(units.vectors[..., units.students :, :])
    along = xp.matmul(units.vectors, xp.matrix_transpose(axes))  # (…, unit, teacher)
    own = xp.argmax(along, axis=-1)
    number = xp.arange(axes.shape[-2], device=own.device)
    member = xp.astype(own[..., None] == number, units.vectors.dtype)
    height = xp.sum(along * member, axis=-1)
    length = norm(units.vectors)
    reach = xp.all((height >= CLOSE * length), axis=-1)
    safe = xp.where(height > 0, height, xp.ones_like(height))[..., None]
    rest = (units.vectors - height[..., None] * xp.matmul(member, axes)) / safe
    teacher = xp.arange(units.vectors.shape[-2], device=own.device) >= units.students
    rest = xp.where(teacher[..., None], xp.zeros_like(rest), rest)
    return Groups(member, units.coefficients * height, rest, axes), reach


def xi(x: Array) -> Array:
    """ξ = √(1 + X) − 1 without loss of digits."""
    xp = array_namespace(x)
    return x / (1.0 + xp.sqrt(1.0 + x))


def omega(x: Array, rho: Array) -> Array:
    """ω = π/2 − θ."""
    xp = array_namespace(x)
    return xp.atan2(rho, xp.sqrt(1.0 + x))


@dataclass(frozen=True)
class Pairs:
    """X and ρ of all pairs (…, unit, unit), of each unit with each bare teacher (…, unit, teacher), `other`:
    1 where the two belong to different groups."""

    x: Array
    rho: Array
    bare_x: Array
    bare_rho: Array
    inner: Array
    other: Array


def pairs(own: Groups) -> Pairs:
    """The pairs' geometry."""
    xp = array_namespace(own.rest)
    square = xp.sum(own.rest**2, axis=-1)
    tilt = xp.matmul(own.rest, xp.matrix_transpose(own.axes))  # ζ·v̂_s, (…, unit, teacher)
    toward = xp.matmul(tilt, xp.matrix_transpose(own.member))  # ζ_p·v̂ of q's teacher
    inner = xp.matmul(own.rest, xp.matrix_transpose(own.rest))
    rho = toward + xp.matrix_transpose(toward) + inner
    a, b = square[..., :, None], square[..., None, :]
    other = 1.0 - xp.matmul(own.member, xp.matrix_transpose(own.member))
    x = xp.maximum(a + b + a * b - rho**2, -xp.ones_like(rho))  # 1 + X = |y|²|y'|² sin²θ, but for rounding
    return Pairs(x, rho, square[..., None] - tilt**2, tilt, inner, other)


def loss(units: Units, factor: Factors) -> Array:
    """L as `gaussian.loss`, (…,): relative error about 1e-16/θ for students within θ of orthogonal teachers.

    States with a student out of every teacher's reach take the plain form.
    """
    xp = array_namespace(units.vectors)
    own, reach = groups(units)
    if not xp.any(reach):
        return gaussian.loss(units, factor)
    pair = pairs(own)
    q = own.weight
    both = q[..., :, None] * q[..., None, :]
    masses = units.masses
    theta = gaussian.angles(units.vectors, units.vectors)
    mass_pairs = masses[..., :, None] * masses[..., None, :]
    within = xp.sum(mass_pairs * gaussian.g(theta) * (1.0 - pair.other), axis=(-2, -1))

    def psi(x: Array, rho: Array) -> Array:
        return xi(x) + rho * omega(x, rho)

    total = xp.matmul(xp.matrix_transpose(own.member), q[..., None])  # Q, (…, teacher, 1)
    bare = psi(pair.bare_x, pair.bare_rho)  # (…, unit, teacher)
    single = q[..., None] * (bare - 0.5 * math.pi * pair.bare_rho)
    sums = xp.matmul(xp.matrix_transpose(own.member), single)  # S of group l towards s, (…, l, s)
    off = 1.0 - xp.eye(own.axes.shape[-2], dtype=q.dtype, device=q.device)
    across = total * xp.matrix_transpose(total) + 2.0 * sums * xp.matrix_transpose(total)
    groupwise = xp.sum(across * off, axis=(-2, -1))
    toward = xp.matmul(bare, xp.matrix_transpose(own.member))
    second = psi(pair.x, pair.rho) - toward - xp.matrix_transpose(toward)
    pairwise = xp.sum(both * second * pair.other, axis=(-2, -1))
    lean = xp.matmul(xp.matrix_transpose(own.member), q[..., None] * own.rest)  # Σ q ζ, (…, teacher, feature)
    leaning = xp.sum(xp.matmul(lean, xp.matrix_transpose(lean)) * off, axis=(-2, -1))
    curved = within + groupwise + pairwise - 0.5 * math.pi * leaning

    value = factor.linear * xp.sum(units.residual**2, axis=-1) + factor.curved * curved
    value = value - factor.constant * xp.sum(masses, axis=-1) ** 2
    value = xp.maximum(value, xp.zeros_like(value))
    return value if xp.all(reach) else xp.where(reach, value, gaussian.loss(units, factor))


def field(units: Units, factor: Factors) -> Array:
    """F_i as `gaussian.field`, (…, student, feature), to about 1e-16 θ beside the rounding of r itself.

    Another group s acts on student i with y = v̂_l + ζ through
    [Q_s(1 + ξ₀) + Σ q'(ξ − ξ₀)] y/|y|² − (π/2 − ω₀) r_s + Σ q'(ω − ω₀) y', where ξ₀ and ω₀ belong to ζ' = 0
    and r_s = Σ q'y' is the group's residual.
    """
    xp = array_namespace(units.vectors)
    own, reach = groups(units)
    if not xp.any(reach):
        return gaussian.field(units, factor)
    pair = pairs(own)
    count = units.students
    q = own.weight
    position = xp.matmul(own.member, own.axes) + own.rest  # y, (…, unit, feature)
    transposed = xp.matrix_transpose(own.member)
    total = xp.matmul(transposed, q[..., None])[..., 0]  # Q, (…, teacher)
    lean = xp.matmul(transposed, q[..., None] * own.rest)
    residual = total[..., None] * own.axes + lean  # r_s, (…, teacher, feature)
    bare_xi, bare_omega = xi(pair.bare_x), omega(pair.bare_x, pair.bare_rho)
    foreign = 1.0 - own.member
    grown = (xi(pair.x) - xp.matmul(bare_xi, transposed)) * pair.other
    along = xp.matmul((1.0 + bare_xi) * foreign, total[..., None]) + xp.matmul(grown, q[..., None])
    length = 1.0 + xp.sum(own.rest**2, axis=-1)[..., None]
    turned = (omega(pair.x, pair.rho) - xp.matmul(bare_omega, transposed)) * pair.other
    action = along * position / length + xp.matmul((bare_omega - 0.5 * math.pi) * foreign, residual)
    action = action + xp.matmul(turned, q[..., None] * position)

    students = units.vectors[..., :count, :]
    theta = gaussian.angles(students, units.vectors) * (1.0 - pair.other)[..., :count, :]
    masses = units.masses
    direction = unit(students)
    near = xp.matmul(xp.sin(theta), masses[..., None]) * direction
    near = near - xp.matmul(theta, units.coefficients[..., None] * units.vectors)
    value = 2.0 * factor.linear * xp.sum(residual, axis=-2)[..., None, :]
    value = value + 2.0 * factor.curved * (near + action[..., :count, :])
    value = value - 2.0 * factor.constant * xp.sum(masses, axis=-1)[..., None, None] * direction
    value = value * xp.astype(norm(students) > 0, value.dtype)[..., None]
    return value if xp.all(reach) else xp.where(reach[..., None, None], value, gaussian.field(units, factor))
