"""Gradient descent on Gaussian input, many steps at once in a kernel: what kernels on all devices have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twolayer.core.arrays import array_namespace
from twolayer.core.network import Weights
from twolayer.core.problem import Problem
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

        (problem, reduced_weights), basis = self.in_float64(weights)
        output = reduced_weights.output
        at_zero = xp.any(xp.max(xp.abs(reduced_weights.hidden), axis=-1) == 0, axis=-1) & (
            self.factors.resting != 0
        )
        moved = Weights(xp.asarray(reduced_weights.hidden, copy=True), xp.asarray(output, copy=True))
        for chosen, descend in self.ways(problem, reduced_weights, at_zero, weight_decay):
            seeds = xp.nonzero(chosen)[0]
            if len(seeds):
                start = Weights(moved.hidden[seeds], moved.output[seeds])
                end = descend(problem, start, step_size, weight_decay, count)
                moved.hidden[seeds], moved.output[seeds] = end.hidden, end.output
        moved = lifted(moved, basis)
        hidden = xp.astype(xp.reshape(moved.hidden, shape), dtype)
        return self.network.with_tied_outputs(
            Weights(hidden, xp.astype(xp.reshape(moved.output, shape[:-1]), dtype))
        )

    def ways(
        self, problem: PopulationProblem, weights: Weights, at_zero: Any, weight_decay: float
    ) -> Sequence[tuple[Any, Callable[..., Weights]]]:
        """Masks (seed,) and how those seeds descend; at_zero (seed,): where a student is at 0."""
        return (at_zero, self.from_zero), (~at_zero, self.fused)

    def from_zero(
        self, problem: PopulationProblem, weights: Weights, step_size: float, weight_decay: float, count: int
    ) -> Weights:
        """`count` steps, of which the array code takes the first: it knows the force on a student at 0."""
        weights = Problem.descend(problem, weights, step_size, weight_decay, 1)
        return self.fused(problem, weights, step_size, weight_decay, count - 1)

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
        xp = array_namespace(weights.hidden)
        units, signs = problem.units(weights)
        m = self.network.neurons
        vectors, outputs = units.vectors, xp.concat([weights.output, units.coefficients[:, m:]], axis=-1)
        self.run_kernel(vectors, outputs, step_size, weight_decay, count)
        return Weights(signs[..., None] * vectors[:, :m], outputs[:, :m])
