"""What an initialisation is."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from twolayer.core.network import Network, Weights

__all__ = ["Initialization"]


class Initialization(Protocol):
    """Where weights start: the fields of a dataclass are its config section."""

    def draw(self, data: Any, network: Network, random: np.random.Generator) -> Weights:
        """The weights of one seed on the host: hidden (neuron, feature), output (neuron).

        The drawn output is used where outputs are trained; fixed and tied ones follow from the network. An
        initialisation that must know the seed's number has a method `of_seed(seed)` that returns one to draw from.
        """
