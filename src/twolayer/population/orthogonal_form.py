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
from dataclasses import dataclass
from typing import Any

from twolayer.core.arrays import array_namespace, norm
from twolayer.core.compensated import sum_of_products, two_product
from twolayer.population import closed_form
from twolayer.population.closed_form import Factors, Units, unit

__all__ = ["CLOSE", "COARSE", "Groups", "field", "groups", "loss", "rounding"]

Array = Any

CLOSE = 0.02
"""Students belong to a teacher up to this |ζ|, the tangent of their angle: g(θ) of two of them then is below 1e-4, and
a stray is far enough from every teacher for θ₀ to keep its digits."""

NEARLY = 0.999
"""The cosine of an angle that is larger than that of `CLOSE`: compiled code looks for groups within it."""

COARSE = 0.25
"""Where |ζ| is above this share of S₀, S and θ are taken themselves: their difference loses nothing."""


@dataclass(frozen=True)
class Groups:
    """Units, turned, by teacher: `vectors` σu (…, unit, feature), `signs` σ (…, unit), `coefficients` c (…, unit).

    member: (…, unit, teacher), 1 for the teacher to whose group a unit belongs; 0 for strays. weight: q (…, unit), and
    rest: ζ (…, unit, feature), 0 for strays. stray: C of strays (…, unit), 0 for others. axes: v̂ and
    residuals: Σ qy of each group (…, teacher, feature). turned: r̃, residual: r (…, feature). mass: ΣC (…,).
    """

    vectors: Array
    signs: Array
    coefficients: Array
    member: Array
    weight: Array
    rest: Array
    stray: Array
    axes: Array
    residuals: Array
    turned: Array
    residual: Array
    mass: Array

    @property
    def total(self) -> Array:
        """Q of each group, (…, teacher)."""
        xp = array_namespace(self.axes)
        return xp.sum(self.residuals * self.axes, axis=-1)

    @property
    def same(self) -> Array:
        """1 where two units are of one group, (…, unit, unit)."""
        xp = array_namespace(self.member)
        return xp.matmul(self.member, xp.matrix_transpose(self.member))

    @property
    def apart(self) -> Array:
        """1 where two units are of different groups, (…, unit, unit)."""
        xp = array_namespace(self.member)
        within = xp.sum(self.member, axis=-1)
        return within[..., :, None] * within[..., None, :] - self.same


def groups(units: Units) -> Groups:
    """The groups and the strays. The teachers must be orthogonal to rounding; elsewhere use `closed_form`."""
    xp = array_namespace(units.vectors)
    teachers = units.vectors[..., units.students :, :]
    axes, lengths = unit(teachers), norm(teachers)
    along = xp.matmul(units.vectors, xp.matrix_transpose(axes))  # (…, unit, teacher)
    number = xp.arange(units.vectors.shape[-2], device=along.device)
    teacher = number >= units.students
    backward = (xp.max(along, axis=-1) < -xp.min(along, axis=-1)) & ~teacher
    signs = xp.where(backward, -xp.ones_like(along[..., 0]), xp.ones_like(along[..., 0]))
    vectors = signs[..., None] * units.vectors
    nearest = xp.argmax(signs[..., None] * along, axis=-1)
    nearest = xp.where(teacher, number - units.students, nearest)
    member = xp.astype(nearest[..., None] == number[: axes.shape[-2]], along.dtype)

    # u = αv + z with no rounding but in z's last place
    length = xp.sum(member * lengths[..., None, :], axis=-1)
    height = xp.sum(member * along, axis=-1) * signs
    share = height / xp.where(length > 0, length, xp.ones_like(length))
    product, error = two_product(share[..., None] + xp.zeros_like(vectors), xp.matmul(member, teachers))
    rest = (vectors - product) - error
    axis = xp.matmul(member, axes)
    left = xp.sum(rest * axis, axis=-1)
    rest = rest - left[..., None] * axis
    height = share * length + left
    close = teacher | ((height > 0) & (norm(rest) <= CLOSE * height))
    safe = xp.where(close & (height > 0), height, xp.ones_like(height))
    rest = xp.where((close & ~teacher)[..., None], rest / safe[..., None], xp.zeros_like(rest))
    height = xp.where(teacher, length, height)
    member = member * xp.astype(close, along.dtype)[..., None]
    none = xp.zeros_like(height)
    weight = xp.where(close, units.coefficients * height, none)
    stray = xp.where(close, none, units.coefficients * norm(vectors))

    products, errors = two_product(units.coefficients[..., None] + xp.zeros_like(vectors), vectors)
    if units.left_out is not None:
        errors = errors + units.left_out[..., None] * vectors
    residuals = []
    for index in range(axes.shape[-2]):
        chosen = member[..., index, None]
        residuals.append(sum_of_products(chosen * products, chosen * errors))
    by_group = xp.stack(residuals, axis=-2)
    outside = 1.0 - xp.sum(member, axis=-1)[..., None]
    turned = xp.sum(by_group, axis=-2) + sum_of_products(outside * products, outside * errors)
    total = sum_of_products(signs[..., None] * products, signs[..., None] * errors)
    mass = xp.sum(by_group * axes, axis=(-2, -1)) + xp.sum(
        weight * xi(xp.sum(rest**2, axis=-1)) + stray, axis=-1
    )
    return Groups(
        vectors, signs, units.coefficients, member, weight, rest, stray, axes, by_group, turned, total, mass
    )


