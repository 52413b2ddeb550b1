"""Finite data, and loss and gradient of a network on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from array_api_compat import device

from twolayer.core.arrays import array_namespace, norm, to_host
from twolayer.core.budget import Budget
from twolayer.core.data import Arrays, Data, law_of
from twolayer.core.loss import Loss, loss_of
from twolayer.core.network import Network, Weights
from twolayer.core.problem import Problem, block_diagonal
from twolayer.core.saved_state import StateStore
from twolayer.core.seeds import subset
from twolayer.core.trajectory import FlowWeights
from twolayer.errors import TrainingError
from twolayer.finite.subgradient import least_gradient

__all__ = ["EmpiricalProblem", "FiniteData"]

Array = Any


@dataclass(frozen=True)
class FiniteData(Data, law="finite"):
    """A finite data set: `inputs` (…, sample, feature), `targets` (…, sample).

    loss: the name of ℓ in L = (1/n) Σ_k ℓ(f(x_k), y_k), such as `half_mean_square`, ½(f − y)².
    teacher: the `Teacher` of whose population the data are a sample, on the host, where there is one; with a leading
    seed axis where it differs by seed.
    loss_function: the plugin of the loss's name; None is enough for the square losses.
    further: sets of samples, by name, on which the loss is measured and nothing is trained, on the host.
    """

    inputs: Array
    targets: Array
    loss: str = "half_mean_square"
    teacher: Any = None
    loss_function: Loss | None = None
    further: Mapping[str, FiniteData] = field(default_factory=dict)

    @property
    def criterion(self) -> Loss:
        """ℓ; TrainingError for a name that is no square loss and came without its plugin."""
        return loss_of(self.loss, self.loss_function)

    @property
    def per_seed(self) -> bool:
        """Whether seeds have different data sets (a leading `seed` axis)."""
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
        """What a file must know in addition to the arrays."""
        return (self.teacher.attributes if self.teacher else {}) | {"law": self.law, "loss": self.loss}

    def arrays(self) -> Arrays:
        """`inputs(sample, feature)`, `targets(sample)`, the teacher where there is one, and the further sets:
        `<name>_inputs(<name>_sample, feature)` and `<name>_targets`."""
        lead = ("seed",) if self.per_seed else ()
        found = (self.teacher.arrays() if self.teacher else {}) | {
            "inputs": ((*lead, "sample", "feature"), self.inputs, "input x"),
            "targets": ((*lead, "sample"), self.targets, "target y"),
        }
        for name, data in self.further.items():
            what = name.replace("_", " ")
            found[f"{name}_inputs"] = (*lead, f"{name}_sample", "feature"), data.inputs, f"input x, {what}"
            found[f"{name}_targets"] = (*lead, f"{name}_sample"), data.targets, f"target y, {what}"
        return found

    @classmethod
    def read(cls, arrays: Mapping[str, Array], attributes: Mapping[str, Any]) -> FiniteData:
        """The data of a file, with the teacher where it holds one."""
        teacher = None
        if "teacher_hidden" in arrays:
            teacher = law_of({"law": "population"}, "teacher").read(arrays, attributes)
        loss = str(attributes["loss"])
        names = [name.removesuffix("_inputs") for name in arrays if name.endswith("_inputs")]
        further = {name: cls(arrays[f"{name}_inputs"], arrays[f"{name}_targets"], loss) for name in names}
        return cls(arrays["inputs"], arrays["targets"], loss, teacher, further=further)

    def stacked(self, others: Sequence[FiniteData]) -> FiniteData:
        """The data sets of several seeds, with one teacher where all have the same."""
        every = [self, *others]
        teachers = [data.teacher for data in every]
        alike = all(teacher == self.teacher for teacher in teachers)
        return replace(
            self,
            inputs=np.stack([data.inputs for data in every]),
            targets=np.stack([data.targets for data in every]),
            teacher=self.teacher if alike else teachers[0].stacked(teachers[1:]),
            further={
                name: data.stacked([other.further[name] for other in others])
                for name, data in self.further.items()
            },
        )

    def mapped(self, function: Callable[[Array], Array]) -> FiniteData:
        """The data with a function applied to inputs and targets."""
        return replace(self, inputs=function(self.inputs), targets=function(self.targets))

    def of_seed(self, index: int) -> FiniteData:
        """The data of one seed, without a seed axis, with the seed's teacher."""
        chosen = (index, ...) if self.per_seed else (...,)
        teacher = self.teacher.of_seed(index) if self.teacher else None
        further = {name: data.of_seed(index) for name, data in self.further.items()}
        return replace(
            self, inputs=self.inputs[chosen], targets=self.targets[chosen], teacher=teacher, further=further
        )

    def of_seeds(self, chosen: Array) -> FiniteData:
        """The data of some seeds, by their index: these, unless seeds have different data."""
        if not self.per_seed:
            return self
        further = {name: data.of_seeds(chosen) for name, data in self.further.items()}
        return replace(self.mapped(lambda array: array[chosen]), further=further)

    def by_teacher(self) -> list[FiniteData]:
        """Data with one teacher each: these, or one for each seed (a seed axis of length 1) where teachers differ."""
        if self.teacher is None or not self.teacher.per_seed:
            return [self]
        return [
            replace(self.of_seeds(slice(index, index + 1)), teacher=teacher)
            for index, teacher in enumerate(self.teacher.by_teacher())
        ]

    def with_loss(self, loss: Loss) -> FiniteData:
        """The data with ℓ."""
        further = {name: data.with_loss(loss) for name, data in self.further.items()}
        return replace(self, loss_function=loss, further=further)

    def problem(self, network: Network) -> EmpiricalProblem:
        """The reference problem of a network on these data."""
        return EmpiricalProblem(self, network)

    @property
    def loss_weight(self) -> float:
        """κ in L = κ Σ_k (f(x_k) − y_k)²: 1/2n or 1/n; TrainingError for a loss that is not square."""
        factor = self.criterion.square_factor
        if factor is None:
            raise TrainingError(f"the loss '{self.loss}' is no square loss")
        return factor / self.samples


