"""layerwise: hidden and output weights of separate scales, normal or uniform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from twolayer import InitializationSpec, Network, ProblemSpec, Weights, initialization
from twolayer.core.data import Data


@initialization("layerwise")
@dataclass(frozen=True)
class Layerwise(InitializationSpec):
    """Entries w_jk = hidden_scale z/√(fan) and a_j = output_scale z/√(fan), with z ~ N(0, 1), or uniform on [−1, 1].

    law: `normal` or `uniform` (of variance 1/3). fan_in: whether entries are divided by √d and √m, the numbers of
    entries that each layer sums over; without it by 1. Where outputs are fixed or tied, `output_scale` is left out.
    """

    hidden_scale: float
    output_scale: float | None = None
    law: Literal["normal", "uniform"] = "normal"
    fan_in: bool = False

    def __post_init__(self) -> None:
        if not self.hidden_scale > 0:
            raise ValueError(f"hidden_scale: must be above 0, is {self.hidden_scale!r}")
        if self.output_scale is not None and not self.output_scale >= 0:
            raise ValueError(f"output_scale: must be 0 or above, is {self.output_scale!r}")

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse a scale of outputs that do not start at what is drawn, and its lack where they do."""
        if network.output == "trained" and self.output_scale is None:
            raise ValueError("output_scale: trained outputs need a start; give their scale")
        if network.output != "trained" and self.output_scale is not None:
            raise ValueError(
                f"output_scale: the network's outputs are {network.output}, and nothing is drawn for them; leave it "
                "out, or set network.output: trained"
            )

    def draw(self, data: Data, network: Network, random: np.random.Generator) -> Weights:
        """Draw hidden (neuron, feature), then output (neuron)."""
        hidden = self.hidden_scale * self.entries((network.neurons, data.features), random)
        output = (self.output_scale or 0.0) * self.entries((network.neurons,), random)
        return Weights(hidden, output)

    def entries(self, shape: tuple[int, ...], random: np.random.Generator) -> Any:
        """z/√(fan), of as many entries as the last axis has."""
        drawn = random.uniform(-1.0, 1.0, shape) if self.law == "uniform" else random.standard_normal(shape)
        return drawn / np.sqrt(shape[-1]) if self.fan_in else drawn
