"""Linear algebra of the stages of an implicit step: eigenvectors, and states in them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer.kernels.simd import load, repeat, splat, store
from twolayer.population.numba_units import SEPARATE, inner
from twolayer.population.radau_memory import Memory

__all__ = ["decompose", "diagonalize", "fill_weights", "rotate", "rotate_one"]


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
def rotate(stages: Any, matrix: Any, out: Any) -> None:
    """A matrix (parameter, parameter), transposed, times stages (parameter, lane): eight rows at a time, in
    registers."""
    n = matrix.shape[0]
    flat = matrix.reshape(-1)
    for block in range(-(-n // 8) if n >= 8 else 0):
        b = min(8 * block, n - 8)
        x0, x1, x2, x3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        x4, x5, x6, x7 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        for a in range(n):
            value, at = load(stages, 8 * a), a * n + b
            x0 += repeat(flat, at) * value
            x1 += repeat(flat, at + 1) * value
            x2 += repeat(flat, at + 2) * value
            x3 += repeat(flat, at + 3) * value
            x4 += repeat(flat, at + 4) * value
            x5 += repeat(flat, at + 5) * value
            x6 += repeat(flat, at + 6) * value
            x7 += repeat(flat, at + 7) * value
        store(out, 8 * b, x0)
        store(out, 8 * b + 8, x1)
        store(out, 8 * b + 16, x2)
        store(out, 8 * b + 24, x3)
        store(out, 8 * b + 32, x4)
        store(out, 8 * b + 40, x5)
        store(out, 8 * b + 48, x6)
        store(out, 8 * b + 56, x7)
    for b in range(0, n if n < 8 else 0):
        x0 = splat(0.0)
        for a in range(n):
            x0 += repeat(flat, a * n + b) * load(stages, 8 * a)
        store(out, 8 * b, x0)


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
