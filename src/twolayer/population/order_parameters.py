"""The equations of Saad and Solla for one-pass stochastic gradient descent, on the overlaps of students and teachers.

With Q_ij = w_i·w_j, M_ir = w_i·v_r and P_rs = v_r·v_s, c_q the coefficients of students (s a) and teachers (−b), and
E = f* − f + √Δ ζ of a fresh sample, whose preactivations λ have the covariance Ω of (Q, M, P),

    dM_ir/dt = c_i E σ'(λ_i)λ_r E,
    dQ_ij/dt = c_i E σ'(λ_i)λ_j E + c_j E σ'(λ_j)λ_i E + γ c_i c_j E σ'(λ_i)σ'(λ_j)E².

Here t = step_size × step, γ = step_size × d, d → ∞. Sources: Saad and Solla, Physical Review E 52, 4225 (1995);
Arnaboldi et al. 2023. The first parts need no more than the kernel K of σ: E σ'(λ_1)λ_2σ(λ_3) = 2K_A C_12 + K_C C_23.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from twolayer.core.activation import Activation, GaussianKernel, TwoSlope
from twolayer.core.saved_state import StateStore, restore_solver, solver_state
from twolayer.population.closed_form import unit
from twolayer.population.two_slope_kernel import TwoSlopeKernel

__all__ = [
    "OrderParameterEquations",
    "PathEndsError",
    "Variance",
    "WeightsOfOverlaps",
    "closed_kernel",
    "order_8",
]

Array = Any
Velocity = Callable[[float, Array], Array]

Variance = Literal["full", "noise", "none"]


def closed_kernel(activation: Activation) -> GaussianKernel | None:
    """The kernel of an activation in closed form; None where it is not known."""
    if isinstance(activation, TwoSlope):
        return TwoSlopeKernel(activation)
    return activation.kernel


@dataclass(frozen=True)
class OrderParameterEquations:
    """The velocity of (Q, M), as rows Ω_i of the students, (student, unit): students' columns first, then teachers'.

    coefficients: c (unit,). teachers: P (teacher, teacher). rate: γ. noise: Δ.
    variance: which part of E² the term with γ has: `full`; `noise`, Δ alone; `none`.
    spherical: |w_i| stays, as where each step is followed by setting w_i back to its length.
    """

    kernel: GaussianKernel
    coefficients: Array
    teachers: Array
    rate: float
    noise: float
    variance: Variance
    spherical: bool

    @property
    def students(self) -> int:
        """How many students there are."""
        return len(self.coefficients) - len(self.teachers)

    def overlaps(self, rows: Array) -> Array:
        """Ω (unit, unit)."""
        m = self.students
        return np.block([[rows], [rows[:, m:].T, self.teachers]])

    def velocity(self, rows: Array) -> Array:
        """d(Q, M)/dt, (student, unit). Rounding makes Q unsymmetric, and what is antisymmetric in it, which no weights
        have, would grow to any size: it is left out."""
        m, c = self.students, self.coefficients
        rows = rows.copy()
        rows[:, :m] = 0.5 * (rows[:, :m] + rows[:, :m].T)
        overlaps = self.overlaps(rows)
        lengths = np.broadcast_to(np.diagonal(overlaps), rows.shape)
        by_length, by_inner = self.kernel.first(
            lengths[:, :m].diagonal()[:, None] + 0.0 * rows, lengths, rows
        )
        pull = (by_length @ c)[:, None] * rows + (c * by_inner) @ overlaps
        drift = -c[:m, None] * pull
        drift[:, :m] = drift[:, :m] + drift[:, :m].T
        if self.variance != "none":
            spread = self.noise * by_inner[:, :m]
            if self.variance == "full":
                spread = spread + self.kernel.squared_error(overlaps, c, m)
            drift[:, :m] += self.rate * c[:m, None] * c[:m] * spread
        if self.spherical:
            growth = 0.5 * np.diagonal(drift[:, :m]) / np.diagonal(rows[:, :m])
            drift = drift - growth[:, None] * rows
            drift[:, :m] -= growth * rows[:, :m]
        return drift


@dataclass(frozen=True)
class WeightsOfOverlaps:
    """Any (Q, M) as weights of m students in m + k features: W = M (V⁺)ᵀ + √(Q − M P⁻¹ Mᵀ) Nᵀ, with the teachers V
    (teacher, feature) and an orthonormal basis N (feature, m) of the directions orthogonal to them."""

    teachers: Array
    dual: Array
    outside: Array

    @classmethod
    def of(cls, teachers: Array, students: int) -> WeightsOfOverlaps:
        """For teachers in m + k features or more."""
        basis = np.linalg.qr(unit(teachers).T, mode="complete")[0]
        count = len(teachers)
        return cls(teachers, np.linalg.pinv(teachers).T, basis[:, count : count + students])

    def rows(self, hidden: Array) -> Array:
        """(Q, M) of hidden weights (student, feature), (student, unit)."""
        return np.concatenate([hidden @ hidden.T, hidden @ self.teachers.T], axis=1)

    def hidden(self, rows: Array) -> Array:
        """Hidden weights with these overlaps: the symmetric root of what M leaves of Q, a part below 0 by rounding
        taken as 0."""
        m = len(rows)
        inside = rows[:, m:] @ self.dual
        values, vectors = self.outside_modes(rows)
        return inside + (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T @ self.outside.T

    def outside_modes(self, rows: Array) -> tuple[Array, Array]:
        """Eigenvalues and eigenvectors of Q − M P⁻¹ Mᵀ."""
        m = len(rows)
        inside = rows[:, m:] @ self.dual
        left = rows[:, :m] - inside @ inside.T
        values, vectors = np.linalg.eigh(0.5 * (left + left.T))
        return values, vectors

    def shortfall(self, rows: Array) -> float:
        """By how much the lowest of these eigenvalues is below 0, as a share of the largest |w|²."""
        lowest, largest = self.outside_modes(rows)[0][0], np.diagonal(rows).max()
        return float(max(-lowest, 0.0) / largest) if largest > 0 else 0.0


class PathEndsError(Exception):
    """A solution cannot be carried further; the message says why."""


def order_8(
    velocity: Velocity,
    start: Array,
    times: Array,
    rtol: float,
    atol: float,
    check: Callable[[float, Array], None],
    states: StateStore | None = None,
) -> Iterator[Array]:
    """The solution at increasing times, the first of which is the start's, by Dormand and Prince's method of order 8
    with its interpolant. check: is called with the time and the solution after each step, and may raise
    `PathEndsError`, as happens where steps become too small. states: where the state is saved between steps. From
    one that is found there it goes on, and yields the start for each of the times before."""
    from scipy.integrate import DOP853  # loads scipy

    found = None if states is None else states.load()
    index = 1 if states is None or found is None else states.frames
    yield from itertools.repeat(start, index)
    if len(times) == 1:
        return
    solver = DOP853(velocity, times[0], start, times[-1], rtol=rtol, atol=atol)
    if found is not None:
        restore_solver(solver, found)
    while index < len(times):
        if states is not None:
            states.offer(lambda: solver_state(solver))
        solver.step()
        if solver.status == "failed" or not np.isfinite(solver.y).all():
            raise PathEndsError(f"the overlaps leave the range of floats at t = {solver.t:.6g}")
        check(solver.t, solver.y)
        if solver.t < times[index]:
            continue
        between = solver.dense_output()
        while index < len(times) and times[index] <= solver.t:
            yield solver.y if times[index] == solver.t else between(times[index])
            index += 1
