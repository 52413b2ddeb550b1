"""swish: z times a logistic function of z."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twolayer import Activation, activation
from twolayer.core.arrays import array_namespace


@activation("swish")
@dataclass(frozen=True)
class Swish(Activation):
    """σ(z) = z/(1 + exp(−steepness z)). Source: Ramachandran, Zoph and Le 2017."""

    steepness: float = 1.0

    def value(self, preactivation: Any) -> Any:
        """σ(z)."""
        return preactivation * self.share(preactivation)

    def derivative(self, preactivation: Any) -> Any:
        """σ'(z)."""
        share = self.share(preactivation)
        return share + self.steepness * preactivation * share * (1.0 - share)

    def share(self, preactivation: Any) -> Any:
        """1/(1 + exp(−steepness z)), which never overflows."""
        xp = array_namespace(preactivation)
        return 0.5 * (1.0 + xp.tanh(0.5 * self.steepness * preactivation))
