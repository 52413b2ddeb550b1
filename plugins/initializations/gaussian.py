"""gaussian: independent normal weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from twolayer import Network, Weights, initialization
from twolayer.core.arrays import norm

LARGEST = 2**28
"""Numbers in the weights of one seed (2 GiB): beyond, a full draw is refused."""


@initialization("gaussian")
@dataclass(frozen=True)
class Gaussian:
    """w_j ~ N(0, scale² I); trained outputs a_j ~ N(0, scale²), or a_j = ±|w_j| by fair coins if balanced.

    draw: `full`, in all d features; `reduced`, on a teacher, in coordinates of the span of teachers and students, in
    which the run's files then are: min(d, m + k) of them, at no cost in d. It is the same law, and another sample.
    """

    scale: float
    balanced: bool = False
    draw: Literal["full", "reduced"] = "full"

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale: must be above 0, is {self.scale!r}")

    def check(self, problem: Any, network: Network) -> None:
        """Refuse a full draw that memory does not hold."""
        features = getattr(problem, "dimension", 0)
        if self.draw == "full" and network.neurons * features > LARGEST:
            raise ValueError(
                f"draw: 'full' draws {network.neurons} × {features} numbers a seed, more than {LARGEST}; "
                "'reduced' draws their law on a teacher in few coordinates"
            )

    def of_seed(self, seed: int) -> Normal:
        """What draws the weights, the same for each seed: here `draw` is the section's key."""
        return Normal(self.scale, self.balanced)


@dataclass(frozen=True)
class Normal:
    """The normal law, in the coordinates of the data."""

    scale: float
    balanced: bool

    def draw(self, data: Any, network: Network, random: np.random.Generator) -> Weights:
        """Draw hidden (neuron, feature), then output (neuron)."""
        hidden = random.standard_normal((network.neurons, data.features))
        if getattr(data, "dimension", None) is not None:
            beside = data.features - network.neurons  # after the teachers' coordinates
            hidden[:, beside:] = triangular(hidden[:, beside:], data.dimension - beside, random)
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
