"""The error function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from twolayer import Activation, GaussianKernel, activation
from twolayer.core.arrays import array_namespace
from twolayer.core.normal import error_function, normal_density


class ErfKernel(GaussianKernel):
    """K = (2/π) asin(C/√(ab)) = (2/π) atan2(C, √D) with a = 1 + A, b = 1 + B, D = ab − C² ≥ 1.

    Source: Williams, Neural Computation 10, 1203 (1998).
    """

    def value(self, first: Any, second: Any, inner: Any) -> Any:
        """K."""
        xp = array_namespace(inner)
        return 2.0 / math.pi * xp.atan2(inner, xp.sqrt(self.determinant(first, second, inner)))

    def first(self, first: Any, second: Any, inner: Any) -> tuple[Any, Any]:
        """2K_A = −(2/π) C/(a√D), K_C = (2/π)/√D."""
        by_inner = 2.0 / math.pi / array_namespace(inner).sqrt(self.determinant(first, second, inner))
        return -inner / (1.0 + first) * by_inner, by_inner

    def second(self, first: Any, second: Any, inner: Any) -> tuple[Any, Any, Any]:
        """4K_AA = (2/π) C(3ab − 2C²)/(a² D^(3/2)), 2K_AC = −(2/π) b D^(−3/2), K_CC = (2/π) C D^(−3/2)."""
        a, b = 1.0 + first, 1.0 + second
        factor = 2.0 / math.pi * self.determinant(first, second, inner) ** -1.5
        return factor * inner * (3.0 * a * b - 2.0 * inner**2) / a**2, -factor * b, factor * inner

    knows_fourth = True

    def fourth(self, covariance: Any) -> Any:
        """(4/π²) Λ₄^(−½) asin(Λ₀/√(Λ₁Λ₂)). Source: Saad and Solla, Physical Review E 52, 4225 (1995)."""
        xp = array_namespace(covariance)

        def c(i: int, j: int) -> Any:
            return covariance[..., i - 1, j - 1]

        a, b = 1.0 + c(1, 1), 1.0 + c(2, 2)
        outer = a * b - c(1, 2) ** 2  # Λ₄

        def of(i: int, j: int, both: Any) -> Any:
            """Λ₄ `both` less what λ₁ and λ₂ say of λ_i and λ_j."""
            crossed = c(1, 2) * (c(1, i) * c(2, j) + c(1, j) * c(2, i))
            return outer * both - c(2, i) * c(2, j) * a - c(1, i) * c(1, j) * b + crossed

        sine = of(3, 4, c(3, 4)) / xp.sqrt(of(3, 3, 1.0 + c(3, 3)) * of(4, 4, 1.0 + c(4, 4)))
        return 4.0 / math.pi**2 / xp.sqrt(outer) * xp.asin(sine)

    def determinant(self, first: Any, second: Any, inner: Any) -> Any:
        """D."""
        return (1.0 + first) * (1.0 + second) - inner**2


@activation("erf")
@dataclass(frozen=True)
class Erf(Activation):
    """σ(z) = erf(z/√2) = 2Φ(z) − 1, with Φ the distribution function of N(0, 1)."""

    kernel = ErfKernel()
    compiled = "erf"

    def value(self, preactivation: Any) -> Any:
        """erf(z/√2)."""
        return error_function(preactivation / math.sqrt(2.0))

    def derivative(self, preactivation: Any) -> Any:
        """2φ(z)."""
        return 2.0 * normal_density(preactivation)

    def second_derivative(self, preactivation: Any) -> Any:
        """−2zφ(z)."""
        return -2.0 * preactivation * normal_density(preactivation)
