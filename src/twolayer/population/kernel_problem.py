"""Networks of any activation that learn a teacher on Gaussian input, for all seeds at once.

With students and teachers in one list, c_p = s a_p and u_p = w_p, then c_p = −b_p and u_p = v_p,

    L = ½ Σ c_p c_q K_pq,  ∂L/∂w_i = c_i F_i,  F_i = Σ_q c_q E σ'(w_i·x)σ(u_q·x) x,  ∂L/∂c_i = Σ_q c_q K_iq,

with K_pq = E σ(u_p·x)σ(u_q·x) (`gaussian_kernel`). A profile takes the constant M = Σ c_p E σ(u_p·x), and `linear`
also β = Σ c_p E σ(u_p·x) x, out of f − f*: L is less by ½M² and ½|β|². Derived.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from array_api_compat import device

from twolayer.core.arrays import array_namespace, to_host
from twolayer.core.budget import Budget
from twolayer.core.network import Weights
from twolayer.core.problem import block_diagonal
from twolayer.core.saved_state import StateStore
from twolayer.core.trajectory import FlowWeights
from twolayer.population.gaussian_kernel import Pairs, SingleMoments, pairs_of
from twolayer.population.teacher_problem import TeacherProblem, lifted, reduced

__all__ = ["KernelProblem"]

Array = Any


@dataclass(frozen=True)
class KernelProblem(TeacherProblem):
    """A network of any activation and a teacher: L = ½ E (f − f*)² with the teacher's profile removed.

    L is a sum of terms that cancel near a solution: its error is absolute, about 1e-16 Σ|c_p c_q K_pq| by a closed
    form and 1e-14 of that by quadrature (`rounding`).
    """

    def loss(self, weights: Weights) -> Array:
        """L, (…,): never with a penalty, never negative."""
        xp = array_namespace(weights.hidden)
        units = self.units(weights)
        value = xp.sum(units.coefficients * units.responses(self.profile), axis=-1)
        return 0.5 * xp.where(value < 0, xp.zeros_like(value), value)  # NaN stays

    def rounding(self, weights: Weights) -> Array:
        """The error of K times ½ Σ|c_p c_q K_pq|, (…,)."""
        xp = array_namespace(weights.hidden)
        units = self.units(weights)
        pairs = units.all_pairs
        size = xp.abs(units.coefficients)
        terms = size[..., :, None] * size[..., None, :] * xp.abs(pairs.values())
        return 0.5 * pairs.error * xp.sum(terms, axis=(-2, -1)) + xp.finfo(size.dtype).smallest_normal

    def gradient(self, weights: Weights, weight_decay: float = 0.0) -> Weights:
        """The gradient of L + (weight_decay/2)(|a|² + |W|²) in the trained parameters."""
        weights = self.network.with_tied_outputs(weights)
        units, scale = self.units(weights), self.network.scale
        hidden = scale * weights.output[..., None] * units.field(self.profile)
        if self.network.output == "fixed":
            return self.to_trained_gradient(weights, hidden, 0.0 * weights.output, weight_decay)
        output = scale * units.student_responses(self.profile)
        return self.to_trained_gradient(weights, hidden, output, weight_decay)

    def removed(self, weights: Weights) -> tuple[Array, Array]:
        """M and β."""
        units = self.units(self.network.with_tied_outputs(weights))
        return units.removed(self.profile)

    def hessian(self, weights: Weights) -> Array:
        """The second derivatives of L in the trained parameters, (…, parameter, parameter): hidden weights neuron by
        neuron, then output weights where they are trained."""
        xp = array_namespace(weights.hidden)
        weights = self.network.with_tied_outputs(weights)
        units, scale = self.units(weights), self.network.scale
        lead, (m, d) = weights.hidden.shape[:-2], weights.hidden.shape[-2:]
        factors = scale * weights.output
        blocks = units.mixed(self.profile)  # (…, i, j, feature, feature)
        blocks = factors[..., :, None, None, None] * factors[..., None, :, None, None] * blocks
        hidden = xp.reshape(xp.moveaxis(blocks, -3, -2), (*lead, m * d, m * d))
        hidden = hidden + block_diagonal(factors[..., None, None] * units.curvature(self.profile))
        if self.network.output == "fixed":
            return hidden
        eye = xp.eye(m, dtype=hidden.dtype, device=device(hidden))
        pulls = factors[..., :, None, None] * units.pulls(self.profile)  # (…, i, j, feature)
        pulls = pulls + eye[..., None] * units.field(self.profile)[..., :, None, :]
        return self.to_trained_hessian(
            weights,
            hidden,
            scale * xp.reshape(xp.moveaxis(pulls, -1, -2), (*lead, m * d, m)),
            scale**2 * units.student_kernel(self.profile),
            scale * units.student_responses(self.profile),
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
        """The implicit flow (`core.implicit_flow`) in min(d, m + k) coordinates."""
        from twolayer.core.implicit_flow import implicit_flow  # loads scipy

        data = self.data.mapped(lambda array: to_host(array).astype("float64"))
        (problem, start), basis = reduced(replace(self, data=data), self.network.with_tied_outputs(weights))
        for frame in implicit_flow(problem, start, times, weight_decay, *tolerance, budget, states):
            full = lifted(frame, basis)
            yield FlowWeights(full.hidden, full.output, stall=frame.stall, resting=resting)

    @property
    def profile(self) -> str:
        """What is removed of f − f*: `none`, `constant` or `linear`."""
        profile: str = self.data.profile
        return profile

    def units(self, weights: Weights) -> KernelUnits:
        """Students and teachers in one list."""
        xp = array_namespace(weights.hidden)
        weights = self.network.with_tied_outputs(weights)
        lead = weights.hidden.shape[:-2]
        teachers = xp.broadcast_to(self.data.hidden, (*lead, *self.data.hidden.shape[-2:]))
        given = xp.broadcast_to(-self.data.output, (*lead, self.data.output.shape[-1]))
        output = self.network.scale * xp.astype(weights.output, weights.hidden.dtype, copy=False)
        return KernelUnits(
            self.network.activation,
            weights.hidden,
            xp.concat([weights.hidden, teachers], axis=-2),
            xp.concat([output, given], axis=-1),
        )


@dataclass(frozen=True)
class KernelUnits:
    """Students (…, i, feature), and all units u_p (…, p, feature), students first, with their coefficients c_p (…, p).

    The methods take the profile that is removed.
    """

    activation: Any
    students: Array
    vectors: Array
    coefficients: Array

    @cached_property
    def pairs(self) -> Pairs:
        """Students with all units."""
        return pairs_of(self.activation, self.students, self.vectors)

    @cached_property
    def all_pairs(self) -> Pairs:
        """All units with all units."""
        return pairs_of(self.activation, self.vectors, self.vectors)

    @cached_property
    def alone(self) -> SingleMoments:
        """Each unit by itself."""
        return SingleMoments(self.activation, self.vectors)

    @cached_property
    def students_alone(self) -> SingleMoments:
        """Each student by itself."""
        return SingleMoments(self.activation, self.students)

    def removed(self, profile: str) -> tuple[Array, Array]:
        """M (…,) and β (…, feature), 0 where they are not removed."""
        xp = array_namespace(self.coefficients)
        mean = xp.zeros_like(self.coefficients[..., 0])
        linear = xp.zeros_like(self.vectors[..., 0, :])
        if profile != "none":
            mean = xp.sum(self.coefficients * self.alone.mean(), axis=-1)
        if profile == "linear":
            linear = xp.sum(self.coefficients[..., None] * self.alone.linear(), axis=-2)
        return mean, linear

    def responses(self, profile: str) -> Array:
        """Σ_q c_q K_pq less the profile, (…, p): E σ(u_p·x)(f − f* − M − β·x)."""
        xp = array_namespace(self.coefficients)
        found = xp.sum(self.coefficients[..., None, :] * self.all_pairs.values(), axis=-1)
        return found - self.part_removed(self.alone, profile)

    def student_responses(self, profile: str) -> Array:
        """`responses` of the students, (…, i)."""
        xp = array_namespace(self.coefficients)
        found = xp.sum(self.coefficients[..., None, :] * self.pairs.values(), axis=-1)
        return found - self.part_removed(self.students_alone, profile)

    def part_removed(self, alone: SingleMoments, profile: str) -> Array:
        """E σ(u·x)(M + β·x) of some units."""
        xp = array_namespace(self.coefficients)
        if profile == "none":
            return xp.zeros_like(alone.vectors[..., 0])
        mean, linear = self.removed(profile)
        return mean[..., None] * alone.mean() + xp.sum(linear[..., None, :] * alone.linear(), axis=-1)

    def field(self, profile: str) -> Array:
        """F_i = E σ'(w_i·x)(f − f* − M − β·x) x, (…, i, feature)."""
        xp = array_namespace(self.coefficients)
        field = self.pairs.field(self.coefficients)
        if profile == "none":
            return field
        mean, linear = self.removed(profile)
        field = field - mean[..., None, None] * self.students_alone.mean_gradient()
        if profile == "linear":
            field = field - xp.sum(
                self.students_alone.linear_jacobian() * linear[..., None, None, :], axis=-1
            )
        return field

    def curvature(self, profile: str) -> Array:
        """E σ''(w_i·x)(f − f* − M − β·x) x xᵀ, (…, i, feature, feature)."""
        xp = array_namespace(self.coefficients)
        found = xp.sum(self.coefficients[..., None, :, None, None] * self.pairs.curvatures(), axis=-3)
        if profile == "none":
            return found
        mean, linear = self.removed(profile)
        found = found - mean[..., None, None, None] * self.students_alone.mean_hessian()
        return found - self.students_alone.linear_hessian(linear) if profile == "linear" else found

    def mixed(self, profile: str) -> Array:
        """E of ∇_i σ(w_i·x) ∇_j σ(w_j·x)ᵀ, each less its constant and linear part, (…, i, j, feature, feature)."""
        xp = array_namespace(self.coefficients)
        found = pairs_of(self.activation, self.students, self.students).mixed()
        if profile == "none":
            return found
        slope = self.students_alone.mean_gradient()
        found = found - slope[..., :, None, :, None] * slope[..., None, :, None, :]
        if profile == "linear":
            jacobian = self.students_alone.linear_jacobian()
            found = found - xp.matmul(jacobian[..., :, None, :, :], jacobian[..., None, :, :, :])
        return found

    def pulls(self, profile: str) -> Array:
        """E of ∇_i σ(w_i·x) and σ(w_j·x), each less its constant and linear part, (…, i, j, feature)."""
        xp = array_namespace(self.coefficients)
        found = self.pairs.pulls()[..., : self.students.shape[-2], :]
        if profile == "none":
            return found
        alone = self.students_alone
        found = found - alone.mean_gradient()[..., :, None, :] * alone.mean()[..., None, :, None]
        if profile == "linear":
            found = found - xp.matmul(
                alone.linear()[..., None, :, :], xp.matrix_transpose(alone.linear_jacobian())
            )
        return found

    def student_kernel(self, profile: str) -> Array:
        """K_ij less the profile, (…, i, j)."""
        xp = array_namespace(self.coefficients)
        found = self.pairs.values()[..., : self.students.shape[-2]]
        if profile == "none":
            return found
        alone = self.students_alone
        found = found - alone.mean()[..., :, None] * alone.mean()[..., None, :]
        if profile == "linear":
            found = found - xp.matmul(alone.linear(), xp.matrix_transpose(alone.linear()))
        return found
