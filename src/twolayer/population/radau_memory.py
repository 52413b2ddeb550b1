"""The state of an implicit integration on a teacher, and the names of its numbers."""

from __future__ import annotations

import numpy as np

from twolayer.kernels.record import Flags, Integers, Matrix, Record, Vector

__all__ = ["Memory"]

VELOCITY, JACOBIAN, STEP, MANY = range(4)
"""What a call does: the velocity of `points[0]` into `slopes[0]`, the Jacobian of y into `basis`, one step, or steps
until an event may be near."""

BEGIN, DECOMPOSE, TRY, ITERATE, FAILED = range(5)
"""What comes next: a new step; the Jacobian's eigenvectors; a step of a given size; the next iterate of its stages,
whose velocities are known; nothing, as no step is within tolerance."""

(
    TIME, SIZE, OLD_TIME, OLD_SIZE, TRIAL, STOP, RTOL, ATOL, COARSE, MOST, SINCE, START, DECAY, ERROR, NEWTON, LAST,
    NEXT,
) = range(17)  # fmt: skip
"""Numbers of `Memory.reals`: t and the next step's size; those of the last step; the size that is tried; the horizon,
tolerances and the factor of the absolute one; the greatest weight so far; the time from which steps are counted; the
first time; weight decay; the last step's error; the error left in a step's equations
as a share of the tolerance; the size of the last correction; the time at the end of the step."""

PHASE, STEPS, LIMIT, SAVED, FRESH, BEST, STARTED, ITERATES, EVALUATIONS, DECOMPOSITIONS, TOTAL, PAUSE = range(
    12
)
"""Numbers of `Memory.counts`: what comes next; steps since `SINCE`, and most of them; saved times so far; whether the
eigenvectors are those of y; iterates of the first step with them, 0 where new ones are wanted; whether there is a last
step; iterates of this one; velocities and decompositions so far; steps of this call, and
most of them."""

UNKNOWN = 1000


class Memory(Record):
    """State of an integration. y, dy/dt, the state before the last step, κ, tolerances and a spare vector
    (parameter,); Z of the last step and of this one, states, velocities and spares of the stages (stage, parameter);
    a number for each stage; the Jacobian's eigenvalues (parameter,), eigenvectors and their transpose (parameter,
    parameter); |w|² − a², the greatest length so far, and whether it can reach 0 and rests there, of each student;
    0 for parameters of those that rest, else 1; the first student that is equal to each, which it stays equal to, as
    solutions are unique, though rounding would part them; and the numbers named above."""

    y: Vector
    f: Vector
    old: Vector
    rates: Vector
    scale: Vector
    spare: Vector
    last: Matrix
    stages: Matrix
    points: Matrix
    slopes: Matrix
    modes: Matrix
    weights: Vector
    values: Vector
    basis: Matrix
    transposed: Matrix
    excess: Vector
    largest: Vector
    watched: Flags
    rests: Flags
    moving: Vector
    twins: Integers
    reals: Vector
    counts: Integers

    @classmethod
    def of(cls, parameters: int, students: int, stages: int) -> Memory:
        """For so many parameters, students and stages."""
        arrays = [
            *np.zeros((6, parameters)),
            *np.zeros((5, stages, parameters)),
            np.zeros(stages),
            np.zeros(parameters),
            np.zeros((parameters, parameters)),
            np.zeros((parameters, parameters)),
            np.zeros(students),
            np.zeros(students),
            *np.zeros((2, students), dtype=np.bool_),
            np.ones(parameters),
            np.arange(students),
            np.zeros(17),
            np.zeros(12, dtype=np.int64),
        ]
        return cls(*arrays)
