"""Networks that learn a teacher on Gaussian input: exact loss, gradient and Hessian, for all seeds at once.

Gradients are combinations of students and teachers, so a dynamics that takes nothing but weights and gradients
never leaves their span at the start: it runs in min(d, m + k) coordinates, whatever d (`reduced`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import device

from twolayer.core.arrays import array_namespace, norm, to_host
from twolayer.core.budget import Budget
from twolayer.core.compensated import two_product
from twolayer.core.data import Arrays, Data
from twolayer.core.network import Network, Weights
from twolayer.core.saved_state import StateStore
from twolayer.core.trajectory import FlowWeights
from twolayer.population import closed_form, orthogonal_form
from twolayer.population.closed_form import Factors, Units, outer, unit
from twolayer.population.teacher_problem import TeacherProblem, lifted, orthonormal, reduced

__all__ = ["PopulationProblem", "Teacher", "lifted", "orthonormal", "reduced"]

Array = Any

COMPILED = 2**21
"""Networks × pairs of units × (features + 16) from which on compiled measures are worth their start: half a second of
array code for loss and gradient (660 networks of m = k = d = 6, 345 of (10, 3, 20)), as long as loading them takes
with all of Numba, five times as long as without. To compile them, once, takes ten seconds."""


@dataclass(frozen=True, eq=False)
class Teacher(Data, law="population"):
    """f*(x) = Σ_l b_l σ(v_l·x) on x ~ N(0, I_d), with σ the network's activation.

    hidden: v (teacher, feature). output: b (teacher,). Both lead with a seed axis where seeds have different teachers:
    a problem has one teacher, so that each seed is then a run by itself (`of_seed`).
    profile: what of f − f* is removed before squaring: `none`, `constant`, or `linear` (constant and linear part).
    dimension: d where features are reduced coordinates: m + k < d of them, the first k spanning the teachers, and
    nothing outside. None where features are all d.
    noise: Δ of labels y = f*(x) + √Δ ζ with ζ ~ N(0, 1), on samples; the loss is ½ E (f − f*)², without its Δ/2.
    """

    hidden: Array
    output: Array
    profile: str = "none"
    dimension: int | None = None
    noise: float = 0.0

    @property
    def per_seed(self) -> bool:
        """Whether seeds have different teachers (a leading `seed` axis)."""
        return bool(self.hidden.ndim == 3)

    @property
    def apart(self) -> bool:
        """Whether seeds have different teachers: a problem has one teacher."""
        return self.per_seed

    def of_seed(self, index: int) -> Teacher:
        """The teacher of one seed."""
        return self.mapped(lambda array: array[index]) if self.per_seed else self

    def by_teacher(self) -> list[Teacher]:
        """One teacher each: itself, or one for each seed."""
        return [self.of_seed(index) for index in range(self.hidden.shape[0])] if self.per_seed else [self]

    @property
    def teacher(self) -> Teacher:
        """Itself, as finite data have the teacher whose sample they are."""
        return self

    @property
    def features(self) -> int:
        """The number of coordinates: the input dimension d, unless they are reduced."""
        return int(self.hidden.shape[-1])

    @property
    def attributes(self) -> dict[str, Any]:
        """What a file must know in addition to the arrays."""
        return (
            {"law": self.law, "profile": self.profile}
            | ({"dimension": self.dimension} if self.dimension else {})
            | ({"noise": self.noise} if self.noise else {})
        )

    def arrays(self) -> Arrays:
        """`teacher_hidden(teacher, feature)` and `teacher_output(teacher)`."""
        lead = ("seed",) if self.per_seed else ()
        return {
            "teacher_hidden": ((*lead, "teacher", "feature"), self.hidden, "teacher's hidden weights v"),
            "teacher_output": ((*lead, "teacher"), self.output, "teacher's output weights b"),
        }

    @classmethod
    def read(cls, arrays: Mapping[str, Array], attributes: Mapping[str, Any]) -> Teacher:
        """The teacher of a file."""
        dimension = int(attributes["dimension"]) if "dimension" in attributes else None
        noise = float(attributes.get("noise", 0.0))
        return cls(
            arrays["teacher_hidden"], arrays["teacher_output"], str(attributes["profile"]), dimension, noise
        )

    def __eq__(self, other: object) -> bool:
        """Whether all arrays and settings are the same."""
        return isinstance(other, Teacher) and (
            np.array_equal(self.hidden, other.hidden)
            and np.array_equal(self.output, other.output)
            and self.attributes == other.attributes
        )

    __hash__ = None  # type: ignore[assignment]

    def stacked(self, others: Sequence[Teacher]) -> Teacher:
        """The teachers of several seeds."""
        every = [self, *others]
        hidden = np.stack([teacher.hidden for teacher in every])
        return replace(self, hidden=hidden, output=np.stack([teacher.output for teacher in every]))

    def mapped(self, function: Callable[[Array], Array]) -> Teacher:
        """The teacher with a function applied to each array."""
        return replace(self, hidden=function(self.hidden), output=function(self.output))

    def problem(self, network: Network) -> TeacherProblem:
        """The reference problem: `PopulationProblem` for an activation of two slopes, else `KernelProblem`."""
        if self.per_seed:
            raise ValueError(
                "each seed has another teacher; take the problem of one, `teacher.of_seed(index)`"
            )
        if network.activation.slopes is None:
            from twolayer.population.kernel_problem import KernelProblem

            return KernelProblem(self, network)
        return PopulationProblem(self, network)

    def labels(self, inputs: Array, network: Network) -> Array:
        """f*(x), (…, sample), of inputs (…, sample, feature) with the network's activation."""
        xp = array_namespace(inputs)
        return xp.matmul(
            network.activation.value(xp.matmul(inputs, xp.matrix_transpose(self.hidden))), self.output
        )

    @cached_property
    def orthogonal(self) -> bool:
        """Whether the teachers are orthogonal to rounding, as a single one is."""
        xp = array_namespace(self.hidden)
        axes = unit(self.hidden)
        count = axes.shape[-2]
        product = xp.matmul(axes, xp.matrix_transpose(axes))
        product = product * (1.0 - xp.eye(count, dtype=axes.dtype, device=axes.device))
        return bool(xp.max(xp.abs(product)) < 32 * xp.finfo(axes.dtype).eps)


