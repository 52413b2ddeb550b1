"""The square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twolayer import Activation, GaussianKernel, activation


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


@activation("quadratic")
@dataclass(frozen=True)
class Quadratic(Activation):
    """σ(z) = z². A student matters by the matrix a w wᵀ alone."""

    even = True
    degree = 2.0
    kernel = QuadraticKernel()

    def value(self, preactivation: Any) -> Any:
        """z²."""
        return preactivation**2

    def derivative(self, preactivation: Any) -> Any:
        """2z."""
        return 2.0 * preactivation

    def second_derivative(self, preactivation: Any) -> Any:
        """2."""
        return 2.0 + 0.0 * preactivation
