"""Orthogonal Runge–Kutta–Chebyshev methods of order 4 (ROCK4): what a step of s stages needs of them, as arrays.

Abdulle, Fourth order Chebyshev methods with recurrence relation, SIAM J. Sci. Comput. 23 (2002). The stability
polynomial R(z) = w(z) P_{s−4}(z) has |R| < 1 on [−l, 0), l ≈ 0.345 s²: w is of degree 4 with two pairs of complex
zeros, and P_j are orthogonal polynomials to the weight w²/√(1 − x²), x = 1 + (z + ε)/δ, whose recurrence is that of
the first s − 4 stages. The zeros solve R(z) = e^z + O(z⁵). The last four stages are the method that has the
stability polynomial w and fulfils the four nonlinear conditions of order 4 after the first ones; of the two
parameters that are left free it takes those next to the classical method's.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from twolayer.kernels.record import Matrix, Record, Vector

__all__ = ["FEWEST", "MOST", "Rock", "reach", "rock", "stages_for"]

FEWEST, MOST = 5, 50
"""The numbers of stages. More would bring rounding out: the last four stages multiply what the first ones leave in
stiff directions, rounding too, by |w(−l)|, which grows as s⁸."""

GAP = 0.5
"""ε: how far the interval of orthogonality ends below z = 0. There |R| is below 0.95."""

SHARE = 0.05
"""The weight of the velocity at the end of a step in the embedded method of order 3."""

ZEROS = (-0.304, 3.62, -2.53, 1.335)
"""About where the zeros of w lie for many stages: real and imaginary part of each pair."""

EXACT = 1.0 / np.array([1, 2, 3, 6, 4, 8, 12, 24])
"""The exact solution's elementary weights, of the trees ∙, [∙], [∙∙], [[∙]], [∙∙∙], [∙[∙]], [[∙∙]], [[[∙]]]."""

FACTORIALS = np.array([1.0, 2.0, 6.0, 24.0])


class Rock(Record):
    """With e_j = g_j − y: e_j = h μ_j f(y + e_{j−1}) + ν_j e_{j−1} − κ_j e_{j−2} for j = 1, …, s − 4, each (s − 4,);
    then four stages at y + e_{s−4} + h Σ_k a_ik f_k, a (4, 4), and e = e_{s−4} + h Σ b_i f_i, b (4,). errors (5,):
    h Σ (b̂_i − b_i) f_i + h b̂_5 f(y + e) is the difference to the embedded method of order 3."""

    slopes: Vector
    latest: Vector
    before: Vector
    matrix: Matrix
    weights: Vector
    errors: Vector


def reach(stages: int) -> float:
    """l: the method is stable for z in [−l, 0]."""
    return 0.345 * stages**2 - 3.2


