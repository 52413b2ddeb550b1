"""The trained parameters of one seed on a teacher as a vector: velocity, Jacobian and tolerances of gradient flow."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy.integrate import Radau

from twolayer.core.arrays import norm
from twolayer.core.implicit_flow import linear_fall
from twolayer.core.network import TIED, TRAINED, Weights
from twolayer.core.parameters import TrainedParameters
from twolayer.core.saved_state import State, state_of
from twolayer.core.trajectory import FlowWeights
from twolayer.population.closed_form import Units, unit
from twolayer.population.flow_integrator import Integrator, ReferenceRadau
from twolayer.population.leaving_zero import DirectionalDerivative

__all__ = ["DEAD", "ROUNDING", "SLIGHT", "OdeSystem", "floor"]

ROUNDING = 2.0**-49
"""The absolute tolerance is at least this, times the largest current weight: a coordinate that is 0 but for
rounding is not followed, and weights of 1e-14 grow with the relative tolerance."""

DEAD = 2.0**-33
"""A student on its way into 0 is at 0 when it is shorter than this, times its greatest length."""

SLIGHT = 2.0**-50
"""A student of tied or balanced outputs below this, times the largest, has no effect on others: its mass is 1e-30."""

BALANCED = 2.0**-46
"""|w_j|² − a_j² below this, times their sum, is 0 but for rounding."""

AT_REST = 0.01
"""A flow whose loss falls by no more than this share to the end is at rest."""


def floor(atol: float, vector: Any) -> float:
    """The absolute tolerance at a state."""
    return max(atol, ROUNDING * float(np.abs(vector).max()), 1e-300)


class OdeSystem(TrainedParameters):
    """The flow's velocity and Jacobian in the trained parameters of one seed."""

    def __init__(self, problem: Any, start: Weights, weight_decay: float) -> None:
        super().__init__(problem, start)
        self.weight_decay = weight_decay
        self.since = 0.0
        """The time at which |w|² − a² is that of the start."""
        self.most = 0.0 if start.hidden.any() else float(np.abs(problem.data.hidden).max())
        """The greatest weight so far; where all students start at 0, of the teachers."""
        self.smooth = problem.factors.curved == 0
        """Whether σ has no kink: then nothing is special about w = 0."""

    @cached_property
    def excess(self) -> Any:
        """|w_j|² − a_j² of the start, (neuron,)."""
        length, output = norm(self.start.hidden), self.start.output
        excess = (length - output) * (length + output)
        return np.where(np.abs(excess) < BALANCED * (length**2 + output**2), 0.0, excess)

    @cached_property
    def can_reach_zero(self) -> Any:
        """Which students can reach 0 in finite time and rest there, (neuron,): others shrink exponentially."""
        mode = self.problem.network.mode
        if self.smooth or mode == TIED:
            return np.zeros(self.shape[0], dtype=bool)
        return self.excess < 0 if mode == TRAINED else np.ones(self.shape[0], dtype=bool)

    @cached_property
    def steepest(self) -> float:
        """The larger slope of σ."""
        return float(max(abs(slope) for slope in self.problem.network.activation.slopes))

    def state(self) -> State:
        """What of it changes along the path."""
        return state_of(self, ("since", "most"))

    def restore(self, state: State) -> None:
        """Go on from it."""
        self.since, self.most = state["since"], state["most"]

    def hidden(self, vector: Any) -> Any:
        """w of a vector (neuron, feature), a view."""
        return vector[: self.shape[0] * self.shape[1]].reshape(self.shape)

    def outputs(self, vector: Any) -> Any:
        """a of a vector, (neuron,)."""
        return self.unpacked(vector).output

    def lengths(self, vector: Any) -> Any:
        """|w_j|, (neuron,)."""
        return norm(self.hidden(vector))

    def moved_from_zero(self, vector: Any, moved: Any | None) -> Any:
        """The state with students that start at 0 a little off it, where σ'(0) ≠ 0 moves them: by a field R r."""
        resting = self.problem.factors.resting
        if self.smooth or not resting:
            return vector
        lengths, outputs = self.lengths(vector), self.outputs(vector)
        starting = (lengths == 0) & (outputs != 0) & (True if moved is None else ~moved)
        if not starting.any():
            return vector
        residual = self.derivative_at_zero(vector).units.residual
        teachers = np.linalg.norm(self.problem.data.hidden, axis=-1)
        size = DEAD * max(float(lengths.max()), float(teachers.max()))
        vector = vector.copy()
        signs = np.sign(outputs * resting)[:, None]
        self.hidden(vector)[starting] = -(size * signs * unit(residual))[starting]
        return vector

    def derivative_at_zero(self, vector: Any) -> DirectionalDerivative:
        """The derivative of the loss in the directions in which a student at 0 may leave."""
        weights, data = self.unpacked(vector), self.problem.data
        scale = self.problem.network.scale
        units = Units(
            np.concatenate([weights.hidden, data.hidden]),
            np.concatenate([scale * weights.output, -data.output]),
            self.shape[0],
        )
        return DirectionalDerivative(units, self.problem.factors, self.problem.network.activation.even)

    def weighted(self, vector: Any) -> Any:
        """c_j w_j, (neuron, feature)."""
        weights = self.unpacked(vector)
        return self.problem.network.scale * weights.output[:, None] * weights.hidden

    def to_weights(self, vectors: Any, forks: int) -> FlowWeights:
        """The weights of vectors (…, parameter)."""
        weights = self.unpacked(vectors)
        return FlowWeights(weights.hidden, weights.output, forks)

    def floors(self, atol: float, vector: Any) -> Any:
        """The absolute tolerance of each parameter. Forces on a student of trained or tied output scale with the
        student, and it is followed however small."""
        if self.problem.network.output == "fixed":
            self.most = max(self.most, float(np.abs(vector).max()))
            return np.full(len(vector), max(floor(atol, vector), ROUNDING * self.most))
        return self.each(np.maximum(np.maximum(atol, ROUNDING * self.size(vector)), 1e-300))

    def each(self, values: Any) -> Any:
        """A value of each student, for each of its parameters."""
        hidden = np.repeat(values, self.shape[1])
        return np.concatenate([hidden, values]) if self.trained else hidden

    def size(self, vector: Any) -> Any:
        """max(|w_j|, |a_j|), (neuron,)."""
        return np.maximum(self.lengths(vector), np.abs(self.outputs(vector)))

    def negligible(self, vector: Any) -> Any:
        """Which students are too small for others to feel them, with forces that scale with them, (neuron,)."""
        if self.problem.network.output == "fixed":
            return np.zeros(self.shape[0], bool)
        size = self.size(vector)
        largest = max(float(size.max()), float(norm(self.problem.data.hidden).max()))
        return (
            (self.lengths(vector) > 0)
            & (size < SLIGHT * largest)
            & (self.excess == 0 if self.trained else True)
        )

    def shrinking(self, vector: Any) -> Any:
        """κ_j = −d ln|w_j|/dt of negligible students where it is positive, else 0, (neuron,)."""
        negligible = self.negligible(vector)
        if not negligible.any():
            return np.zeros(self.shape[0])
        hidden, moved = self.hidden(vector), self.hidden(self.velocity(vector))
        along = (unit(hidden) * moved).sum(-1) / np.where(negligible, self.lengths(vector), 1.0)
        return np.where(negligible, np.maximum(-along, 0.0), 0.0)

    def project(self, solver: Radau, start: float) -> None:
        """Put the solver's state back to |w_j|² − a_j² of the start, which shrinks as e^(−2λt) (trained outputs):
        errors in it grow as students shrink, and decide whether w or a reaches 0."""
        if not self.trained:
            return
        kept = self.excess * np.exp(-2.0 * self.weight_decay * (solver.t - start))
        state = solver.y.copy()
        hidden, outputs = self.hidden(state), state[-self.shape[0] :]
        for _ in range(2):
            length = norm(hidden)
            size = np.where(length + np.abs(outputs) > 0, np.hypot(length, outputs), 1.0)
            off = 0.5 * ((length - outputs) / size * ((length + outputs) / size) - kept / size / size)
            hidden *= (1.0 - off)[:, None]
            outputs *= 1.0 + off
        solver.y = state
        solver.f = solver.fun(solver.t, state)

    def tolerance_too_coarse(self, vector: Any, error: float) -> bool:
        """Whether an error of each parameter costs the loss its second digit, where rounding leaves it that."""
        loss = float(self.problem.loss(self.unpacked(vector)))
        slope, top = np.linalg.norm(self.velocity(vector)), np.linalg.norm(self.jacobian(vector), 2)

        def change(error: float) -> float:
            size = error * np.sqrt(len(vector))
            return float(slope * size + 0.5 * top * size**2)

        rounding = np.finfo(np.float64).eps * np.abs(vector).max()
        return change(rounding) <= 0.01 * loss < change(error)

    def is_at_rest(self, vector: Any, duration: float) -> bool:
        """Whether the objective falls by less than `AT_REST` of the loss in this time: with v the velocity and
        μ the Hessian's eigenvalues, by Σ v_i² (1 − e^(−2μ_i t))/(2μ_i), the linear flow's fall. A force that is hidden
        in the rounding of v is not greater than v, so that a flow that has far to go is not taken as at rest."""
        loss = float(self.problem.loss(self.unpacked(vector)))
        velocity, matrix = self.velocity(vector), self.jacobian(vector)
        if not (np.isfinite(velocity).all() and np.isfinite(matrix).all()):
            return False
        return linear_fall(velocity, matrix, duration) <= AT_REST * loss

    def integrator(
        self, span: tuple[float, float], state: Any, rates: Any, tolerance: tuple[float, float, float],
        size: float | None,
    ) -> Integrator:  # fmt: skip
        """The integrator of dy/dt = f(y) + κy over a span of time. tolerance: relative, absolute, and the factor of
        the absolute one. size: of the first step, or None."""
        return ReferenceRadau(self, span, state, rates, tolerance, size)

    def velocity(self, vector: Any) -> Any:
        """−∇ of the objective."""
        velocity = -self.packed(self.problem.gradient(self.unpacked(vector), self.weight_decay))
        if not self.smooth:  # what is at 0 rests there
            self.hidden(velocity)[self.lengths(vector) == 0] = 0.0
        return velocity

    def jacobian(self, vector: Any) -> Any:
        """−∇∇ of the objective; tied outputs are penalised twice."""
        decay = self.weight_decay * (2.0 if self.problem.network.output == "tied" else 1.0)
        return -self.problem.hessian(self.unpacked(vector)) - decay * np.eye(len(vector))
