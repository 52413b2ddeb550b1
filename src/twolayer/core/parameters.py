"""The trained parameters of one seed as one vector, for integrators and minimisers."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.core.network import Weights

__all__ = ["TrainedParameters"]


class TrainedParameters:
    """Hidden weights neuron by neuron, then output weights where they are trained: a vector (parameter,).

    problem: of the seed, on the host. start: its weights, hidden (neuron, feature), output (neuron,), of which outputs
    that are not trained are taken.
    """

    def __init__(self, problem: Any, start: Weights) -> None:
        self.problem, self.start = problem, start
        self.trained = problem.network.output == "trained"
        self.shape = start.hidden.shape

    def packed(self, weights: Weights) -> Any:
        """The vector of weights."""
        return np.concatenate([weights.hidden.reshape(-1), *([weights.output] if self.trained else [])])

    def unpacked(self, vectors: Any) -> Weights:
        """The weights of vectors (…, parameter)."""
        lead, size = vectors.shape[:-1], self.shape[0] * self.shape[1]
        hidden = vectors[..., :size].reshape(*lead, *self.shape)
        output = vectors[..., size:] if self.trained else self.start.output
        if lead and not self.trained:
            output = np.broadcast_to(output, hidden.shape[:-1])
        return self.problem.network.with_tied_outputs(Weights(hidden, output))
