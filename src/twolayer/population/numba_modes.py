"""Linear algebra of the stages of an implicit step: eigenvectors, and states in them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer.kernels.simd import load, repeat, splat, store
from twolayer.population.numba_units import SEPARATE, inner
from twolayer.population.radau_memory import Memory

__all__ = ["decompose", "diagonalize", "fill_weights", "mix", "rotate", "rotate_one"]


@inner
def fill_weights(nodes: Any, theta: float, out: Any) -> None:
    """The Lagrange polynomials of the nodes but the first, at θ."""
    for j in range(1, nodes.size):
        value = 1.0
        for k in range(nodes.size):
            if k != j:
                value *= (theta - nodes[k]) / (nodes[j] - nodes[k])
        out[j - 1] = value


@inner
def rotate(vectors: Any, matrix: Any, out: Any) -> None:
    """vectors (row, parameter) times a matrix (parameter, parameter): of seven rows eight columns at a time, in
    registers."""
    rows, n = vectors.shape
    blocks = -(-n // 8) if rows == 7 and n >= 8 else 0
    flat, taken, found = matrix.reshape(-1), vectors.reshape(-1), out.reshape(-1)
    for block in range(blocks):
        b = min(8 * block, n - 8)
        x0, x1, x2, x3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        x4, x5, x6 = splat(0.0), splat(0.0), splat(0.0)
        for a in range(n):
            row = load(flat, a * n + b)
            x0 += repeat(taken, a) * row
            x1 += repeat(taken, n + a) * row
            x2 += repeat(taken, 2 * n + a) * row
            x3 += repeat(taken, 3 * n + a) * row
            x4 += repeat(taken, 4 * n + a) * row
            x5 += repeat(taken, 5 * n + a) * row
            x6 += repeat(taken, 6 * n + a) * row
        store(found, b, x0)
        store(found, n + b, x1)
        store(found, 2 * n + b, x2)
        store(found, 3 * n + b, x3)
        store(found, 4 * n + b, x4)
        store(found, 5 * n + b, x5)
        store(found, 6 * n + b, x6)
    for i in range(0 if blocks else rows):
        for b in range(n):
            out[i, b] = 0.0
        for a in range(n):
            x = vectors[i, a]
            for b in range(n):
                out[i, b] += x * matrix[a, b]


@inner
def rotate_one(vector: Any, matrix: Any, out: Any) -> None:
    """As `rotate`, of one vector (parameter,)."""
    n = vector.size
    for b in range(n):
        out[b] = 0.0
    for a in range(n):
        share = vector[a]
        for b in range(n):
            out[b] += share * matrix[a, b]


@inner
def mix(matrix: Any, vectors: Any, out: Any) -> None:
    """A matrix (stage, stage) times vectors (stage, parameter)."""
    stages, n = vectors.shape
    for i in range(stages):
        for b in range(n):
            out[i, b] = 0.0
        for j in range(stages):
            share = matrix[i, j]
            for b in range(n):
                out[i, b] += share * vectors[j, b]


@SEPARATE
def diagonalize(memory: Memory) -> None:
    """Eigenvalues and eigenvectors of the matrix in `basis`, by Jacobi's rotations."""
    matrix, basis = memory.transposed, memory.basis
    n = memory.values.size
    for p in range(n):
        for q in range(n):
            matrix[p, q] = basis[p, q]
            basis[p, q] = 1.0 if p == q else 0.0
    for _ in range(30):
        outside, inside = 0.0, 0.0
        for p in range(n):
            inside += matrix[p, p] ** 2
            for q in range(p):
                outside += matrix[p, q] ** 2
        if not outside > 1e-30 * inside:
            break
        for p in range(n - 1):
            for q in range(p + 1, n):
                if matrix[p, q] == 0.0:
                    continue
                slant = 0.5 * (matrix[q, q] - matrix[p, p]) / matrix[p, q]
                t = 1.0 / (abs(slant) + math.sqrt(slant * slant + 1.0))
                if slant < 0.0:
                    t = -t
                cosine = 1.0 / math.sqrt(t * t + 1.0)
                sine = t * cosine
                for a in range(n):
                    x, y = matrix[a, p], matrix[a, q]
                    matrix[a, p], matrix[a, q] = cosine * x - sine * y, sine * x + cosine * y
                for a in range(n):
                    x, y = matrix[p, a], matrix[q, a]
                    matrix[p, a], matrix[q, a] = cosine * x - sine * y, sine * x + cosine * y
                    x, y = basis[a, p], basis[a, q]
                    basis[a, p], basis[a, q] = cosine * x - sine * y, sine * x + cosine * y
    for p in range(n):
        memory.values[p] = matrix[p, p]
    for p in range(n):
        for q in range(n):
            matrix[q, p] = basis[p, q]


@SEPARATE
def decompose(memory: Memory) -> None:
    """As `diagonalize`, by LAPACK."""
    values, vectors = np.linalg.eigh(memory.basis)
    n = values.size
    for p in range(n):
        memory.values[p] = values[p]
        for q in range(n):
            memory.basis[p, q] = vectors[p, q]
            memory.transposed[q, p] = vectors[p, q]
