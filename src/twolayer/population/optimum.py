"""The optimum of the regularised loss over networks of any width, and the certificate that proves it.

Balanced weights turn L + (λ/2)(|a|² + |W|²) into the convex problem over signed measures μ on the sphere

    min_μ  ½|f_μ − f*|² + p|μ|₁,   f_μ = ∫ σ(u·) dμ(u),   p = λ/s,

|f|² = E f² on x ~ N(0, I_d) with the teacher's profile removed, s the network's output scale. A finite
μ = Σ C_j δ_{u_j} is its optimum if and only if the certificate η(u) = ⟨f* − f_μ, σ(u·)⟩/p has |η| ≤ 1 everywhere and
η(u_j) = sgn C_j. As η is positively homogeneous off the sphere, its gradient there is −F/p with F of
`closed_form.field_at`. All derived.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from twolayer.core.activation import Activation
from twolayer.core.network import Network, Weights
from twolayer.core.output_layer import OutputLayer
from twolayer.population.closed_form import Factors, Units, field_at, unit
from twolayer.population.problem import PopulationProblem, Teacher, orthonormal

__all__ = ["Optimum", "certificate", "highest", "optima", "suboptimality"]

Array = Any

RANDOM = 64
"""Random directions among the starts of an ascent of the certificate."""
CLIMBED = 12
"""Starts from which the ascent is made: the highest."""
VIOLATION = 1e-9
"""Of |η| ≤ 1, at which an optimum is taken for one."""
ROUNDS = 60
"""The most atoms that are added."""


@dataclass(frozen=True)
class Optimum:
    """The optimum at one p: directions u (atom, feature), masses C (atom,) with their signs, its loss ½|f_μ − f*|²,
    and violation, max|η| − 1 over the sphere: how far from optimal it may be. No atoms where it is 0."""

    directions: Array
    masses: Array
    loss: float
    penalty: float
    violation: float
    profile: str

    @property
    def objective(self) -> float:
        """½|f_μ − f*|² + p|μ|₁."""
        return self.loss + self.penalty * float(np.abs(self.masses).sum())

    @property
    def teacher(self) -> Teacher:
        """f_μ as a teacher; where it is 0, one neuron of mass 0."""
        if len(self.masses) == 0:
            axis = np.zeros((1, self.directions.shape[-1]))
            axis[0, 0] = 1.0
            return Teacher(axis, np.zeros(1), self.profile)
        return Teacher(self.directions, self.masses, self.profile)


def optima(teacher: Teacher, activation: Activation, penalties: Iterable[float]) -> list[Optimum]:
    """The optimum for each p, in the order given: each starts from the one before, the first from the teachers.

    An active set of atoms: masses by non-negative least squares (atoms of mass 0 are dropped), then all vectors at
    once by Newton's method with the exact Hessian, then the certificate's highest point as a further atom, until
    |η| ≤ 1. It is done in the span of the teachers and one direction more, as all directions outside are alike. Raises
    ArithmeticError where it does not end with a certificate.
    """
    if not np.isfinite(teacher.hidden).all() or not np.any(teacher.hidden):
        raise ValueError("teacher: its vectors must be finite, and not all 0")
    inside, basis = in_span(teacher)
    vectors = unit(inside.hidden) * np.abs(inside.output * np.linalg.norm(inside.hidden, axis=-1))[:, None]
    atoms = Atoms(vectors, np.sign(inside.output))
    found = []
    for penalty in penalties:
        if not penalty > 0:
            raise ValueError(f"penalties: must be above 0, is {penalty!r}")
        atoms, loss, violation = solved(inside, activation, float(penalty), atoms)
        length = np.linalg.norm(atoms.vectors, axis=-1)
        directions = atoms.vectors / length[:, None] @ basis.T
        masses = atoms.signs * length
        found.append(Optimum(directions, masses, loss, float(penalty), violation, teacher.profile))
    return found


def suboptimality(problem: PopulationProblem, weights: Weights, best: Optimum) -> Array:
    """ζ, the objective L + (λ/2)(|a|² + |W|²) less its least value, λ = s p, (…,): weights (…, neuron, feature).

    H being quadratic over measures, with η of the optimum,
    ζ = ½|f − f_μ|² + p Σ_j |C_j|(1 − sgn C_j η(û_j)) + (λ/2) Σ_j (|a_j| − |w_j|)²,  C_j = s a_j|w_j|,
    a sum of terms that are all ≥ 0, where the difference of the two objectives would cancel. (Derived.)
    """
    length = np.linalg.norm(weights.hidden, axis=-1)
    mass = problem.network.scale * weights.output * length
    apart = PopulationProblem(best.teacher, problem.network).loss(weights)
    left = PopulationProblem(problem.data, Network(len(best.teacher.output), problem.network.activation))
    at_best = Weights(best.teacher.hidden, best.teacher.output)
    flat = weights.hidden.reshape(-1, weights.hidden.shape[-1])
    values, _ = certificate(left, at_best, best.penalty, unit(flat))
    slack = np.abs(mass) * (1.0 - np.sign(mass) * values.reshape(mass.shape))
    uneven = (np.abs(weights.output) - length) ** 2
    decay = problem.network.scale * best.penalty
    return apart + best.penalty * np.maximum(slack, 0.0).sum(-1) + 0.5 * decay * uneven.sum(-1)


def certificate(
    problem: PopulationProblem, weights: Weights, penalty: float, directions: Array
) -> tuple[Array, Array]:
    """η at unit vectors (direction, feature), (direction,), and its gradient, (direction, feature), of which
    η u is the part along u: weights of one seed, hidden (neuron, feature)."""
    units, _ = problem.units(problem.network.with_tied_outputs(weights))
    return certificate_of(units, problem.factors, penalty, directions)


def certificate_of(units: Units, factors: Factors, penalty: float, directions: Array) -> tuple[Array, Array]:
    """As `certificate`, of students and teachers as units."""
    slope = -field_at(directions, units, factors) / penalty
    return (directions * slope).sum(-1), slope


def highest(problem: PopulationProblem, weights: Weights, penalty: float) -> tuple[Array, float]:
    """Where |η| is largest on the sphere, (feature,), and η there: weights of one seed.

    Maxima lie in the span of students and teachers and one direction more. Local ascents (L-BFGS) begin at the highest
    of the students, the teachers and random directions: |η| is a lower bound of the maximum, as any search's is.
    """
    from scipy.optimize import minimize  # loaded where it is needed

    known = unit(np.concatenate([weights.hidden, problem.data.hidden]))
    known = known[np.abs(known).max(-1) > 0]
    random = np.random.default_rng(0)
    drawn = random.standard_normal((RANDOM, len(known))) @ known
    beyond = drawn[: RANDOM // 4] + np.linalg.norm(drawn[: RANDOM // 4], axis=-1, keepdims=True) * unit(
        random.standard_normal((RANDOM // 4, known.shape[-1]))
    )
    starts = np.concatenate([known, drawn, beyond])
    if not problem.network.activation.even:
        starts = np.concatenate([starts, -starts])
    starts = unit(starts)
    units, _ = problem.units(problem.network.with_tied_outputs(weights))
    values, _ = certificate_of(units, problem.factors, penalty, starts)
    spot = int(np.abs(values).argmax())
    highest_direction, value = starts[spot], float(values[spot])
    for index in np.argsort(-np.abs(values), kind="stable")[:CLIMBED]:
        sign = np.sign(values[index])

        def downhill(vector: Array, sign: float = sign) -> tuple[float, Array]:
            length = np.linalg.norm(vector)
            direction = vector / length
            height, slope = certificate_of(units, problem.factors, penalty, direction[None])
            across = slope[0] - height[0] * direction
            return -sign * float(height[0]), -sign * across / length

        options = {"ftol": 1e-15}
        climbed = minimize(downhill, starts[index], jac=True, method="L-BFGS-B", options=options)
        if -climbed.fun > abs(value):
            highest_direction, value = unit(climbed.x), float(-sign * climbed.fun)
    return highest_direction, value


@dataclass(frozen=True)
class Atoms:
    """μ as a network with outputs ±1: vectors w = |C| u (atom, feature), signs (atom,)."""

    vectors: Array
    signs: Array

    def kept(self, which: Array) -> Atoms:
        """Those that `which` selects."""
        return Atoms(self.vectors[which], self.signs[which])


@dataclass(frozen=True)
class Objective:
    """H(w) = L + p Σ|w_j| with fixed signs, its gradient and its Hessian, over packed vectors (atom × feature,)."""

    teacher: Teacher
    activation: Activation
    penalty: float
    signs: Array

    @property
    def problem(self) -> PopulationProblem:
        """The network of the atoms, on the teacher."""
        network = Network(len(self.signs), self.activation, "fixed", self.signs.tolist())
        return PopulationProblem(self.teacher, network)

    def weights(self, vector: Array) -> Weights:
        """The atoms as weights."""
        return Weights(vector.reshape(len(self.signs), -1), self.signs)

    def value(self, vector: Array) -> float:
        """H."""
        weights = self.weights(vector)
        length = np.linalg.norm(weights.hidden, axis=-1)
        return float(self.problem.loss(weights)) + self.penalty * float(length.sum())

    def slope(self, vector: Array) -> Array:
        """∇H, with ŵ = 0 at w = 0."""
        weights = self.weights(vector)
        return (self.problem.gradient(weights).hidden + self.penalty * unit(weights.hidden)).ravel()

    def curvature(self, vector: Array) -> Array:
        """∇∇H."""
        weights = self.weights(vector)
        matrix, size = self.problem.hessian(weights), weights.hidden.shape[-1]
        for atom, row in enumerate(weights.hidden):
            length, direction = np.linalg.norm(row), unit(row)
            block = slice(atom * size, (atom + 1) * size)
            if length > 0:
                matrix[block, block] += (
                    self.penalty / length * (np.eye(size) - np.outer(direction, direction))
                )
        return 0.5 * (matrix + matrix.T)


def in_span(teacher: Teacher) -> tuple[Teacher, Array]:
    """The teacher in orthonormal coordinates of its span and one direction more, and that basis (feature,
    coordinate); in all features where there are no more."""
    count, features = teacher.hidden.shape
    if features <= count + 1:
        return teacher, np.eye(features)
    beyond = np.random.default_rng(0).standard_normal((1, features))
    basis = orthonormal(np.concatenate([unit(teacher.hidden), beyond]))
    return replace(teacher, hidden=teacher.hidden @ basis), basis


def solved(
    teacher: Teacher, activation: Activation, penalty: float, atoms: Atoms
) -> tuple[Atoms, float, float]:
    """The optimum's atoms, its loss and the violation of its certificate, from a start."""
    violation = np.inf
    for _ in range(ROUNDS):
        atoms = moved_to_minimum(
            teacher, activation, penalty, with_best_masses(teacher, activation, penalty, atoms)
        )
        atoms = merged(teacher, activation, penalty, atoms)
        nonempty = atoms if len(atoms.signs) else Atoms(np.zeros((1, teacher.features)), np.ones(1))  # f = 0
        objective = Objective(teacher, activation, penalty, nonempty.signs)
        problem, weights = objective.problem, objective.weights(nonempty.vectors.ravel())
        highest_direction, value = highest(problem, weights, penalty)
        violation = abs(value) - 1.0
        if violation <= VIOLATION:
            return atoms, float(problem.loss(weights)), violation
        further = Atoms(1e-3 * highest_direction[None], np.sign([value]))
        atoms = Atoms(
            np.concatenate([atoms.vectors, further.vectors]), np.concatenate([atoms.signs, further.signs])
        )
    raise ArithmeticError(
        f"no optimum over measures was found at penalty {penalty!r}: the certificate still reaches {1 + violation!r} "
        f"after {ROUNDS} rounds; teachers may be too close for float64, or the optimum not a finite number of neurons"
    )


