"""A compiled integrator of stiff gradient flows on a teacher: Radau IIA with the exact Jacobian, many steps in a call.

The Jacobian is symmetric, so that its eigenvectors turn the equations of a step, for any step size, into one small
system per eigenvalue. Simplified Newton iteration, estimate of the error and choice of the step size are those of
Hairer and Wanner, Solving Ordinary Differential Equations II, IV.8, with more stages.
"""

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
from twolayer.population.numba_modes import decompose, diagonalize, fill_weights, mix, rotate, rotate_one
from twolayer.population.numba_stages import fill_velocities
from twolayer.population.numba_units import LENGTH, SEPARATE, Law, Work, find_twins, inner
from twolayer.population.ode_system import DEAD, ROUNDING, SLIGHT
from twolayer.population.radau_memory import (
    ATOL,
    BEGIN,
    BEST,
    COARSE,
    DECAY,
    DECOMPOSE,
    DECOMPOSITIONS,
    ERROR,
    EVALUATIONS,
    FAILED,
    FIRST,
    FRESH,
    ITERATE,
    ITERATES,
    JACOBIAN,
    LAST,
    LIMIT,
    LONGEST,
    MORE,
    MOST,
    NEWTON,
    NEXT,
    OLD_SIZE,
    OLD_TIME,
    PAUSE,
    PHASE,
    RTOL,
    SAVED,
    SINCE,
    SIZE,
    START,
    STARTED,
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

GROWTH, SHRINKAGE = 10.0, 0.2
"""By how much a step may be longer or shorter than the one before."""

SMALL = 16
"""Up to so many parameters eigenvectors are found here, by Jacobi's rotations, and by LAPACK beyond."""

TINY = 1e-300

SHARE = 0.5
"""New eigenvectors take about as long as so many iterates, times the number of parameters: they are found once the old
ones have cost that. Where iterates grow by one number each step, no other time would cost less."""


@inner
def unite(vectors: Any, d: int, memory: Any) -> None:
    """Give students that are equal what the first of them has, in vectors (stage, parameter)."""
    m = memory.twins.size
    for i in range(m):
        twin = memory.twins[i]
        if twin == i:
            continue
        for stage in range(vectors.shape[0]):
            for a in range(d):
                vectors[stage, i * d + a] = vectors[stage, twin * d + a]
            if memory.y.size > m * d:
                vectors[stage, m * d + i] = vectors[stage, m * d + twin]


@inner
def length_at(y: Any, i: int, d: int) -> float:
    """|w| of a student."""
    largest, square = 0.0, 0.0
    for a in range(i * d, (i + 1) * d):
        largest = max(largest, abs(y[a]))
    if largest == 0.0:
        return 0.0
    for a in range(i * d, (i + 1) * d):
        square += (y[a] / largest) ** 2
    return largest * math.sqrt(square)


@inner
def fill_scale(mode: int, d: int, memory: Any) -> None:
    """The tolerance of each parameter, with absolute parts as of `OdeSystem.floors`."""
    y, scale, reals = memory.y, memory.scale, memory.reals
    for p in range(y.size):
        reals[MOST] = max(reals[MOST], abs(y[p]))
    floor = reals[COARSE] * max(max(reals[ATOL], ROUNDING * reals[MOST]), TINY)
    m = memory.excess.size
    for p in range(y.size):
        if mode != FIXED and p < m * d and p % d == 0:
            size = length_at(y, p // d, d)
            if mode == TRAINED:
                size = max(size, abs(y[m * d + p // d]))
            floor = reals[COARSE] * max(max(reals[ATOL], ROUNDING * size), TINY)
            if mode == TRAINED:
                scale[m * d + p // d] = floor + reals[RTOL] * abs(y[m * d + p // d])
        if p < m * d:
            scale[p] = floor + reals[RTOL] * abs(y[p])
    for i in range(m):
        alive = 1.0 if memory.rests[i] == 0 or length_at(y, i, d) > 0.0 else 0.0
        for a in range(i * d, (i + 1) * d):
            memory.moving[a] = alive


@SEPARATE
def guess(size: float, table: Radau, memory: Memory) -> None:
    """Z of the stages, to begin with: the last step's polynomial, or the linear flow where the step is much longer."""
    stages, n = memory.stages.shape
    ratio = size / memory.reals[OLD_SIZE] if memory.counts[STARTED] else math.inf
    if ratio < table.reach:
        for i in range(stages):
            fill_weights(table.nodes, 1.0 + table.nodes[i + 1] * ratio, memory.weights)
            for p in range(n):
                value = -memory.last[stages - 1, p]
                for j in range(stages):
                    value += memory.weights[j] * memory.last[j, p]
                memory.stages[i, p] = value
        return
    rotate_one(memory.f, memory.basis, memory.spare)
    for b in range(n):
        for i in range(stages):
            exponent = table.nodes[i + 1] * size * memory.values[b]
            share = math.expm1(exponent) / exponent if abs(exponent) > 1e-9 else 1.0
            memory.modes[i, b] = table.nodes[i + 1] * size * share * memory.spare[b]
    rotate(memory.modes, memory.transposed, memory.stages)


@SEPARATE
def correct(size: float, d: int, table: Radau, memory: Memory) -> int:
    """One of Newton's iterations for Z: 1 where it has converged, −1 where it will not, else 0."""
    z, slopes, modes = memory.stages, memory.slopes, memory.modes
    counts, reals = memory.counts, memory.reals
    stages, n = z.shape
    for i in range(stages):
        for p in range(n):
            slopes[i, p] = size * (slopes[i, p] + memory.rates[p] * memory.points[i, p])
        for j in range(stages):
            share = table.slopes[i, j]
            for p in range(n):
                slopes[i, p] -= share * z[j, p]
    rotate(slopes, memory.basis, modes)
    mix(table.inverse, modes, slopes)
    for b in range(n):
        slopes[0, b] /= table.real - size * memory.values[b]
    for pair in range(table.pairs.shape[0]):
        first, second = 2 * pair + 1, 2 * pair + 2
        for b in range(n):
            real, imaginary = table.pairs[pair, 0] - size * memory.values[b], table.pairs[pair, 1]
            below = real * real + imaginary * imaginary
            x, y = slopes[first, b], slopes[second, b]
            slopes[first, b] = (real * x - imaginary * y) / below
            slopes[second, b] = (imaginary * x + real * y) / below
    mix(table.vectors, slopes, modes)
    rotate(modes, memory.transposed, slopes)
    unite(slopes, d, memory)
    square = 0.0
    for i in range(stages):
        for p in range(n):
            slopes[i, p] *= memory.moving[p]
            square += (slopes[i, p] / memory.scale[p]) ** 2
            z[i, p] += slopes[i, p]
    norm = math.sqrt(square / (stages * n))
    if not norm < math.inf:
        return -1
    tolerance, left, rate = reals[NEWTON], table.iterations - counts[ITERATES], 0.0
    if counts[ITERATES] > 1:
        rate = norm / reals[LAST]
        if rate >= 1.0 or rate**left / (1.0 - rate) * norm > tolerance:
            return 1 if norm <= tolerance else -1
    reals[LAST] = norm
    if norm == 0.0 or (0.0 < rate < 1.0 and rate / (1.0 - rate) * norm < tolerance):
        return 1
    return 0 if left > 0 else -1


@inner
def error_of(size: float, table: Any, memory: Any) -> float:
    """The error of the step in units of the tolerance, from the polynomial of the stages' velocities at its start."""
    z, error, modes, reals = memory.stages, memory.spare, memory.modes, memory.reals
    stages, n = z.shape
    for p in range(n):
        error[p] = memory.f[p]
        for i in range(stages):
            error[p] -= table.errors[i] * z[i, p] / size
    rotate_one(error, memory.basis, modes[0])
    for b in range(n):
        modes[0, b] /= table.real / size - memory.values[b]
    rotate_one(modes[0], memory.transposed, error)
    square = 0.0
    for p in range(n):
        growth = abs(memory.y[p] + z[stages - 1, p]) - abs(memory.y[p])
        square += (error[p] / (memory.scale[p] + reals[RTOL] * max(0.0, growth))) ** 2
    return math.sqrt(square / n)


@SEPARATE
def accept(size: float, error: float, mode: int, d: int, table: Radau, memory: Memory) -> None:
    """Go to the end of the step, whose velocity the stages give, and choose the next one's size."""
    reals, counts, z = memory.reals, memory.counts, memory.stages
    stages, n = z.shape
    power, safety = (
        1.0 / (stages + 1),
        0.9 * (2 * table.iterations + 1) / (2 * table.iterations + counts[ITERATES]),
    )
    factor = max(error, 1e-30) ** -power
    if counts[STARTED] and error > 0.0 and reals[ERROR] > 0.0:
        factor *= min(1.0, size / reals[OLD_SIZE] * (reals[ERROR] / error) ** power)
    if counts[BEST] == UNKNOWN:
        counts[BEST], counts[MORE] = counts[ITERATES], 0
    counts[MORE] += max(0, counts[ITERATES] - counts[BEST])
    if counts[MORE] >= SHARE * n:
        counts[BEST] = 0
    counts[FRESH], counts[STARTED] = 0, 1
    reals[OLD_TIME], reals[OLD_SIZE], reals[ERROR] = reals[TIME], size, error
    reals[TIME] = reals[NEXT]
    reals[SIZE] = size * min(GROWTH, safety * factor)
    for p in range(n):
        memory.old[p] = memory.y[p]
        memory.y[p] += z[stages - 1, p]
        memory.f[p] = 0.0
        for i in range(stages):
            memory.last[i, p] = z[i, p]
            memory.f[p] += table.slopes[stages - 1, i] * z[i, p] / size
    if mode == TRAINED:
        project(d, memory)


@inner
def project(d: int, memory: Any) -> None:
    """Put y back to |w|² − a² of the start, which shrinks as e^(−2λt): errors in it grow as students shrink, and
    decide whether w or a reaches 0."""
    m, y = memory.excess.size, memory.y
    kept = math.exp(-2.0 * memory.reals[DECAY] * (memory.reals[TIME] - memory.reals[FIRST]))
    for i in range(m):
        for _ in range(2):
            length, output = length_at(y, i, d), y[m * d + i]
            size = math.hypot(length, output)
            if size == 0.0:
                size = 1.0
            off = (length - output) / size * ((length + output) / size)
            off = 0.5 * (off - memory.excess[i] * kept / size / size)
            for a in range(i * d, (i + 1) * d):
                y[a] *= 1.0 - off
            y[m * d + i] = output * (1.0 + off)


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
    stages, n = memory.last.shape
    while counts[SAVED] < times.size and times[counts[SAVED]] <= reals[TIME]:
        time, frame = times[counts[SAVED]], counts[SAVED]
        fill_weights(table.nodes, (time - reals[OLD_TIME]) / reals[OLD_SIZE], memory.weights)
        for p in range(n):
            value = memory.old[p]
            for j in range(stages):
                value += memory.weights[j] * memory.last[j, p]
            frames[frame, p] = memory.y[p] if time == reals[TIME] else value
        counts[SAVED] += 1


@inner
def proceed(task: int, mode: int, d: int, table: Any, memory: Any, times: Any, frames: Any) -> int:
    """Go on until velocities or eigenvectors are needed, or what only Python can do: of how many stages, 0, or −1."""
    reals, counts = memory.reals, memory.counts
    stages, n = memory.stages.shape
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
            guess(reals[TRIAL], table, memory)
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
        unite(memory.stages, d, memory)
        for i in range(stages):
            for p in range(n):
                memory.stages[i, p] *= memory.moving[p]
                memory.points[i, p] = memory.y[p] + memory.stages[i, p]
        return stages


@SEPARATE
def begin(law: Law, work: Work, memory: Memory) -> None:
    """What is found once, of y: equal students, dy/dt, tolerances, and a size for the first step where none is given
    (Hairer, Nørsett and Wanner, Solving Ordinary Differential Equations I, II.4)."""
    y, f, moved, change, scale = memory.y, memory.f, memory.points[0], memory.slopes[0], memory.scale
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
