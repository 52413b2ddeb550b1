"""Gradient descent on Gaussian input, many steps at once in a kernel: what kernels on all devices have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from twolayer.core.arrays import array_namespace
from twolayer.core.network import Weights
from twolayer.core.problem import Problem
from twolayer.population import closed_form
from twolayer.population.problem import PopulationProblem, reduced, widened

__all__ = ["FusedPopulationProblem"]

DELICATE = 1e-5
"""Where all angles θ to orthogonal teachers are below this, the plain form's 1e-16 is above 1e-6 of the force, θ².
Strays are as good as there if their share |a||w| of the largest teacher's is below this."""


@dataclass(frozen=True)
class FusedPopulationProblem(PopulationProblem):
    """A `PopulationProblem` whose descents a kernel walks in min(d, m + k) coordinates. Subclasses give `walk`.

    Its arrays are those of a library that can write into them (NumPy, CuPy).
    """

    @abstractmethod
    def walk(self, vectors: Any, outputs: Any, step_size: float, weight_decay: float, count: int) -> None:
        """`count` steps in place, in float64: vectors (seed, unit, coordinate), students first and then teachers;
        outputs (seed, unit), a_i of students and −b_l of teachers."""

    def descend(self, weights: Weights, step_size: float, weight_decay: float, count: int) -> Weights:
        """As `PopulationProblem.descend`, to rounding; in float64 within, whatever the weights' type.

        Seeds whose students all begin within `DELICATE` of orthogonal teachers, up to sign, or are small, are left to
        the array code, whose grouped form keeps the digits of their forces; weight decay keeps forces of its own
        order.
        """
        if count == 0:
            return weights
        xp = array_namespace(weights.hidden)
        dtype, shape = weights.hidden.dtype, weights.hidden.shape

        def wide(array: Any) -> Any:
            return xp.astype(array, xp.float64, copy=False)

        hidden = xp.reshape(wide(weights.hidden), (-1, *shape[-2:]))
        output = xp.reshape(wide(weights.output), (-1, shape[-2]))
        data = self.data.mapped(wide)
        (problem, inside), basis = reduced(PopulationProblem(data, self.network), Weights(hidden, output))
        units, _ = problem.units(inside)
        students, teachers = units.vectors[:, : shape[-2]], units.vectors[:, shape[-2] :]
        angles = closed_form.angles(students, teachers)
        nearest = xp.min(xp.minimum(angles, math.pi - angles), axis=-1)
        masses = xp.abs(units.masses)
        largest = xp.max(masses[:, shape[-2] :], axis=-1)[:, None]
        settled = (nearest < DELICATE) | (masses[:, : shape[-2]] < DELICATE * largest)
        delicate = xp.all(settled, axis=-1) & xp.any(nearest < DELICATE, axis=-1)
        delicate = delicate & (len(data.hidden) > 1 and data.orthogonal and weight_decay == 0)

        moved = Weights(xp.asarray(inside.hidden, copy=True), xp.asarray(output, copy=True))
        for chosen, walk in ((delicate, Problem.descend), (~delicate, self.fused)):
            own = xp.nonzero(chosen)[0]
            if len(own):
                start = Weights(moved.hidden[own], moved.output[own])
                end = walk(problem, start, step_size, weight_decay, count)
                moved.hidden[own], moved.output[own] = end.hidden, end.output
        back = widened(moved, basis)
        hidden = xp.astype(xp.reshape(back.hidden, shape), dtype)
        return self.network.with_tied_outputs(
            Weights(hidden, xp.astype(xp.reshape(back.output, shape[:-1]), dtype))
        )

    def fused(
        self, problem: PopulationProblem, weights: Weights, step_size: float, weight_decay: float, count: int
    ) -> Weights:
        """`count` steps by the kernel. Neurons |·| are turned towards their teachers first, as |−z| = |z|."""
        xp = array_namespace(weights.hidden)
        units, signs = problem.units(weights)
        m = self.network.neurons
        vectors, outputs = units.vectors, xp.concat([weights.output, units.coefficients[:, m:]], axis=-1)
        self.walk(vectors, outputs, step_size, weight_decay, count)
        return Weights(signs[..., None] * vectors[:, :m], outputs[:, :m])