@dataclass(frozen=True)
class PopulationProblem(TeacherProblem):
    """A network and a teacher: L = ½ E (f − f*)² with the teacher's profile removed, by the closed forms.

    Orthogonal teachers, or a single one, keep digits to L = 1e-25 (`orthogonal_form`); others about 1e-16 absolute.
    """

    data: Teacher

    shortest_start = 1e-100

    @cached_property
    def factors(self) -> Factors:
        """The constants of the closed form."""
        return closed_form.factors(self.network.activation, self.data.profile)

    def units(self, weights: Weights) -> tuple[Units, Array]:
        """Students and teachers in one list, and the sign that each student was turned by (|·| only)."""
        xp = array_namespace(weights.hidden)
        lead = weights.hidden.shape[:-2]
        teachers = xp.broadcast_to(self.data.hidden, (*lead, *self.data.hidden.shape[-2:]))
        given = xp.broadcast_to(-self.data.output, (*lead, self.data.output.shape[-1]))
        output = xp.astype(weights.output, weights.hidden.dtype, copy=False)  # signs may be whole numbers
        scale = xp.asarray(self.network.scale, dtype=output.dtype, device=device(output))
        coefficients, left_out = two_product(scale, output)
        units = Units(
            xp.concat([weights.hidden, teachers], axis=-2),
            xp.concat([coefficients, given], axis=-1),
            self.network.neurons,
            xp.concat([left_out, xp.zeros_like(given)], axis=-1),
        )
        if self.network.activation.even:
            return closed_form.oriented(units)
        return units, xp.ones_like(weights.output)

    def loss(self, weights: Weights) -> Array:
        """L = ½ E (f − f*)², (…,): never with a penalty, never negative."""
        form = orthogonal_form if self.data.orthogonal else closed_form
        return form.loss(self.units(self.network.with_tied_outputs(weights))[0], self.factors)

    def rounding(self, weights: Weights) -> Array:
        """What the rounding of the closed form's terms may sum up to, (…,): above 0, so that no loss of 0 is known.

        ε (Σ_p |C_p|)² for teachers that are not orthogonal, as terms of that size cancel in `loss`.
        """
        xp = array_namespace(weights.hidden)
        units = self.units(self.network.with_tied_outputs(weights))[0]
        if self.data.orthogonal:
            return orthogonal_form.rounding(units, self.factors)
        kind = xp.finfo(units.vectors.dtype)
        return kind.eps * xp.sum(xp.abs(units.masses), axis=-1) ** 2 + kind.smallest_normal

    def gradient(self, weights: Weights, weight_decay: float = 0.0) -> Weights:
        """The gradient of L + (weight_decay/2)(|a|² + |W|²) in the trained parameters.

        ∂L/∂w_i = s a_i F_i and ∂L/∂a_i = s ⟨w_i, F_i⟩ with the field F of `closed_form`, at w_i = 0 that of σ'(0).
        """
        xp = array_namespace(weights.hidden)
        weights = self.network.with_tied_outputs(weights)
        units, signs = self.units(weights)
        form = orthogonal_form if self.data.orthogonal else closed_form
        field = self.network.scale * signs[..., None] * form.field(units, self.factors)
        output = xp.sum(weights.hidden * field, axis=-1)
        return self.to_trained_gradient(weights, weights.output[..., None] * field, output, weight_decay)

    def least_gradient(self, weights: Weights, weight_decay: float = 0.0) -> Weights:
        """The gradient, but 0 for students at w = 0 that no direction leads down from (`leaving_zero`), where σ'(0) is
        not 0: there 0 is in the subdifferential. On the host."""
        gradient = self.gradient(weights, weight_decay)
        if not self.factors.resting or weights.hidden.any(-1).all():
            return gradient
        from twolayer.population.leaving_zero import stays_at_zero  # loads the compiler

        scale, even = self.network.scale, self.network.activation.even
        hidden, lead = np.array(gradient.hidden), weights.hidden.shape[:-2]
        teachers = np.broadcast_to(self.data.hidden, (*lead, *self.data.hidden.shape[-2:]))
        given = np.broadcast_to(self.data.output, (*lead, self.data.output.shape[-1]))
        still = ~weights.hidden.any(-1) & hidden.any(-1)
        for spot in map(tuple, np.argwhere(still.any(-1))):
            units = Units(
                np.concatenate([weights.hidden[spot], teachers[spot]]),
                np.concatenate([scale * weights.output[spot], -given[spot]]),
                self.network.neurons,
            )
            stays = stays_at_zero(units, self.factors, even, np.sign(weights.output[spot]))
            hidden[spot][still[spot] & stays] = 0.0
        return Weights(hidden, gradient.output)

    def measures_compiled(self, networks: int) -> bool:
        """From `COMPILED` on."""
        units = self.network.neurons + self.data.hidden.shape[-2]
        return bool(networks * units**2 * (self.data.features + 16) >= COMPILED)

    @property
    def profiled(self) -> tuple[float, float]:
        """(μ, λ): the profile removes μ Σ C_p + λ r·x of f − f*, with C and r of `closed_form`. Derived: the loss is
        less by half their mean squares, (μ Σ C_p)²/2 and λ²|r|²/2."""
        linear = closed_form.factors(self.network.activation).linear - self.factors.linear
        return math.sqrt(2.0 * self.factors.constant), math.sqrt(2.0 * linear)

    def removed(self, weights: Weights) -> tuple[Array, Array]:
        """As `TeacherProblem.removed`: μ Σ C_p and λ r."""
        mean, linear = self.profiled
        units, _ = self.units(self.network.with_tied_outputs(weights))
        xp = array_namespace(weights.hidden)
        return mean * xp.sum(units.masses, axis=-1), linear * units.residual

    def hessian(self, weights: Weights) -> Array:
        """The second derivatives of L in the trained parameters, (…, parameter, parameter).

        Parameters are hidden weights neuron by neuron, then output weights where they are trained. Where they are
        tied, with J = ∂(W, a)/∂W, it is Jᵀ H J + Σ_j (∂L/∂a_j)(I − ŵŵᵀ)/|w_j|.
        """
        xp = array_namespace(weights.hidden)
        weights = self.network.with_tied_outputs(weights)
        units, signs = self.units(weights)
        diagonal, through, by_output = closed_form.hessian_blocks(units, self.factors)
        scale, m, d = self.network.scale, self.network.neurons, self.data.features
        c, sign, hidden = scale * weights.output, signs, weights.hidden
        lead = hidden.shape[:-2]
        eye = xp.eye(m, dtype=hidden.dtype, device=hidden.device)
        blocks = through * sign[..., :, None, None, None] * sign[..., None, :, None, None]
        blocks = blocks + diagonal[..., :, None, :, :] * eye[..., None, None]
        first = c[..., :, None, None, None] * blocks
        both = xp.reshape(xp.moveaxis(first, -3, -2), (*lead, m * d, m * d))
        if self.network.output == "fixed":
            return both
        field = sign[..., None] * closed_form.field(units, self.factors)
        by_output = by_output * sign[..., :, None, None]
        second = scale * (c[..., :, None, None] * by_output + field[..., :, None, :] * eye[..., None])
        cross = xp.reshape(xp.moveaxis(second, -1, -2), (*lead, m * d, m))  # (i, a), j
        last = scale**2 * xp.sum(hidden[..., :, None, :] * by_output, axis=-1)
        if self.network.output == "trained":
            top = xp.concat([both, cross], axis=-1)
            return xp.concat([top, xp.concat([xp.matrix_transpose(cross), last], axis=-1)], axis=-2)
        direction = unit(hidden)
        output_jacobian = xp.reshape(direction[..., :, None, :] * eye[..., None], (*lead, m, m * d))
        mixed = xp.matmul(cross, output_jacobian)
        both = both + mixed + xp.matrix_transpose(mixed)
        both = both + xp.matmul(xp.matrix_transpose(output_jacobian), xp.matmul(last, output_jacobian))
        length = norm(hidden)
        safe = xp.where(length > 0, length, xp.ones_like(length))
        bend = scale * xp.sum(hidden * field, axis=-1) / safe
        identity = xp.eye(d, dtype=hidden.dtype, device=hidden.device)
        curl = bend[..., None, None] * (identity - outer(direction, direction))
        curl = curl[..., :, None, :, :] * eye[..., None, None]
        return both + xp.reshape(xp.moveaxis(curl, -3, -2), (*lead, m * d, m * d))

    @cached_property
    def on_host(self) -> PopulationProblem:
        """The same on the host, in float64."""
        return replace(self, data=self.data.mapped(lambda array: to_host(array).astype("float64")))

    def flow(
        self,
        weights: Weights,
        times: Any,
        weight_decay: float,
        rtol: float,
        atol: float,
        moved: Array | None = None,
    ) -> FlowWeights:
        """The frames of `flow_frames` as one: hidden (time, neuron, feature), output (time, neuron)."""
        return FlowWeights.over_time(list(self.flow_frames(weights, times, weight_decay, rtol, atol, moved)))

    def flow_frames(
        self,
        weights: Weights,
        times: Any,
        weight_decay: float,
        rtol: float,
        atol: float,
        moved: Array | None = None,
        budget: Budget | None = None,
        states: StateStore | None = None,
    ) -> Iterator[FlowWeights]:
        """Gradient flow of one seed on the host at `times`, the first of which is the start's, by
        `population.flow` in min(d, m + k) coordinates: hidden (neuron, feature) and output (neuron,) of each."""
        from twolayer.population.flow import flow_frames  # loads scipy

        (problem, start), basis = reduced(self.on_host, self.network.with_tied_outputs(weights))
        system = problem.ode_system(start, weight_decay)
        for frame in flow_frames(system, times, rtol, atol, moved, budget, states):
            yield frame if basis is None else replace(frame, hidden=lifted(frame, basis).hidden)

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
        """The implicit flow (`population.flow`); a student at 0 at the start, not resting there, moves by σ'(0)."""
        moved = weights.hidden.any(-1) | (resting > 0)
        # One that started at 0 has left it where σ'(0) ≠ 0, and rests if it is there again.
        resting = (moved | (self.factors.resting != 0)).astype("int8")
        for frame in self.flow_frames(weights, times, weight_decay, *tolerance, moved, budget, states):
            yield replace(frame, resting=resting)

    def ode_system(self, start: Weights, weight_decay: float) -> Any:
        """The flow's velocity and Jacobian, of one seed."""
        from twolayer.population.ode_system import OdeSystem

        return OdeSystem(self, start, weight_decay)
