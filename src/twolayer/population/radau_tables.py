"""Radau IIA collocation of s = 3, 5 or 7 stages, of order 2s − 1: what an integrator needs of it, as arrays.

The nodes c are the zeros of P_s − P_{s−1} on [0, 1], c_s = 1. With Z_i = y(t + c_i h) − y(t) and L_j the Lagrange
polynomials of the nodes and 0, h f(y + Z_i) = Σ_j L_j'(c_i) Z_j. The matrix of these equations has one real
eigenvalue and (s − 1)/2 complex pairs (Hairer and Wanner, Solving Ordinary Differential Equations II, IV.8).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial import Legendre

from twolayer.kernels.record import Matrix, Record, Vector

__all__ = ["STAGES", "Radau", "radau"]

STAGES = 7
"""With which flows on a teacher are integrated: order 13."""


class Radau(Record):
    """nodes: 0 and c, (s + 1,). slopes: L_j'(c_i), (s, s). vectors, inverse: T and T⁻¹, (s, s), in which the slopes
    are γ, then blocks ((α, β), (−β, α)). real: γ. pairs: α and β, ((s − 1)/2, 2). errors: h times the polynomial of
    the stages' velocities at 0, of Z, (s,): its difference from the velocity there estimates the error.
    iterations: how many of Newton's at most. reach: the ratio of two steps' sizes up to which the last one's
    polynomial is followed. weights: 1/Π_k (c_j − c_k) of the Lagrange polynomials, (s,). columns, vector_columns,
    inverse_columns: the slopes, T and T⁻¹ by their columns, (7, lane), flat, 0 beyond s; lanes: c, then the diagonal
    of the blocks, then β with the sign that it has in the inverse of its block, (3, lane), flat."""

    nodes: Vector
    slopes: Matrix
    vectors: Matrix
    inverse: Matrix
    real: float
    pairs: Matrix
    errors: Vector
    iterations: int
    reach: float
    weights: Vector
    columns: Vector
    vector_columns: Vector
    inverse_columns: Vector
    lanes: Vector


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
    inverse = np.linalg.inv(basis)
    real, imaginary = np.zeros((2, 8))
    real[0] = values[order[0]].real
    real[1:stages:2], real[2:stages:2] = np.transpose(pairs)[0], np.transpose(pairs)[0]
    imaginary[1:stages:2], imaginary[2:stages:2] = -np.transpose(pairs)[1], np.transpose(pairs)[1]
    imaginary[stages:] = 1.0  # whatever is not 0
    ends = np.ones(8)
    ends[:stages] = c
    backward = np.array([np.prod(np.delete(-c, j)) / differences[j].prod() for j in range(stages)])
    return Radau(
        nodes,
        np.ascontiguousarray(slopes),
        np.ascontiguousarray(basis),
        inverse,
        float(values[order[0]].real),
        np.array(pairs),
        backward @ slopes,
        (5 * stages - 1) // 2,
        2.0,
        weight[1:].copy(),
        columns_of(slopes),
        columns_of(basis),
        columns_of(inverse),
        np.concatenate([ends, real, imaginary]),
    )


def columns_of(matrix: Any) -> Any:
    """A matrix (stage, stage) by its columns, seven of eight lanes, flat."""
    columns = np.zeros((7, 8))
    columns[: len(matrix), : len(matrix)] = matrix.T
    return columns.reshape(-1)
