"""A smooth rectified linear unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twolayer import Activation, activation
from twolayer.core.arrays import array_namespace


@activation("softplus")
@dataclass(frozen=True)
class Softplus(Activation):
    """σ(z) = log(1 + exp(sharpness z))/sharpness, which is max(z, 0) as sharpness grows.

    A sharpness of s needs neurons of length below 16/s for a teacher's loss to have all its digits.
    """

    sharpness: float = 1.0

    def __post_init__(self) -> None:
        if not self.sharpness > 0:
            raise ValueError(f"sharpness: must be above 0, is {self.sharpness!r}")

    def value(self, preactivation: Any) -> Any:
        """log(1 + exp(sz))/s, in range for any z."""
        xp = array_namespace(preactivation)
        positive = xp.where(preactivation > 0, preactivation, xp.zeros_like(preactivation))
        return positive + xp.log1p(xp.exp(-self.sharpness * xp.abs(preactivation))) / self.sharpness

    def derivative(self, preactivation: Any) -> Any:
        """1/(1 + exp(−sz))."""
        xp = array_namespace(preactivation)
        return 0.5 * (1.0 + xp.tanh(0.5 * self.sharpness * preactivation))

    def second_derivative(self, preactivation: Any) -> Any:
        """s σ'(1 − σ')."""
        slope = self.derivative(preactivation)
        return self.sharpness * slope * (1.0 - slope)