def odd_factor(factor: Factors) -> float:
    """A' = A − πB/2, which is 0 for even functions."""
    odd = factor.linear - 0.5 * math.pi * factor.curved
    return odd if abs(odd) > 1e-9 * factor.linear else 0.0


def xi(x: Array) -> Array:
    """ξ = √(1 + X) − 1 without loss of digits."""
    xp = array_namespace(x)
    return x / (1.0 + xp.sqrt(1.0 + x))


def angles_within(grouped: Groups) -> Array:
    """θ of the pairs of one group, (…, unit, unit); what stands at other pairs has no meaning."""
    xp = array_namespace(grouped.rest)
    others = grouped.rest[..., None, :, :]

    def square_of_sine(rows: slice) -> Array:
        rest = grouped.rest[..., rows, None, :]
        apart = rest - others
        distance = xp.sum(apart**2, axis=-1)
        square = xp.sum(rest**2, axis=-1)
        return distance + square * distance - xp.sum(rest * apart, axis=-1) ** 2  # |y × y'|²

    sine = closed_form.by_rows(square_of_sine, grouped.rest, grouped.rest.shape[-2])
    cosine = 1.0 + xp.matmul(grouped.rest, xp.matrix_transpose(grouped.rest))
    return xp.atan2(xp.sqrt(xp.maximum(sine, xp.zeros_like(sine))), cosine)


@dataclass(frozen=True)
class BetweenGroups:
    """Pairs of different groups. Of a unit and another bare teacher, (…, unit, teacher): ξ₀ and ω₀. Of two units,
    (…, unit, unit): ρ, ξ − ξ₀ and ω − ω₀ for the first one's ξ₀ and ω₀, and t' + ζ·ζ'."""

    tilt: Array
    bare_xi: Array
    bare_omega: Array
    rho: Array
    xi_change: Array
    omega_change: Array
    rho_change: Array


def pairs_between_groups(grouped: Groups) -> BetweenGroups:
    """The pairs of different groups; what stands at other pairs has no meaning."""
    xp = array_namespace(grouped.rest)
    square = xp.sum(grouped.rest**2, axis=-1)
    tilt = xp.matmul(grouped.rest, xp.matrix_transpose(grouped.axes))  # ζ·v̂_s, (…, unit, teacher)
    bare = square[..., None] - tilt**2
    bare_xi = xi(bare)
    bare_omega = xp.atan2(tilt, 1.0 + bare_xi)
    transposed = xp.matrix_transpose(grouped.member)
    toward = xp.matmul(tilt, transposed)  # t, at the other's teacher
    change = xp.matrix_transpose(toward) + xp.matmul(grouped.rest, xp.matrix_transpose(grouped.rest))
    a, b = square[..., :, None], square[..., None, :]
    x_change = b * (1.0 + a) - change * (2.0 * toward + change)
    before = 1.0 + xp.matmul(bare_xi, transposed)
    after = xp.sqrt(
        xp.maximum(before**2 + x_change, xp.zeros_like(before))
    )  # |y|²|y'|² sin²θ, but for rounding
    xi_change = x_change / (before + after)
    rho = toward + change
    omega_change = xp.atan2(change * before - toward * xi_change, after * before + rho * toward)
    return BetweenGroups(tilt, bare_xi, bare_omega, rho, xi_change, omega_change, change)


@dataclass(frozen=True)
class WithStrays:
    """Pairs with strays. θ₀ (…, unit, teacher); of a stray and a unit of a group, (…, unit, unit): S − S₀, θ − θ₀,
    ẑ·ζ and P₀; the angles of all pairs."""

    theta: Array
    sine_change: Array
    theta_change: Array
    lean: Array
    cosine: Array
    angles: Array


def with_strays(grouped: Groups) -> WithStrays:
    """The strays; what stands at other pairs has no meaning."""
    xp = array_namespace(grouped.rest)
    direction = unit(grouped.vectors)
    angles = closed_form.angles(grouped.vectors, grouped.vectors)
    bare = closed_form.angles(grouped.vectors, grouped.axes)
    transposed = xp.matrix_transpose(grouped.member)
    theta, sine, cosine = (xp.matmul(part, transposed) for part in (bare, xp.sin(bare), xp.cos(bare)))
    lean = xp.matmul(direction, xp.matrix_transpose(grouped.rest))
    square = xp.sum(grouped.rest**2, axis=-1)[..., None, :]
    change = square - lean * (lean + 2.0 * cosine)  # S² − S₀²
    after = xp.sqrt(xp.maximum(sine**2 + change, xp.zeros_like(change)))
    both = sine + after
    sine_change = change / xp.where(both > 0, both, xp.ones_like(both))
    theta_change = xp.atan2(sine_change * cosine - sine * lean, cosine * (cosine + lean) + sine * after)
    coarse = square > (COARSE * sine) ** 2
    sine_change = xp.where(coarse, xp.sqrt(1.0 + square) * xp.sin(angles) - sine, sine_change)
    theta_change = xp.where(coarse, angles - theta, theta_change)
    return WithStrays(bare, sine_change, theta_change, lean, cosine, angles)


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
