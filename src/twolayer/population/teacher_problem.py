"""What all problems on a teacher share: the span of students and teachers, and batches of fresh samples."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from array_api_compat import device

from twolayer.core.arrays import array_namespace
from twolayer.core.counter import batch_keys
from twolayer.core.network import Weights
from twolayer.core.problem import Problem
from twolayer.finite.problem import EmpiricalProblem, FiniteData
from twolayer.population.closed_form import unit
from twolayer.population.closest import closest_teachers
from twolayer.population.one_pass import one_pass

__all__ = ["TeacherProblem", "lifted", "orthonormal", "reduced"]

Array = Any


@dataclass(frozen=True)
class TeacherProblem(Problem):
    """A network and a `Teacher`: L = ½ E (f − f*)² with the teacher's profile removed. Subclasses give `loss`,
    `gradient`, `hessian` and `removed`."""

    on_population = True

    @abstractmethod
    def removed(self, weights: Weights) -> tuple[Array, Array]:
        """α (…,) and β (…, feature) of α + β·x, which the profile removes of f − f*."""

    def closest_teachers(self, weights: Weights) -> tuple[Array, Array, Array]:
        """Of each student on the host, as `population.closest.closest_teachers`."""
        return closest_teachers(weights.hidden, self.data.hidden, self.network.activation.even)

    def batch(self, weights: Weights, size: int, random: Sequence[Any]) -> EmpiricalProblem:
        """Fresh x ~ N(0, I_d) for each seed, with the teacher's labels, and their noise where there is any: numbers
        by a counter, of a key that the seed's generator gives.

        Of what the profile removes, the exact value at `weights` is taken from the residuals, as a part of the
        labels: it is orthogonal to the rest, so that E[(f − f* − α − β·x) ∇f] is the profiled loss's gradient.
        """
        from twolayer.kernels.normals import batch_normals  # loads the compiler

        xp = array_namespace(weights.hidden)
        like = {"dtype": weights.hidden.dtype, "device": device(weights.hidden)}
        shape = (size, self.data.features)
        count = size * (self.data.features + (1 if self.data.noise else 0))
        drawn = [batch_normals(batch_keys(each, 1)[0], count) for each in random]
        inputs = xp.stack(
            [xp.asarray(numbers[: math.prod(shape)].reshape(shape), **like) for numbers in drawn]
        )
        targets = self.data.labels(inputs, self.network)
        if self.data.noise:
            noise = xp.stack([xp.asarray(numbers[math.prod(shape) :], **like) for numbers in drawn])
            targets = targets + math.sqrt(self.data.noise) * noise
        if self.data.profile != "none":
            mean, linear = self.removed(weights)
            targets = targets + mean[..., None] + xp.matmul(inputs, linear[..., None])[..., 0]
        return EmpiricalProblem(FiniteData(inputs, targets), self.network)

    def one_pass(
        self, weights: Weights, step_size: float, count: int, random: Sequence[Any], lengths: Array | None
    ) -> Weights:
        """`count` steps of stochastic gradient descent with one sample each, on the host, in min(d, m + k) features:
        see `population.one_pass`. lengths (seed, neuron): what each |w| is set back to after a step, or None."""
        return one_pass(self.network, self.data, weights, step_size, count, random, lengths)

    def sharpness(self, weights: Weights) -> Array:
        """The top eigenvalue of the Hessian in the trained parameters, (…,): descent is stable below
        2/sharpness near a minimum."""
        xp = array_namespace(weights.hidden)
        matrix = self.hessian_with_outside(weights)
        return xp.max(xp.linalg.eigvalsh(0.5 * (matrix + xp.matrix_transpose(matrix))), axis=-1)

    def hessian_with_outside(self, weights: Weights) -> Array:
        """As `Problem.hessian_with_outside`, in the span of students and teachers and one direction outside, where
        there are more: all directions outside are alike."""
        xp = array_namespace(weights.hidden)
        (problem, start), _ = reduced(self, weights)
        if problem.data.dimension is not None:

            def with_one_more(vectors: Array) -> Array:
                return xp.concat([vectors, xp.zeros_like(vectors[..., :1])], axis=-1)

            start = Weights(with_one_more(start.hidden), start.output)
            data = replace(problem.data, hidden=with_one_more(problem.data.hidden))
            problem = replace(problem, data=data)
        return problem.hessian(start)

    def in_span(self, weights: Weights) -> tuple[Problem, Weights, Callable[..., Weights] | None]:
        """As `Problem.in_span`: min(d, m + k) coordinates."""
        (problem, start), basis = reduced(self, weights)
        if basis is None:
            return problem, start, None

        def lift(some: Weights, seeds: slice = slice(None)) -> Weights:
            return lifted(some, basis[seeds])

        return problem, start, lift

    def descend(self, weights: Weights, step_size: float, weight_decay: float, count: int) -> Weights:
        """As `Problem.descend`, in min(d, m + k) coordinates: those of this call, unless the problem is reduced."""
        if count == 0:
            return weights
        (problem, start), basis = reduced(self, weights)
        return lifted(Problem.descend(problem, start, step_size, weight_decay, count), basis)


def reduced(problem: Any, weights: Weights) -> tuple[tuple[Any, Weights], Array | None]:
    """The problem and the weights in an orthonormal basis of span{teachers, students} (…, feature, coordinate),
    and that basis; as they are, and None, where d ≤ m + k already.

    Teachers come first, in coordinates that all seeds share, so that teachers along axes stay there, and small
    angles to them keep their digits. Derived: gradients are combinations of students and teachers.
    """
    xp = array_namespace(weights.hidden)
    data, m = problem.data, problem.network.neurons
    teachers = data.hidden
    if data.features <= m + teachers.shape[-2]:
        return (problem, weights), None
    axes = orthonormal(unit(teachers))
    lead = weights.hidden.shape[:-2]
    first = xp.broadcast_to(xp.matrix_transpose(axes), (*lead, *teachers.shape))
    # directions alone count, and lengths such as 1e-300 would be lost
    basis = orthonormal(xp.concat([first, unit(weights.hidden)], axis=-2))
    coordinates = xp.concat([xp.matmul(teachers, axes), xp.zeros_like(teachers[:, :m])], axis=-1)
    reduced_weights = Weights(xp.matmul(weights.hidden, basis), weights.output)
    data = replace(data, hidden=coordinates, dimension=data.features)
    return (replace(problem, data=data), reduced_weights), basis


def orthonormal(vectors: Array) -> Array:
    """An orthonormal basis (…, feature, vector) whose first j columns span the first j of the vectors
    (…, vector, feature), each with a positive coefficient: Householder's, so orthonormal where vectors are
    dependent too."""
    xp = array_namespace(vectors)
    basis, triangle = xp.linalg.qr(xp.matrix_transpose(vectors))
    diagonal = xp.linalg.diagonal(triangle)
    return basis * xp.where(diagonal < 0, -xp.ones_like(diagonal), xp.ones_like(diagonal))[..., None, :]


def lifted(weights: Weights, basis: Array | None) -> Weights:
    """Reduced weights in all features."""
    if basis is None:
        return weights
    xp = array_namespace(weights.hidden)
    return Weights(xp.matmul(weights.hidden, xp.matrix_transpose(basis)), weights.output)
