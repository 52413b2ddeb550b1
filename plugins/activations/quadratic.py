"""The square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twolayer import Activation, GaussianKernel, activation
from twolayer.core.arrays import array_namespace


class QuadraticKernel(GaussianKernel):
    """K = AB + 2C²."""

    def value(self, first: Any, second: Any, inner: Any) -> Any:
        """K."""
        return first * second + 2.0 * inner**2

    def first(self, first: Any, second: Any, inner: Any) -> tuple[Any, Any]:
        """2K_A = 2B, K_C = 4C."""
        return 2.0 * second, 4.0 * inner

    def second(self, first: Any, second: Any, inner: Any) -> tuple[Any, Any, Any]:
        """K_CC = 4, the others 0."""
        zero = 0.0 * inner
        return zero, zero, 4.0 + zero

    knows_fourth = True

    def fourth(self, covariance: Any) -> Any:
        """4 E λ₁λ₂λ₃²λ₄² by Isserlis' theorem: its 15 pairings."""

        def c(i: int, j: int) -> Any:
            return covariance[..., i - 1, j - 1]

        apart = c(1, 2) * (c(3, 3) * c(4, 4) + 2.0 * c(3, 4) ** 2)
        one = 2.0 * (c(1, 3) * c(2, 3) * c(4, 4) + c(1, 4) * c(2, 4) * c(3, 3))
        return 4.0 * (apart + one + 4.0 * c(3, 4) * (c(1, 3) * c(2, 4) + c(1, 4) * c(2, 3)))

    def squared_error(self, overlaps: Any, coefficients: Any, students: int) -> Any:
        """4[Ω((tr X)² + 2 tr X²) + 4 tr X ΩCΩ + 8 ΩCΩCΩ] with C = diag c, X = CΩ: the sum of `fourth`, in three
        products of matrices. Derived."""
        xp = array_namespace(overlaps)
        weighted = coefficients[:, None] * overlaps
        trace, few = xp.sum(xp.linalg.diagonal(weighted)), overlaps[:students]
        once = xp.matmul(few, weighted)
        twice = xp.matmul(once, weighted)
        square = trace**2 + 2.0 * xp.sum(weighted * xp.matrix_transpose(weighted))
        return 4.0 * (few * square + 4.0 * trace * once + 8.0 * twice)[:, :students]


@activation("quadratic")
@dataclass(frozen=True)
class Quadratic(Activation):
    """σ(z) = z². A student matters by the matrix a w wᵀ alone."""

    even = True
    degree = 2.0
    kernel = QuadraticKernel()
    compiled = "quadratic"

    def value(self, preactivation: Any) -> Any:
        """z²."""
        return preactivation**2

    def derivative(self, preactivation: Any) -> Any:
        """2z."""
        return 2.0 * preactivation

    def second_derivative(self, preactivation: Any) -> Any:
        """2."""
        return 2.0 + 0.0 * preactivation
