"""Students in groups about orthogonal teachers, and pairs of these, with the digits that `orthogonal_form` needs.

Each student is turned, u → σu with σ = ±1, towards the teacher l that it is closest to up to sign. Students within
`CLOSE` of their teacher are its group, u = h(v̂_l + ζ) with the weight q = c h; the teacher itself has ζ = 0. All
others are strays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twolayer.core.arrays import array_namespace, norm
from twolayer.core.compensated import sum_of_products, two_product
from twolayer.population import closed_form
from twolayer.population.closed_form import Units, unit

__all__ = [
    "CLOSE",
    "COARSE",
    "NEARLY",
    "BetweenGroups",
    "Groups",
    "WithStrays",
    "angles_within",
    "groups",
    "pairs_between_groups",
    "with_strays",
    "xi",
]

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
