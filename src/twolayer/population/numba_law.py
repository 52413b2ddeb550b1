"""Compiled velocity and Jacobian of gradient flow on a teacher, one seed: the second implementation.

The formulas are those of `closed_form` and, for orthogonal teachers, of `orthogonal_form`, written as loops over
pairs: in the few dimensions of a flow the array code spends its time on calls. Tested against it to rounding.
All that is computed on the way lies in `Work`, so that nothing is allocated.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer.core.arrays import norm
from twolayer.core.network import TIED, TRAINED
from twolayer.kernels.jit import njit
from twolayer.kernels.record import Cube, Integers, Matrix, Record, Vector
from twolayer.kernels.separate import separate
from twolayer.population.closed_form import unit
from twolayer.population.orthogonal_form import CLOSE, COARSE

__all__ = [
    "SEPARATE",
    "Law",
    "Work",
    "fill_from_field",
    "fill_jacobian",
    "fill_units",
    "fill_velocity",
    "inner",
]

inner = njit(cache=True, nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Of what only kernels call: without the code that takes arguments from Python, a third of the compile time."""
SEPARATE: Any = separate(cache=True, nogil=True, error_model="numpy")
"""Of what several kernels call, or what would be compiled once more with each."""

VECTOR, DIRECTION, TURNED, HEADED, REST, POSITION, FIELD, NORMAL = range(8)
"""Vectors of units: u, û, σu, σû, ζ, v̂ + ζ (0 for strays), F; and one at right angles to û in the plane of a pair."""
LENGTH, COEFFICIENT, OUTPUT, SIGN, WEIGHT, SQUARE, FLIP, ALONG = range(8)
"""Numbers of units: |u|, c, a, the sign that |·| turns it by, q = c h, |ζ|², σ, Σ_q sin θ C_q."""
TOTAL, BARE_XI, BARE_OMEGA, THETA, SINE, COSINE = range(6)
"""Numbers of teachers: Q of the group; of one student and each bare teacher ξ₀, ω₀, θ₀ and its sine and cosine."""
RESIDUAL, ODD, EVERY, ACTION = 0, -1, -2, -3
"""Rows: Σ qy of each group, then of one student the curved part, r̃ and r."""

SAFE = 1e100
"""Lengths between the inverse of this and this are squared as they are."""


class Law(Record):
    """What the velocity depends on but for the teachers: a (student,) where it is given; mode: `core.network.OUTPUTS`;
    turn: |·|; orthogonal: whether digits are kept by groups; numbers: s, A, B, D of the loss, weight decay."""

    given: Vector
    mode: int
    turn: bool
    orthogonal: bool
    numbers: Vector


class Work(Record):
    """Memory of the formulas: vectors (plane, unit, feature) and numbers (plane, unit) of units, in which teachers
    stay as they are; numbers of teachers (plane, teacher); rows (teacher + 3, feature); ζ·v̂ (unit, teacher); the
    teacher whose group a unit belongs to, or −1 (unit,); the Hessian's blocks in (W, a), (student feature, student
    feature), (student feature, student) and (student, student)."""

    vectors: Cube
    numbers: Matrix
    teachers: Matrix
    rows: Matrix
    tilt: Matrix
    group: Integers
    both: Matrix
    cross: Matrix
    last: Matrix

    @classmethod
    def of(cls, students: int, teachers: Any, outputs: Any) -> Work:
        """For so many students of teachers (teacher, feature) with these outputs (teacher,)."""
        count, features = teachers.shape
        units, size = students + count, students * features
        work = cls(
            np.zeros((8, units, features)),
            np.zeros((8, units)),
            np.zeros((6, count)),
            np.zeros((count + 3, features)),
            np.zeros((units, count)),
            np.zeros(units, dtype=np.int64),
            np.zeros((size, size)),
            np.zeros((size, students)),
            np.zeros((students, students)),
        )
        work.vectors[VECTOR, students:] = teachers
        work.vectors[DIRECTION, students:] = unit(teachers)
        work.numbers[LENGTH, students:] = norm(teachers)
        work.numbers[COEFFICIENT, students:] = -outputs
        work.numbers[SIGN, students:] = 1.0
        return work


@inner
def product(vectors: Any, plane: int, i: int, other: int, j: int) -> float:
    """The inner product of a row of each of two planes."""
    total = 0.0
    for a in range(vectors.shape[2]):
        total += vectors[plane, i, a] * vectors[other, j, a]
    return total


@inner
def length(vectors: Any, plane: int, i: int) -> float:
    """The length of a row, safe where squares leave the range of floats; NaN where a coordinate is."""
    square = product(vectors, plane, i, plane, i)
    if 1.0 / SAFE**2 < square < SAFE**2:
        return math.sqrt(square)
    largest, square = 0.0, 0.0
    for a in range(vectors.shape[2]):
        largest = max(largest, abs(vectors[plane, i, a]))
    for a in range(vectors.shape[2]):
        x = vectors[plane, i, a]
        square += (x / largest) ** 2 if largest > 0.0 else x
    return largest * math.sqrt(square)


@inner
def angle(vectors: Any, plane: int, i: int, other: int, j: int) -> float:
    """θ of two rows of length 1 (or 0), as `closed_form.angles`."""
    apart, together = 0.0, 0.0
    for a in range(vectors.shape[2]):
        apart += (vectors[plane, i, a] - vectors[other, j, a]) ** 2
        together += (vectors[plane, i, a] + vectors[other, j, a]) ** 2
    return 2.0 * math.atan2(math.sqrt(apart), math.sqrt(together))


@SEPARATE
def fill_units(vector: Vector, law: Law, work: Work) -> None:
    """The units of a vector of parameters: u, û, |u|, c; a and the sign of each student."""
    vectors, numbers = work.vectors, work.numbers
    m, (units, d) = law.given.size, vectors.shape[1:]
    for p in range(m):
        for a in range(d):
            vectors[VECTOR, p, a] = vector[p * d + a]
        size = length(vectors, VECTOR, p)
        for a in range(d):
            vectors[DIRECTION, p, a] = vectors[VECTOR, p, a] / size if size > 0.0 else 0.0
        numbers[LENGTH, p] = size
        numbers[SIGN, p] = 1.0
        output = law.given[p]
        if law.mode == TRAINED:
            output = vector[m * d + p]
        if law.mode == TIED:
            output = size
        numbers[OUTPUT, p] = output
        numbers[COEFFICIENT, p] = law.numbers[0] * output
        if law.turn:
            highest, lowest = -math.inf, math.inf
            for q in range(m, units):
                cosine = product(vectors, VECTOR, p, DIRECTION, q)
                highest, lowest = max(highest, cosine), min(lowest, cosine)
            if highest < -lowest:
                numbers[SIGN, p] = -1.0
                for a in range(d):
                    vectors[VECTOR, p, a] = -vectors[VECTOR, p, a]
                    vectors[DIRECTION, p, a] = -vectors[DIRECTION, p, a]


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
    """The groups of `orthogonal_form`; how many students belong to one."""
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
