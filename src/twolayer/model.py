"""Two-layer networks, the finite data they are trained on, and loss and gradient of the one on the other.

Arrays carry their namespace (NumPy, CuPy, array-api-strict): nothing here names a library. Shapes are
written with the words of the datasets: seed, neuron, feature, sample. A leading `seed` axis broadcasts
everywhere, and may be missing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from array_api_compat import array_namespace, device, is_cupy_array, is_numpy_array

__all__ = [
    "OUTPUTS",
    "EmpiricalProblem",
    "FiniteData",
    "Network",
    "Problem",
    "Weights",
    "norm",
    "placed_like",
    "subset",
    "to_host",
]

Array = Any

OUTPUTS = {"fixed": 0, "trained": 1, "tied": 2}
"""What kernels call the output layers."""


@dataclass(frozen=True)
class Weights:
    """The state of a network, a vector space: `hidden` (…, neuron, feature), `output` (…, neuron)."""

    hidden: Array
    output: Array

    def __add__(self, other: Weights) -> Weights:
        return Weights(self.hidden + other.hidden, self.output + other.output)

    def __sub__(self, other: Weights) -> Weights:
        return Weights(self.hidden - other.hidden, self.output - other.output)

    def __rmul__(self, factor: float) -> Weights:
        return Weights(factor * self.hidden, factor * self.output)


@dataclass(frozen=True)
class Network:
    """The network f(x) = s Σ_j a_j σ(w_j·x), with σ = relu or |·|.

    neurons: m, the number of hidden neurons.
    output: `trained` (a_j is a parameter), `fixed` (a_j = output_values) or `tied` (a_j = |w_j|).
    output_values: one number for all neurons or a list of m, with `fixed` only.
    output_scale: s, a number, `1/m` or `1/sqrt(m)`.
    """

    neurons: int
    activation: Literal["relu", "abs"] = "relu"
    output: Literal["fixed", "trained", "tied"] = "trained"
    output_values: float | list[float] = 1.0
    output_scale: float | Literal["1/m", "1/sqrt(m)"] = 1.0

    def __post_init__(self) -> None:
        if self.neurons < 1:
            raise ValueError(f"neurons: a network has at least 1 neuron, not {self.neurons}")
        if isinstance(self.output_values, list) and len(self.output_values) != self.neurons:
            raise ValueError(
                f"output_values: {len(self.output_values)} values for {self.neurons} neurons; give one for each"
            )
        if self.output != "fixed" and self.output_values != 1.0:
            raise ValueError(f"output_values: only with 'output: fixed', here it is '{self.output}'")

    @property
    def scale(self) -> float:
        """The factor s on the sum."""
        if self.output_scale == "1/m":
            return 1.0 / self.neurons
        if self.output_scale == "1/sqrt(m)":
            return 1.0 / math.sqrt(self.neurons)
        return float(self.output_scale)

    def activate(self, preactivation: Array) -> Array:
        """σ(z), elementwise: max(z, 0) or |z|."""
        xp = array_namespace(preactivation)
        return (
            xp.abs(preactivation)
            if self.activation == "abs"
            else xp.maximum(preactivation, 0 * preactivation)
        )

    def slope(self, preactivation: Array) -> Array:
        """σ'(z), elementwise, with σ'(0) = 0."""
        xp = array_namespace(preactivation)
        if self.activation == "abs":
            return xp.sign(preactivation)
        return xp.astype(preactivation > 0, preactivation.dtype)

    def closed(self, weights: Weights) -> Weights:
        """The state with its dependent part made to fit: a_j = |w_j| where outputs are tied."""
        if self.output != "tied":
            return weights
        return Weights(weights.hidden, norm(weights.hidden))


@dataclass(frozen=True)
class FiniteData:
    """A finite data set: `inputs` (…, sample, feature), `targets` (…, sample).

    loss: `half_mean_square`, L = (1/2n) Σ_k (f(x_k) − y_k)², or `mean_square`, (1/n) Σ_k.
    teacher: the `Teacher` of whose population the data are a sample, on the host, where there is one; with a leading
    seed axis where it differs by seed.
    """

    inputs: Array
    targets: Array
    loss: str = "half_mean_square"
    teacher: Any = None

    @property
    def per_seed(self) -> bool:
        """Whether each seed has a data set of its own (a leading `seed` axis)."""
        return self.inputs.ndim == 3

    @property
    def features(self) -> int:
        """The input dimension d (with the constant coordinate, where there is one)."""
        return int(self.inputs.shape[-1])

    @property
    def samples(self) -> int:
        """The number n of samples."""
        return int(self.inputs.shape[-2])

    @property
    def attributes(self) -> dict[str, Any]:
        """What a file must know beside the arrays."""
        return {"loss": self.loss} | (self.teacher.attributes if self.teacher else {})

    def mapped(self, function: Callable[[Array], Array]) -> FiniteData:
        """The data with a function applied to inputs and targets."""
        return replace(self, inputs=function(self.inputs), targets=function(self.targets))

    def of_seed(self, index: int) -> FiniteData:
        """The data of one seed, without a seed axis, with the seed's own teacher."""
        own = index if self.per_seed else ...
        teacher = self.teacher.of_seed(index) if self.teacher else None
        return replace(self, inputs=self.inputs[own], targets=self.targets[own], teacher=teacher)

    def of_seeds(self, chosen: Array) -> FiniteData:
        """The data of some seeds, with a seed axis, where each has its own."""
        return self.mapped(lambda array: array[chosen])

    def by_teacher(self) -> list[FiniteData]:
        """Data with one teacher each: these, or one for each seed (a seed axis of length 1) where teachers differ."""
        if self.teacher is None or not self.teacher.per_seed:
            return [self]
        return [
            replace(self, inputs=inputs[None], targets=targets[None], teacher=teacher)
            for inputs, targets, teacher in zip(
                self.inputs, self.targets, self.teacher.by_teacher(), strict=True
            )
        ]

    def problem(self, network: Network) -> EmpiricalProblem:
        """The reference problem of a network on these data."""
        return EmpiricalProblem(self, network)

    @property
    def loss_weight(self) -> float:
        """κ in L = κ Σ_k (f(x_k) − y_k)²: 1/2n or 1/n."""
        return (0.5 if self.loss == "half_mean_square" else 1.0) / self.samples


