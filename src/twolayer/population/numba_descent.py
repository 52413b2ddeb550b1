"""Compiled gradient descent on Gaussian input: the second implementation, teachers against `PopulationProblem`.

Two kernels in min(d, m + k) coordinates, both in lanes of eight. `descend_seeds` takes eight seeds at once and each
pair of units once; `descend_neurons` takes one seed, eight neurons against all units at a time, which is faster from
about sixteen neurons on. Which of the two depends on the network alone, and lanes never
mix, so a seed's bits depend neither on the other seeds nor on the number of threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.core.network import TIED, Weights
from twolayer.core.seeds import even_batch, over_seeds
from twolayer.kernels.entry import entry
from twolayer.kernels.jit import njit
from twolayer.kernels.minibatch import descend_on_batches
from twolayer.kernels.record import Vector
from twolayer.kernels.separate import separate
from twolayer.kernels.simd import (
    WIDTH,
    aligned_zeros,
    any_less,
    inlined,
    load,
    repeat,
    splat,
    store,
    where_less,
)
from twolayer.population.fused_descent import DELICATE, FusedPopulationProblem
from twolayer.population.lanes import aligned, angle, close_to_teachers, normalize, pulls, squares, update
from twolayer.population.numba_one_pass import one_pass

__all__ = ["CompiledPopulationProblem"]

MANY = 16
"""From this many neurons on, lanes are neurons."""

STEPS_AT_ONCE = 2**14
"""Steps of chunks that one call of compiled code takes, unless a chunk takes more: in between Ctrl-C is heard."""


@dataclass(frozen=True)
class CompiledPopulationProblem(FusedPopulationProblem):
    """A `PopulationProblem` on NumPy arrays whose descents are compiled, `threads` chunks of seeds at a time."""

    threads: int = 1

    flows_compiled = True

    def descend_on_batches(
        self, weights: Weights, step_size: float, batch_size: int, count: int, random: Sequence[Any]
    ) -> Weights:
        """As `Problem.descend_on_batches`, to rounding; by it where labels have noise."""
        if self.data.noise:
            return super().descend_on_batches(weights, step_size, batch_size, count, random)
        return descend_on_batches(
            self.network,
            weights,
            None,
            (self.data.hidden, self.data.output),
            step_size,
            batch_size,
            count,
            random,
            self.threads,
            self.profiled,
        )

    def one_pass(
        self, weights: Weights, step_size: float, count: int, random: Sequence[Any], lengths: Any
    ) -> Weights:
        """As `TeacherProblem.one_pass`, to rounding."""
        return one_pass(self.network, self.data, weights, step_size, count, random, lengths, self.threads)

    def run_kernel(
        self, vectors: Any, outputs: Any, step_size: float, weight_decay: float, count: int
    ) -> None:
        """`count` steps in place, by one of the two kernels."""
        m, factor = self.network.neurons, self.factors
        scales = np.where(np.arange(vectors.shape[1]) < m, self.network.scale, 1.0)
        numbers = np.asarray([factor.linear, factor.curved, factor.constant, step_size, weight_decay])
        arguments = (m, self.network.mode, scales, numbers)
        left = np.full(len(vectors), count)

        def plainly(units: Any, coefficients: Any, left: Any) -> None:
            by_lanes = by_neurons if m >= MANY else by_seeds
            by_lanes(units, coefficients, left, (*arguments, self.keeps_digits(weight_decay)), self.threads)

        def near(units: Any, coefficients: Any, left: Any) -> None:
            from twolayer.population.numba_near_descent import near_teachers

            near_teachers(units, coefficients, left, arguments, self.threads)

        plainly(vectors, outputs, left)
        for steps in itertools.cycle((near, plainly)):
            seeds = np.flatnonzero(left)
            if not len(seeds):
                return
            moved = vectors[seeds], outputs[seeds], left[seeds]
            steps(*moved)
            vectors[seeds], outputs[seeds], left[seeds] = moved

    def ode_system(self, start: Weights, weight_decay: float) -> Any:
        """As `PopulationProblem.ode_system`, compiled."""
        from twolayer.population.numba_flow import CompiledOdeSystem

        return CompiledOdeSystem(self, start, weight_decay)


def by_seeds(units: Any, outputs: Any, left: Any, arguments: Any, threads: int) -> None:
    """Steps in place, eight seeds at a time: units (seed, unit, coordinate), outputs (seed, unit).

    left (seed,): how many steps each seed has left, at the end too: not 0 where it is `close_to_teachers`.
    """
    chunks = -(-len(units) // WIDTH)
    batch = even_batch(chunks, STEPS_AT_ONCE // max(1, int(left.max(initial=1))), threads)

    def descend_batch(index: int) -> None:
        descend_chunks(units, outputs, left, index * batch, min((index + 1) * batch, chunks), *arguments)

    over_seeds(descend_batch, -(-chunks // batch), threads)


@entry
@njit(cache=True, nogil=True, no_cfunc_wrapper=True)
def descend_chunks(
    units: Any, outputs: Any, left: Any, first: int, last: int, students: int, mode: int, scales: Any, numbers: Any,
    stops: bool,
) -> None:  # fmt: skip
    """As `by_seeds`, of the chunks of eight seeds from `first` to `last`; the last seed fills up the last chunk."""
    seeds, count, coordinates = units.shape
    vectors = aligned_zeros(1, count * coordinates * 8, units)[0]
    coefficients, remaining = aligned_zeros(1, count * 8, units)[0], aligned_zeros(1, 8, units)[0]
    for chunk in range(first, last):
        for lane in range(8):
            seed = min(chunk * 8 + lane, seeds - 1)
            remaining[lane] = left[seed]
            for q in range(count):
                coefficients[q * 8 + lane] = outputs[seed, q]
                for d in range(coordinates):
                    vectors[(q * coordinates + d) * 8 + lane] = units[seed, q, d]
        descend_seeds(
            vectors, coefficients, count, coordinates, students, mode, scales, numbers, stops, remaining
        )
        for lane in range(min(8, seeds - chunk * 8)):
            seed = chunk * 8 + lane
            left[seed] = int(remaining[lane])
            for q in range(count):
                outputs[seed, q] = coefficients[q * 8 + lane]
                for d in range(coordinates):
                    units[seed, q, d] = vectors[(q * coordinates + d) * 8 + lane]


def by_neurons(units: Any, outputs: Any, left: Any, arguments: Any, threads: int) -> None:
    """As `by_seeds`, one seed at a time, in columns; the last lanes are filled up with zeros."""
    _, columns, coordinates = units.shape
    width = -(-columns // WIDTH) * WIDTH

    def descend_seed(seed: int) -> None:
        vectors, coefficients = aligned(np.zeros((coordinates, width))), aligned(np.zeros(width))
        vectors[:, :columns] = units[seed].T
        coefficients[:columns] = outputs[seed]
        left[seed] = descend_neurons(
            vectors.ravel(), coefficients, coordinates, width, *(*arguments, int(left[seed]))
        )
        units[seed] = vectors[:, :columns].T
        outputs[seed] = coefficients[:columns]

    over_seeds(descend_seed, len(units), threads)


@separate(cache=True, nogil=True)
def descend_seeds(
    vectors: Vector, outputs: Vector, units: int, coordinates: int, students: int, mode: int, scales: Vector,
    numbers: Vector, stops: bool, left: Vector,
) -> None:  # fmt: skip
    """Steps in place, of eight seeds: vectors (unit, coordinate, lane) and outputs (unit, lane), flat.

    mode: `core.network.OUTPUTS`. scales (unit,): s for students, 1 for teachers.
    numbers: A, B, D of the loss, step size, weight decay. left (lane,): how many steps a seed has left, at the end 0,
    or above where `stops` and it is `close_to_teachers`.
    """
    linear, curved, constant = 2.0 * numbers[0], 2.0 * numbers[1], 2.0 * numbers[2]
    step_size, weight_decay = numbers[3], numbers[4]
    row = coordinates * 8  # one unit's numbers
    unit = aligned_zeros(1, vectors.size, vectors)[0]
    pull = aligned_zeros(1, students * units * 8, vectors)[0]  # θ_iq C_q; 0 where q = i
    length, mass, along = aligned_zeros(3, units * 8, vectors)
    residual, teachers, force = aligned_zeros(3, row, vectors)
    moving = where_less(0.0, load(left, 0), 1.0, splat(0.0))
    for q in range(students, units):
        store(length, q * 8, normalize(vectors, unit, q * row, 8, coordinates))
        store(mass, q * 8, load(length, q * 8) * load(outputs, q * 8))
        for d in range(0, row, 8):
            store(teachers, d, load(teachers, d) + load(outputs, q * 8) * load(vectors, q * row + d))
    while True:
        for d in range(0, row, 8):
            store(residual, d, splat(0.0))
        for i in range(students):
            size = normalize(vectors, unit, i * row, 8, coordinates)
            output = load(outputs, i * 8)
            if mode == TIED:
                output = size
            output = output * scales[i]
            store(length, i * 8, size)
            store(mass, i * 8, output * size)
            store(along, i * 8, splat(0.0))
            for d in range(0, row, 8):
                store(residual, d, load(residual, d) + output * load(vectors, i * row + d))
        if stops:
            moving = where_less(0.0, close_to_teachers(unit, mass, students, units, row), 0.0, moving)
        if not any_less(0.0, moving):
            return
        store(left, 0, load(left, 0) - moving)
        total = splat(0.0)
        for q in range(units):
            total += load(mass, q * 8)
        for i in range(students):
            drift = load(along, i * 8)
            for q in range(i + 1, units):
                square = splat(0.0)
                for d in range(0, row, 8):
                    difference = load(unit, i * row + d) - load(unit, q * row + d)
                    square += difference * difference
                theta, sine = angle(square)
                drift += sine * load(mass, q * 8)
                store(pull, (i * units + q) * 8, theta * load(mass, q * 8))
                if q < students:
                    store(along, q * 8, load(along, q * 8) + sine * load(mass, i * 8))
                    store(pull, (q * units + i) * 8, theta * load(mass, i * 8))
            store(along, i * 8, curved * drift - constant * total)
        for i in range(students):
            drift = load(along, i * 8)
            d = 0
            while d < row:
                if d + 32 <= row:
                    p0, p1, p2, p3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
                    for q in range(units):
                        t = load(pull, (i * units + q) * 8)
                        p0 += t * load(unit, q * row + d)
                        p1 += t * load(unit, q * row + d + 8)
                        p2 += t * load(unit, q * row + d + 16)
                        p3 += t * load(unit, q * row + d + 24)
                    store(force, d, p0)
                    store(force, d + 8, p1)
                    store(force, d + 16, p2)
                    store(force, d + 24, p3)
                    d += 32
                else:
                    p0 = splat(0.0)
                    for q in range(units):
                        p0 += load(pull, (i * units + q) * 8) * load(unit, q * row + d)
                    store(force, d, p0)
                    d += 8
            for d in range(0, row, 8):
                field = linear * (load(residual, d) + load(teachers, d)) + drift * load(unit, i * row + d)
                store(force, d, field - curved * load(force, d))
            update(
                vectors, unit, force, outputs, load(length, i * 8), scales[i], moving, i * row, 8, 0, 8, i * 8,
                coordinates, mode, step_size, weight_decay,
            )  # fmt: skip
        moving = where_less(0.0, load(left, 0), moving, 0.0)


@entry
@njit(cache=True, nogil=True, no_cfunc_wrapper=True)
def descend_neurons(
    vectors: Any, outputs: Any, coordinates: int, width: int, students: int, mode: int, scales: Any, numbers: Any,
    stops: bool, left: int,
) -> int:  # fmt: skip
    """`left` steps in place, of one seed: vectors (coordinate, column) and outputs (column,), flat. Returns how many
    are left.

    Columns are the students, the teachers, and zeros up to `width`, a multiple of eight. Else as `descend_seeds`.
    Blocks of eight by eight pairs of students are taken once, and θ of the mirrored block copied.
    """
    linear, curved, constant = 2.0 * numbers[0], 2.0 * numbers[1], 2.0 * numbers[2]
    step_size, weight_decay = numbers[3], numbers[4]
    units = scales.size
    rows = -(-coordinates // 8) * 8
    unit = aligned_zeros(1, rows * width, vectors)[0]
    pulling = aligned_zeros(1, rows * width, vectors)[0]  # C_q û_q, (coordinate, column)
    theta = aligned_zeros(1, width * width, vectors)[0]
    force = aligned_zeros(1, rows * 8, vectors)[0]
    mirrored = aligned_zeros(1, width * 8, vectors)[0]  # Σ_i C_i sin θ_iq over earlier blocks, lane by lane
    square = aligned_zeros(1, 64, vectors)[0]
    length, coefficient, mass, scale, moving, along = aligned_zeros(6, width, vectors)
    residual = np.empty(rows)
    for p in range(units):
        scale[p] = scales[p]
    moving[:students] = 1.0
    while left > 0:
        for p in range(0, width, 8):
            size = normalize(vectors, unit, p, width, coordinates)
            output = load(outputs, p)
            if mode == TIED:
                output = where_less(0.0, load(moving, p), size, output)
            output = output * load(scale, p)
            store(length, p, size)
            store(coefficient, p, output)
            store(mass, p, output * size)
        if stops and columns_close_to_teachers(unit, mass, width, students, units, coordinates):
            return left
        left -= 1
        total = 0.0
        for p in range(units):
            total += mass[p]
        for d in range(coordinates):
            sums = splat(0.0)
            for p in range(0, width, 8):
                sums += load(coefficient, p) * load(vectors, d * width + p)
                store(pulling, d * width + p, load(mass, p) * load(unit, d * width + p))
            store(square, 0, sums)
            residual[d] = 0.0
            for lane in range(8):
                residual[d] += square[lane]
        for q in range(0, width * 8, 8):
            store(mirrored, q, splat(0.0))
        for i in range(0, students, 8):
            drift = splat(0.0)
            lane_mass = load(mass, i)
            for q in range(i, width, 8):
                squares(unit, width, i, q, coordinates, square)
                for p in range(8):
                    turn, sine = angle(load(square, p * 8))
                    store(theta, (q + p) * width + i, turn)
                    drift += sine * repeat(mass, q + p)
                    if q > i:
                        store(mirrored, (q + p) * 8, load(mirrored, (q + p) * 8) + sine * lane_mass)
                if q > i:
                    for p in range(q, q + 8):
                        for j in range(i, i + 8):
                            theta[j * width + p] = theta[p * width + j]
            store(along, i, drift)
        for i in range(0, students, 8):
            for p in range(i, i + 8):
                for lane in range(8):
                    along[p] += mirrored[p * 8 + lane]
            for d in range(0, coordinates, 8):
                pulls(theta, pulling, width, units, i, d, force)
            drift = curved * load(along, i) - constant * total
            for d in range(coordinates):
                field = linear * residual[d] + drift * load(unit, d * width + i)
                store(force, d * 8, field - curved * load(force, d * 8))
            update(
                vectors, unit, force, outputs, load(length, i), load(scale, i), load(moving, i), i, width, 0, 8, i,
                coordinates, mode, step_size, weight_decay,
            )  # fmt: skip
    return left


@inlined
def columns_close_to_teachers(
    unit: Any, mass: Any, width: int, students: int, units: int, coordinates: int
) -> bool:
    """As `close_to_teachers`, of one seed's columns."""
    largest = 0.0
    for q in range(students, units):
        largest = max(largest, abs(mass[q]))
    found = False
    for i in range(students):
        nearest = 4.0
        for q in range(students, units):
            square = 0.0
            for d in range(0, coordinates * width, width):
                square += (unit[d + i] - unit[d + q]) ** 2
            nearest = min(nearest, square, 4.0 - square)
        if nearest < DELICATE * DELICATE:
            found = True
        elif not abs(mass[i]) < DELICATE * largest:
            return False
    return found
