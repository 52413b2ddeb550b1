"""The hyperbolic tangent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twolayer import Activation, activation
from twolayer.core.arrays import array_namespace


@activation("tanh")
@dataclass(frozen=True)
class Tanh(Activation):
    """σ(z) = tanh z."""

    def value(self, preactivation: Any) -> Any:
        """tanh z."""
        return array_namespace(preactivation).tanh(preactivation)

    def derivative(self, preactivation: Any) -> Any:
        """1 − tanh² z."""
        return 1.0 - self.value(preactivation) ** 2

    def second_derivative(self, preactivation: Any) -> Any:
        """−2 tanh z (1 − tanh² z)."""
        value = self.value(preactivation)
        return -2.0 * value * (1.0 - value**2)
