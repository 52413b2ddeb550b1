"""The Radau points of an implicit step: what turns values at them into integrals, and into polynomials in time."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre

from twolayer.finite.flow.kernels import SEPARATE
from twolayer.kernels.record import Matrix, Record, Vector

__all__ = ["Collocation", "build_collocation", "columns_to_powers", "to_powers"]

STAGES = 11
"""The monomials of more would lose digits."""


class Collocation(Record):
    """The Radau points on (0, 1], and what turns values at them into integrals and polynomials."""

    points: Vector  # (stage,) the last is 1
    integral: Matrix  # (stage, stage) A: of the interpolant at the points, from 0 to each
    modes: Matrix  # (mode, stage + 1) values at 0 and at the points to Legendre coefficients on [0, 1]
    powers: Matrix  # (stage + 1, mode) those to coefficients of t^i; integers


def build_collocation(order: int) -> Collocation:
    """The points whose polynomials fit into series of the given order."""
    stages = min(STAGES, order - 1)
    difference = np.zeros(stages + 1)
    difference[stages - 1 :] = -1.0, 1.0
    points = np.sort(legendre.legroots(difference))
    slope = legendre.legder(difference)
    for _ in range(3):
        points -= legendre.legval(points, difference) / legendre.legval(points, slope)
    points[-1] = 1.0
    values = legendre.legvander(points, stages - 1)
    integrals = np.stack(
        [legendre.legval(points, legendre.legint(row, lbnd=-1.0, scl=1.0)) / 2.0 for row in np.eye(stages)],
        axis=1,
    )
    integral = np.linalg.solve(values.T, integrals.T).T
    modes = np.linalg.inv(legendre.legvander(np.append(-1.0, points), stages))
    # Shifted Legendre polynomials have integer coefficients in t: exact here.
    shifted = np.zeros((stages + 1, stages + 1))
    for degree in range(stages + 1):
        value = 1.0
        for i in range(degree + 1):
            shifted[i, degree] = (-1.0) ** (degree - i) * value
            value = value * (degree - i) * (degree + i + 1) / (i + 1) ** 2
    return Collocation(
        points=0.5 * (points + 1.0),
        integral=np.ascontiguousarray(integral),
        modes=np.ascontiguousarray(modes),
        powers=shifted,
    )


@SEPARATE
def to_powers(length: float, rule: Collocation, values: Vector) -> None:
    """Values at 0 and at the points (stage + 1,) become coefficients of t^i, in place."""
    size = rule.points.size + 1
    modes = np.empty(size)
    factor = np.empty(size)
    factor[0] = 1.0
    for i in range(1, size):
        factor[i] = factor[i - 1] / length
    # By way of Legendre coefficients, whose rounding the large integers do not magnify. Differences to the
    # start: what stands still has coefficients of exactly zero.
    for row in range(size):
        modes[row] = 0.0
        for i in range(1, size):
            modes[row] += rule.modes[row, i] * (values[i] - values[0])
    for i in range(1, size):
        value = 0.0
        for row in range(i, size):
            value += rule.powers[i, row] * modes[row]
        values[i] = value * factor[i]
    for i in range(size, values.size):
        values[i] = 0.0


@SEPARATE
def columns_to_powers(length: float, rule: Collocation, values: Matrix) -> None:
    """`to_powers` of each column of values (stage + 1 or more, line)."""
    column = np.empty(values.shape[0])
    for k in range(values.shape[1]):
        for i in range(column.size):
            column[i] = values[i, k]
        to_powers(length, rule, column)
        for i in range(column.size):
            values[i, k] = column[i]
