"""What an initialization plugin is: where weights start."""

from __future__ import annotations

from abc import ABC
from typing import Any

import numpy as np

from twolayer.core.data import Data
from twolayer.core.network import Network, Weights
from twolayer.core.problem_spec import ProblemSpec

__all__ = ["InitializationSpec"]


class InitializationSpec(ABC):
    """Where weights start; the fields of the dataclass are its section. A subclass writes `draw`, or `weights`."""

    def draw(self, data: Any, network: Network, random: np.random.Generator) -> Weights:
        """The weights of one seed on the host: hidden (neuron, feature), output (neuron).

        The drawn output is used where outputs are trained; fixed and tied ones follow from the network.
        """
        raise TypeError(f"{type(self).__name__} must define draw(data, network, random)")

    def weights(self, data: Data, network: Network, random: np.random.Generator, seed: int) -> Weights:
        """As `draw`, for one that must know the seed's number, or whose section has a key of that name."""
        return self.draw(data, network, random)

    @property
    def in_reduced_coordinates(self) -> bool:
        """Whether weights are drawn in coordinates of the span of teachers and students."""
        return False

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse, by a ValueError that begins with a key, what does not go with the problem or the network."""
