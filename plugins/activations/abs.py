"""The absolute value."""

from dataclasses import dataclass

from twolayer import TwoSlope, activation


@activation("abs")
@dataclass(frozen=True)
class Absolute(TwoSlope):
    """σ(z) = |z|, with σ'(0) = 0."""

    below, above = -1.0, 1.0
