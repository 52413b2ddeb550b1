"""Compiled velocity of gradient flow on a teacher, one seed: the second implementation.

The formulas are those of `closed_form` and, for orthogonal teachers, of `orthogonal_form`, written as loops over
pairs: in the few dimensions of a flow the array code spends its time on calls. Tested against it to rounding.
"""

from __future__ import annotations

import math
from typing import Any

from twolayer.core.network import TIED, TRAINED
from twolayer.kernels.record import Vector
from twolayer.population.numba_units import (
    ACTION,
    ALONG,
    BARE_OMEGA,
    BARE_XI,
    COEFFICIENT,
    COSINE,
    DIRECTION,
    EVERY,
    FIELD,
    FLIP,
    HEADED,
    LENGTH,
    ODD,
    OUTPUT,
    POSITION,
    REST,
    SEPARATE,
    SIGN,
    SINE,
    SQUARE,
    THETA,
    TOTAL,
    TURNED,
    VECTOR,
    WEIGHT,
    Law,
    Work,
    angle,
    fill_units,
    inner,
    length,
    product,
)
from twolayer.population.orthogonal_groups import CLOSE, COARSE

__all__ = ["fill_from_field", "fill_plain_field", "fill_velocity"]


@SEPARATE
def fill_plain_field(m: int, law: Law, work: Work) -> None:
    """F_i as `closed_form.field`: each pair of students once."""
    vectors, numbers = work.vectors, work.numbers
    linear, curved, constant = law.numbers[1], law.numbers[2], law.numbers[3]
    units, d = vectors.shape[1:]
    residual, total = work.rows[ODD], 0.0
    for a in range(d):
        residual[a] = 0.0
    for p in range(units):
        mass = numbers[COEFFICIENT, p] * numbers[LENGTH, p]
        numbers[WEIGHT, p], numbers[ALONG, p] = mass, 0.0
        total += mass
        for a in range(d):
            residual[a] += mass * vectors[DIRECTION, p, a]
            vectors[FIELD, p, a] = 0.0
    for i in range(m):
        for q in range(i + 1, units):
            theta = angle(vectors, DIRECTION, i, DIRECTION, q)
            sine, mass = math.sin(theta), numbers[WEIGHT, q]
            numbers[ALONG, i] += sine * mass
            for a in range(d):
                vectors[FIELD, i, a] -= theta * mass * vectors[DIRECTION, q, a]
            if q < m:
                mass = numbers[WEIGHT, i]
                numbers[ALONG, q] += sine * mass
                for a in range(d):
                    vectors[FIELD, q, a] -= theta * mass * vectors[DIRECTION, i, a]
    for i in range(m):
        along = 2.0 * (curved * numbers[ALONG, i] - constant * total)
        alive = numbers[LENGTH, i] > 0.0 or curved == 0.0
        for a in range(d):
            value = (
                2.0 * (linear * residual[a] + curved * vectors[FIELD, i, a])
                + along * vectors[DIRECTION, i, a]
            )
            vectors[FIELD, i, a] = value if alive else 0.0


@inner
def xi(x: float) -> float:
    """ξ = √(1 + X) − 1 without loss of digits."""
    return x / (1.0 + math.sqrt(1.0 + x))


@inner
def beyond_sine(theta: float) -> float:
    """θ − sin θ of small angles, by its series."""
    square = theta * theta
    series = 1.0 - square / 20.0 * (1.0 - square / 42.0 * (1.0 - square / 72.0))
    return theta * square / 6.0 * series


