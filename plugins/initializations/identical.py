"""identical: all students start as one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer import FiniteData, InitializationSpec, Network, Weights, initialization


@initialization("identical")
@dataclass(frozen=True)
class Identical(InitializationSpec):
    """w_1 = … = w_m = w with w ~ N(0, scale² I); trained outputs are 1. Training keeps equal students equal."""

    scale: float

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale: must be above 0, is {self.scale!r}")

    def draw(self, data: FiniteData, network: Network, random: np.random.Generator) -> Weights:
        """Draw the one student, hidden (neuron, feature)."""
        student = self.scale * random.standard_normal(data.features)
        return Weights(np.tile(student, (network.neurons, 1)), np.ones(network.neurons))
