"""Compiled descent near orthogonal teachers, by the form that keeps the digits of small forces."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.core.network import TIED
from twolayer.core.seeds import over_seeds
from twolayer.kernels.entry import entry
from twolayer.kernels.jit import njit
from twolayer.kernels.simd import (
    WIDTH,
    aligned_zeros,
    any_less,
    fused,
    inlined,
    load,
    rounded_difference,
    splat,
    square_root,
    store,
    where_less,
)
from twolayer.population.closed_form import angles
from twolayer.population.fused_descent import DELICATE
from twolayer.population.lanes import aligned, close_to_teachers, normalize, size, update
from twolayer.population.numba_form_field import field
from twolayer.population.numba_forms import add, allocate, dot
from twolayer.population.numba_groups import group, place_teachers

__all__ = ["near_teachers"]

PERIOD = 64
"""A state is kept for so many steps."""


def near_teachers(units: Any, outputs: Any, left: Any, arguments: Any, threads: int) -> None:
    """Steps in place until they are done or a seed has left its teachers: units (seed, unit, coordinate), outputs
    (seed, unit), and how many steps each seed has left, (seed,). A seed takes one step at least."""
    students = arguments[0]
    closest, near = closest_teachers(units, students)
    order = np.argsort(closest, axis=1, kind="stable")
    patterns, pattern = np.unique(np.sort(closest, axis=1), axis=0, return_inverse=True)
    pattern = np.where(near, np.reshape(pattern, -1), -1)  # -1: some are far, and small
    chunks = [
        (number, chosen[first : first + WIDTH])
        for number in range(-1, len(patterns))
        for chosen in (np.flatnonzero(pattern == number),)
        for first in range(0, len(chosen), WIDTH)
    ]

    def descend_chunk(index: int) -> None:
        number, chosen = chunks[index]
        lanes = np.resize(chosen, WIDTH) if len(chosen) < WIDTH else chosen
        slots = np.broadcast_to(np.arange(units.shape[1]), (WIDTH, units.shape[1])).copy()
        if number >= 0:
            slots[:, :students] = order[lanes]  # groups in one order, so that lanes have the same ones
        vectors = aligned(np.moveaxis(units[lanes[:, None], slots], 0, -1))
        coefficients = aligned(outputs[lanes[:, None], slots].T)
        remaining = aligned(left[lanes].astype(np.float64))
        flat = (vectors.ravel(), coefficients.ravel(), *units.shape[1:], *arguments)
        if number < 0:
            form = allocate(students, units.shape[1], units.shape[1] - students, units.shape[2])
            descend_near(form, *(*flat, remaining))
        else:
            descend_settled(*(*flat, patterns[number], remaining))
        stop = len(chosen)
        units[chosen[:, None], slots[:stop]] = np.moveaxis(vectors, -1, 0)[:stop]
        outputs[chosen[:, None], slots[:stop]] = coefficients.T[:stop]
        left[chosen] = remaining[:stop].astype(np.int64)

    over_seeds(descend_chunk, len(chunks), threads)


def closest_teachers(units: Any, students: int) -> tuple[Any, Any]:
    """The teacher that each student is closest to, up to sign, (seed, student), and whether all are within `DELICATE`
    of theirs, (seed,)."""
    angle = angles(units[:, :students], units[:, students:])
    angle = np.minimum(angle, np.pi - angle)
    return angle.argmin(-1), (angle.min(-1) < DELICATE).all(-1)


@entry
@njit(cache=True, nogil=True, no_cfunc_wrapper=True)
def descend_near(
    form: Any, vectors: Any, outputs: Any, units: int, coordinates: int, students: int, mode: int, scales: Any,
    numbers: Any, left: Any,
) -> None:  # fmt: skip
    """As `numba_descent.descend_seeds`, but for the force, which is found in an empty `form`, and until a seed is not
    `close_to_teachers`.

    A seed whose weights come back to what they were, as at rest or in rounding's last places, does so for ever: of its
    steps those are taken that are left after whole periods.
    """
    linear, curved, constant, step_size = numbers[0], numbers[1], numbers[2], numbers[3]
    row = coordinates * 8
    unit = aligned_zeros(1, units * row, vectors)[0]
    mass, length, kept_outputs = aligned_zeros(3, units * 8, vectors)
    kept = aligned_zeros(1, students * row, vectors)[0]
    for q in range(students, units):
        for d in range(q * row, (q + 1) * row, 8):
            store(form.vectors, d, load(vectors, d))
        store(form.coefficient, q * 8, load(outputs, q * 8))
        store(length, q * 8, normalize(vectors, unit, q * row, 8, coordinates))
        store(mass, q * 8, load(length, q * 8) * load(outputs, q * 8))
    place_teachers(form)
    moving = where_less(0.0, load(left, 0), 1.0, splat(0.0))
    first, age = True, 0
    while True:
        for i in range(students):
            reach = normalize(vectors, unit, i * row, 8, coordinates)
            output = load(outputs, i * 8)
            if mode == TIED:
                output = reach
            product = output * scales[i]
            store(length, i * 8, reach)
            store(mass, i * 8, product * reach)
            store(form.coefficient, i * 8, product)
            store(form.left_out, i * 8, fused(output, scales[i], 0.0 - product))
            for d in range(i * row, (i + 1) * row, 8):
                store(form.vectors, d, load(vectors, d))
        if not first:
            moving *= close_to_teachers(unit, mass, students, units, row)
        first = False
        if not any_less(0.0, moving):
            return
        group(form, True, False)
        field(form, linear, curved, constant, 0.0)
        for i in range(students):
            update(
                vectors, unit, form.force, outputs, load(length, i * 8), scales[i], moving, i * row, 8, i * row, 8,
                i * 8, coordinates, mode, step_size, 0.0,
            )  # fmt: skip
        store(left, 0, load(left, 0) - moving)
        age = age_of_state(vectors, outputs, kept, kept_outputs, students, row, age, moving, left)
        moving = where_less(0.0, load(left, 0), moving, 0.0)


@entry
@njit(cache=True, nogil=True, no_cfunc_wrapper=True)
def descend_settled(
    vectors: Any, outputs: Any, units: int, coordinates: int, students: int, mode: int, scales: Any, numbers: Any,
    teacher_of: Any, left: Any,
) -> None:  # fmt: skip
    """As `descend_near`, of seeds whose students are all within `DELICATE` of teachers that they share,
    teacher_of (student,).

    The field is that of `orthogonal_form` to the second order in |ζ|² < 1e-10, relative to each of its terms.
    """
    linear, curved, constant, step_size = numbers[0], numbers[1], numbers[2], numbers[3]
    even = 0.5 * np.pi * curved
    odd = linear - even
    if abs(odd) <= 1e-9 * linear:
        odd = 0.0
    row, groups = coordinates * 8, units - students
    unit = aligned_zeros(1, units * row, vectors)[0]
    rest, kept = aligned_zeros(2, students * row, vectors)
    length = aligned_zeros(1, units * 8, vectors)[0]
    coefficient, left_out, sign, weight, square, pull_rest, kept_outputs = aligned_zeros(
        7, students * 8, vectors
    )
    tilt = aligned_zeros(1, students * groups * 8, vectors)[0]
    total, pull_axis, pull_residual = aligned_zeros(3, groups * 8, vectors)
    residuals, remainders = aligned_zeros(2, groups * row, vectors)
    every, every_rest, summed, force = aligned_zeros(4, row, vectors)
    for q in range(students, units):
        store(length, q * 8, normalize(vectors, unit, q * row, 8, coordinates))
    moving = where_less(0.0, load(left, 0), 1.0, splat(0.0))
    first, age = True, 0
    while True:
        settled, turned = splat(1.0), False
        for i in range(students):
            reach = normalize(vectors, unit, i * row, 8, coordinates)
            output = load(outputs, i * 8)
            if mode == TIED:
                output = reach
            product = output * scales[i]
            store(length, i * 8, reach)
            store(coefficient, i * 8, product)
            store(left_out, i * 8, fused(output, scales[i], 0.0 - product))
            axis = (students + teacher_of[i]) * row
            height, apart = splat(0.0), splat(0.0)
            for d in range(0, row, 8):
                u, v = load(unit, i * row + d), load(unit, axis + d)
                difference = u - v
                apart += difference * difference
                height += load(vectors, i * row + d) * v
            apart = where_less(4.0 - apart, apart, 4.0 - apart, apart)
            settled = where_less(apart, DELICATE * DELICATE, settled, 0.0)
            way = where_less(height, 0.0, -1.0, splat(1.0))
            turned = turned or any_less(way, 0.0)
            store(sign, i * 8, way)
            measure_rest(
                vectors,
                rest,
                i * row,
                axis,
                unit,
                row,
                way,
                height,
                load(length, (students + teacher_of[i]) * 8),
                square,
                weight,
                i * 8,
                product,
            )
        if not first:
            moving *= settled
        first = False
        if not any_less(0.0, moving):
            return
        for d in range(0, groups * row, 8):
            store(residuals, d, splat(0.0))
            store(remainders, d, splat(0.0))
        for d in range(0, row, 8):
            store(every, d, splat(0.0))
            store(every_rest, d, splat(0.0))
        mass = splat(0.0)
        for p in range(units):
            teacher = p >= students
            factor = load(outputs, p * 8) if teacher else load(coefficient, p * 8)
            lost = splat(0.0) if teacher else load(left_out, p * 8)
            way = splat(1.0) if teacher else load(sign, p * 8)
            base = (p - students if teacher else teacher_of[p]) * row
            for d in range(0, row, 8):
                vector = load(vectors, p * row + d)
                product = factor * vector
                error = fused(factor, vector, 0.0 - product) + lost * vector
                if turned:
                    add(every, d, every_rest, d, product, error)
                add(residuals, base + d, remainders, base + d, way * product, way * error)
            if not teacher:
                size_of = load(square, p * 8)
                mass += load(weight, p * 8) * (0.5 * size_of * (1.0 - 0.25 * size_of))
        for s in range(groups):
            along = splat(0.0)
            for d in range(0, row, 8):
                value = load(residuals, s * row + d) + load(remainders, s * row + d)
                store(residuals, s * row + d, value)
                along += value * load(unit, (students + s) * row + d)
            store(total, s * 8, along)
            mass += along
        for d in range(0, row, 8):
            value = splat(0.0)
            for s in range(groups):
                value += load(residuals, s * row + d)
            store(summed, d, value)
            store(every, d, load(every, d) + load(every_rest, d) if turned else value)
        for i in range(students):
            for s in range(groups):
                store(tilt, (i * groups + s) * 8, dot(rest, i * row, unit, (students + s) * row, row))
        for i in range(students):
            settled_pulls(
                i, students, groups, row, teacher_of, rest, square, weight, tilt, total, outputs, length, pull_rest,
                pull_axis, pull_residual,
            )  # fmt: skip
            way = load(sign, i * 8)
            for d in range(0, row, 8):
                action = splat(0.0)
                for q in range(students):
                    action += load(pull_rest, q * 8) * load(rest, q * row + d)
                for s in range(groups):
                    action += load(pull_axis, s * 8) * load(unit, (students + s) * row + d)
                    action += load(pull_residual, s * 8) * load(residuals, s * row + d)
                value = way * (2.0 * even * load(summed, d) + 2.0 * curved * action)
                value = value - 2.0 * constant * mass * load(unit, i * row + d)
                store(force, d, value + 2.0 * odd * load(every, d))
            update(
                vectors, unit, force, outputs, load(length, i * 8), scales[i], moving, i * row, 8, 0, 8, i * 8,
                coordinates, mode, step_size, 0.0,
            )  # fmt: skip
        store(left, 0, load(left, 0) - moving)
        age = age_of_state(vectors, outputs, kept, kept_outputs, students, row, age, moving, left)
        moving = where_less(0.0, load(left, 0), moving, 0.0)


@inlined
def age_of_state(
    vectors: Any, outputs: Any, kept: Any, kept_outputs: Any, students: int, row: int, age: int, moving: Any,
    left: Any,
) -> int:  # fmt: skip
    """How many steps ago the kept state was, which is replaced from time to time; a seed that is in that state again
    has no whole periods left."""
    if age % PERIOD == 0:
        for d in range(0, students * row, 8):
            store(kept, d, load(vectors, d))
        for i in range(0, students * 8, 8):
            store(kept_outputs, i, load(outputs, i))
        return 1
    apart = splat(0.0)
    for i in range(0, students * 8, 8):
        apart = where_less(apart, size(load(outputs, i) - load(kept_outputs, i)), 1.0, apart)
    for d in range(0, students * row, 8):
        apart = where_less(apart, size(load(vectors, d) - load(kept, d)), 1.0, apart)
        if not any_less(apart, moving):
            break
    if any_less(apart, moving):
        store(kept_outputs, 0, where_less(apart, moving, 1.0, splat(0.0)))
        for lane in range(WIDTH):
            if kept_outputs[lane] > 0.0:
                left[lane] = left[lane] % age
        return 0
    return age + 1


@inlined
def measure_rest(
    vectors: Any, rest: Any, start: int, axis: int, unit: Any, row: int, sign: Any, height: Any,
    length: Any, square: Any, weight: Any, index: int, coefficient: Any,
) -> None:  # fmt: skip
    """ζ, |ζ|² and q = c h of a student at `start` before the teacher at `axis`, as `turn_student`."""
    share = sign * height / length
    left = splat(0.0)
    for d in range(0, row, 8):
        vector, teacher = load(vectors, start + d), load(vectors, axis + d)
        product = share * teacher
        error = fused(share, teacher, 0.0 - product)
        value = rounded_difference(rounded_difference(sign * vector, product), error)
        left += value * load(unit, axis + d)
        store(rest, start + d, value)
    height = share * length + left
    inverse, total = 1.0 / height, splat(0.0)
    for d in range(0, row, 8):
        value = (load(rest, start + d) - left * load(unit, axis + d)) * inverse
        total += value * value
        store(rest, start + d, value)
    store(square, index, total)
    store(weight, index, coefficient * height)


@inlined
def settled_pulls(
    i: int, students: int, groups: int, row: int, teacher_of: Any, rest: Any, square: Any, weight: Any, tilt: Any,
    total: Any, outputs: Any, length: Any, pull_rest: Any, pull_axis: Any, pull_residual: Any,
) -> None:  # fmt: skip
    """What the action on student i is made of, as multiples of ζ_q, v̂_l and the groups' residuals: `pulls_on`."""
    mine, a = teacher_of[i], load(square, i * 8)
    rising, turning, pulled = splat(0.0), splat(0.0), splat(0.0)
    for s in range(groups):
        store(pull_axis, s * 8, splat(0.0))
        if s == mine:
            store(pull_residual, s * 8, splat(0.0))
        else:
            toward = load(tilt, (i * groups + s) * 8)
            bare = a - toward * toward
            bare_xi = 0.5 * bare * (1.0 - 0.25 * bare)
            slope = toward * (1.0 - bare_xi)
            pulled += (1.0 + bare_xi) * load(total, s * 8)
            store(pull_residual, s * 8, slope - slope * slope * slope * (1.0 / 3.0) - 0.5 * np.pi)
    for q in range(students + 1):
        if q == students or (q != i and teacher_of[q] == mine):  # the last one is the teacher
            if q == students:
                mass = load(outputs, (students + mine) * 8) * load(length, (students + mine) * 8)
                sine, inner, b = a, splat(0.0), splat(0.0)
            else:
                mass, b = load(weight, q * 8), load(square, q * 8)
                apart, along, inner = splat(0.0), splat(0.0), splat(0.0)
                for d in range(0, row, 8):
                    here, there = load(rest, i * row + d), load(rest, q * row + d)
                    difference = here - there
                    apart += difference * difference
                    along += here * difference
                    inner += here * there
                sine = apart + a * apart - along * along
            slope = square_root(where_less(0.0, sine, sine, 0.0)) * (1.0 - inner)
            theta = slope - slope * slope * slope * (1.0 / 3.0)
            beyond = theta * theta * theta * (1.0 / 6.0) * (1.0 - theta * theta * (1.0 / 20.0))
            stretch = (b - a) * (1.0 - a)
            rising += mass * ((theta - beyond) * (0.5 * stretch * (1.0 - 0.25 * stretch)) - beyond)
            turning += mass * theta
            if q < students:
                store(pull_rest, q * 8, 0.0 - mass * theta)
        elif q != i:
            s = teacher_of[q]
            mass, b = load(weight, q * 8), load(square, q * 8)
            toward = load(tilt, (i * groups + s) * 8)
            change = load(tilt, (q * groups + mine) * 8) + dot(rest, i * row, rest, q * row, row)
            bare = a - toward * toward
            bare_xi = 0.5 * bare * (1.0 - 0.25 * bare)
            x_change = b * (1.0 + a) - change * (2.0 * toward + change)
            xi_change = 0.5 * x_change * (1.0 - bare_xi - 0.25 * x_change)
            below = 2.0 * bare_xi + xi_change + (toward + change) * toward  # less 1
            slope = (change * (1.0 + bare_xi) - toward * xi_change) * (1.0 - below)
            omega_change = mass * (slope - slope * slope * slope * (1.0 / 3.0))
            pulled += mass * xi_change
            store(pull_rest, q * 8, omega_change)
            store(pull_axis, s * 8, load(pull_axis, s * 8) + omega_change)
    rising += pulled * (1.0 - a)
    store(pull_axis, mine * 8, load(pull_axis, mine * 8) + rising)
    store(pull_rest, i * 8, rising + turning)
