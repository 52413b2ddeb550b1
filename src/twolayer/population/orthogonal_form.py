"""Loss and gradient for orthogonal teachers, with digits kept down to L = 1e-25.

The plain sums of `closed_form` lose what lies below 1e-16: near a solution terms of order one cancel, inside a group
of students and between groups. Here each student is turned, u → σu with σ = ±1, towards the teacher l that it is
closest to up to sign, which changes r alone, to r̃ = Σ c σu. With A' = A − πB/2 (0 for |·| and without the linear
part),

    L = A'|r|² + (πB/2)|r̃|² + B Σ_{p,q} C_p C_q g(θ_pq) − D (ΣC)².

Students within `CLOSE` of their teacher are its group, u = h(v̂_l + ζ) with the weight q = c h; the teacher itself has
ζ = 0. All others are strays. Near a solution the strays are small, and of each group the sums Q = Σq and Σqζ.

Two units of different groups: with A = |ζ|², B = |ζ'|², t = ζ·v̂_s, t' = ζ'·v̂_l, ρ = t + t' + ζ·ζ' and
X = A + B + AB − ρ²,

    |y||y'| g(θ) = 1 + ψ(X, ρ) − πρ/2,   ψ = ξ(X) + ρ ω(X, ρ),   y = v̂_l + ζ,
    ξ = √(1 + X) − 1,   ω = π/2 − θ = asin(ρ/√(1 + X + ρ²)).

A stray of direction ẑ and a unit of a group, with S = |ẑ × y|, P = ẑ·y, and S₀, P₀, θ₀ those of the teacher:

    |y| g(θ) = g(θ₀) + D,   D = (S − S₀) − θ ẑ·ζ − (θ − θ₀) P₀.

What is of order zero and one is summed over a group before it is multiplied; differences such as ω − ω₀ are taken
from ζ and not from their two parts, and r from sums that carry their rounding. Derived.
"""

from __future__ import annotations

import math
from typing import Any

from twolayer.core.arrays import array_namespace, norm
from twolayer.population import closed_form
from twolayer.population.closed_form import Factors, Units, unit
from twolayer.population.orthogonal_groups import (
    Groups,
    angles_within,
    groups,
    pairs_between_groups,
    with_strays,
    xi,
)

__all__ = ["field", "loss", "rounding"]

Array = Any


def odd_factor(factor: Factors) -> float:
    """A' = A − πB/2, which is 0 for even functions."""
    odd = factor.linear - 0.5 * math.pi * factor.curved
    return odd if abs(odd) > 1e-9 * factor.linear else 0.0


def loss(units: Units, factor: Factors) -> Array:
    """L as `closed_form.loss`, (…,), for any students. For students within θ of orthogonal teachers and strays of any
    size its relative error is about 1e-16/θ."""
    xp = array_namespace(units.vectors)
    value = value_and_rounding(units, factor)[0]
    return xp.maximum(value, xp.zeros_like(value))


def rounding(units: Units, factor: Factors) -> Array:
    """How far off `loss` may be by rounding, absolutely, (…,); above 0, so that a loss of 0 is never known."""
    return value_and_rounding(units, factor)[1]


def value_and_rounding(units: Units, factor: Factors) -> tuple[Array, Array]:
    """L before a negative value is taken as 0, and the bound of its rounding."""
    xp = array_namespace(units.vectors)
    grouped = groups(units)
    q, even = grouped.weight, 0.5 * math.pi * factor.curved
    odd = odd_factor(factor)
    squares = odd * xp.sum(grouped.residual**2, axis=-1) + even * xp.sum(grouped.turned**2, axis=-1)
    constant = factor.constant * grouped.mass**2
    curved, uncertain = within_groups(grouped)
    for part in (between_groups, of_strays) if xp.any(grouped.stray != 0) else (between_groups,):
        more, error = part(grouped)
        curved, uncertain = curved + more, uncertain + error
    value = squares + factor.curved * curved - constant
    error = squares + factor.curved * uncertain + constant
    return value, 4.0 * xp.finfo(q.dtype).eps * error + xp.finfo(q.dtype).smallest_normal


def within_groups(grouped: Groups) -> tuple[Array, Array]:
    """Σ C C' g(θ) over pairs of one group, and the sum of its terms' sizes."""
    xp = array_namespace(grouped.rest)
    mass = grouped.weight * xp.sqrt(1.0 + xp.sum(grouped.rest**2, axis=-1))
    terms = mass[..., :, None] * mass[..., None, :] * closed_form.g(angles_within(grouped)) * grouped.same
    return xp.sum(terms, axis=(-2, -1)), xp.sum(xp.abs(terms), axis=(-2, -1))