@inner
def fill_groups(m: int, law: Any, work: Any) -> int:
    """The groups of `orthogonal_groups`; how many students belong to one."""
    vectors, numbers, tilt = work.vectors, work.numbers, work.tilt
    units, d = vectors.shape[1:]
    k, members = units - m, 0
    for p in range(units):
        highest, lowest, nearest, farthest = -math.inf, math.inf, 0, 0
        for s in range(k):
            along = product(vectors, VECTOR, p, DIRECTION, m + s)
            if along > highest:
                highest, nearest = along, s
            if along < lowest:
                lowest, farthest = along, s
        sign, group, height = 1.0, nearest, highest
        if p >= m:
            group, height = p - m, numbers[LENGTH, p]
        elif highest < -lowest:
            sign, group, height = -1.0, farthest, -lowest
        for a in range(d):
            vectors[TURNED, p, a], vectors[HEADED, p, a] = (
                sign * vectors[VECTOR, p, a],
                sign * vectors[DIRECTION, p, a],
            )
            vectors[REST, p, a] = (
                vectors[TURNED, p, a] - height * vectors[DIRECTION, m + group, a] if p < m else 0.0
            )
        square = product(vectors, REST, p, REST, p)
        if p < m and not (height > 0.0 and length(vectors, REST, p) <= CLOSE * height):
            for a in range(d):
                vectors[REST, p, a], vectors[POSITION, p, a] = 0.0, 0.0
            group, height, square = -1, 0.0, 0.0
        elif p < m:
            members += 1
            for a in range(d):
                vectors[REST, p, a] /= height
            square = product(vectors, REST, p, REST, p)
        for s in range(k):
            tilt[p, s] = product(vectors, REST, p, DIRECTION, m + s)
        if group >= 0:
            for a in range(d):
                vectors[POSITION, p, a] = vectors[DIRECTION, m + group, a] + vectors[REST, p, a]
        work.group[p] = group
        numbers[FLIP, p], numbers[SQUARE, p] = sign, square
        numbers[WEIGHT, p] = numbers[COEFFICIENT, p] * height
    return members


@inner
def fill_sums(m: int, law: Any, work: Any) -> float:
    """Σ qy of each group, r̃ and r; ΣC."""
    vectors, numbers, rows, teachers = work.vectors, work.numbers, work.rows, work.teachers
    units, d = vectors.shape[1:]
    k, mass = units - m, 0.0
    for s in range(k):
        teachers[TOTAL, s] = 0.0
    for row in range(k + 3):
        for a in range(d):
            rows[row, a] = 0.0
    for p in range(units):
        s, weight, c = work.group[p], numbers[WEIGHT, p], numbers[COEFFICIENT, p]
        for a in range(d):
            rows[ODD, a] += c * vectors[VECTOR, p, a]
        if s < 0:
            mass += c * numbers[LENGTH, p]
            for a in range(d):
                rows[EVERY, a] += c * vectors[TURNED, p, a]
            continue
        teachers[TOTAL, s] += weight
        mass += weight * xi(numbers[SQUARE, p])
        for a in range(d):
            rows[s, a] += weight * vectors[REST, p, a]
    for s in range(k):
        mass += teachers[TOTAL, s]
        for a in range(d):
            rows[s, a] += teachers[TOTAL, s] * vectors[DIRECTION, m + s, a]
            rows[EVERY, a] += rows[s, a]
    return mass


