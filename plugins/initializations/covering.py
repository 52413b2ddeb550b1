"""covering: balanced Gaussian weights, with neurons that see all samples of their sign made sure of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer import InitializationSpec, Network, ProblemSpec, Weights, initialization
from twolayer.core.arrays import norm
from twolayer.errors import DataError


@initialization("covering")
@dataclass(frozen=True)
class Covering(InitializationSpec):
    """w_j ~ N(0, scale² I), a_j = ±|w_j| by fair coins, given that `covering` neurons of each sign cover it.

    A neuron covers its sign if w·x_k > 0 for every k with sign(y_k) = sign(a): it lies in S_{±,1} of Boursier,
    Pillaud-Vivien, Flammarion 2022. A neuron does so by chance with probability 2^−n_±, so for many samples the
    theorem's assumption must be made true. Reflecting a Gaussian vector in orthogonal inputs keeps its law, so for
    orthogonal inputs the first neurons have exactly the law conditioned on covering; other inputs are refused.
    """

    scale: float
    covering: int = 1

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale: must be above 0, is {self.scale!r}")
        if self.covering < 0:
            raise ValueError(f"covering: must be 0 or above, is {self.covering}")

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse fewer neurons than are to cover."""
        if 2 * self.covering > network.neurons:
            raise ValueError(
                f"covering: {self.covering} of each sign need {2 * self.covering} neurons, not {network.neurons}"
            )

    def draw(self, data: Any, network: Network, random: np.random.Generator) -> Weights:
        """Draw all neurons, then reflect the first 2·covering, + and − in turn."""
        if data.law != "finite":
            raise DataError(
                "initialization.covering: there are no samples to cover; use 'gaussian' on a population"
            )
        gram = data.inputs @ data.inputs.T
        if np.abs(gram - np.diag(np.diag(gram))).max(initial=0.0) > 1e-12 * gram.max():
            raise DataError(
                "initialization.covering: the inputs must be orthogonal; use 'gaussian' for others"
            )
        hidden = self.scale * random.standard_normal((network.neurons, data.features))
        signs = random.choice([-1.0, 1.0], network.neurons)
        signs[: 2 * self.covering] = np.tile([1.0, -1.0], self.covering)
        for j in range(2 * self.covering):
            along = data.inputs @ hidden[j] / np.diag(gram)
            wrong = (along < 0) & (signs[j] * data.targets > 0)
            hidden[j] -= 2 * np.where(wrong, along, 0.0) @ data.inputs
        return Weights(hidden, signs * norm(hidden))
