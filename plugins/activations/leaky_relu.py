"""The leaky rectified linear unit."""

from __future__ import annotations

from dataclasses import dataclass

from twolayer import TwoSlope, activation


@activation("leaky_relu")
@dataclass(frozen=True)
class LeakyRelu(TwoSlope):
    """σ(z) = max(z, 0) + slope · min(z, 0); 0, −1 and 1 are relu, |·| and the identity.

    σ'(0) is `slope` where it is above 0, and 0 elsewhere.
    """

    slope: float = 0.01

    above = 1.0

    @property
    def below(self) -> float:  # type: ignore[override]
        """The slope under 0."""
        return self.slope
