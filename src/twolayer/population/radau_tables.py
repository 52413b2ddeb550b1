"""Radau IIA collocation of s = 3, 5 or 7 stages, of order 2s − 1: what an integrator needs of it, as arrays.

The nodes c are the zeros of P_s − P_{s−1} on [0, 1], c_s = 1. With Z_i = y(t + c_i h) − y(t) and L_j the Lagrange
polynomials of the nodes and 0, h f(y + Z_i) = Σ_j L_j'(c_i) Z_j. The matrix of these equations has one real
eigenvalue and (s − 1)/2 complex pairs (Hairer and Wanner, Solving Ordinary Differential Equations II, IV.8).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.polynomial import Legendre

from twolayer.kernels.record import Matrix, Record, Vector

__all__ = ["Radau", "radau"]


class Radau(Record):
    """nodes: 0 and c, (s + 1,). slopes: L_j'(c_i), (s, s). vectors, inverse: T and T⁻¹, (s, s), in which the slopes
    are γ, then blocks ((α, β), (−β, α)). real: γ. pairs: α and β, ((s − 1)/2, 2). errors: h times the polynomial of
    the stages' velocities at 0, of Z, (s,): its difference from the velocity there estimates the error.
    iterations: how many of Newton's at most. reach: the ratio of two steps' sizes up to which the last one's
    polynomial is followed."""

    nodes: Vector
    slopes: Matrix
    vectors: Matrix
    inverse: Matrix
    real: float
    pairs: Matrix
    errors: Vector
    iterations: int
    reach: float


@cache
def radau(stages: int) -> Radau:
    """The tables for an odd number of stages."""
    polynomial = Legendre.basis(stages) - Legendre.basis(stages - 1)
    zeros = np.sort(polynomial.roots().real)
    zeros -= polynomial(zeros) / polynomial.deriv()(zeros)
    zeros[-1] = 1.0
    c = 0.5 * (zeros + 1.0)
    nodes = np.concatenate([[0.0], c])
    apart = nodes[:, None] - nodes + np.eye(stages + 1)
    weight = 1.0 / apart.prod(axis=1)
    matrix = weight / weight[:, None] / apart * (1.0 - np.eye(stages + 1))
    matrix -= np.diag(matrix.sum(axis=1))
    slopes = matrix[1:, 1:]
    values, columns = np.linalg.eig(slopes)
    by_pairs = np.lexsort((values.real, np.abs(values.imag)))
    order = [index for index in by_pairs if values[index].imag >= -1e-9]
    vectors, pairs = [columns[:, order[0]].real], []
    for index in order[1:]:
        vectors += [columns[:, index].real, columns[:, index].imag]
        pairs.append((values[index].real, values[index].imag))
    basis = np.array(vectors).T
    differences = c[:, None] - c + np.eye(stages)
    backward = np.array([np.prod(np.delete(-c, j)) / differences[j].prod() for j in range(stages)])
    return Radau(
        nodes,
        np.ascontiguousarray(slopes),
        np.ascontiguousarray(basis),
        np.linalg.inv(basis),
        float(values[order[0]].real),
        np.array(pairs),
        backward @ slopes,
        (5 * stages - 1) // 2,
        2.0,
    )