@inner
def fill_grouped_field(m: int, law: Any, work: Any) -> None:
    """F_i as `orthogonal_form.field`, of the groups and their sums."""
    mass = fill_sums(m, law, work)
    vectors, numbers = work.vectors, work.numbers
    rows, teachers, tilt = work.rows, work.teachers, work.tilt
    linear, curved, constant = law.numbers[1], law.numbers[2], law.numbers[3]
    units, d = vectors.shape[1:]
    even = 0.5 * math.pi * curved
    share = linear - even if abs(linear - even) > 1e-9 * linear else 0.0
    for i in range(m):
        for a in range(d):
            rows[ACTION, a], vectors[FIELD, i, a] = 0.0, 0.0
        if numbers[LENGTH, i] == 0.0 and curved != 0.0:
            continue
        along, ahead, group = 0.0, 0.0, work.group[i]  # of y, and of û
        bulk = 1.0 + numbers[SQUARE, i]
        for s in range(units - m):
            factor = 0.0
            if group < 0:
                theta = angle(vectors, HEADED, i, DIRECTION, m + s)
                teachers[THETA, s], teachers[SINE, s], teachers[COSINE, s] = (
                    theta,
                    math.sin(theta),
                    math.cos(theta),
                )
                ahead += teachers[TOTAL, s] * teachers[SINE, s]
                factor = -theta
            elif s != group:
                teachers[BARE_XI, s] = xi(numbers[SQUARE, i] - tilt[i, s] ** 2)
                teachers[BARE_OMEGA, s] = math.atan2(tilt[i, s], 1.0 + teachers[BARE_XI, s])
                along += (1.0 + teachers[BARE_XI, s]) * teachers[TOTAL, s] / bulk
                factor = teachers[BARE_OMEGA, s] - 0.5 * math.pi
            for a in range(d):
                rows[ACTION, a] += factor * rows[s, a]
        for q in range(units):
            s, weight = work.group[q], numbers[WEIGHT, q]
            if q == i:
                continue
            if s < 0:
                theta = angle(vectors, HEADED, i, HEADED, q)
                ahead += math.sin(theta) * numbers[COEFFICIENT, q] * numbers[LENGTH, q]
                for a in range(d):
                    rows[ACTION, a] -= theta * numbers[COEFFICIENT, q] * vectors[TURNED, q, a]
            elif s == group:
                distance, both, lean = 0.0, 0.0, 0.0
                for a in range(d):
                    apart = vectors[REST, i, a] - vectors[REST, q, a]
                    distance += apart**2
                    both += vectors[REST, i, a] * vectors[REST, q, a]
                    lean += vectors[REST, i, a] * apart
                sine = max(distance + numbers[SQUARE, i] * distance - lean**2, 0.0)
                theta = math.atan2(math.sqrt(sine), 1.0 + both)
                stretch = xi((numbers[SQUARE, q] - numbers[SQUARE, i]) / bulk)
                along += weight * (math.sin(theta) * stretch - beyond_sine(theta))
                for a in range(d):
                    rows[ACTION, a] += weight * theta * (vectors[REST, i, a] - vectors[REST, q, a])
            elif q >= m:  # the teacher itself is bare
                continue
            elif group < 0:
                sine, cosine = teachers[SINE, s], teachers[COSINE, s]
                lean = product(vectors, HEADED, i, REST, q)
                change = numbers[SQUARE, q] - lean * (lean + 2.0 * cosine)
                if numbers[SQUARE, q] > (COARSE * sine) ** 2:
                    theta = angle(vectors, HEADED, i, HEADED, q)
                    change = math.sqrt(1.0 + numbers[SQUARE, q]) * math.sin(theta) - sine
                    theta -= teachers[THETA, s]
                else:
                    after = math.sqrt(max(sine**2 + change, 0.0))
                    change /= sine + after
                    theta = math.atan2(change * cosine - sine * lean, cosine * (cosine + lean) + sine * after)
                ahead += weight * change
                for a in range(d):
                    rows[ACTION, a] -= weight * theta * vectors[POSITION, q, a]
            else:
                change = tilt[q, group] + product(vectors, REST, i, REST, q)
                more = numbers[SQUARE, q] * bulk - change * (2.0 * tilt[i, s] + change)
                before = 1.0 + teachers[BARE_XI, s]
                after = math.sqrt(max(before**2 + more, 0.0))
                more /= before + after
                along += weight * more / bulk
                turn = math.atan2(
                    change * before - tilt[i, s] * more, after * before + (tilt[i, s] + change) * tilt[i, s]
                )
                for a in range(d):
                    rows[ACTION, a] += weight * turn * vectors[POSITION, q, a]
        for a in range(d):
            value = even * rows[EVERY, a] + curved * (rows[ACTION, a] + along * vectors[POSITION, i, a])
            value += (curved * ahead - constant * mass) * vectors[HEADED, i, a]
            vectors[FIELD, i, a] = 2.0 * (numbers[FLIP, i] * value + share * rows[ODD, a])


@SEPARATE
def fill_velocity(vector: Vector, law: Law, work: Work, out: Vector) -> None:
    """−∇ of the objective in the trained parameters into `out` (parameter,), as `PopulationProblem.gradient`."""
    fill_units(vector, law, work)
    m = law.given.size
    if law.orthogonal and fill_groups(m, law, work) > 0:
        fill_grouped_field(m, law, work)
    else:
        fill_plain_field(m, law, work)
    fill_from_field(law, work, out)


@SEPARATE
def fill_from_field(law: Law, work: Work, out: Vector) -> None:
    """−∇ of the objective into `out` (parameter,), of the units and the field F."""
    m, d, scale, decay = law.given.size, work.vectors.shape[2], law.numbers[0], law.numbers[4]
    vectors, numbers = work.vectors, work.numbers
    for i in range(m):
        by_output = scale * product(vectors, VECTOR, i, FIELD, i)
        output = numbers[OUTPUT, i]
        for a in range(d):
            value = scale * output * vectors[FIELD, i, a]
            if law.mode == TIED:
                value += by_output * vectors[DIRECTION, i, a] + decay * vectors[VECTOR, i, a]
            out[i * d + a] = -numbers[SIGN, i] * (value + decay * vectors[VECTOR, i, a])
        if law.mode == TRAINED:
            out[m * d + i] = -(by_output + decay * output)
