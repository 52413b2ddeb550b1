"""Compiled gradient flow on a teacher, one seed: the law of the velocity, its memory, and the units of a state.

All that is computed on the way lies in `Work`, so that nothing is allocated.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from twolayer.core.network import TIED, TRAINED
from twolayer.kernels.jit import njit
from twolayer.kernels.record import Cube, Integers, Layout, Matrix, Record, Vector
from twolayer.kernels.separate import separate

__all__ = [
    "SEPARATE",
    "Law",
    "Work",
    "angle",
    "fill_units",
    "find_twins",
    "inner",
    "length",
    "product",
    "work_layout",
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
    """What the velocity depends on: teachers (teacher, feature) and their outputs (teacher,); a (student,) where it is
    given; mode: `core.network.OUTPUTS`; turn: |·|; orthogonal: whether digits are kept by groups; numbers: s, A, B, D
    of the loss, weight decay."""

    teachers: Matrix
    outputs: Vector
    given: Vector
    mode: int
    turn: bool
    orthogonal: bool
    numbers: Vector


class Work(Record):
    """Memory of the formulas: vectors (plane, unit, feature) and numbers (plane, unit) of units, of which teachers
    stay as `fill_units` first places them; numbers of teachers (plane, teacher); rows (teacher + 3, feature); ζ·v̂
    (unit, teacher); the teacher whose group a unit belongs to, or −1 (unit,); the Hessian's blocks in (W, a), (student
    feature, student feature), (student feature, student) and (student, student)."""

    vectors: Cube
    numbers: Matrix
    teachers: Matrix
    rows: Matrix
    tilt: Matrix
    group: Integers
    both: Matrix
    cross: Matrix
    last: Matrix


@cache
def work_layout(students: int, teachers: int, features: int) -> Layout[Work]:
    """Of the memory for so many students, teachers and features."""
    units, size = students + teachers, students * features
    return Layout(
        Work,
        {
            "vectors": (8, units, features),
            "numbers": (8, units),
            "teachers": (6, teachers),
            "rows": (teachers + 3, features),
            "tilt": (units, teachers),
            "group": (units,),
            "both": (size, size),
            "cross": (size, students),
            "last": (students, students),
        },
    )


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


@inner
def place_teachers(law: Any, work: Any) -> None:
    """The units of the teachers."""
    vectors, numbers, m = work.vectors, work.numbers, law.given.size
    for q in range(law.outputs.size):
        for a in range(vectors.shape[2]):
            vectors[VECTOR, m + q, a] = law.teachers[q, a]
        size = length(vectors, VECTOR, m + q)
        for a in range(vectors.shape[2]):
            vectors[DIRECTION, m + q, a] = vectors[VECTOR, m + q, a] / size if size > 0.0 else 0.0
        numbers[LENGTH, m + q] = size
        numbers[COEFFICIENT, m + q] = -law.outputs[q]
        numbers[SIGN, m + q] = 1.0


@SEPARATE
def fill_units(vector: Vector, law: Law, work: Work) -> None:
    """The units of a vector of parameters: u, û, |u|, c; a and the sign of each student."""
    vectors, numbers = work.vectors, work.numbers
    m, (units, d) = law.given.size, vectors.shape[1:]
    if numbers[SIGN, m] == 0.0:
        place_teachers(law, work)
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
def find_twins(vector: Vector, law: Law, twins: Integers) -> None:
    """The first student that is equal to each, by its index, itself where there is none; those at 0 are alone."""
    m, d = law.given.size, law.teachers.shape[1]
    for i in range(m):
        twins[i] = i
        for j in range(i):
            equal, alone = law.given[i] == law.given[j], True
            if law.mode == TRAINED:
                equal = vector[m * d + i] == vector[m * d + j]
            for a in range(d):
                equal = equal and vector[i * d + a] == vector[j * d + a]
                alone = alone and vector[i * d + a] == 0.0
            if equal and not alone:
                twins[i] = j
                break
