"""The Gaussian error linear unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from twolayer import Activation, GaussianKernel, activation
from twolayer.core.arrays import array_namespace
from twolayer.core.normal import normal_density, normal_distribution


class GeluKernel(GaussianKernel):
    """K = C/4 + (C/2π) asin(C/√(ab)) + N/(2π√D), with a = 1 + A, b = 1 + B, D = ab − C² ≥ 1 and
    N = AB + C²(1/a + 1/b − 1). Derived."""

    def value(self, first: Any, second: Any, inner: Any) -> Any:
        """K."""
        xp = array_namespace(inner)
        a, b, root = self.parts(first, second, inner)
        numerator = first * second + inner**2 * (1.0 / a + 1.0 / b - 1.0)
        return 0.25 * inner + (inner * xp.atan2(inner, root) + numerator / root) / (2.0 * math.pi)

    def first(self, first: Any, second: Any, inner: Any) -> tuple[Any, Any]:
        """2K_A = M/(2π√D), M = 2B − C²/a − 2C²/a² − Nb/D; K_C = ¼ + [asin + (C/√D)(1/a + 1/b + 1/D)]/2π."""
        xp = array_namespace(inner)
        a, b, root = self.parts(first, second, inner)
        numerator = self.along(first, second, inner)
        by_inner = xp.atan2(inner, root) + inner / root * (1.0 / a + 1.0 / b + 1.0 / root**2)
        return numerator / (2.0 * math.pi * root), 0.25 + by_inner / (2.0 * math.pi)

    def second(self, first: Any, second: Any, inner: Any) -> tuple[Any, Any, Any]:
        """The derivatives of those: 4K_AA = (M_A − ½ M b/D)/(π√D), with
        M_A = C²/a² + 4C²/a³ − b(B − C²/a²)/D + Nb²/D²."""
        a, b, root = self.parts(first, second, inner)
        square, determinant = inner**2, root**2
        numerator = first * second + square * (1.0 / a + 1.0 / b - 1.0)
        by_first = (
            square / a**2
            + 4.0 * square / a**3
            - b * (second - square / a**2) / determinant
            + numerator * b**2 / determinant**2
        )
        both_first = by_first - 0.5 * self.along(first, second, inner) * b / determinant
        cross = -inner * (
            0.5 / a + 0.5 * b * (1.0 / a + 1.0 / b) / determinant + 1.0 / a**2 + 1.5 * b / determinant**2
        )
        both_inner = 0.5 * (1.0 + (a + b + 1.0) / determinant + 3.0 * square / determinant**2)
        scale = math.pi * root
        return both_first / scale, cross / scale, both_inner / scale

    def along(self, first: Any, second: Any, inner: Any) -> Any:
        """M."""
        a, b, root = self.parts(first, second, inner)
        square = inner**2
        numerator = first * second + square * (1.0 / a + 1.0 / b - 1.0)
        return 2.0 * second - square / a - 2.0 * square / a**2 - numerator * b / root**2

    def parts(self, first: Any, second: Any, inner: Any) -> tuple[Any, Any, Any]:
        """a, b and √D."""
        a, b = 1.0 + first, 1.0 + second
        return a, b, array_namespace(inner).sqrt(a * b - inner**2)


@activation("gelu")
@dataclass(frozen=True)
class Gelu(Activation):
    """σ(z) = z Φ(z), with Φ the distribution function of N(0, 1). Source: Hendrycks and Gimpel 2016."""

    kernel = GeluKernel()

    def value(self, preactivation: Any) -> Any:
        """zΦ(z)."""
        return preactivation * normal_distribution(preactivation)

    def derivative(self, preactivation: Any) -> Any:
        """Φ(z) + zφ(z)."""
        return normal_distribution(preactivation) + preactivation * normal_density(preactivation)

    def second_derivative(self, preactivation: Any) -> Any:
        """(2 − z²)φ(z)."""
        return (2.0 - preactivation**2) * normal_density(preactivation)
