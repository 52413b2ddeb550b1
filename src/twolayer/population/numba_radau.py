"""A compiled integrator of stiff gradient flows on a teacher: Radau IIA with the exact Jacobian, many steps in one
call, each as `numba_radau_step` has it."""

from __future__ import annotations

import math
from typing import Any

from twolayer.core.network import FIXED, TRAINED
from twolayer.kernels.entry import annotated_entry
from twolayer.kernels.jit import njit
from twolayer.kernels.record import Matrix, Vector
from twolayer.population.at_zero import VANISHED
from twolayer.population.numba_forms import Form
from twolayer.population.numba_hessian import fill_jacobian
from twolayer.population.numba_law import fill_velocity
from twolayer.population.numba_modes import decompose, diagonalize, fill_weights
from twolayer.population.numba_radau_step import (
    accept,
    correct,
    error_of,
    fill_scale,
    guess,
    length_at,
)
from twolayer.population.numba_stages import fill_velocities
from twolayer.population.numba_units import LENGTH, SEPARATE, Law, Work, find_twins, inner
from twolayer.population.ode_system import DEAD, ROUNDING, SLIGHT
from twolayer.population.radau_memory import (
    BEGIN,
    BEST,
    DECOMPOSE,
    DECOMPOSITIONS,
    EVALUATIONS,
    FAILED,
    FRESH,
    ITERATE,
    ITERATES,
    JACOBIAN,
    LIMIT,
    LONGEST,
    NEXT,
    OLD_SIZE,
    OLD_TIME,
    PAUSE,
    PHASE,
    SAVED,
    SINCE,
    SIZE,
    START,
    STEP,
    STEPS,
    STOP,
    TIME,
    TOTAL,
    TRIAL,
    TRY,
    UNKNOWN,
    VELOCITY,
    Memory,
)
from twolayer.population.radau_tables import Radau

__all__ = ["run"]

SHRINKAGE = 0.2
"""By how much a step may be shorter than the one that was tried before."""

SMALL = 16
"""Up to so many parameters eigenvectors are found here, by Jacobi's rotations, and by LAPACK beyond."""


@inner
def near_event(mode: int, d: int, memory: Any) -> bool:
    """Whether a student may have come to 0 or is too small for others to feel it, at y."""
    m, y, most, biggest = memory.excess.size, memory.y, 0.0, memory.reals[LONGEST]
    for i in range(m):
        length = length_at(y, i, d)
        memory.largest[i] = max(memory.largest[i], length)
        most = max(most, length)
        biggest = max(biggest, length)
        if mode == TRAINED:
            biggest = max(biggest, abs(y[m * d + i]))
    for i in range(m):
        length = length_at(y, i, d)
        if length == 0.0:
            continue
        size = abs(y[m * d + i]) if mode == TRAINED else length
        least = DEAD * size if mode == TRAINED else max(DEAD * memory.largest[i], 4.0 * ROUNDING * most)
        if (memory.watched[i] and length < least) or length < VANISHED:
            return True
        weightless = mode != FIXED and (mode != TRAINED or memory.excess[i] == 0.0)
        if weightless and max(length, size) < SLIGHT * biggest:
            return True
    return False


@inner
def save(table: Any, memory: Any, times: Any, frames: Any) -> None:
    """The frames of the last step."""
    reals, counts = memory.reals, memory.counts
    stages, n = table.nodes.size - 1, memory.y.size
    while counts[SAVED] < times.size and times[counts[SAVED]] <= reals[TIME]:
        time, frame = times[counts[SAVED]], counts[SAVED]
        fill_weights(table.nodes, (time - reals[OLD_TIME]) / reals[OLD_SIZE], memory.weights)
        for p in range(n):
            value = memory.old[p]
            for j in range(stages):
                value += memory.weights[j] * memory.last[8 * p + j]
            frames[frame, p] = memory.y[p] if time == reals[TIME] else value
        counts[SAVED] += 1


