"""The output layer alone: with fixed hidden weights, the loss is a quadratic form in the output weights.

L(a) = ½ aᵀGa − hᵀa + L(0), for any problem, with G_ij = s² E σ_i σ_j and h_i = s E σ_i f* over the population, or
their means over finite data. Both follow from the gradient, −h = ∂L/∂a at a = 0 and G e_j − h at a = e_j, so that any
problem with a gradient has them, by its closed form and on its arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import device

from twolayer.core.arrays import array_namespace, to_host
from twolayer.core.budget import Budget
from twolayer.core.network import Weights
from twolayer.core.problem import Problem
from twolayer.core.saved_state import StateStore
from twolayer.core.trajectory import FlowWeights
from twolayer.errors import TrainingError

__all__ = ["OutputLayer"]

Array = Any

AT_ONCE = 2**13
"""Numbers of hidden weights and data in the gradients that one call finds, unless one alone has more."""


@dataclass(frozen=True)
class OutputLayer(Problem):
    """A problem with fixed hidden weights: its gradient moves output weights only.

    problem: with trained outputs. hidden: W (…, neuron, feature). Data and network are the problem's.
    """

    problem: Problem
    hidden: Array

    closed_minimum = True

    @classmethod
    def of(cls, problem: Problem, hidden: Array) -> OutputLayer:
        """The output layer of a problem at given hidden weights; TrainingError for a loss that is not square."""
        if not problem.quadratic:
            raise TrainingError(
                f"the best output weights are known for square losses, not '{problem.data.loss}'"
            )
        return cls(problem.data, problem.network, problem, hidden)

    @property
    def threads(self) -> int:  # type: ignore[override]
        """As many as the problem's."""
        return self.problem.threads

    @cached_property
    def form(self) -> tuple[Array, Array]:
        """G (…, neuron, neuron) and h (…, neuron)."""
        xp, shape = array_namespace(self.hidden), self.hidden.shape
        slope = -self.problem.gradient(Weights(self.hidden, xp.zeros_like(self.hidden[..., 0]))).output
        ones = xp.eye(self.network.neurons, dtype=self.hidden.dtype, device=device(self.hidden))
        ones = xp.reshape(ones, (-1, *(1,) * (len(shape) - 2), shape[-2]))  # e_j, (neuron, …, neuron)
        data = sum(values.size for _, values, _ in self.data.arrays().values())
        step, columns = max(1, AT_ONCE // (self.hidden.size + data)), []
        for first in range(0, shape[-2], step):
            some = ones[first : min(first + step, shape[-2]), ...]
            hidden = xp.broadcast_to(self.hidden, (some.shape[0], *shape))
            output = xp.broadcast_to(some, hidden.shape[:-1])
            found = self.problem.gradient(
                Weights(xp.asarray(hidden, copy=True), xp.asarray(output, copy=True))
            )
            columns.append(found.output + slope)
        gram = xp.moveaxis(xp.concat(columns, axis=0), 0, -1)
        return 0.5 * (gram + xp.matrix_transpose(gram)), slope

    def loss(self, weights: Weights) -> Array:
        """L, (…,): never with a penalty."""
        return self.problem.loss(weights)

    def gradient(self, weights: Weights, weight_decay: float = 0.0) -> Weights:
        """Ga − h + weight_decay a for the output weights, 0 for the hidden ones."""
        xp = array_namespace(weights.hidden)
        gram, slope = self.form
        output = xp.sum(gram * weights.output[..., None, :], axis=-1) - slope + weight_decay * weights.output
        return Weights(xp.zeros_like(weights.hidden), output)

    def batch(self, weights: Weights, size: int, random: Sequence[Any]) -> OutputLayer:
        """The output layer on a batch of the problem."""
        return OutputLayer.of(self.problem.batch(weights, size, random), self.hidden)

    def on_samples(self, weights: Weights, chosen: Array) -> OutputLayer:
        """The output layer on some samples of the problem."""
        return OutputLayer.of(self.problem.on_samples(weights, chosen), self.hidden)

    def descend_on_batches(
        self, weights: Weights, step_size: float, batch_size: int, count: int, random: Sequence[Any]
    ) -> Weights:
        """`count` steps of a ← a − step_size ∂L_batch/∂a, each on a new batch of the problem."""
        for _ in range(count):
            slope = self.problem.batch(weights, batch_size, random).gradient(weights).output
            weights = Weights(weights.hidden, weights.output - step_size * slope)
        return weights

    def sharpness(self, weights: Weights) -> Array:
        """The top eigenvalue of G, (…,): descent is stable below 2/sharpness."""
        xp = array_namespace(weights.hidden)
        return xp.max(xp.linalg.eigvalsh(self.form[0]), axis=-1)

    def minimum(self, weights: Weights, weight_decay: float) -> Weights:
        """The minimum over a of L + (weight_decay/2)|a|²; without weight decay the one nearest to the given a.

        Eigenvalues of G below its rounding, neurons × 2⁻⁵² of the largest in float64, count as 0.
        """
        xp = array_namespace(weights.hidden)
        values, vectors, flat = self.modes()
        gram, slope = self.form
        force = slope - xp.sum(gram * weights.output[..., None, :], axis=-1) - weight_decay * weights.output
        stiff = values + weight_decay
        still = flat & (weight_decay == 0)
        inverse = xp.where(still, xp.zeros_like(stiff), 1.0 / xp.where(still, xp.ones_like(stiff), stiff))
        return Weights(weights.hidden, weights.output + along(vectors, inverse, force))

    def flow_of_seed(
        self,
        seed: int,
        weights: Weights,
        times: Array,
        weight_decay: float,
        tolerance: tuple[float, float],
        resting: Array,
        budget: Budget | None = None,
        states: StateStore | None = None,
    ) -> Iterator[FlowWeights]:
        """Gradient flow of one seed on the host at `times`, the first of which is the start's, in closed form:

        a(t) = a(0) + V [(1 − e^{−(D + λ)t})/(D + λ)] Vᵀ (h − (G + λ)a(0)), with G = V D Vᵀ.
        """
        values, vectors, _ = (to_host(part)[seed].astype(np.float64) for part in self.modes())
        gram, slope = (to_host(part)[seed].astype(np.float64) for part in self.form)
        force = vectors.T @ (slope - gram @ weights.output - weight_decay * weights.output)
        stiff = values + weight_decay
        passed = (np.asarray(times) - times[0])[:, None]
        safe = np.where(stiff > 0, stiff, 1.0)
        grown = np.where(stiff > 0, -np.expm1(-safe * passed) / safe, passed)
        for output in weights.output + (grown * force) @ vectors.T:
            yield FlowWeights(weights.hidden, output, resting=resting)

    def modes(self) -> tuple[Array, Array, Array]:
        """Eigenvalues of G (…, mode), eigenvectors (…, neuron, mode), and which eigenvalues are 0 but for rounding."""
        xp = array_namespace(self.hidden)
        values, vectors = xp.linalg.eigh(self.form[0])
        largest = xp.max(values, axis=-1, keepdims=True)
        flat = values <= self.network.neurons * xp.finfo(values.dtype).eps * largest
        return xp.where(flat, xp.zeros_like(values), values), vectors, flat


def along(vectors: Array, factors: Array, force: Array) -> Array:
    """V diag(factors) Vᵀ force, (…, neuron)."""
    xp = array_namespace(vectors)
    modes = xp.sum(vectors * force[..., :, None], axis=-2) * factors
    return xp.sum(vectors * modes[..., None, :], axis=-1)