@dataclass(frozen=True)
class EmpiricalProblem(Problem):
    """A network on finite data: prediction, loss and gradient, for all seeds at once."""

    data: FiniteData

    @property
    def quadratic(self) -> bool:  # type: ignore[override]
        """Whether the loss is square."""
        return self.data.criterion.square_factor is not None

    def preactivations(self, weights: Weights) -> Array:
        """z_jk = w_j·x_k, (…, neuron, sample)."""
        xp = array_namespace(weights.hidden)
        return xp.matmul(weights.hidden, xp.matrix_transpose(self.data.inputs))

    def predict(self, weights: Weights) -> Array:
        """f(x_k) on the problem's inputs, (…, sample)."""
        weights = self.network.with_tied_outputs(weights)
        return self._predict(weights, self.network.activation.value(self.preactivations(weights)))

    def loss(self, weights: Weights) -> Array:
        """L = (1/n) Σ_k ℓ(f(x_k), y_k), (…,): never with a penalty."""
        xp = array_namespace(weights.hidden)
        values = self.data.criterion.value(self.predict(weights), self.data.targets)
        return xp.sum(values, axis=-1) / self.data.samples

    def gradient(self, weights: Weights, weight_decay: float = 0.0) -> Weights:
        """The gradient of L + (weight_decay/2)(|a|² + |W|²) in the trained parameters.

        ∂/∂w_j = (s/n) a_j Σ_k ℓ'_k σ'(w_j·x_k) x_k and ∂/∂a_j = (s/n) Σ_k ℓ'_k σ(w_j·x_k).
        Where outputs are fixed the second is zero; where they are tied (a_j = |w_j|) the chain rule adds
        (∂/∂a_j) ŵ_j to the first, and the penalty counts both layers.
        """
        xp = array_namespace(weights.hidden)
        weights = self.network.with_tied_outputs(weights)
        preactivation = self.preactivations(weights)
        activation = self.network.activation.value(preactivation)
        slope = self.data.criterion.derivative(self._predict(weights, activation), self.data.targets)
        force = self.network.scale / self.data.samples * slope[..., None, :]
        hidden = weights.output[..., None] * xp.matmul(
            self.network.activation.derivative(preactivation) * force, self.data.inputs
        )
        output = xp.sum(activation * force, axis=-1)
        return self.to_trained_gradient(weights, hidden, output, weight_decay)

    def least_gradient(self, weights: Weights, weight_decay: float = 0.0) -> Weights:
        """The gradient, but for neurons that lie on an activation boundary where the loss has a convex kink."""
        return least_gradient(self, weights, weight_decay)

    def batch(self, weights: Weights, size: int, random: Sequence[Any]) -> EmpiricalProblem:
        """A subset of the samples for each seed, all subsets alike: without replacement, so that all samples are
        one batch, whose gradient is that of descent."""
        return self.on_samples(weights, [subset(generator, self.data.samples, size) for generator in random])

    def on_samples(self, weights: Weights, chosen: Sequence[Any]) -> EmpiricalProblem:
        """As `Problem.on_samples`."""
        xp = array_namespace(self.data.inputs)
        inputs, targets = [], []
        for index, samples in enumerate(chosen):
            taken = xp.asarray(samples, device=device(self.data.inputs))
            seed = (index, ...) if self.data.per_seed else (...,)
            inputs.append(xp.take(self.data.inputs[seed], taken, axis=0))
            targets.append(xp.take(self.data.targets[seed], taken, axis=0))
        data = replace(
            self.data, inputs=xp.stack(inputs), targets=xp.stack(targets), teacher=None, further={}
        )
        return EmpiricalProblem(data, self.network)

    def sharpness(self, weights: Weights) -> Array:
        """The top eigenvalue of the loss's Gauss–Newton matrix, (…,): descent is stable below 2/sharpness.

        It is the top eigenvalue of (1/n) √D JJᵀ √D with J the Jacobian (sample, parameter) of the predictions and
        D = diag(ℓ''_k), which has n rows however many parameters there are, and of (1/n) Jᵀ D J, which is taken where
        there are fewer parameters.
        """
        xp = array_namespace(weights.hidden)
        weights = self.network.with_tied_outputs(weights)
        curvature = self.data.criterion.second_derivative(self.predict(weights), self.data.targets)
        if weights.hidden.shape[-2] * (weights.hidden.shape[-1] + 1) < self.data.samples:
            preactivation = self.preactivations(weights)
            slope = weights.output[..., None] * self.network.activation.derivative(preactivation)
            rows = self._jacobian_rows(weights, slope, self.network.activation.value(preactivation))
            matrix = xp.matmul(curvature[..., None, :] * rows, xp.matrix_transpose(rows))
            return self.network.scale**2 / self.data.samples * xp.max(xp.linalg.eigvalsh(matrix), axis=-1)
        root = xp.sqrt(curvature)
        kernel = root[..., :, None] * self.tangent_kernel(weights) * root[..., None, :]
        return xp.max(xp.linalg.eigvalsh(kernel), axis=-1) / self.data.samples

    def tangent_kernel(self, weights: Weights) -> Array:
        """As `Problem.tangent_kernel`: s² Σ_j (a_j² σ'_jk σ'_jl x_k·x_l + σ_jk σ_jl), the second where outputs move.

        Where they are tied, a_j = |w_j|, it is s² Σ_j (a_j σ'_jk x_k + σ_jk ŵ_j)·(a_j σ'_jl x_l + σ_jl ŵ_j).
        """
        xp = array_namespace(weights.hidden)
        weights = self.network.with_tied_outputs(weights)
        preactivation = self.preactivations(weights)
        derivative = self.network.activation.derivative(preactivation)
        slope = weights.output[..., None] * derivative
        activation = self.network.activation.value(preactivation)
        inputs = self.data.inputs
        kernel = xp.matmul(xp.matrix_transpose(slope), slope) * xp.matmul(inputs, xp.matrix_transpose(inputs))
        if self.network.output != "fixed":
            kernel = kernel + xp.matmul(xp.matrix_transpose(activation), activation)
        if self.network.output == "tied":  # a ŵ·x = z
            cross = xp.matmul(xp.matrix_transpose(derivative * preactivation), activation)
            kernel = kernel + cross + xp.matrix_transpose(cross)
        return self.network.scale**2 * kernel

    def _jacobian_rows(self, weights: Weights, slope: Array, activation: Array) -> Array:
        """∂f(x_k)/∂θ over the output scale, (…, parameter, sample), from a_j σ'(z_jk) and σ(z_jk), (…, neuron,
        sample)."""
        xp = array_namespace(weights.hidden)
        lead, (m, d) = weights.hidden.shape[:-2], weights.hidden.shape[-2:]
        inputs = xp.matrix_transpose(self.data.inputs)
        rows = slope[..., :, None, :] * inputs[..., None, :, :]
        if self.network.output == "tied":
            length = norm(weights.hidden)
            length = xp.where(length > 0, length, xp.ones_like(length))
            rows = rows + (weights.hidden / length[..., None])[..., None] * activation[..., :, None, :]
        rows = xp.reshape(rows, (*lead, m * d, self.data.samples))
        return xp.concat([rows, activation], axis=-2) if self.network.output == "trained" else rows

    def hessian(self, weights: Weights) -> Array:
        """The second derivatives of L in the trained parameters, (…, parameter, parameter): hidden weights neuron by
        neuron, then output weights where they are trained.

        With J the Jacobian of the predictions in (W, a): (1/n) Σ_k (ℓ''_k J_k J_kᵀ + ℓ'_k ∇∇f_k). σ'' of two slopes
        counts as 0: it is the Hessian away from w_j·x_k = 0.
        """
        xp = array_namespace(weights.hidden)
        weights = self.network.with_tied_outputs(weights)
        activation, inputs, scale = self.network.activation, self.data.inputs, self.network.scale
        preactivation = self.preactivations(weights)
        value, derivative = activation.value(preactivation), activation.derivative(preactivation)
        prediction = self._predict(weights, value)
        slope = self.data.criterion.derivative(prediction, self.data.targets) / self.data.samples
        curvature = self.data.criterion.second_derivative(prediction, self.data.targets) / self.data.samples
        lead, (m, d) = weights.hidden.shape[:-2], weights.hidden.shape[-2:]
        inputs = xp.broadcast_to(inputs, (*lead, *inputs.shape[-2:]))
        by_hidden = (weights.output[..., None] * derivative)[..., None] * inputs[..., None, :, :]
        by_hidden = scale * xp.reshape(xp.moveaxis(by_hidden, -1, -2), (*lead, m * d, self.data.samples))
        by_output = scale * value
        force = scale * slope[..., None, :]
        bend = weights.output[..., None] * activation.second_derivative(preactivation) * force
        within = xp.matmul(
            xp.matrix_transpose(inputs)[..., None, :, :], bend[..., None] * inputs[..., None, :, :]
        )
        mixed = xp.matmul(derivative * force, inputs)  # ∂²f/∂w_j∂a_j
        eye = xp.eye(m, dtype=value.dtype, device=device(value))
        weighted = curvature[..., None, :] * by_hidden
        return self.to_trained_hessian(
            weights,
            xp.matmul(weighted, xp.matrix_transpose(by_hidden)) + block_diagonal(within),
            xp.matmul(weighted, xp.matrix_transpose(by_output))
            + xp.reshape(mixed[..., None] * eye[:, None, :], (*lead, m * d, m)),
            xp.matmul(curvature[..., None, :] * by_output, xp.matrix_transpose(by_output)),
            xp.sum(value * force, axis=-1),
        )

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
        """The exact flow between events (`finite.flow`) of two slopes and a square loss; of a smooth σ, whatever the
        loss, the implicit one (`core.implicit_flow`)."""
        slopes, square = self.network.activation.slopes, self.quadratic
        if slopes is None or (slopes[0] == slopes[2] and not square):
            from twolayer.core.implicit_flow import implicit_flow  # loads scipy

            data = self.data.of_seed(seed).mapped(lambda array: to_host(array).astype(np.float64))
            problem = data.problem(self.network)
            for frame in implicit_flow(problem, weights, times, weight_decay, *tolerance, budget, states):
                yield replace(frame, resting=resting)
            return
        if not square:
            raise TrainingError(
                f"the exact flow on finite data knows square losses, not '{self.data.loss}'; with a smooth activation "
                "there is a flow of any loss"
            )
        from twolayer.finite.flow import FlowStalled, flow_frames  # loads the compiler

        chosen = seed if self.data.per_seed else ...
        frames = flow_frames(
            to_host(self.data.inputs)[chosen].astype(np.float64),
            to_host(self.data.targets)[chosen].astype(np.float64),
            weights.hidden,
            weights.output,
            times,
            slopes=slopes,
            output_layer=self.network.output,
            loss_weight=self.data.loss_weight,
            output_scale=self.network.scale,
            weight_decay=weight_decay,
            rtol=tolerance[0],
            atol=tolerance[1],
            resting=resting,
            budget=budget,
            states=states,
        )
        reached, stalled = FlowWeights(weights.hidden, weights.output, resting=resting), False
        for _ in times if states is None else times[states.frames :]:
            if not stalled:
                try:
                    there = next(frames)
                    reached = FlowWeights(there.hidden, there.output, there.forks, resting=there.resting)
                except FlowStalled as stall:
                    reached, stalled = (
                        FlowWeights.lost(reached, reached.resting, reached.forks, str(stall)),
                        True,
                    )
            yield reached

    def _predict(self, weights: Weights, activation: Array) -> Array:
        xp = array_namespace(activation)
        return self.network.scale * xp.sum(weights.output[..., None] * activation, axis=-2)
