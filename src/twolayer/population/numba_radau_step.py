"""The equations of one implicit step on a teacher, with its stages in the lanes of one instruction.

The Jacobian is symmetric, so that its eigenvectors turn the equations of a step, for any step size, into one small
system per eigenvalue. Simplified Newton iteration, estimate of the error and choice of the step size are those of
Hairer and Wanner, Solving Ordinary Differential Equations II, IV.8, with more stages.
"""

from __future__ import annotations

import math
from typing import Any

from twolayer.core.network import FIXED, TRAINED
from twolayer.kernels.simd import inlined, load, repeat, splat, store, swapped
from twolayer.population.numba_modes import rotate, rotate_one
from twolayer.population.numba_units import SEPARATE, inner
from twolayer.population.ode_system import ROUNDING
from twolayer.population.radau_memory import (
    ATOL,
    BEST,
    COARSE,
    DECAY,
    ERROR,
    FIRST,
    FRESH,
    ITERATES,
    LAST,
    MORE,
    MOST,
    NEWTON,
    NEXT,
    OLD_SIZE,
    OLD_TIME,
    RTOL,
    SIZE,
    STARTED,
    TIME,
    UNKNOWN,
    Memory,
)
from twolayer.population.radau_tables import Radau

__all__ = ["accept", "correct", "error_of", "fill_scale", "guess", "length_at"]

GROWTH = 10.0
"""By how much a step may be longer than the one before."""

TINY = 1e-300

SHARE = 0.5
"""New eigenvectors take about as long as so many iterates, times the number of parameters: they are found once the old
ones have cost that. Where iterates grow by one number each step, no other time would cost less."""


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


@inlined
def mix(c0: Any, c1: Any, c2: Any, c3: Any, c4: Any, c5: Any, c6: Any, stages: Any, first: int) -> Any:
    """A matrix, of these columns, times the stages of a parameter."""
    total = c0 * repeat(stages, first) + c1 * repeat(stages, first + 1) + c2 * repeat(stages, first + 2)
    total += c3 * repeat(stages, first + 3) + c4 * repeat(stages, first + 4)
    return total + c5 * repeat(stages, first + 5) + c6 * repeat(stages, first + 6)


@inlined
def mix_all(columns: Any, stages: Any, out: Any) -> None:
    """A matrix, by its columns, times the stages of each parameter."""
    c0, c1, c2, c3 = load(columns, 0), load(columns, 8), load(columns, 16), load(columns, 24)
    c4, c5, c6 = load(columns, 32), load(columns, 40), load(columns, 48)
    for first in range(0, stages.size, 8):
        store(out, first, mix(c0, c1, c2, c3, c4, c5, c6, stages, first))


@SEPARATE
def guess(size: float, d: int, table: Radau, memory: Memory) -> None:
    """Z of the stages, to begin with: the last step's polynomial, or the linear flow where the step is much longer."""
    z, n = memory.stages, memory.y.size
    ratio = size / memory.reals[OLD_SIZE] if memory.counts[STARTED] else math.inf
    if ratio < table.reach:
        theta, last = splat(1.0) + ratio * load(table.lanes, 0), table.nodes.size - 2
        whole = theta
        for j in range(1, table.nodes.size):
            whole *= theta - table.nodes[j]
        for j in range(7):
            column = splat(0.0)
            if j <= last:
                column = table.weights[j] * whole / (theta - table.nodes[j + 1])
            store(memory.mixed, 8 * j, column - 1.0 if j == last else column)
        mix_all(memory.mixed, memory.last, z)
    else:
        rotate_one(memory.f, memory.basis, memory.spare)
        for b in range(n):
            store(memory.modes, 8 * b, splat(0.0))
            for i in range(table.nodes.size - 1):
                exponent = table.nodes[i + 1] * size * memory.values[b]
                share = math.expm1(exponent) / exponent if abs(exponent) > 1e-9 else 1.0
                memory.modes[8 * b + i] = table.nodes[i + 1] * size * share * memory.spare[b]
        rotate(memory.modes, memory.transposed, z)
    unite(z, d, memory)
    for p in range(n):
        moved = memory.moving[p] * load(z, 8 * p)
        store(z, 8 * p, moved)
        store(memory.points, 8 * p, memory.y[p] + moved)