@inner
def proceed(task: int, mode: int, d: int, table: Any, memory: Any, times: Any, frames: Any) -> int:
    """Go on until velocities or eigenvectors are needed, or what only Python can do: of how many stages, 0, or −1."""
    reals, counts = memory.reals, memory.counts
    stages = table.nodes.size - 1
    while True:
        least = 10.0 * max(abs(reals[TIME]) * 2.0**-52, 5e-324)
        if counts[PHASE] == BEGIN:
            fill_scale(mode, d, memory)
            reals[TRIAL] = max(reals[SIZE], least)
            counts[PHASE] = TRY
        if counts[PHASE] == TRY:
            if not reals[TRIAL] >= least:
                counts[PHASE] = FAILED
                counts[STEPS] += 1
                counts[TOTAL] += 1
                return -1
            reals[NEXT] = min(reals[TIME] + reals[TRIAL], reals[STOP])
            reals[TRIAL] = reals[NEXT] - reals[TIME]
            if not counts[FRESH] and counts[BEST] == 0:
                counts[PHASE] = DECOMPOSE
                return 0
            guess(reals[TRIAL], d, table, memory)
            counts[PHASE], counts[ITERATES] = ITERATE, 0
        else:
            size = reals[TRIAL]
            counts[ITERATES] += 1
            verdict = correct(size, d, table, memory)
            error = 0.0
            if verdict > 0:
                error = error_of(size, table, memory)
            if verdict < 0 or not error <= 1.0:
                factor = 0.5
                if verdict < 0 and not counts[FRESH]:
                    factor = 1.0
                elif verdict > 0 and error < math.inf:
                    factor = max(SHRINKAGE, 0.9 * error ** (-1.0 / (stages + 1)))
                reals[TRIAL] *= factor
                if not counts[FRESH]:
                    counts[BEST] = 0
                counts[PHASE] = TRY
                continue
            if verdict > 0:
                accept(size, error, mode, d, table, memory)
                counts[PHASE] = BEGIN
                counts[STEPS] += 1
                counts[TOTAL] += 1
                if (
                    task == STEP
                    or counts[TOTAL] >= counts[PAUSE]
                    or counts[STEPS] > counts[LIMIT]
                    or reals[TIME] >= reals[STOP]
                ):
                    return -1
                if near_event(mode, d, memory):
                    return -1
                if reals[TIME] >= 2.0 * reals[SINCE]:
                    reals[SINCE], counts[STEPS] = reals[TIME], 0
                save(table, memory, times, frames)
                continue
        return stages


@SEPARATE
def begin(law: Law, work: Work, memory: Memory) -> None:
    """What is found once, of y: equal students, dy/dt, tolerances, and a size for the first step where none is given
    (Hairer, Nørsett and Wanner, Solving Ordinary Differential Equations I, II.4)."""
    y, f, moved, change, scale = memory.y, memory.f, memory.spare, memory.turned, memory.scale
    reals, n, m = memory.reals, memory.y.size, law.given.size
    find_twins(y, law, memory.twins)
    fill_velocity(y, law, work, f)
    for q in range(law.outputs.size):
        reals[LONGEST] = max(reals[LONGEST], work.numbers[LENGTH, m + q])
    for p in range(n):
        f[p] += memory.rates[p] * y[p]
        memory.moving[p] = 1.0
    fill_scale(law.mode, law.teachers.shape[1], memory)
    if reals[SIZE] > 0.0:
        return
    size, slope, bend = 0.0, 0.0, 0.0
    for p in range(n):
        size += (y[p] / scale[p]) ** 2
        slope += (f[p] / scale[p]) ** 2
    size, slope, most = math.sqrt(size / n), math.sqrt(slope / n), reals[STOP] - reals[TIME]
    first = min(most, 1e-6 if size < 1e-5 or slope < 1e-5 else 0.01 * size / slope)
    for p in range(n):
        moved[p] = y[p] + first * f[p]
    fill_velocity(moved, law, work, change)
    for p in range(n):
        bend += ((change[p] + memory.rates[p] * moved[p] - f[p]) / scale[p]) ** 2
    bend = max(slope, math.sqrt(bend / n) / first)
    second = max(1e-6, 1e-3 * first)
    if bend > 1e-15:
        second = (0.01 / bend) ** (1.0 / (memory.weights.size + 1))
    reals[SIZE] = min(100.0 * first, second, most)


@inner
def find_modes(law: Any, work: Any, memory: Any) -> None:
    """The eigenvectors of the Jacobian at y."""
    basis, counts, n, finite = memory.basis, memory.counts, memory.y.size, True
    fill_jacobian(memory.y, law, work, basis)
    counts[DECOMPOSITIONS] += 1
    for p in range(n):
        basis[p, p] += memory.rates[p]
        for q in range(n):
            basis[p, q] *= memory.moving[q]  # what others feel of its motion
            finite = finite and abs(basis[p, q]) < math.inf
    if not finite:
        counts[PHASE] = FAILED
        return
    if n > SMALL:
        decompose(memory)
    else:
        diagonalize(memory)
    counts[PHASE], counts[FRESH], counts[BEST] = TRY, 1, UNKNOWN


@annotated_entry
@njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def run(
    task: int, law: Law, work: Work, form: Form, table: Radau, memory: Memory, times: Vector, frames: Matrix
) -> None:
    """One of the tasks of `radau_memory`.

    frames (time, parameter): the states at `times`, from number `SAVED` on, but for those of the last step.
    """
    counts, wanted = memory.counts, 0
    if task == VELOCITY:
        fill_velocity(memory.y, law, work, memory.f)
        return
    if task == JACOBIAN:
        fill_jacobian(memory.y, law, work, memory.basis)
        return
    if counts[PHASE] == START:
        begin(law, work, memory)
        counts[PHASE] = BEGIN
    while wanted >= 0 and counts[PHASE] != FAILED:
        if counts[PHASE] == DECOMPOSE:
            find_modes(law, work, memory)
        elif wanted > 0:
            fill_velocities(memory.points, law, form, memory.slopes)
            counts[EVALUATIONS] += wanted
        if counts[PHASE] != FAILED:
            wanted = proceed(task, law.mode, law.teachers.shape[1], table, memory, times, frames)