def with_best_masses(teacher: Teacher, activation: Activation, penalty: float, atoms: Atoms) -> Atoms:
    """The best masses for the atoms' directions and signs, ½CᵀGC − hᵀC + pΣ|C| by non-negative least squares;
    atoms of mass 0 are dropped."""
    from scipy.optimize import nnls

    if len(atoms.signs) == 0:
        return atoms
    directions = unit(atoms.vectors)
    network = Network(len(directions), activation)
    gram, force = OutputLayer.of(PopulationProblem(teacher, network), directions).form
    values, modes = np.linalg.eigh(gram * np.outer(atoms.signs, atoms.signs))
    values = np.maximum(values, values[-1] * 1e-15)
    root = np.sqrt(values)[:, None] * modes.T
    target = (modes.T @ (atoms.signs * force - penalty)) / np.sqrt(values)
    masses, _ = nnls(root, target)
    heavy = masses > 1e-14 * masses.max(initial=0.0)
    return Atoms(masses[:, None] * directions, atoms.signs).kept(heavy) if heavy.any() else atoms.kept(heavy)


def moved_to_minimum(teacher: Teacher, activation: Activation, penalty: float, atoms: Atoms) -> Atoms:
    """The atoms at the nearest minimum of H: a trust region far off, Newton's method to rounding."""
    from scipy.optimize import minimize

    if len(atoms.signs) == 0:
        return atoms
    objective = Objective(teacher, activation, penalty, atoms.signs)
    vector = minimize(
        objective.value,
        atoms.vectors.ravel(),
        jac=objective.slope,
        hess=objective.curvature,
        method="trust-exact",
        options={"gtol": 1e-3 * penalty, "maxiter": 200},
    ).x
    slope = objective.slope(vector)
    for _ in range(40):
        step = np.linalg.lstsq(objective.curvature(vector), -slope, rcond=None)[0]
        for shorter in (1.0, 0.5, 0.25):
            new = objective.slope(vector + shorter * step)
            if np.linalg.norm(new) < np.linalg.norm(slope):
                vector, slope = vector + shorter * step, new
                break
        else:
            break
    return Atoms(vector.reshape(atoms.vectors.shape), atoms.signs)


def merged(teacher: Teacher, activation: Activation, penalty: float, atoms: Atoms) -> Atoms:
    """The atoms with pairs of one sign made one where that does not raise H."""

    def value(atoms: Atoms) -> float:
        return Objective(teacher, activation, penalty, atoms.signs).value(atoms.vectors.ravel())

    joined = True
    while joined:
        joined = False
        for first, second in itertools.combinations(range(len(atoms.signs)), 2):
            if atoms.signs[first] != atoms.signs[second]:
                continue
            vectors = atoms.vectors.copy()
            turn = -1.0 if activation.even and vectors[first] @ vectors[second] < 0 else 1.0
            vectors[first] += turn * vectors[second]
            one = Atoms(vectors, atoms.signs).kept(np.arange(len(vectors)) != second)
            if value(one) <= value(atoms) * (1 + 1e-15):
                atoms, joined = moved_to_minimum(teacher, activation, penalty, one), True
                break
    return atoms
