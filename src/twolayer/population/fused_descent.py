"""Gradient descent on Gaussian input, many steps at once in a kernel: what kernels on all devices have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from twolayer.core.arrays import array_namespace
from twolayer.core.network import Weights
from twolayer.core.problem import Problem
from twolayer.population.closed_form import Units, oriented
from twolayer.population.problem import PopulationProblem, lifted, reduced

__all__ = ["LARGE", "SHIFT", "SMALL", "FusedPopulationProblem"]

SMALL, LARGE, SHIFT = 2.0**-400, 2.0**400, 2.0**800
"""Kernels square lengths outside of [SMALL, LARGE] after a shift, so that none leaves the range of floats."""

DELICATE = 1e-5
"""Where all angles θ to orthogonal teachers are below this, the plain form's 1e-16 is above 1e-6 of the force, θ².
Strays count as there if their share |a||w| of the largest teacher's is below this."""


@dataclass(frozen=True)
class FusedPopulationProblem(PopulationProblem):
    """A `PopulationProblem` whose descents a kernel runs in min(d, m + k) coordinates. Subclasses give `run_kernel`.

    Its arrays are those of a library that can write into them (NumPy, CuPy).
    """

    @abstractmethod
    def run_kernel(
        self, vectors: Any, outputs: Any, step_size: float, weight_decay: float, count: int
    ) -> None:
        """`count` steps in place, in float64: vectors (seed, unit, coordinate), students first and then teachers;
        outputs (seed, unit), a_i of students and −b_l of teachers."""

    def descend(self, weights: Weights, step_size: float, weight_decay: float, count: int) -> Weights:
        """As `PopulationProblem.descend`, to rounding; in float64 within, whatever the weights' type.

        Where students are near orthogonal teachers (`DELICATE`), kernels take steps in the form that keeps the digits
        of their forces; with weight decay forces are of its order, and the plain one serves.
        """
        if count == 0:
            return weights
        xp = array_namespace(weights.hidden)
        dtype, shape = weights.hidden.dtype, weights.hidden.shape
        (problem, start), basis = self.in_float64(weights)
        descend = self.from_anywhere if self.factors.resting else self.fused
        moved = lifted(descend(problem, start, step_size, weight_decay, count), basis)
        hidden = xp.astype(xp.reshape(moved.hidden, shape), dtype)
        return self.network.with_tied_outputs(
            Weights(hidden, xp.astype(xp.reshape(moved.output, shape[:-1]), dtype))
        )

    def from_anywhere(
        self, problem: PopulationProblem, weights: Weights, step_size: float, weight_decay: float, count: int
    ) -> Weights:
        """`count` steps, of which the array code takes the first where a student is at 0: it knows the force there."""
        xp = array_namespace(weights.hidden)
        at_zero = xp.any(xp.all(weights.hidden == 0, axis=-1), axis=-1)
        if not xp.any(at_zero):
            return self.fused(problem, weights, step_size, weight_decay, count)
        moved = Weights(xp.asarray(weights.hidden, copy=True), xp.asarray(weights.output, copy=True))
        for chosen, first in ((at_zero, 1), (~at_zero, 0)):
            seeds = xp.nonzero(chosen)[0]
            if len(seeds):
                some = Weights(weights.hidden[seeds], weights.output[seeds])
                if first:
                    some = Problem.descend(problem, some, step_size, weight_decay, first)
                end = self.fused(problem, some, step_size, weight_decay, count - first)
                moved.hidden[seeds], moved.output[seeds] = end.hidden, end.output
        return moved

    def in_float64(self, weights: Weights) -> tuple[tuple[PopulationProblem, Weights], Any]:
        """What `reduced` gives in float64, with one axis of seeds."""
        xp, shape = array_namespace(weights.hidden), weights.hidden.shape

        def converted(array: Any) -> Any:
            return xp.astype(array, xp.float64, copy=False)

        hidden = xp.reshape(converted(weights.hidden), (-1, *shape[-2:]))
        output = xp.reshape(converted(weights.output), (-1, shape[-2]))
        problem = PopulationProblem(self.data.mapped(converted), self.network)
        return reduced(problem, Weights(hidden, output))

    def keeps_digits(self, weight_decay: float) -> bool:
        """Whether steps near the teachers are taken in the form that keeps the digits."""
        return len(self.data.hidden) > 1 and self.data.orthogonal and weight_decay == 0

    def fused(
        self, problem: PopulationProblem, weights: Weights, step_size: float, weight_decay: float, count: int
    ) -> Weights:
        """`count` steps by the kernel. Neurons |·| are turned towards their teachers first, as |−z| = |z|."""
        xp, lead = array_namespace(weights.hidden), weights.hidden.shape[:-2]
        m, teachers, given = self.network.neurons, problem.data.hidden, -problem.data.output
        vectors = xp.concat([weights.hidden, xp.broadcast_to(teachers, (*lead, *teachers.shape))], axis=-2)
        outputs = xp.concat([weights.output, xp.broadcast_to(given, (*lead, *given.shape))], axis=-1)
        if not self.network.activation.even:
            self.run_kernel(vectors, outputs, step_size, weight_decay, count)
            return Weights(vectors[:, :m], outputs[:, :m])
        units, signs = oriented(Units(vectors, outputs, m))
        self.run_kernel(units.vectors, outputs, step_size, weight_decay, count)
        return Weights(signs[..., None] * units.vectors[:, :m], outputs[:, :m])
