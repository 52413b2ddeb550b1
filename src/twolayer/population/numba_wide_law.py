"""The velocity of a wide gradient flow on a teacher, with eight students in the lanes of one instruction.

As `numba_law.fill_velocity` by the plain sums of `closed_form`, with angles as in descents: for one seed of
many students, whose forces are far from their rounding.
"""

from __future__ import annotations

import numpy as np

from twolayer.kernels.record import Record, Vector
from twolayer.kernels.simd import load, repeat, splat, store
from twolayer.population.lanes import aligned, angle, pulls, squares
from twolayer.population.numba_law import fill_from_field
from twolayer.population.numba_units import (
    COEFFICIENT,
    DIRECTION,
    FIELD,
    LENGTH,
    SEPARATE,
    Law,
    Work,
    fill_units,
)

__all__ = ["Columns", "fill_wide_velocity"]


class Columns(Record):
    """Memory, flat: û and C û (coordinate, column), θ (column, column), C (column,), Σ_q C_q sin θ_iq (column,) and
    that of earlier blocks lane by lane (column, lane); of a block its squared distances, (unit, lane), and Σ_q θ C û,
    (coordinate, lane); and the residual (coordinate,). Columns are students, teachers, and zeros up to a multiple of
    eight, coordinates likewise."""

    units: Vector
    pulling: Vector
    angles: Vector
    mass: Vector
    along: Vector
    mirrored: Vector
    square: Vector
    force: Vector
    residual: Vector

    @classmethod
    def of(cls, units: int, coordinates: int) -> Columns:
        """For so many students and teachers."""
        width, rows = -(-units // 8) * 8, -(-coordinates // 8) * 8
        sizes = (rows * width, rows * width, width**2, width, width, width * 8, 64, rows * 8, rows)
        return cls(*(aligned(np.zeros(size)) for size in sizes))


@SEPARATE
def fill_wide_velocity(vector: Vector, law: Law, work: Work, columns: Columns, out: Vector) -> None:
    """−∇ of the objective in the trained parameters into `out`, both (parameter,)."""
    fill_units(vector, law, work)
    fill_columns_field(law, work, columns)
    fill_from_field(law, work, out)


@SEPARATE
def fill_columns_field(law: Law, work: Work, columns: Columns) -> None:
    """F_i as `numba_law.fill_plain_field`, of the units; θ of mirrored blocks is copied."""
    m, vectors, numbers = law.given.size, work.vectors, work.numbers
    linear, curved, constant = 2.0 * law.numbers[1], 2.0 * law.numbers[2], 2.0 * law.numbers[3]
    count, d = vectors.shape[1:]
    width, rows = columns.mass.size, columns.residual.size
    unit, pulling, theta, mass = columns.units, columns.pulling, columns.angles, columns.mass
    total = 0.0
    for p in range(count):
        mass[p] = numbers[COEFFICIENT, p] * numbers[LENGTH, p]
        total += mass[p]
    for a in range(d):
        value = 0.0
        for p in range(count):
            unit[a * width + p] = vectors[DIRECTION, p, a]
            pulling[a * width + p] = mass[p] * vectors[DIRECTION, p, a]
            value += pulling[a * width + p]
        columns.residual[a] = value
    for q in range(0, width * 8, 8):
        store(columns.mirrored, q, splat(0.0))
    for i in range(0, m, 8):
        drift, lane_mass = splat(0.0), load(mass, i)
        for q in range(i, width, 8):
            squares(unit, width, i, q, d, columns.square)
            for p in range(8):
                turn, sine = angle(load(columns.square, p * 8))
                store(theta, (q + p) * width + i, turn)
                drift += sine * repeat(mass, q + p)
                if q > i:
                    store(
                        columns.mirrored,
                        (q + p) * 8,
                        load(columns.mirrored, (q + p) * 8) + sine * lane_mass,
                    )
            if q > i:
                for p in range(q, q + 8):
                    for j in range(i, i + 8):
                        theta[j * width + p] = theta[p * width + j]
        store(columns.along, i, drift)
    for i in range(0, m, 8):
        for a in range(0, rows, 8):
            pulls(theta, pulling, width, count, i, a, columns.force)
        for j in range(i, min(i + 8, m)):
            along = columns.along[j]
            for lane in range(8):
                along += columns.mirrored[j * 8 + lane]
            along = curved * along - constant * total
            alive = numbers[LENGTH, j] > 0.0 or curved == 0.0
            for a in range(d):
                value = linear * columns.residual[a] - curved * columns.force[a * 8 + j - i]
                value += along * vectors[DIRECTION, j, a]
                vectors[FIELD, j, a] = value if alive else 0.0
