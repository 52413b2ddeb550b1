"""The state of an implicit integration on a teacher, and the names of its numbers."""

from __future__ import annotations

from functools import cache

from twolayer.kernels.record import Flags, Integers, Layout, Matrix, Record, Vector

__all__ = ["Memory", "memory_layout"]

VELOCITY, JACOBIAN, STEP, MANY = range(4)
"""What a call does: the velocity of y into `f`, the Jacobian of y into `basis`, one step, or steps
until an event may be near."""

START, BEGIN, DECOMPOSE, TRY, ITERATE, FAILED = range(6)
"""What comes next: what is found once, of y; a new step; the Jacobian's eigenvectors; a step of a given size; the next
iterate of its stages, whose velocities are known; nothing, as no step is within tolerance."""

(
    TIME, SIZE, OLD_TIME, OLD_SIZE, TRIAL, STOP, RTOL, ATOL, COARSE, MOST, SINCE, FIRST, DECAY, ERROR, NEWTON, LAST,
    NEXT, LONGEST,
) = range(18)  # fmt: skip
"""Numbers of `Memory.reals`: t and the next step's size, 0 where the first one's is to be chosen; those of the last
step; the size that is tried; the horizon, tolerances and the factor of the absolute one; the greatest weight so far;
the time from which steps are counted; the first time; weight decay; the last step's error; the error left in a step's
equations as a share of the tolerance; the size of the last correction; the time at the end of the step; the longest
teacher."""

(
    PHASE,
    STEPS,
    LIMIT,
    SAVED,
    FRESH,
    BEST,
    STARTED,
    ITERATES,
    EVALUATIONS,
    DECOMPOSITIONS,
    TOTAL,
    PAUSE,
    MORE,
) = range(13)
"""Numbers of `Memory.counts`: what comes next; steps since `SINCE`, and most of them; saved times so far; whether the
eigenvectors are those of y; iterates of the first step with them, 0 where new ones are wanted; whether there is a last
step; iterates of this one; velocities and decompositions so far; steps of this call, and
most of them; iterates beyond those of the first step with the eigenvectors."""

UNKNOWN = 1000


class Memory(Record):
    """State of an integration. y, dy/dt, the state before the last step, κ, tolerances and two spare vectors
    (parameter,); Z of the last step and of this one, states, velocities and spares of the stages (parameter, lane),
    flat, a stage in each lane but the last; a number for each stage, and a matrix of stages by its columns (stage,
    lane), flat; the Jacobian's eigenvalues (parameter,), eigenvectors and their transpose (parameter, parameter);
    |w|² − a², the greatest length so far, and whether it can reach 0 and rests there, of each student; 0 for
    parameters of those that rest, else 1; the first student that is equal to each, which it stays equal to, as
    solutions are unique, though rounding would part them; and the numbers named above."""

    y: Vector
    f: Vector
    old: Vector
    rates: Vector
    scale: Vector
    spare: Vector
    turned: Vector
    last: Vector
    stages: Vector
    points: Vector
    slopes: Vector
    modes: Vector
    weights: Vector
    mixed: Vector
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


@cache
def memory_layout(parameters: int, students: int, stages: int) -> Layout[Memory]:
    """Of the state of an integration of so many parameters, students and stages."""
    vectors = dict.fromkeys(
        ("y", "f", "old", "rates", "scale", "spare", "turned", "values", "moving"), (parameters,)
    )
    by_stage = dict.fromkeys(("last", "stages", "points", "slopes", "modes"), (8 * parameters,))
    by_student = dict.fromkeys(("excess", "largest", "watched", "rests", "twins"), (students,))
    square = dict.fromkeys(("basis", "transposed"), (parameters, parameters))
    single = {"weights": (stages,), "mixed": (56,), "reals": (18,), "counts": (13,)}
    return Layout(Memory, {**vectors, **by_stage, **by_student, **square, **single})
