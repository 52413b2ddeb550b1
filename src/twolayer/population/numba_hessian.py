"""Compiled Jacobian of gradient flow on a teacher, one seed, as `PopulationProblem.hessian`."""

from __future__ import annotations

import math

from twolayer.core.network import TIED, TRAINED
from twolayer.kernels.record import Matrix, Vector
from twolayer.population.numba_law import fill_plain_field
from twolayer.population.numba_units import (
    COEFFICIENT,
    DIRECTION,
    EVERY,
    FIELD,
    LENGTH,
    NORMAL,
    SEPARATE,
    SIGN,
    VECTOR,
    Law,
    Work,
    angle,
    fill_units,
    length,
    product,
)

__all__ = ["fill_jacobian"]


@SEPARATE
def fill_jacobian(vector: Vector, law: Law, work: Work, matrix: Matrix) -> None:
    """−∇∇ of the objective into `matrix` (parameter, parameter), as `PopulationProblem.hessian`."""
    m, (units, d) = law.given.size, work.vectors.shape[1:]
    scale, linear, curved, constant = law.numbers[0], law.numbers[1], law.numbers[2], law.numbers[3]
    fill_units(vector, law, work)
    fill_plain_field(m, law, work)
    vectors, numbers, by_output = work.vectors, work.numbers, work.rows[EVERY]
    both, cross, last = work.both, work.cross, work.last
    total = 0.0
    for p in range(units):
        total += numbers[COEFFICIENT, p] * numbers[LENGTH, p]
    for i in range(m):
        c, size = numbers[COEFFICIENT, i], numbers[LENGTH, i]
        alive = 1.0 if size > 0.0 or curved == 0.0 else 0.0
        for j in range(m * d):
            for a in range(d):
                both[i * d + a, j] = 0.0
        for j in range(m):
            last[i, j] = 0.0
            for a in range(d):
                cross[i * d + a, j] = alive * scale * vectors[FIELD, i, a] if i == j else 0.0
        if alive == 0.0:
            continue
        for q in range(units):
            theta = angle(vectors, DIRECTION, i, DIRECTION, q) if q != i else 0.0
            sine, cosine = math.sin(theta), math.cos(theta)
            cosine_of = product(vectors, DIRECTION, i, DIRECTION, q)
            for a in range(d):
                vectors[NORMAL, 0, a] = vectors[DIRECTION, q, a] - cosine_of * vectors[DIRECTION, i, a]
            apart = length(vectors, NORMAL, 0)
            for a in range(d):
                vectors[NORMAL, 0, a] = vectors[NORMAL, 0, a] / apart if apart > 0.0 else 0.0
            bend = 2.0 * curved * numbers[COEFFICIENT, q] * numbers[LENGTH, q] * sine
            outside = 1.0
            if q == i:
                bend, outside = -2.0 * constant * total, 0.0
            bend *= c / size if size > 0.0 else 0.0
            for a in range(d):
                both[i * d + a, i * d + a] += bend
                for b in range(d):
                    turned = (
                        outside * vectors[NORMAL, 0, a] * vectors[NORMAL, 0, b]
                        - vectors[DIRECTION, i, a] * vectors[DIRECTION, i, b]
                    )
                    both[i * d + a, i * d + b] += bend * turned
            if q >= m:
                continue
            heavy = 2.0 * c * numbers[COEFFICIENT, q]
            for a in range(d):
                along = curved * sine * sine * vectors[DIRECTION, i, a]
                along -= curved * sine * cosine * vectors[NORMAL, 0, a]
                across = curved * sine * vectors[DIRECTION, q, a]
                both[i * d + a, q * d + a] += heavy * (linear - curved * theta)
                for b in range(d):
                    both[i * d + a, q * d + b] += heavy * (
                        along * vectors[NORMAL, 0, b]
                        + across * vectors[DIRECTION, i, b]
                        - constant * vectors[DIRECTION, i, a] * vectors[DIRECTION, q, b]
                    )
                by_output[a] = 2.0 * numbers[LENGTH, q] * (
                    linear * vectors[DIRECTION, q, a]
                    + curved * (sine * vectors[DIRECTION, i, a] - theta * vectors[DIRECTION, q, a])
                    - constant * vectors[DIRECTION, i, a]
                )  # fmt: skip
                cross[i * d + a, q] += scale * c * by_output[a]
            cosine_of = 0.0
            for a in range(d):
                cosine_of += vectors[VECTOR, i, a] * by_output[a]
            last[i, q] = scale**2 * cosine_of
    decay = law.numbers[4] * (2.0 if law.mode == TIED else 1.0)
    for i in range(m):
        radial = 0.0
        if numbers[LENGTH, i] > 0.0:
            radial = scale * product(vectors, VECTOR, i, FIELD, i) / numbers[LENGTH, i]
        for j in range(m):
            sign = -numbers[SIGN, i] * numbers[SIGN, j]
            for a in range(d):
                for b in range(d):
                    value = both[i * d + a, j * d + b]
                    if law.mode == TIED:
                        u, v = vectors[DIRECTION, i, a], vectors[DIRECTION, j, b]
                        value += cross[i * d + a, j] * v + cross[j * d + b, i] * u + last[i, j] * u * v
                        if i == j:
                            value += radial * ((1.0 if a == b else 0.0) - u * v)
                    matrix[i * d + a, j * d + b] = sign * value
        if law.mode == TRAINED:
            for j in range(m):
                for a in range(d):
                    value = -numbers[SIGN, i] * cross[i * d + a, j]
                    matrix[i * d + a, m * d + j] = value
                    matrix[m * d + j, i * d + a] = value
                matrix[m * d + i, m * d + j] = -last[i, j]
    for p in range(matrix.shape[0]):
        matrix[p, p] -= decay
