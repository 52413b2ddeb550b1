"""Lengths and angles of directions in lanes, sums over their pairs, and a step of descent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer.core.network import FIXED, TIED, TRAINED
from twolayer.kernels.simd import (
    WIDTH,
    any_less,
    inlined,
    load,
    repeat,
    splat,
    square_root,
    store,
    where_less,
)
from twolayer.population.angle_polynomial import COEFFICIENTS as P
from twolayer.population.fused_descent import DELICATE, LARGE, SHIFT, SMALL

__all__ = ["aligned", "angle", "arc", "close_to_teachers", "normalize", "pulls", "size", "squares", "update"]


@inlined
def arc(c: Any) -> Any:
    """The angle θ in [0, π/2] of the squared chord c = 4 sin²(θ/2): √c P(c), P of `angle_polynomial`."""
    y = c * c
    even = y * P[18] + P[16]
    odd = y * P[19] + P[17]
    even = even * y + P[14]
    odd = odd * y + P[15]
    even = even * y + P[12]
    odd = odd * y + P[13]
    even = even * y + P[10]
    odd = odd * y + P[11]
    even = even * y + P[8]
    odd = odd * y + P[9]
    even = even * y + P[6]
    odd = odd * y + P[7]
    even = even * y + P[4]
    odd = odd * y + P[5]
    even = even * y + P[2]
    odd = odd * y + P[3]
    even = even * y + P[0]
    odd = odd * y + P[1]
    return square_root(c) * (odd * c + even)


@inlined
def angle(square: Any) -> Any:
    """θ and sin θ in [0, π] from |û − v̂|² in lanes: to rounding near 0, and to 1e-8 near π, where it enters squared.

    With a = |û − v̂|² = 4 sin²(θ/2), b = 4 − a and c = min(a, b): θ = √c P(c) or π − √c P(c), sin θ = √(ab)/2, with
    the polynomial P of `angle_polynomial`. Derived.
    """
    rest = 4.0 - square
    rest = where_less(rest, 0.0, 0.0, rest)
    c = where_less(rest, square, rest, square)
    near = arc(c)
    return where_less(rest, square, math.pi - near, near), 0.5 * square_root(square * rest)


@inlined
def normalize(vectors: Any, unit: Any, start: int, stride: int, coordinates: int) -> Any:
    """û into `unit`, 0 for 0, of the lanes' vectors at start, start + stride, …; returns |u|.

    Lengths outside of [SMALL, LARGE] are squared after a shift, without branches. For single vectors: `length_of`.
    """
    largest = splat(0.0)
    for d in range(coordinates):
        x = load(vectors, start + d * stride)
        x = where_less(x, 0.0, 0.0 - x, x)
        largest = where_less(largest, x, x, largest)
    shift = where_less(largest, SMALL, SHIFT, 1.0)
    shift = where_less(LARGE, largest, 1.0 / SHIFT, shift)
    back = where_less(largest, SMALL, 1.0 / SHIFT, 1.0)
    back = where_less(LARGE, largest, SHIFT, back)
    square = splat(0.0)
    for d in range(coordinates):
        x = shift * load(vectors, start + d * stride)
        square += x * x
    length = square_root(square)
    inverse = where_less(0.0, length, 1.0 / length, 0.0)
    for d in range(coordinates):
        store(unit, start + d * stride, shift * load(vectors, start + d * stride) * inverse)
    return length * back


@inlined
def size(value: Any) -> Any:
    """|x|."""
    return where_less(value, 0.0, 0.0 - value, value)


@inlined
def close_to_teachers(unit: Any, mass: Any, students: int, units: int, row: int) -> Any:
    """1 in the lanes where all students are within `DELICATE` of a teacher, up to sign, or are small, and one is near:
    there the plain form's rounding counts, and 0 elsewhere. unit (unit, coordinate): directions, mass: C (unit,)."""
    largest = splat(0.0)
    for q in range(students, units):
        given = size(load(mass, q * 8))
        largest = where_less(largest, given, given, largest)
    settled, found = splat(1.0), splat(0.0)
    for i in range(students):
        nearest = splat(4.0)
        for q in range(students, units):
            square = splat(0.0)
            for d in range(0, row, 8):
                difference = load(unit, i * row + d) - load(unit, q * row + d)
                square += difference * difference
            nearest = where_less(square, nearest, square, nearest)
            nearest = where_less(4.0 - square, nearest, 4.0 - square, nearest)
        near = where_less(nearest, DELICATE * DELICATE, 1.0, splat(0.0))
        light = where_less(size(load(mass, i * 8)), DELICATE * largest, 1.0, near)
        found = where_less(0.0, near, 1.0, found)
        settled *= light
        if not any_less(0.0, settled):
            break
    return settled * found


