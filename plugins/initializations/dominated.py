"""dominated: hidden weights that are no longer than their output weights, strictly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer import InitializationSpec, Network, ProblemSpec, Weights, initialization
from twolayer.core.arrays import norm
from twolayer.core.data import Data


@initialization("dominated")
@dataclass(frozen=True)
class Dominated(InitializationSpec):
    """w_j ~ N(0, scale² I) and a_j = ±(|w_j| + excess E) by fair coins, with E exponential of mean 1.

    |a_j| > |w_j|, which gradient flow keeps (a_j² − |w_j|² does not move), so that no a_j changes its sign (Boursier,
    Pillaud-Vivien and Flammarion 2022). excess: in the unit of weights, by default scale; 0 is a balanced start.
    """

    scale: float
    excess: float | None = None

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale: must be above 0, is {self.scale!r}")
        if self.excess is not None and not self.excess >= 0:
            raise ValueError(f"excess: must be 0 or above, is {self.excess!r}")

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse networks whose outputs do not start at what is drawn."""
        if network.output != "trained":
            raise ValueError(
                f"draws output weights, and those of this network are {network.output}; set network.output: "
                "trained, or take another start"
            )

    def draw(self, data: Data, network: Network, random: np.random.Generator) -> Weights:
        """Draw hidden (neuron, feature), then what outputs exceed it by, then signs."""
        hidden = self.scale * random.standard_normal((network.neurons, data.features))
        more = (self.scale if self.excess is None else self.excess) * random.exponential(size=network.neurons)
        return Weights(hidden, random.choice([-1.0, 1.0], network.neurons) * (norm(hidden) + more))
