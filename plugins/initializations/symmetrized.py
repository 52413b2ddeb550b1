"""symmetrized: a start at which the network is the function 0."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from twolayer import InitializationSpec, Network, ProblemSpec, Weights, initialization
from twolayer.core.data import Data
from twolayer.study.schema import Nested


@dataclass(frozen=True)
class Half(Nested):
    """An initialization by name, with its keys."""

    kind: ClassVar[str] = "initializations"


@initialization("symmetrized")
@dataclass(frozen=True)
class Symmetrized(InitializationSpec):
    """Neurons j and m/2 + j start at (w_j, a_j) and (w_j, −a_j), so that f = 0, whatever the scale.

    half: the start of the first m/2 neurons, {name: gaussian, scale: 1} say. Outputs are trained, or fixed at values
    whose second half is minus the first. Gradients do not vanish, and pairs part at the first step.
    """

    half: Half

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse odd numbers of neurons, outputs that do not cancel, and what the start of the half refuses."""
        if network.neurons % 2:
            raise ValueError(f"neurons come in pairs, and the network has {network.neurons}; make it even")
        if network.output == "tied":
            raise ValueError("tied outputs a_j = |w_j| have one sign and do not cancel; set network.output")
        values = np.broadcast_to(np.asarray(network.output_values, dtype=np.float64), network.neurons)
        first, second = np.split(values, 2)
        if network.output == "fixed" and (first != -second).any():
            raise ValueError(
                "the fixed outputs do not cancel; the second half of network.output_values must be minus the first"
            )
        if self.half.plugin.in_reduced_coordinates:
            raise ValueError("half.draw: 'reduced' coordinates are those of all neurons; set it to 'full'")
        try:
            self.half.plugin.validate(problem, half_of(network))
        except ValueError as error:
            raise ValueError(f"half.{error}") from None

    def weights(self, data: Data, network: Network, random: np.random.Generator, seed: int) -> Weights:
        """The half as its start draws it, twice, with the second's outputs turned."""
        drawn = self.half.plugin.weights(data, half_of(network), random, seed)
        hidden = np.concatenate([drawn.hidden, drawn.hidden])
        return Weights(hidden, np.concatenate([drawn.output, -np.asarray(drawn.output)]))


def half_of(network: Network) -> Network:
    """The network of the first half of the neurons, with the output scale of all."""
    values = network.output_values
    if isinstance(values, list):
        values = values[: len(values) // 2]
    return replace(network, neurons=network.neurons // 2, output_values=values, output_scale=network.scale)