@dataclass(frozen=True)
class Problem(ABC):
    """A network and what it learns, for all seeds at once. Subclasses give `loss` and `gradient`."""

    data: Any
    network: Network

    @abstractmethod
    def loss(self, weights: Weights) -> Array:
        """L, (…,): never with a penalty."""

    @abstractmethod
    def gradient(self, weights: Weights, weight_decay: float = 0.0) -> Weights:
        """The gradient of L + (weight_decay/2)(|a|² + |W|²) in the trained parameters."""

    @abstractmethod
    def batch(self, weights: Weights, size: int, random: Sequence[Any]) -> EmpiricalProblem:
        """`size` samples for each seed (the axis that `weights` lead with), from its own generator, as a problem
        whose gradient at `weights` is an estimate of ∇L without bias."""

    def rounding(self, weights: Weights) -> Array:
        """How far off `loss` may be by its own rounding, absolutely, (…,); 0 where it is right to many digits."""
        return 0.0 * weights.output[..., 0]

    def penalty(self, weights: Weights, weight_decay: float) -> Array:
        """(weight_decay/2)(|a|² + |W|²) over the trained parameters, (…,); tied outputs count."""
        xp = array_namespace(weights.hidden)
        weights = self.network.closed(weights)
        squares = xp.sum(weights.hidden**2, axis=(-2, -1))
        if self.network.output != "fixed":
            squares = squares + xp.sum(weights.output**2, axis=-1)
        return 0.5 * weight_decay * squares

    def in_span(self, weights: Weights) -> tuple[Problem, Weights, Callable[[Weights], Weights] | None]:
        """The problem and the weights in fewer coordinates, which gradients from there never leave, and the way
        back to all features; as they are, and None, where there are no fewer."""
        return self, weights, None

    def descend(self, weights: Weights, step_size: float, weight_decay: float, count: int) -> Weights:
        """`count` steps of θ ← θ − step_size ∇(L + (weight_decay/2)(|a|² + |W|²)).

        The obvious loop, which other backends' fused ones are held against.
        """
        for _ in range(count):
            weights = self.network.closed(weights - step_size * self.gradient(weights, weight_decay))
        return weights

    def descend_on_batches(
        self, weights: Weights, step_size: float, batch_size: int, count: int, random: Sequence[Any]
    ) -> Weights:
        """`count` steps of θ ← θ − step_size ∇L_batch(θ), each on a batch of its own.

        The obvious loop, which other backends' fused ones are held against.
        """
        for _ in range(count):
            gradient = self.batch(weights, batch_size, random).gradient(weights)
            weights = self.network.closed(weights - step_size * gradient)
        return weights

    def in_trained(self, weights: Weights, hidden: Array, output: Array, weight_decay: float) -> Weights:
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


