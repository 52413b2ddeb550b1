"""A student at w = 0 of a teacher's problem: in which direction it leaves, and whether there is one.

With w_j = r u the objective changes by r φ_j(u) + O(r²), φ_j(u) = s a_j ψ(u) and ψ(u) = E (f − f*) σ(u·x) = ⟨u, F(u)⟩
with the field F of `closed_form`. Small steps of descent move w_j about 0, by about their size, as long as φ_j is
above 0 everywhere; it leaves along a minimum of φ_j on the sphere as soon as one is below 0. Derived.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.kernels.jit import njit
from twolayer.kernels.sphere import angle_between, dot, length_of
from twolayer.population.closed_form import Factors, Units, unit

__all__ = ["DirectionalDerivative", "minima", "stays_at_zero"]

ROUNDS = 60
"""Newton steps at most; about ten are taken."""

TILT = 1e-3
"""Starts are turned by about this, as symmetric ones may be saddles."""

SAME = 1e-5
"""Minima closer than this (radians) are one."""


ROUNDING = 1e-12
"""φ above −ROUNDING Σ|C| is not below 0."""


@dataclass(frozen=True)
class DirectionalDerivative:
    """ψ on the sphere, of the students and teachers of one seed on the host.

    even: whether ψ(−u) = ψ(u), as with |·|: then u and −u are one direction.
    """

    units: Units
    factor: Factors
    even: bool

    def starts(self) -> Any:
        """Where a search begins: students, teachers, the residual's linear part and their negatives, and the axes
        where these are few, each turned a little: (direction, feature)."""
        vectors = np.concatenate([self.units.vectors, self.units.residual[None]])
        vectors = unit(vectors[np.linalg.norm(vectors, axis=-1) > 0])
        features = vectors.shape[-1]
        if features <= 8:
            vectors = np.concatenate([vectors, np.eye(features)])
        if not self.even:
            vectors = np.concatenate([vectors, -vectors])
        return unit(vectors + TILT * np.random.default_rng(0).standard_normal(vectors.shape))


def minima(derivative: DirectionalDerivative, sign: float, starts: Any) -> tuple[Any, Any]:
    """Local minima of sign · ψ on the sphere and their values, the lowest first: (minimum, feature), (minimum,).

    Newton's method on the sphere with |eigenvalues|, by steps that go down, from each of the starts.
    """
    directions = unit(starts)
    factor = derivative.factor
    numbers = (factor.linear, factor.curved, factor.constant)
    axes, masses = unit(derivative.units.vectors), np.asarray(derivative.units.masses)
    values = np.empty(len(directions))
    for index in range(len(directions)):
        values[index] = descend(directions[index], sign, axes, masses, numbers)
    order = np.argsort(values)
    found: list[int] = []
    for index in order.tolist():
        if all(apart(directions[index], directions[other], derivative.even) > SAME for other in found):
            found.append(index)
    return directions[found], values[found]


def stays_at_zero(units: Units, factor: Factors, even: bool, signs: Any) -> Any:
    """Whether a student at 0 has no direction of descent, by the sign of its output weight, (neuron,).

    units: of one seed on the host, output weights with s. True too where the output weight is 0.
    """
    derivative = DirectionalDerivative(units, factor, even)
    bound = -ROUNDING * float(np.abs(units.masses).sum())
    stays = np.ones(len(signs), dtype=bool)
    for sign in (-1.0, 1.0):
        if (signs == sign).any():
            stays[signs == sign] = minima(derivative, sign, derivative.starts())[1][0] >= bound
    return stays


@njit(cache=True, nogil=True)
def force_at(direction: Any, axes: Any, masses: Any, numbers: Any) -> Any:
    """F(u), as `closed_form.field_at`, (feature,)."""
    linear, curved, constant = numbers
    field, along = np.zeros(direction.size), 0.0
    for q in range(len(masses)):
        if masses[q] == 0.0:
            continue
        theta = angle_between(direction, axes[q])
        along += 2.0 * (curved * math.sin(theta) - constant) * masses[q]
        for a in range(direction.size):
            field[a] += 2.0 * (linear - curved * theta) * masses[q] * axes[q, a]
    for a in range(direction.size):
        field[a] += along * direction[a]
    return field


@njit(cache=True, nogil=True)
def curvature_at(direction: Any, axes: Any, masses: Any, numbers: Any) -> Any:
    """∂F/∂w at |w| = 1, (feature, feature): Σ_q 2B C_q (|t|(I − uuᵀ) + ttᵀ/|t|) − 2D (ΣC)(I − uuᵀ) with
    t = û_q − (u·û_q) u, as in `closed_form.hessian_blocks`."""
    _, curved, constant = numbers
    size = direction.size
    matrix, tangent, bend = np.zeros((size, size)), np.empty(size), 0.0
    for q in range(len(masses)):
        if masses[q] == 0.0:
            continue
        along = dot(direction, axes[q])
        for a in range(size):
            tangent[a] = axes[q, a] - along * direction[a]
        length = length_of(tangent)
        bend += 2.0 * (curved * length - constant) * masses[q]
        if length > 0.0:
            for a in range(size):
                for b in range(size):
                    matrix[a, b] += 2.0 * curved * masses[q] / length * tangent[a] * tangent[b]
    for a in range(size):
        matrix[a, a] += bend
        for b in range(size):
            matrix[a, b] -= bend * direction[a] * direction[b]
    return matrix


@njit(cache=True, nogil=True)
def descend(direction: Any, sign: float, axes: Any, masses: Any, numbers: Any) -> float:
    """Move a direction to a local minimum of sign · ψ, in place; its value."""
    size, scale = direction.size, 0.0
    for mass in masses:
        scale += abs(mass)
    force = force_at(direction, axes, masses, numbers)
    value, reach = sign * dot(direction, force), 0.5
    trial = np.empty(size)
    for _ in range(ROUNDS):
        matrix = sign * curvature_at(direction, axes, masses, numbers)
        along = dot(direction, force)
        for a in range(size):
            matrix[a, a] -= value
            for b in range(size):
                matrix[a, b] += value * direction[a] * direction[b]
        rates, frame = np.linalg.eigh(matrix)
        step = np.zeros(size)
        for e in range(size):
            part = 0.0
            for a in range(size):
                part += frame[a, e] * sign * (force[a] - along * direction[a])
            part /= max(abs(rates[e]), 1e-4 * scale)
            for a in range(size):
                step[a] -= part * frame[a, e]
        length = length_of(step)
        shrink = min(1.0, reach / length) if length > 0.0 else 0.0
        gain = 0.0
        for a in range(size):
            trial[a] = direction[a] + shrink * step[a]
            gain += shrink * step[a] * sign * (force[a] - along * direction[a])
        if not gain < -1e-16 * scale:
            break
        norm = length_of(trial)
        for a in range(size):
            trial[a] /= norm
        moved = force_at(trial, axes, masses, numbers)
        level = sign * dot(trial, moved)
        reach = shrink * length
        if level < value:
            direction[:] = trial
            force, value, reach = moved, level, min(2.0 * reach, 0.5)
        else:
            reach *= 0.25
            if reach < 1e-9:
                break
    return value


def apart(one: Any, other: Any, even: bool) -> float:
    """The distance of two unit vectors, up to sign where `even`."""
    distance = float(np.linalg.norm(one - other))
    return min(distance, float(np.linalg.norm(one + other))) if even else distance
