"""output_fit: the output weights that minimise L + (λ/2)|a|² at the given hidden weights, at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twolayer import InstantUpdate, Loss, Network, Problem, ProblemSpec, Weights, dynamics
from twolayer.core.loss import refuse_other_losses
from twolayer.core.output_layer import OutputLayer


@dynamics("output_fit")
@dataclass(frozen=True)
class OutputFit(InstantUpdate):
    """a ← argmin_a L(W, a) + (weight_decay/2)|a|², by one linear solve; W stays.

    Without weight decay it is, of the minima, the one nearest to the output weights as they were.
    """

    weight_decay: float = 0.0

    stays_in_span = True  # hidden weights do not move

    def __post_init__(self) -> None:
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay: must be 0 or above, is {self.weight_decay!r}")

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse networks whose output weights are not parameters."""
        if network.output != "trained":
            raise ValueError(f"fits output weights, and those of this network are '{network.output}'")

    def validate_loss(self, loss: Loss, name: str, network: Network) -> None:
        """Refuse a loss that is not square, of which the fit is no linear solve."""
        refuse_other_losses(loss, name, "output_fit")

    def weight_decay_at(self, time: float) -> float:
        """λ, at any time."""
        return self.weight_decay

    def update(self, problem: Problem, weights: Weights, random: Sequence[np.random.Generator]) -> Weights:
        """The fit."""
        return OutputLayer.of(problem, weights.hidden).minimum(weights, self.weight_decay)
