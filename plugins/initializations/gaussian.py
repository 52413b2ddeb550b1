"""gaussian: independent normal weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from twolayer import InitializationSpec, Network, ProblemSpec, Weights, initialization
from twolayer.core.arrays import norm
from twolayer.core.data import Data

LARGEST = 2**28
"""Numbers in the weights of one seed (2 GiB): beyond, a full draw is refused."""


@initialization("gaussian")
@dataclass(frozen=True)
class Gaussian(InitializationSpec):
    """w_j ~ N(0, scale² I); trained outputs a_j ~ N(0, scale²), or a_j = ±|w_j| by fair coins if balanced.

    spherical: each w_j is put on the sphere of radius scale, so that w_j is uniform on it.
    draw: `full`, in all d features; `reduced`, on a teacher, in coordinates of the span of teachers and students, in
    which the run's files then are: min(d, m + k) of them, at no cost in d. It is the same law, and another sample.
    """

    scale: float
    balanced: bool = False
    draw: Literal["full", "reduced"] = "full"  # type: ignore[assignment]
    spherical: bool = False

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale: must be above 0, is {self.scale!r}")

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse balance where outputs do not start at what is drawn, and a full draw that memory does not hold."""
        if self.balanced and network.output != "trained":
            raise ValueError(
                f"balanced: draws outputs a_j = ±|w_j|, but the network's outputs are {network.output}; leave "
                "balanced out, or set network.output: trained"
            )
        _, features = problem.size
        if self.draw == "full" and network.neurons * (features or 0) > LARGEST:
            raise ValueError(
                f"draw: 'full' draws {network.neurons} × {features} numbers per seed, more than {LARGEST}; "
                "'reduced' draws their law on a teacher in few coordinates"
            )

    @property
    def in_reduced_coordinates(self) -> bool:
        """As `draw` says."""
        return self.draw == "reduced"

    def weights(self, data: Data, network: Network, random: np.random.Generator, seed: int) -> Weights:
        """Draw hidden (neuron, feature), then output (neuron)."""
        hidden = random.standard_normal((network.neurons, data.features))
        if data.dimension is not None:
            rest = data.features - network.neurons  # after the teachers' coordinates
            hidden[:, rest:] = triangular(hidden[:, rest:], data.dimension - rest, random)
        if self.spherical:
            hidden = hidden / norm(hidden)[..., None]
        hidden = self.scale * hidden
        if self.balanced:
            return Weights(hidden, random.choice([-1.0, 1.0], network.neurons) * norm(hidden))
        return Weights(hidden, self.scale * random.standard_normal(network.neurons))


def triangular(normal: Any, dimension: int, random: np.random.Generator) -> Any:
    """m standard normal vectors of a dimension, in the orthonormal basis that Gram and Schmidt find from them (m, m).

    The first i − 1 coordinates of vector i are normal, as in any basis that does not depend on it; what is left is
    the length of a normal vector in dimension − i + 1 dimensions, √χ², and the rest 0 (Bartlett's decomposition).
    """
    degrees = dimension - np.arange(len(normal))
    return np.tril(normal, -1) + np.diag(np.sqrt(random.chisquare(degrees)))
