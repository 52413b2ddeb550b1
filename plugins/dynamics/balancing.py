"""balancing: share the weight of each neuron evenly between its layers, at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace

from twolayer import InstantUpdate, Network, Problem, ProblemSpec, Weights, dynamics
from twolayer.core.arrays import norm


@dynamics("balancing")
@dataclass(frozen=True)
class Balancing(InstantUpdate):
    """w_j ← √(|a_j||w_j|) ŵ_j and a_j ← ±√(|a_j||w_j|): the same function with |a_j| = |w_j|.

    Of all ways to write the function by these directions it has the least |a|² + |W|². A neuron with a_j = 0 or
    w_j = 0 becomes 0.
    """

    stays_in_span = True  # each vector stays on its line

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse networks whose output weights are not parameters."""
        if network.output != "trained":
            raise ValueError(f"moves output weights, and those of this network are '{network.output}'")
        if network.activation.degree != 1:
            raise ValueError(
                "keeps the function where σ(cz) = cσ(z) for c > 0, as relu, abs or leaky_relu; "
                f"{type(network.activation).__name__} is not so"
            )

    def update(self, problem: Problem, weights: Weights, random: Sequence[np.random.Generator]) -> Weights:
        """The balanced weights."""
        xp = array_namespace(weights.hidden)
        length = norm(weights.hidden)
        size = xp.sqrt(xp.abs(weights.output)) * xp.sqrt(length)
        factor = size / xp.where(length > 0, length, xp.ones_like(length))
        return Weights(factor[..., None] * weights.hidden, xp.sign(weights.output) * size)