@inlined
def squares(unit: Any, width: int, i: int, q: int, coordinates: int, square: Any) -> None:
    """|û_i − û_q|² for the lanes i, i + 1, … and eight units from q: square (unit, lane), flat."""
    a0, a1, a2, a3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    a4, a5, a6, a7 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for d in range(0, coordinates * width, width):
        x = load(unit, d + i)
        x0, x1 = x - repeat(unit, d + q), x - repeat(unit, d + q + 1)
        x2, x3 = x - repeat(unit, d + q + 2), x - repeat(unit, d + q + 3)
        x4, x5 = x - repeat(unit, d + q + 4), x - repeat(unit, d + q + 5)
        x6, x7 = x - repeat(unit, d + q + 6), x - repeat(unit, d + q + 7)
        a0, a1, a2, a3 = a0 + x0 * x0, a1 + x1 * x1, a2 + x2 * x2, a3 + x3 * x3
        a4, a5, a6, a7 = a4 + x4 * x4, a5 + x5 * x5, a6 + x6 * x6, a7 + x7 * x7
    store(square, 0, a0)
    store(square, 8, a1)
    store(square, 16, a2)
    store(square, 24, a3)
    store(square, 32, a4)
    store(square, 40, a5)
    store(square, 48, a6)
    store(square, 56, a7)


@inlined
def pulls(theta: Any, pulling: Any, width: int, units: int, i: int, d: int, force: Any) -> None:
    """Σ_q θ_iq C_q û_q for the lanes i, i + 1, … in eight coordinates from d: force (coordinate, lane), flat."""
    p0, p1, p2, p3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    p4, p5, p6, p7 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    base = d * width
    for q in range(units):
        t = load(theta, q * width + i)
        p0 += t * repeat(pulling, base + q)
        p1 += t * repeat(pulling, base + width + q)
        p2 += t * repeat(pulling, base + 2 * width + q)
        p3 += t * repeat(pulling, base + 3 * width + q)
        p4 += t * repeat(pulling, base + 4 * width + q)
        p5 += t * repeat(pulling, base + 5 * width + q)
        p6 += t * repeat(pulling, base + 6 * width + q)
        p7 += t * repeat(pulling, base + 7 * width + q)
    store(force, d * 8, p0)
    store(force, d * 8 + 8, p1)
    store(force, d * 8 + 16, p2)
    store(force, d * 8 + 24, p3)
    store(force, d * 8 + 32, p4)
    store(force, d * 8 + 40, p5)
    store(force, d * 8 + 48, p6)
    store(force, d * 8 + 56, p7)


@inlined
def update(
    vectors: Any, unit: Any, force: Any, outputs: Any, length: Any, scale: Any, moving: Any,
    start: int, stride: int, force_start: int, force_stride: int, output_start: int, coordinates: int,
    mode: int, step_size: float, weight_decay: float,
) -> None:  # fmt: skip
    """One step of the lanes' vectors and outputs along the field F in `force`; lanes with moving = 0 stay."""
    output = load(outputs, output_start)
    if mode == TIED:
        output = length
    alive = where_less(0.0, length, moving, 0.0)
    radial = splat(0.0)
    if mode != FIXED:
        for d in range(coordinates):
            radial += load(unit, start + d * stride) * load(force, force_start + d * force_stride)
        radial = radial * (alive * scale * step_size)
    rate = alive * scale * output * step_size
    decay = moving * (step_size * weight_decay)
    if mode == TIED:
        decay = 2.0 * decay
    for d in range(coordinates):
        old = load(vectors, start + d * stride)
        new = old - (rate * load(force, force_start + d * force_stride) + decay * old)
        if mode == TIED:
            new -= radial * length * load(unit, start + d * stride)
        store(vectors, start + d * stride, new)
    if mode == TRAINED:
        store(outputs, output_start, output - (radial * length + decay * output))


def aligned(array: Any) -> Any:
    """A contiguous float64 copy that begins on a cache line."""
    spare = np.empty(array.size + WIDTH)
    skip = -spare.ctypes.data // 8 % WIDTH
    copy = spare[skip : skip + array.size].reshape(array.shape)
    copy[...] = array
    return copy