@dataclass(frozen=True)
class EmpiricalProblem(Problem):
    """A network on finite data: prediction, loss and gradient, for all seeds at once."""

    data: FiniteData

    def preactivations(self, weights: Weights) -> Array:
        """z_jk = w_j·x_k, (…, neuron, sample)."""
        xp = array_namespace(weights.hidden)
        return xp.matmul(weights.hidden, xp.matrix_transpose(self.data.inputs))

    def predict(self, weights: Weights) -> Array:
        """f(x_k) on the problem's inputs, (…, sample)."""
        weights = self.network.closed(weights)
        return self._predict(weights, self.network.activate(self.preactivations(weights)))

    def loss(self, weights: Weights) -> Array:
        """L = κ Σ_k (f(x_k) − y_k)², (…,): never with a penalty."""
        xp = array_namespace(weights.hidden)
        return self.data.loss_weight * xp.sum((self.predict(weights) - self.data.targets) ** 2, axis=-1)

    def gradient(self, weights: Weights, weight_decay: float = 0.0) -> Weights:
        """The gradient of L + (weight_decay/2)(|a|² + |W|²) in the trained parameters.

        With D_j = −2κs Σ_k σ'(w_j·x_k)(f(x_k) − y_k) x_k: ∂/∂w_j = −a_j D_j and ∂/∂a_j = −⟨w_j, D_j⟩.
        Where outputs are fixed the second is zero; where they are tied (a_j = |w_j|) the chain rule adds
        −⟨w_j, D_j⟩ ŵ_j to the first, and the penalty counts both layers.
        """
        xp = array_namespace(weights.hidden)
        weights = self.network.closed(weights)
        preactivation = self.preactivations(weights)
        activation = self.network.activate(preactivation)
        residual = self._predict(weights, activation) - self.data.targets
        force = 2.0 * self.data.loss_weight * self.network.scale * residual[..., None, :]
        hidden = weights.output[..., None] * xp.matmul(
            self.network.slope(preactivation) * force, self.data.inputs
        )
        output = xp.sum(activation * force, axis=-1)
        return self.in_trained(weights, hidden, output, weight_decay)

    def batch(self, weights: Weights, size: int, random: Sequence[Any]) -> EmpiricalProblem:
        """A subset of the samples for each seed, all subsets alike: without replacement, so that all samples are
        one batch, whose gradient is that of descent."""
        xp = array_namespace(self.data.inputs)
        inputs, targets = [], []
        for index, own in enumerate(random):
            chosen = xp.asarray(subset(own, self.data.samples, size), device=device(self.data.inputs))
            seed = (index, ...) if self.data.per_seed else (...,)
            inputs.append(xp.take(self.data.inputs[seed], chosen, axis=0))
            targets.append(xp.take(self.data.targets[seed], chosen, axis=0))
        data = FiniteData(xp.stack(inputs), xp.stack(targets), self.data.loss)
        return EmpiricalProblem(data, self.network)

    def sharpness(self, weights: Weights) -> Array:
        """The top eigenvalue of the loss's Gauss–Newton matrix, (…,): descent is stable below 2/sharpness.

        It is the top eigenvalue of 2κJJᵀ with J the Jacobian (sample, parameter) of the predictions.
        """
        xp = array_namespace(weights.hidden)
        weights = self.network.closed(weights)
        preactivation = self.preactivations(weights)
        slope = weights.output[..., None] * self.network.slope(preactivation)
        activation = self.network.activate(preactivation)
        inputs = self.data.inputs
        kernel = xp.matmul(xp.matrix_transpose(slope), slope) * xp.matmul(inputs, xp.matrix_transpose(inputs))
        # tied outputs: the two cross terms of (a σ' x + σ ŵ) are σσ each, by homogeneity
        copies = {"trained": 1.0, "fixed": 0.0, "tied": 3.0}[self.network.output]
        kernel = kernel + copies * xp.matmul(xp.matrix_transpose(activation), activation)
        factor = 2.0 * self.data.loss_weight * self.network.scale**2
        return factor * xp.max(xp.linalg.eigvalsh(kernel), axis=-1)

    def _predict(self, weights: Weights, activation: Array) -> Array:
        xp = array_namespace(activation)
        return self.network.scale * xp.sum(weights.output[..., None] * activation, axis=-2)


def subset(random: Any, samples: int, size: int) -> list[int]:
    """`size` different numbers below `samples`, all sets alike up to rounding: the first steps of a shuffle
    (Fisher–Yates), one uniform number a step."""
    moved: dict[int, int] = {}
    chosen = []
    for place, uniform in enumerate(random.random(size).tolist()):
        other = place + int(uniform * (samples - place))
        chosen.append(moved.get(other, other))
        moved[other] = moved.get(place, place)
    return chosen


def norm(vectors: Array) -> Array:
    """The Euclidean norm over the last axis, safe where squares leave the range of floats."""
    xp = array_namespace(vectors)
    largest = xp.max(xp.abs(vectors), axis=-1, keepdims=True)
    safe = xp.where(largest > 0, largest, xp.ones_like(largest))
    return largest[..., 0] * xp.sqrt(xp.sum((vectors / safe) ** 2, axis=-1))


def to_host(array: Array) -> Any:
    """An array of any namespace as a NumPy array: the one way from a device to the host."""
    import numpy as np

    if is_numpy_array(array):
        return array
    return array.get() if is_cupy_array(array) else np.from_dlpack(array, device="cpu")


def placed_like(array: Any, other: Array) -> Array:
    """An array of the host in the namespace, on the device and in the precision of another: the way back."""
    xp = array_namespace(other)
    return xp.asarray(array, dtype=other.dtype, device=device(other))
