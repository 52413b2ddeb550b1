"""The base class of problems: a network and what it learns."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from array_api_compat import device

from twolayer.core.arrays import array_namespace, norm, to_host
from twolayer.core.budget import Budget
from twolayer.core.network import Network, Weights
from twolayer.core.saved_state import StateStore
from twolayer.core.trajectory import FlowWeights
from twolayer.errors import TrainingError

__all__ = ["Problem"]

Array = Any


@dataclass(frozen=True)
class Problem(ABC):
    """A network and what it learns, for all seeds at once. Subclasses give `loss` and `gradient`."""

    data: Any
    network: Network

    threads = 1
    """How many seeds it works on at once."""
    on_population = False
    """Whether the loss is that of a teacher's whole population."""
    flows_compiled = False
    """Whether a flow is one of compiled code, which shares kernels with the compiled measures."""
    quadratic = True
    """Whether L is a quadratic form in the output weights."""
    closed_minimum = False
    """Whether `minimum` is known in closed form, of all seeds at once."""
    shortest_start = 0.0
    """The shortest start of a gradient flow, but for 0: below it squares of rates leave the range of floats."""

    @abstractmethod
    def loss(self, weights: Weights) -> Array:
        """L, (…,): never with a penalty."""

    @abstractmethod
    def gradient(self, weights: Weights, weight_decay: float = 0.0) -> Weights:
        """The gradient of L + (weight_decay/2)(|a|² + |W|²) in the trained parameters."""

    def batch(self, weights: Weights, size: int, random: Sequence[Any]) -> Problem:
        """`size` samples for each seed (the axis that `weights` lead with), from its generator, as a problem
        whose gradient at `weights` is an estimate of ∇L without bias. TrainingError where there are none to draw."""
        raise TrainingError(f"{type(self).__name__} has no samples to draw; take a dynamics without batches")

    def on_samples(self, weights: Weights, chosen: Array) -> Problem:
        """The problem on some of its samples, by their index: chosen (seed, sample), on the host."""
        raise TrainingError(f"{type(self).__name__} has no samples to choose from")

    def least_gradient(self, weights: Weights, weight_decay: float = 0.0) -> Weights:
        """The element of least norm of the objective's subdifferential, on the host: the gradient if it exists."""
        return self.gradient(weights, weight_decay)

    def gradient_norm(self, weights: Weights, weight_decay: float = 0.0, *, least: bool = False) -> Array:
        """The Frobenius norm of `gradient`, (…,), or where `least` that of `least_gradient`."""
        xp = array_namespace(weights.hidden)
        slope = (self.least_gradient if least else self.gradient)(weights, weight_decay)
        return xp.sqrt(xp.sum(slope.hidden**2, axis=(-2, -1)) + xp.sum(slope.output**2, axis=-1))

    def measures_compiled(self, networks: int) -> bool:
        """Whether so many networks are measured sooner by a compiled form, in spite of its start, than by the array
        code, which is the reference (`training.measuring`)."""
        return False

    def predict(self, weights: Weights) -> Array:
        """f(x) at each sample, (…, sample)."""
        raise TrainingError(f"{type(self).__name__} has no samples to predict")

    def rounding(self, weights: Weights) -> Array:
        """How far off `loss` may be by rounding, absolutely, (…,); 0 where it is right to many digits."""
        return 0.0 * weights.output[..., 0]

    def sharpness(self, weights: Weights) -> Array:
        """The top Hessian eigenvalue, (…,): descent is stable below 2/sharpness."""
        raise TrainingError(f"{type(self).__name__} has no top Hessian eigenvalue")

    def tangent_kernel(self, weights: Weights) -> Array:
        """K = J Jᵀ (…, sample, sample), J the Jacobian of the predictions in the trained parameters."""
        raise TrainingError(f"{type(self).__name__} has no samples, and no kernel on them")

    def hessian(self, weights: Weights) -> Array:
        """The Hessian of L in the trained parameters, (…, parameter, parameter)."""
        raise TrainingError(f"{type(self).__name__} has no Hessian")

    def hessian_with_outside(self, weights: Weights) -> Array:
        """A matrix with all eigenvalues of the Hessian, each at least once: the Hessian."""
        return self.hessian(weights)

    def hidden_norms(self, weights: Weights) -> Array:
        """|w| of each neuron, (…, neuron)."""
        return norm(weights.hidden)

    def minimum(self, weights: Weights, weight_decay: float) -> Weights:
        """The minimum of L + (weight_decay/2)(|a|² + |W|²) in the trained parameters, that nearest to the weights."""
        raise TrainingError(f"{type(self).__name__} has no minimum in closed form")

    def penalty(self, weights: Weights, weight_decay: float) -> Array:
        """(weight_decay/2)(|a|² + |W|²) over the trained parameters, (…,); tied outputs count."""
        xp = array_namespace(weights.hidden)
        weights = self.network.with_tied_outputs(weights)
        squares = xp.sum(weights.hidden**2, axis=(-2, -1))
        if self.network.output != "fixed":
            squares = squares + xp.sum(weights.output**2, axis=-1)
        return 0.5 * weight_decay * squares

    def in_span(self, weights: Weights) -> tuple[Problem, Weights, Callable[..., Weights] | None]:
        """The problem and the weights in fewer coordinates, which gradients from there never leave, and the way
        back to all features, (weights, slice of seeds) -> weights; as they are, and None, where there are no fewer."""
        return self, weights, None

    def descend(self, weights: Weights, step_size: float, weight_decay: float, count: int) -> Weights:
        """`count` steps of θ ← θ − step_size ∇(L + (weight_decay/2)(|a|² + |W|²)).

        The plain loop, against which other backends' fused loops are tested.
        """
        for _ in range(count):
            weights = self.network.with_tied_outputs(
                weights - step_size * self.gradient(weights, weight_decay)
            )
        return weights

    def descend_on_batches(
        self, weights: Weights, step_size: float, batch_size: int, count: int, random: Sequence[Any]
    ) -> Weights:
        """`count` steps of θ ← θ − step_size ∇L_batch(θ), each on a new batch.

        The plain loop, against which other backends' fused loops are tested.
        """
        for _ in range(count):
            gradient = self.batch(weights, batch_size, random).gradient(weights)
            weights = self.network.with_tied_outputs(weights - step_size * gradient)
        return weights

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
        """Gradient flow of one seed on the host at `times`, the first of which is the start's: a frame for each,
        hidden (neuron, feature), output (neuron,), as soon as it is reached; NaN from a stall on.

        weights: of the seed, in float64. tolerance: of a step, relative and absolute. resting: see `FlowWeights`.
        budget: how much the flow may take; beyond it frames are NaN. states: where the state is saved between steps;
        from one that is found there, the frames after it are yielded.
        """
        raise TrainingError(f"{type(self).__name__} has no gradient flow")

    def with_flows(self, flow_of_seed: Callable[..., Iterator[FlowWeights]]) -> Self:
        """The same, whose flow of a seed is found by a function with the arguments of `flow_of_seed`."""
        found = copy.copy(self)
        vars(found)["flow_of_seed"] = flow_of_seed
        return found

    def to_trained_gradient(
        self, weights: Weights, hidden: Array, output: Array, weight_decay: float
    ) -> Weights:
        """The objective's gradient in the trained parameters from ∂L/∂w (…, neuron, feature) and ∂L/∂a.

        Where outputs are fixed ∂L/∂a is dropped; where they are tied it adds (∂L/∂a_j) ŵ_j, and the penalty
        counts both layers.
        """
        xp = array_namespace(weights.hidden)
        if self.network.output == "trained":
            return Weights(hidden + weight_decay * weights.hidden, output + weight_decay * weights.output)
        if self.network.output == "fixed":
            return Weights(hidden + weight_decay * weights.hidden, xp.zeros_like(output))
        length = norm(weights.hidden)
        direction = weights.hidden / xp.where(length > 0, length, xp.ones_like(length))[..., None]
        hidden = hidden + output[..., None] * direction
        return Weights(hidden + 2.0 * weight_decay * weights.hidden, xp.zeros_like(output))

    def to_trained_hessian(
        self, weights: Weights, hidden: Array, cross: Array, output: Array, by_output: Array
    ) -> Array:
        """The Hessian in the trained parameters from that in (W, a): ∂²L/∂W∂W (…, m d, m d), ∂²L/∂W∂a (…, m d, m) and
        ∂²L/∂a∂a (…, m, m), W neuron by neuron, and ∂L/∂a (…, m).

        Where outputs are tied, with J = ∂(W, a)/∂W, it is Jᵀ H J + Σ_j (∂L/∂a_j)(I − ŵŵᵀ)/|w_j|.
        """
        xp = array_namespace(hidden)
        if self.network.output == "fixed":
            return hidden
        if self.network.output == "trained":
            top = xp.concat([hidden, cross], axis=-1)
            return xp.concat([top, xp.concat([xp.matrix_transpose(cross), output], axis=-1)], axis=-2)
        length = norm(weights.hidden)
        length = xp.where(length > 0, length, xp.ones_like(length))
        direction = weights.hidden / length[..., None]
        lead, (m, d) = direction.shape[:-2], direction.shape[-2:]
        eye, identity = (xp.eye(n, dtype=length.dtype, device=device(length)) for n in (m, d))
        jacobian = xp.reshape(direction[..., :, None, :] * eye[..., None], (*lead, m, m * d))
        mixed = xp.matmul(cross, jacobian)
        outer = direction[..., :, None] * direction[..., None, :]
        bend = (by_output / length)[..., None, None] * (identity - outer)
        return (
            hidden
            + mixed
            + xp.matrix_transpose(mixed)
            + xp.matmul(xp.matrix_transpose(jacobian), xp.matmul(output, jacobian))
            + block_diagonal(bend)
        )


def block_diagonal(blocks: Array) -> Array:
    """The matrices (…, m, d, d) along the diagonal of one, (…, m d, m d)."""
    xp = array_namespace(blocks)
    *lead, m, d, _ = blocks.shape
    eye = xp.eye(m, dtype=blocks.dtype, device=device(blocks))
    spread = blocks[..., :, :, None, :] * eye[:, None, :, None]
    return xp.reshape(spread, (*lead, m * d, m * d))


def data_of(data: Any, index: int) -> Any:
    """The data of one seed, on the host."""
    return data.of_seed(index).mapped(to_host)