def between_groups(grouped: Groups) -> tuple[Array, Array]:
    """As `within_groups`, over pairs of different groups.

    With i = ζ·ζ' and κ = ρ − ω, the part of ψ that is of no single unit is tt' + i(t + t') + (AB + i²)/2 less
    (ξ²/2 + ρκ) and its parts at ζ' = 0 and at ζ = 0; tt' is summed over groups first.
    """
    xp = array_namespace(grouped.rest)
    q, total = grouped.weight, grouped.total
    transposed = xp.matrix_transpose(grouped.member)
    square = xp.sum(grouped.rest**2, axis=-1)
    tilt = xp.matmul(grouped.rest, xp.matrix_transpose(grouped.axes))  # ζ·v̂_s, (…, unit, teacher)
    bare = square[..., None] - tilt**2
    single = xi(bare) + tilt * xp.atan2(tilt, xp.sqrt(1.0 + bare))  # ψ with a bare teacher
    lean = grouped.residuals - total[..., None] * grouped.axes  # Σ qζ
    tilted = xp.matmul(lean, xp.matrix_transpose(grouped.axes))
    sums = (
        xp.matmul(transposed, q[..., None] * single) - 0.5 * math.pi * tilted
    )  # S of group l towards s, (…, l, s)
    off = 1.0 - xp.eye(total.shape[-1], dtype=q.dtype, device=q.device)
    leaning = xp.matmul(lean, xp.matrix_transpose(lean))
    parts = [
        total[..., :, None] * total[..., None, :],
        2.0 * sums * total[..., None, :],
        tilted * xp.matrix_transpose(tilted),
        -0.5 * math.pi * leaning,
    ]
    value = sum((xp.sum(part * off, axis=(-2, -1)) for part in parts), xp.zeros_like(total[..., 0]))
    size = sum((xp.sum(xp.abs(part) * off, axis=(-2, -1)) for part in parts), xp.zeros_like(value))

    toward = xp.matmul(tilt, transposed)  # t, at the other's teacher
    both = toward + xp.matrix_transpose(toward)
    inner = xp.matmul(grouped.rest, xp.matrix_transpose(grouped.rest))
    a, b = square[..., :, None], square[..., None, :]
    fourth = xp.matmul(bend(bare, tilt), transposed)
    rho = both + inner
    second = inner * both + 0.5 * (a * b + inner**2)
    second = second - bend(a + b + a * b - rho**2, rho) + fourth + xp.matrix_transpose(fourth)
    chosen = q[..., :, None] * q[..., None, :] * grouped.apart
    length = xp.sqrt(a) + xp.sqrt(b)
    reach = xp.sqrt(a * b) * length + length**4
    value = value + xp.sum(chosen * second, axis=(-2, -1))
    return value, size + xp.sum(xp.abs(chosen) * reach, axis=(-2, -1))


def bend(x: Array, rho: Array) -> Array:
    """ξ²/2 + ρκ of small X and ρ: κ = ρξ/(1 + ξ) + τ − atan τ with τ = ρ/(1 + ξ)."""
    grown = xi(x)
    slope = rho / (1.0 + grown)
    square, series = slope * slope, 1.0 + 0.0 * slope
    for n in (13, 11, 9, 7, 5):
        series = 1.0 - (n - 2) / n * square * series
    return 0.5 * grown**2 + rho * (slope * grown + slope * square / 3.0 * series)


def of_strays(grouped: Groups) -> tuple[Array, Array]:
    """As `within_groups`, over pairs with a stray or two."""
    xp = array_namespace(grouped.rest)
    pair, stray, q = with_strays(grouped), grouped.stray, grouped.weight
    with_teachers = stray[..., None] * closed_form.g(pair.theta) * grouped.total[..., None, :]
    bent = (
        pair.sine_change
        - (xp.matmul(pair.theta, xp.matrix_transpose(grouped.member)) + pair.theta_change) * pair.lean
        - pair.theta_change * pair.cosine
    )
    chosen = stray[..., :, None] * q[..., None, :]
    with_units = chosen * bent
    alone = stray[..., :, None] * stray[..., None, :] * closed_form.g(pair.angles)
    value = 2.0 * xp.sum(with_teachers, axis=(-2, -1)) + 2.0 * xp.sum(with_units, axis=(-2, -1))
    value = value + xp.sum(alone, axis=(-2, -1))
    lengths = xp.sqrt(xp.sum(grouped.rest**2, axis=-1))[..., None, :]
    sizes = 2.0 * xp.abs(with_teachers), 2.0 * xp.abs(chosen) * lengths, xp.abs(alone)
    return value, sum((xp.sum(part, axis=(-2, -1)) for part in sizes), xp.zeros_like(value))