@inner
def unite(stages: Any, d: int, memory: Any) -> None:
    """Give students that are equal what the first of them has, at all stages."""
    m = memory.twins.size
    for i in range(m):
        twin = memory.twins[i]
        if twin == i:
            continue
        for a in range(8 * d):
            stages[8 * i * d + a] = stages[8 * twin * d + a]
        if memory.y.size > m * d:
            for a in range(8 * m * d, 8 * m * d + 8):
                stages[a + 8 * i] = stages[a + 8 * twin]


@SEPARATE
def correct(size: float, d: int, table: Radau, memory: Memory) -> int:
    """One of Newton's iterations for Z: 1 where it has converged, −1 where it will not, else 0."""
    z, slopes, modes, points = memory.stages, memory.slopes, memory.modes, memory.points
    counts, reals, columns = memory.counts, memory.reals, table.columns
    n, stages = memory.y.size, table.nodes.size - 1
    c0, c1, c2, c3 = load(columns, 0), load(columns, 8), load(columns, 16), load(columns, 24)
    c4, c5, c6 = load(columns, 32), load(columns, 40), load(columns, 48)
    for p in range(n):
        rest = size * (load(slopes, 8 * p) + memory.rates[p] * load(points, 8 * p))
        store(slopes, 8 * p, rest - mix(c0, c1, c2, c3, c4, c5, c6, z, 8 * p))
    mix_all(table.inverse_columns, slopes, modes)
    rotate(modes, memory.basis, slopes)
    real, imaginary = load(table.lanes, 8), load(table.lanes, 16)
    for b in range(n):
        along, value = real - size * memory.values[b], load(slopes, 8 * b)
        below = along * along + imaginary * imaginary
        store(slopes, 8 * b, (along * value + imaginary * swapped(value)) / below)
    mix_all(table.vector_columns, slopes, modes)
    rotate(modes, memory.transposed, slopes)
    unite(slopes, d, memory)
    squares = splat(0.0)
    for p in range(n):
        change = memory.moving[p] * load(slopes, 8 * p)
        moved, share = load(z, 8 * p) + change, (1.0 / memory.scale[p]) * change
        squares += share * share
        store(z, 8 * p, moved)
        store(points, 8 * p, memory.y[p] + moved)
    store(memory.mixed, 0, squares)
    square = 0.0
    for i in range(stages):
        square += memory.mixed[i]
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
    z, error, turned, reals = memory.stages, memory.spare, memory.turned, memory.reals
    stages, n = table.nodes.size - 1, memory.y.size
    for p in range(n):
        error[p] = memory.f[p]
        for i in range(stages):
            error[p] -= table.errors[i] * z[8 * p + i] / size
    rotate_one(error, memory.basis, turned)
    for b in range(n):
        turned[b] /= table.real / size - memory.values[b]
    rotate_one(turned, memory.transposed, error)
    square = 0.0
    for p in range(n):
        growth = abs(memory.y[p] + z[8 * p + stages - 1]) - abs(memory.y[p])
        square += (error[p] / (memory.scale[p] + reals[RTOL] * max(0.0, growth))) ** 2
    return math.sqrt(square / n)


@SEPARATE
def accept(size: float, error: float, mode: int, d: int, table: Radau, memory: Memory) -> None:
    """Go to the end of the step, whose velocity the stages give, and choose the next one's size."""
    reals, counts, z = memory.reals, memory.counts, memory.stages
    stages, n = table.nodes.size - 1, memory.y.size
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
        memory.y[p] += z[8 * p + stages - 1]
        memory.f[p] = 0.0
        store(memory.last, 8 * p, load(z, 8 * p))
        for i in range(stages):
            memory.f[p] += table.slopes[stages - 1, i] * z[8 * p + i] / size
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
