"""A compiled step of ROCK4 for wide gradient flows on a teacher, which takes forces alone (`rock_tables`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.kernels.entry import annotated_entry, entry
from twolayer.kernels.jit import njit
from twolayer.kernels.record import Integers, Matrix, Record, Vector
from twolayer.population.numba_law import fill_velocity
from twolayer.population.numba_units import SEPARATE, Law, Work, find_twins
from twolayer.population.numba_wide_law import Columns, fill_wide_velocity
from twolayer.population.rock_tables import Rock

__all__ = ["Room", "fill_twins", "find_velocity", "take_step"]


class Room(Record):
    """Memory of a step: the state, its velocity, those at the end of the step, and a spare state (parameter,); the
    distances of the last three stages from the state (3, parameter), the velocities of the last four (4, parameter),
    the estimate of the error (parameter,), and the first student that is equal to each (student,)."""

    state: Vector
    velocity: Vector
    end: Vector
    end_velocity: Vector
    spare: Vector
    distances: Matrix
    velocities: Matrix
    error: Vector
    twins: Integers

    @classmethod
    def of(cls, parameters: int, students: int) -> Room:
        """For so many parameters and students."""
        state, velocity, end, end_velocity, spare, error = np.zeros((6, parameters))
        distances, velocities = np.zeros((3, parameters)), np.zeros((4, parameters))
        twins = np.arange(students)
        return cls(state, velocity, end, end_velocity, spare, distances, velocities, error, twins)


@SEPARATE
def fill(vector: Vector, law: Law, work: Work, columns: Columns, plain: bool, out: Vector) -> None:
    """The velocity, by the plain form or the one that keeps the digits of small forces."""
    if plain:
        fill_wide_velocity(vector, law, work, columns, out)
    else:
        fill_velocity(vector, law, work, out)


@entry
@njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def take_step(
    law: Law, work: Work, columns: Columns, plain: bool, table: Rock, room: Room, size: float
) -> None:
    """A step from `state`, whose velocity is known: its end, the velocity there, and the estimate of the error.

    Distances from the state are what the recurrence runs over, so that rounding is relative to the step.
    """
    state, spare, distances, velocities = room.state, room.spare, room.distances, room.velocities
    n, d = state.size, work.vectors.shape[2]
    for p in range(n):
        distances[0, p], distances[1, p], velocities[0, p] = 0.0, 0.0, room.velocity[p]
    last, current, following = 0, 1, 2
    for j in range(table.slopes.size):
        slope, latest, before = size * table.slopes[j], table.latest[j], table.before[j]
        for p in range(n):
            distances[following, p] = (
                slope * velocities[0, p] + latest * distances[current, p] - before * distances[last, p]
            )
            spare[p] = state[p] + distances[following, p]
        last, current, following = current, following, last
        fill(spare, law, work, columns, plain, velocities[0])
    for i in range(1, 4):
        for p in range(n):
            value = 0.0
            for k in range(i):
                value += table.matrix[i, k] * velocities[k, p]
            spare[p] = state[p] + (distances[current, p] + size * value)
        fill(spare, law, work, columns, plain, velocities[i])
    for p in range(n):
        value = 0.0
        for k in range(4):
            value += table.weights[k] * velocities[k, p]
        room.end[p] = state[p] + (distances[current, p] + size * value)
    for i in range(room.twins.size):  # rounding must not part them
        twin = room.twins[i]
        for a in range(d):
            room.end[i * d + a] = room.end[twin * d + a]
        if n > room.twins.size * d:
            room.end[room.twins.size * d + i] = room.end[room.twins.size * d + twin]
    fill(room.end, law, work, columns, plain, room.end_velocity)
    for p in range(n):
        value = table.errors[4] * room.end_velocity[p]
        for k in range(4):
            value += table.errors[k] * velocities[k, p]
        room.error[p] = size * value


@entry
@njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def find_velocity(law: Law, work: Work, columns: Columns, plain: bool, state: Any, out: Any) -> None:
    """The velocity of a state, both (parameter,)."""
    fill(state, law, work, columns, plain, out)


@annotated_entry
@njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def fill_twins(law: Law, room: Room) -> None:
    """The first student that is equal to each, at `state`."""
    find_twins(room.state, law, room.twins)
