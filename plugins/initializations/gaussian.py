"""gaussian: independent normal weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer import FiniteData, Network, Weights, hookimpl
from twolayer.model import norm


@dataclass(frozen=True)
class Gaussian:
    """w_j ~ N(0, scale² I); trained outputs a_j ~ N(0, scale²), or a_j = ±|w_j| by fair coins if balanced."""

    scale: float
    balanced: bool = False

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale: must be above 0, is {self.scale!r}")

    def draw(self, data: FiniteData, network: Network, random: np.random.Generator) -> Weights:
        """Draw hidden (neuron, feature), then output (neuron)."""
        hidden = self.scale * random.standard_normal((network.neurons, data.features))
        if self.balanced:
            return Weights(hidden, random.choice([-1.0, 1.0], network.neurons) * norm(hidden))
        return Weights(hidden, self.scale * random.standard_normal(network.neurons))


@hookimpl
def register_initializations(register: Any) -> None:
    register("gaussian", Gaussian)
