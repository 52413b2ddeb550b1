"""Gaussian moments of an activation of two slopes, σ(z) = p z + q|z|, by the lengths and products of its neurons."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer.core.activation import GaussianKernel, TwoSlope
from twolayer.core.arrays import array_namespace

__all__ = ["TwoSlopeKernel"]

Array = Any

NODES = 16
"""Of the integral in `fourth`, which they give to about 1e-9."""

FLAT = 1e-13
"""A conditional variance below this share of the variance is 0 to rounding."""


class TwoSlopeKernel(GaussianKernel):
    """K = p²C + (2q²/π)(S + (π/2 − θ)C) with S = √(AB − C²), θ = atan2(S, C).

    Absolute error 1e-16: the losses of `closed_form` keep more digits. Source: Cho and Saul 2009.
    """

    knows_fourth = True

    def __init__(self, activation: TwoSlope) -> None:
        self.linear, self.absolute = activation.linear, activation.absolute

    def value(self, first: Array, second: Array, inner: Array) -> Array:
        """K."""
        sine, rest = self.arc(first, second, inner)
        return self.linear**2 * inner + 2.0 / math.pi * self.absolute**2 * (sine + rest * inner)

    def first(self, first: Array, second: Array, inner: Array) -> tuple[Array, Array]:
        """2K_A = (2q²/π) S/A, K_C = p² + (2q²/π)(π/2 − θ); 0 and p² where A = 0."""
        xp = array_namespace(inner)
        sine, rest = self.arc(first, second, inner)
        factor = 2.0 / math.pi * self.absolute**2
        safe = xp.where(first > 0, first, xp.ones_like(first))
        return factor * sine / safe, self.linear**2 + factor * rest

    def second(self, first: Array, second: Array, inner: Array) -> tuple[Array, Array, Array]:
        """4K_AA = (4q²/πA)(B/2S − S/A), 2K_AC = −(2q²/π)C/(SA), K_CC = (2q²/π)/S; infinite at S = 0."""
        sine, _ = self.arc(first, second, inner)
        factor = 2.0 / math.pi * self.absolute**2
        by_first = 2.0 * factor / first * (0.5 * second / sine - sine / first)
        return by_first, -factor * inner / (sine * first), factor / sine

    def arc(self, first: Array, second: Array, inner: Array) -> tuple[Array, Array]:
        """S and π/2 − θ, 0 where a length is 0."""
        xp = array_namespace(inner)
        square = first * second - inner**2
        sine = xp.sqrt(xp.where(square > 0, square, xp.zeros_like(square)))
        return sine, xp.atan2(inner, sine)

    def fourth(self, covariance: Array) -> Array:
        """E σ'(λ₁)σ'(λ₂)σ(λ₃)σ(λ₄) with one integral, on the host; absolute error about 1e-9 of |λ₃||λ₄|.

        With the covariances between (λ₁, λ₂) and (λ₃, λ₄) times t, Price's theorem gives (derived)

            d/dt = Σ_{a∈{1,2}, b∈{3,4}} C_ab 2q (2πC_aa)^(−½) E[σ'(λ_a')σ'(λ_b)σ(λ_b') | λ_a = 0],

        a' and b' the others. At t = 0 it is K_C(λ₁, λ₂) K(λ₃, λ₄). Where λ₁ = λ₂ the mean p of the slopes is σ'(0).
        """
        covariance = np.asarray(covariance, dtype=np.float64)

        def entry(i: int, j: int) -> Any:
            return covariance[..., i, j]

        total = self.first(entry(0, 0), entry(1, 1), entry(0, 1))[1]
        total = total * self.value(entry(2, 2), entry(3, 3), entry(2, 3))
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        angles = 0.25 * math.pi * (nodes + 1.0)  # t = sin(πs/2) is smooth where a covariance becomes singular
        for t, weight in zip(np.sin(angles), 0.25 * math.pi * weights * np.cos(angles), strict=True):
            scaled = covariance.copy()
            scaled[..., :2, 2:] *= t
            scaled[..., 2:, :2] *= t
            for a in (0, 1):
                jump = jump_density(self.absolute, entry(a, a))
                for b in (2, 3):
                    given = conditional(scaled, a, (1 - a, b, 5 - b))
                    total = total + weight * entry(a, b) * jump * self.third(given)
        return total

    def third(self, covariance: Array) -> Array:
        """E σ'(y₁)σ'(y₂)σ(y₃) = Σ_i S_3i 2q (2πS_ii)^(−½) E[σ'σ' of the two others | y_i = 0], by Stein's lemma."""
        total = np.zeros(covariance.shape[:-2])
        for i in range(3):
            first, second = (j for j in range(3) if j != i)
            given = conditional(covariance, i, (first, second))
            slopes = self.first(given[..., 0, 0], given[..., 1, 1], given[..., 0, 1])[1]
            total = (
                total + covariance[..., 2, i] * jump_density(self.absolute, covariance[..., i, i]) * slopes
            )
        return total


def jump_density(absolute: float, variance: Array) -> Array:
    """2q (2π variance)^(−½): the jump of σ' times the density at 0; 0 where the variance is."""
    safe = np.where(variance > 0, variance, 1.0)
    return np.where(variance > 0, 2.0 * absolute / np.sqrt(2.0 * math.pi * safe), 0.0)


def conditional(covariance: Array, given: int, kept: tuple[int, ...]) -> Array:
    """The covariance (…, kept, kept) of some variables where another is 0; 0 to rounding is 0."""
    pivot = covariance[..., given, given]
    index = np.asarray(kept)
    block = covariance[..., index[:, None], index]
    along = covariance[..., index, given]
    safe = np.where(pivot > 0, pivot, 1.0)[..., None, None]
    left = block - along[..., :, None] * along[..., None, :] / safe
    before, after = (np.diagonal(matrix, axis1=-2, axis2=-1) for matrix in (block, left))
    alive = after > FLAT * before
    return np.where(alive[..., :, None] & alive[..., None, :], left, 0.0)