def stages_for(stiffness: float) -> int:
    """The least number of stages of those used that reaches so far; those from 12 on lie a ninth apart."""
    least = max(FEWEST, math.ceil(math.sqrt((max(stiffness, 0.0) + 3.2) / 0.345)))
    stages = FEWEST
    while stages < least:
        stages += max(1, stages // 9)
    return stages


def recurrence(zeros: Any, stages: int) -> tuple[Any, Any, Any]:
    """μ, ν and κ of the first stages, for these zeros of w."""
    count = stages - 4
    half = 0.5 * (reach(stages) - GAP)
    shift = 1.0 + GAP / half
    nodes = stages + 8  # of Gauss–Chebyshev quadrature, which is exact
    x = np.cos(np.pi * (np.arange(nodes) + 0.5) / nodes)
    weight = np.polynomial.polynomial.polyval(half * (x - shift), weight_polynomial(zeros)) ** 2
    weight /= weight.sum()
    ratio, square = 0.0, 1.0
    previous, current = np.zeros(nodes), np.ones(nodes)
    slopes, latest, before = np.empty((3, count))
    for j in range(count):
        next_square = float(weight @ (current * current))
        middle = float(weight @ (x * current * current)) / next_square
        below = next_square / square if j else 0.0
        ratio_before, ratio = ratio, shift - middle - (below / ratio if j else 0.0)
        slopes[j] = 1.0 / (half * ratio)
        latest[j] = (shift - middle) / ratio
        before[j] = below / (ratio * ratio_before) if j else 0.0
        # twice the monic polynomials, which do not underflow
        previous, current = 2.0 * current, 2.0 * ((x - middle) * current - below * previous)
        square = 4.0 * next_square
    return slopes, latest, before


def weight_polynomial(zeros: Any) -> Any:
    """The coefficients of w, w(0) = 1, (5,)."""
    factors = []
    for real, imaginary in (zeros[:2], zeros[2:]):
        size = real * real + imaginary * imaginary
        factors.append([1.0, -2.0 * real / size, 1.0 / size])
    return np.convolve(factors[0], factors[1])


def excess(zeros: Any, stages: int) -> Any:
    """k! times the coefficient of z^k in R, less 1, for k = 1 to 4."""
    previous, current = np.zeros(5), np.eye(5)[0]
    for slope, latest, before in zip(*recurrence(zeros, stages), strict=True):
        following = latest * current - before * previous
        following[1:] += slope * current[:-1]
        previous, current = current, following
    return np.convolve(current, weight_polynomial(zeros))[1:5] * FACTORIALS - 1.0


def solved(residual: Any, start: Any) -> Any:
    """A zero of `residual` near `start` by Newton's method with differences; steps of least length."""
    point = np.array(start, dtype=np.float64)
    for _ in range(100):
        value = residual(point)
        if not np.abs(value).max() > 4e-15:
            break
        columns = []
        for j in range(len(point)):
            move = 1e-6 * np.eye(len(point))[j]
            columns.append((residual(point + move) - residual(point - move)) / 2e-6)
        step = np.linalg.lstsq(np.array(columns).T, value, rcond=None)[0]
        point = point - step
        if np.abs(step).max() < 1e-15:
            break
    return point


def differential(weights: Any) -> Any:
    """The elementary weights of h f(g) from those of g, both (8,)."""
    first, second, both, twice = weights[:4]
    return np.array([1.0, first, first**2, second, first**3, first * second, both, twice])


def last_stages(coefficients: Any, weights: Any) -> Any:
    """The elementary weights of h f at the last four stages, (4, 8), of a21, a31, a32, a41, a42, a43 and the first
    stages' weights."""
    matrix = lower(coefficients)
    found = np.zeros((4, 8))
    for i in range(4):
        found[i] = differential(weights + matrix[i] @ found)
    return found


def lower(coefficients: Any) -> Any:
    """a (4, 4) of a21, a31, a32, a41, a42, a43."""
    matrix = np.zeros((4, 4))
    matrix[np.tril_indices(4, -1)] = coefficients[:6]
    return matrix


@cache
def rock(stages: int) -> Rock:
    """The tables of a number of stages."""
    start = ZEROS if stages > 12 else (-0.25, 3.0, -2.1, 1.1)
    zeros = solved(lambda zeros: excess(zeros, stages), start)
    slopes, latest, before = recurrence(zeros, stages)
    earlier, weights = np.zeros(8), np.zeros(8)
    for j in range(stages - 4):
        following = slopes[j] * differential(weights) + latest[j] * weights - before[j] * earlier
        earlier, weights = weights, following

    def conditions(unknown: Any) -> Any:
        return weights + unknown[6:] @ last_stages(unknown, weights) - EXACT

    classical = (1.0 - weights[0]) * np.array([0.5, 0.0, 0.5, 0.0, 0.0, 1.0, 1 / 6, 1 / 3, 1 / 3, 1 / 6])
    unknown = solved(conditions, classical)
    found = last_stages(unknown, weights)
    end = differential(EXACT)
    embedded = np.linalg.solve(found[:, :4].T, (EXACT - weights - SHARE * end)[:4])
    errors = np.append(embedded - unknown[6:], SHARE)
    return Rock(slopes, latest, before, lower(unknown), unknown[6:].copy(), errors)
