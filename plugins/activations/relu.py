"""The rectified linear unit."""

from dataclasses import dataclass

from twolayer import TwoSlope, activation


@activation("relu")
@dataclass(frozen=True)
class Relu(TwoSlope):
    """σ(z) = max(z, 0), with σ'(0) = 0."""

    below, above = 0.0, 1.0