def field(units: Units, factor: Factors) -> Array:
    """F_i as `closed_form.field`, (…, student, feature), to about 1e-16 θ near a solution.

    Another group s acts on a unit of a group with y = v̂_l + ζ through
    [Q_s(1 + ξ₀) + Σ q'(ξ − ξ₀)] y/|y|² − (π/2 − ω₀) r_s + Σ q'(ω − ω₀) y', where ξ₀ and ω₀ belong to ζ' = 0 and
    r_s = Σ q'y' is the group's residual; on a stray through [Q_s S₀ + Σ q(S − S₀)] ẑ − θ₀ r_s − Σ q(θ − θ₀) y; and
    the same group through Σ q' {[sin θ (|y'|/|y| − 1) − (θ − sin θ)] y + θ (ζ − ζ')}.
    """
    xp = array_namespace(units.vectors)
    grouped = groups(units)
    q, count, total = grouped.weight, units.students, grouped.total
    even = 0.5 * math.pi * factor.curved
    odd = odd_factor(factor)
    position = xp.matmul(grouped.member, grouped.axes) + grouped.rest  # y, (…, unit, feature); 0 for strays
    close = xp.sum(grouped.member, axis=-1)
    direction = unit(grouped.vectors)

    square = xp.sum(grouped.rest**2, axis=-1)
    theta, others = angles_within(grouped), grouped.rest[..., None, :, :]
    stretch = (square[..., None, :] - square[..., :, None]) / (1.0 + square[..., :, None])  # (|y'|/|y|)² − 1
    along = xp.sin(theta) * xi(stretch) - beyond_sine(theta)
    chosen = grouped.same * q[..., None, :]
    action = xp.sum(chosen * along, axis=-1)[..., None] * position
    turning = chosen * theta

    def turned(rows: slice) -> Array:
        return xp.sum(turning[..., rows, :, None] * (grouped.rest[..., rows, None, :] - others), axis=-2)

    action = action + closed_form.by_rows(turned, grouped.rest, grouped.rest.shape[-2])

    pair = pairs_between_groups(grouped)
    foreign = close[..., None] - grouped.member
    chosen = grouped.apart * q[..., None, :]
    pulled = xp.sum((1.0 + pair.bare_xi) * foreign * total[..., None, :], axis=-1)
    pulled = pulled + xp.sum(chosen * pair.xi_change, axis=-1)
    action = action + (pulled / (1.0 + square))[..., None] * position
    action = action + xp.matmul((pair.bare_omega - 0.5 * math.pi) * foreign, grouped.residuals)
    action = action + xp.matmul(chosen * pair.omega_change, position)

    if xp.any(close == 0.0):
        strays = with_strays(grouped)
        outside = 1.0 - close
        pulled = xp.sum(xp.sin(strays.theta) * total[..., None, :], axis=-1)
        pulled = pulled + xp.sum(q[..., None, :] * strays.sine_change, axis=-1)
        moved = pulled[..., None] * direction - xp.matmul(strays.theta, grouped.residuals)
        moved = moved - xp.matmul(q[..., None, :] * strays.theta_change, position)
        action = action + outside[..., None] * moved
        action = (
            action
            + xp.sum(xp.sin(strays.angles) * grouped.stray[..., None, :], axis=-1)[..., None] * direction
        )
        thrown = outside[..., None] * grouped.coefficients[..., None] * grouped.vectors
        action = action - xp.matmul(strays.angles, thrown)

    value = 2.0 * even * grouped.turned[..., None, :] + 2.0 * factor.curved * action
    value = value - 2.0 * factor.constant * grouped.mass[..., None, None] * direction
    value = grouped.signs[..., None] * value + 2.0 * odd * grouped.residual[..., None, :]
    students = value[..., :count, :]
    resting = factor.resting * units.residual[..., None, :]
    return xp.where(norm(units.vectors[..., :count, :])[..., None] > 0, students, resting)


def beyond_sine(theta: Array) -> Array:
    """θ − sin θ of small angles, by its series."""
    square = theta * theta
    return theta * square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0 * (1.0 - square / 72.0)))
