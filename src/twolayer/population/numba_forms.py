"""The closed forms in lanes of eight networks: `orthogonal_form`, and `closed_form` as the case without groups.

Formulas, their derivations and the meaning of `Groups` are those of the two modules. Lanes are networks (seeds, or a
seed's frames) that share their teachers. They never mix, and what no lane needs is skipped, so a network's bits
depend on no other.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np

from twolayer.kernels.record import Record, Vector
from twolayer.kernels.separate import separate
from twolayer.kernels.simd import (
    WIDTH,
    any_less,
    fused,
    inlined,
    load,
    rounded_difference,
    rounded_sum,
    splat,
    square_root,
    store,
    where_less,
)
from twolayer.population.closed_form import SERIES
from twolayer.population.lanes import aligned, arc, normalize, size
from twolayer.population.orthogonal_form import CLOSE, COARSE, NEARLY

__all__ = ["Form", "allocate", "field", "group", "loss", "place_teachers"]

EPSILON = 2.0**-52
TINY = 2.0**-1022
HALF_PI = 0.5 * math.pi

SEPARATE: Any = separate(cache=True, nogil=True, error_model="numpy")
"""Of what several kernels call."""


class Form(Record):
    """Eight networks and what their loss and field are made of. Arrays are flat, the lane last; units are students,
    then teachers. students, units, groups, coordinates: m, m + k, k (0 without groups), min(d, m + k) or d.

    Given: vectors u (unit, coordinate), coefficients c and what rounding took from them, left_out (unit,).
    `group` turns the vectors, σu, and finds direction (unit, coordinate), sign and length (unit,), along (group,),
    rest ζ (unit, coordinate), close (1 in a group), weight q, stray C and square |ζ|² (unit,), member (unit, group);
    of students in a group tilt ζ·v̂_s, bare_xi ξ₀ and bare_omega ω₀, of strays theta θ₀ with its sine and cosine
    (student, group); angles (unit, unit) of pairs with a stray, θ_iq at i < q and its sine at i > q; alone (3,): the
    sum of C C' g(θ) over two strays, its terms' size, and the sum over teachers where they count as such; residuals
    (group, coordinate), total Q (group,), turned r̃ and residual r (coordinate,), mass (1,). grouped, strays (unit,):
    whether any lane is.
    `loss` gives value and rounding (1,); `field` gives force F (student, coordinate), and works in pull_rest,
    pull_direction (unit,), pull_axis and pull_residual (group,). scratch and every, each with what its rounding left
    out (coordinate,): sums over strays and over all.
    """

    students: int
    units: int
    groups: int
    coordinates: int
    vectors: Vector
    direction: Vector
    rest: Vector
    force: Vector
    coefficient: Vector
    left_out: Vector
    sign: Vector
    length: Vector
    close: Vector
    weight: Vector
    stray: Vector
    square: Vector
    member: Vector
    along: Vector
    tilt: Vector
    bare_xi: Vector
    bare_omega: Vector
    theta: Vector
    sine: Vector
    cosine: Vector
    angles: Vector
    alone: Vector
    residuals: Vector
    total: Vector
    turned: Vector
    residual: Vector
    mass: Vector
    value: Vector
    rounding: Vector
    pull_rest: Vector
    pull_direction: Vector
    pull_axis: Vector
    pull_residual: Vector
    scratch: Vector
    scratch_rest: Vector
    every: Vector
    every_rest: Vector
    grouped: Vector
    strays: Vector


UNITS = (
    "coefficient", "left_out", "sign", "length", "close", "weight", "stray", "square", "along", "pull_rest",
    "pull_direction",
)  # fmt: skip
GROUPS = ("total", "pull_axis", "pull_residual")
ROWS = ("turned", "residual", "scratch", "scratch_rest", "every", "every_rest")
PAIRS = ("tilt", "bare_xi", "bare_omega", "theta", "sine", "cosine")
SINGLE = ("mass", "value", "rounding")
"""Arrays of `Form` by their axis: units, groups, coordinates, pairs of a student and a group, none."""


def allocate(students: int, units: int, groups: int, coordinates: int) -> Form:
    """An empty form, whose arrays begin on cache lines."""
    slices, size = layout(students, units, groups, coordinates)
    memory = aligned(np.zeros(size))
    arrays = {name: memory[part] for name, part in slices.items()}
    return Form(
        students, units, groups, coordinates, **arrays, grouped=np.zeros(units), strays=np.zeros(units)
    )


@cache
def layout(students: int, units: int, groups: int, coordinates: int) -> tuple[dict[str, slice], int]:
    """Where each array of a form lies in its memory, and how many numbers there are."""
    few = max(1, groups)
    sizes = {name: units for name in UNITS} | {name: few for name in GROUPS} | {name: 1 for name in SINGLE}
    sizes |= {name: coordinates for name in ROWS} | {name: students * few for name in PAIRS}
    sizes |= {name: units * coordinates for name in ("vectors", "direction", "rest")}
    sizes |= {"force": students * coordinates, "residuals": few * coordinates, "member": units * few}
    sizes |= {"angles": units * units, "alone": 3}
    stops = [WIDTH * stop for stop in accumulate(sizes.values())]
    return dict(zip(sizes, map(slice, [0, *stops[:-1]], stops), strict=True)), stops[-1]


@inlined
def dot(left: Any, first: int, right: Any, second: int, row: int) -> Any:
    """u·v of the lanes' vectors at two offsets."""
    total = splat(0.0)
    for d in range(0, row, 8):
        total += load(left, first + d) * load(right, second + d)
    return total


@inlined
def chords(left: Any, first: int, right: Any, second: int, row: int) -> Any:
    """|û − v̂|² and |û + v̂|²."""
    minus, plus = splat(0.0), splat(0.0)
    for d in range(0, row, 8):
        u, v = load(left, first + d), load(right, second + d)
        apart, together = u - v, u + v
        minus += apart * apart
        plus += together * together
    return minus, plus


@inlined
def angle_of(minus: Any, plus: Any) -> Any:
    """θ in [0, π] of two directions by their chords, to rounding at both ends."""
    near = arc(where_less(plus, minus, plus, minus))
    return where_less(plus, minus, math.pi - near, near)


@inlined
def larger(left: Any, right: Any) -> Any:
    """The larger of two, and the first where one is NaN."""
    return where_less(left, right, right, left)


@inlined
def xi(x: Any) -> Any:
    """ξ = √(1 + X) − 1."""
    return x / (1.0 + square_root(1.0 + x))


@inlined
def arc_tangent(x: Any) -> Any:
    """atan x of |x| ≤ 0.06 by its series."""
    y = x * x
    series = y * (1.0 / 13.0) - 1.0 / 11.0
    series = series * y + 1.0 / 9.0
    series = series * y - 1.0 / 7.0
    series = series * y + 1.0 / 5.0
    series = series * y - 1.0 / 3.0
    return x + x * y * series


@inlined
def wide_arc_tangent(x: Any) -> Any:
    """atan x of |x| ≤ 0.4, of half the angle."""
    half = x / (1.0 + square_root(1.0 + x * x))
    y = half * half
    series = y * (1.0 / 25.0) - 1.0 / 23.0
    series = series * y + 1.0 / 21.0
    series = series * y - 1.0 / 19.0
    series = series * y + 1.0 / 17.0
    series = series * y - 1.0 / 15.0
    series = series * y + 1.0 / 13.0
    series = series * y - 1.0 / 11.0
    series = series * y + 1.0 / 9.0
    series = series * y - 1.0 / 7.0
    series = series * y + 1.0 / 5.0
    series = series * y - 1.0 / 3.0
    return 2.0 * (half + half * y * series)


@inlined
def beyond_sine(theta: Any) -> Any:
    """θ − sin θ of small angles."""
    y = theta * theta
    return (
        theta
        * y
        * (1.0 / 6.0)
        * (1.0 - y * (1.0 / 20.0) * (1.0 - y * (1.0 / 42.0) * (1.0 - y * (1.0 / 72.0))))
    )


@inlined
def g_of(theta: Any, sine: Any, cosine: Any) -> Any:
    """g(θ) = sin θ − θ cos θ, by its series below 0.5."""
    y = theta * theta
    series = 1.0 - y * (1.0 / SERIES[6])
    series = 1.0 - y * (1.0 / SERIES[5]) * series
    series = 1.0 - y * (1.0 / SERIES[4]) * series
    series = 1.0 - y * (1.0 / SERIES[3]) * series
    series = 1.0 - y * (1.0 / SERIES[2]) * series
    series = 1.0 - y * (1.0 / SERIES[1]) * series
    series = 1.0 - y * (1.0 / SERIES[0]) * series
    return where_less(theta, 0.5, theta * y * (1.0 / 3.0) * series, sine - theta * cosine)


@inlined
def bend(x: Any, rho: Any) -> Any:
    """ξ²/2 + ρκ, as `orthogonal_form.bend`."""
    grown = xi(x)
    slope = rho / (1.0 + grown)
    y = slope * slope
    series = y * (1.0 / 13.0) - 1.0 / 11.0
    series = series * y + 1.0 / 9.0
    series = series * y - 1.0 / 7.0
    series = series * y + 1.0 / 5.0
    series = series * y - 1.0 / 3.0
    return 0.5 * grown * grown + rho * (slope * grown - slope * y * series)


@inlined
def of_group(of_unit: Any, first: int, member: Any, second: int, groups: int) -> Any:
    """Σ_l member_l x_l: a unit's number for the group of another."""
    total = splat(0.0)
    for s in range(0, groups * 8, 8):
        total += load(member, second + s) * load(of_unit, first + s)
    return total


@inlined
def add(sums: Any, offset: int, rests: Any, other: int, product: Any, error: Any) -> None:
    """Add a product and what its rounding left out to a sum at one offset, and to what its rounding left out at
    another: `core.compensated`."""
    before = load(sums, offset)
    total = rounded_sum(before, product)
    second = rounded_difference(total, before)
    error += rounded_sum(
        rounded_difference(before, rounded_difference(total, second)), rounded_difference(product, second)
    )
    store(sums, offset, total)
    store(rests, other, load(rests, other) + error)


@SEPARATE
def place_teachers(form: Form) -> None:
    """What does not change with the students; vectors and coefficients of teachers are there."""
    m, n, row = form.students, form.units, form.coordinates * 8
    for q in range(m, n):
        length = normalize(form.vectors, form.direction, q * row, 8, form.coordinates)
        store(form.length, q * 8, length)
        store(form.sign, q * 8, splat(1.0))
        if form.groups:
            store(form.close, q * 8, splat(1.0))
            store(form.weight, q * 8, load(form.coefficient, q * 8) * length)
            store(form.member, (q * form.groups + q - m) * 8, splat(1.0))
            form.grouped[q] = 1.0
        else:
            store(form.stray, q * 8, load(form.coefficient, q * 8) * length)
            form.strays[q] = 1.0
            for p in range(m, q):
                minus, plus = chords(form.direction, p * row, form.direction, q * row, row)
                mass = load(form.stray, p * 8) * load(form.stray, q * 8)
                value = g_of(angle_of(minus, plus), 0.5 * square_root(minus * plus), 0.25 * (plus - minus))
                store(form.alone, 16, load(form.alone, 16) + 2.0 * mass * value)


@SEPARATE
def group(form: Form, turns: bool, with_loss: bool) -> None:
    """Turn the students, where `turns`, and take all sums and angles that `field` needs, and those of `loss`."""
    m, n, k, row = form.students, form.units, form.groups, form.coordinates * 8
    for i in range(m):
        store(form.length, i * 8, normalize(form.vectors, form.direction, i * row, 8, form.coordinates))
        turn_student(form, i, turns)
    alone, bound = load(form.alone, 16), splat(0.0)
    for i in range(m):
        for q in range(i + 1, m if k else n):
            if form.strays[i] > 0.0 or form.strays[q] > 0.0:
                minus, plus = chords(form.direction, i * row, form.direction, q * row, row)
                theta, sine = angle_of(minus, plus), 0.5 * square_root(minus * plus)
                store(form.angles, (i * n + q) * 8, theta)
                store(form.angles, (q * n + i) * 8, sine)
                if with_loss:
                    value = g_of(theta, sine, 0.25 * (plus - minus))
                    value = 2.0 * load(form.stray, i * 8) * load(form.stray, q * 8) * value
                    alone += value
                    bound += size(value)
        for s in range(k):
            at = (i * k + s) * 8
            if form.grouped[i] > 0.0:
                tilt = dot(form.rest, i * row, form.direction, (m + s) * row, row)
                bare_xi = xi(load(form.square, i * 8) - tilt * tilt)
                store(form.tilt, at, tilt)
                store(form.bare_xi, at, bare_xi)
                store(form.bare_omega, at, arc_tangent(tilt / (1.0 + bare_xi)))
            if form.strays[i] > 0.0:
                minus, plus = chords(form.direction, i * row, form.direction, (m + s) * row, row)
                store(form.theta, at, angle_of(minus, plus))
                store(form.sine, at, 0.5 * square_root(minus * plus))
                store(form.cosine, at, 0.25 * (plus - minus))
    store(form.alone, 0, alone)
    store(form.alone, 8, bound)
    sum_up(form)


@SEPARATE
def turn_student(form: Form, i: int, turns: bool) -> None:
    """Sign, group and ζ of one student."""
    m, n, k, row = form.students, form.units, form.groups, form.coordinates * 8
    sign = splat(1.0)
    if turns:
        highest, lowest = splat(-math.inf), splat(math.inf)
        for q in range(m, n):
            height = dot(form.vectors, i * row, form.direction, q * row, row)
            store(form.along, (q - m) * 8, height)
            highest = where_less(highest, height, height, highest)
            lowest = where_less(height, lowest, height, lowest)
        sign = where_less(highest, 0.0 - lowest, -1.0, sign)
        for d in range(i * row, (i + 1) * row, 8):
            store(form.vectors, d, sign * load(form.vectors, d))
            store(form.direction, d, sign * load(form.direction, d))
    store(form.sign, i * 8, sign)
    mass = load(form.coefficient, i * 8) * load(form.length, i * 8)
    store(form.stray, i * 8, mass)
    form.strays[i], form.grouped[i] = 1.0, 0.0
    if k == 0:
        return
    best, nearest = sign * load(form.along, 0), splat(0.0)
    for s in range(1, k):
        height = sign * load(form.along, s * 8)
        nearest = where_less(best, height, float(s), nearest)
        best = where_less(best, height, height, best)
    length = splat(0.0)
    for s in range(k):
        member = where_less(size(nearest - float(s)), 0.5, 1.0, splat(0.0))
        store(form.member, (i * k + s) * 8, member)
        length += member * load(form.length, (m + s) * 8)
    if not any_less(NEARLY * load(form.length, i * 8), best):
        for s in range(k):
            store(form.member, (i * k + s) * 8, splat(0.0))
        for offset in (form.close, form.square, form.weight):
            store(offset, i * 8, splat(0.0))
        return
    share = best / where_less(0.0, length, length, 1.0)
    left = splat(0.0)
    for d in range(0, row, 8):  # u = αv + z with no rounding but in z's last place
        teacher, axis = splat(0.0), splat(0.0)
        for s in range(k):
            member = load(form.member, (i * k + s) * 8)
            teacher += member * load(form.vectors, (m + s) * row + d)
            axis += member * load(form.direction, (m + s) * row + d)
        product = share * teacher
        error = fused(share, teacher, 0.0 - product)
        rest = rounded_difference(rounded_difference(load(form.vectors, i * row + d), product), error)
        left += rest * axis
        store(form.rest, i * row + d, rest)
        store(form.scratch, d, axis)
    height = share * length + left
    inverse = 1.0 / where_less(0.0, height, height, 1.0)
    square = splat(0.0)
    for d in range(0, row, 8):
        rest = (load(form.rest, i * row + d) - left * load(form.scratch, d)) * inverse
        square += rest * rest
        store(form.rest, i * row + d, rest)
    close = where_less(CLOSE * CLOSE, square, 0.0, where_less(0.0, height, 1.0, splat(0.0)))
    for d in range(i * row, (i + 1) * row, 8):
        store(form.rest, d, where_less(0.0, close, load(form.rest, d), 0.0))
    for s in range(k):
        store(form.member, (i * k + s) * 8, close * load(form.member, (i * k + s) * 8))
    store(form.close, i * 8, close)
    store(form.square, i * 8, where_less(0.0, close, square, 0.0))
    store(form.weight, i * 8, where_less(0.0, close, load(form.coefficient, i * 8) * height, 0.0))
    store(form.stray, i * 8, where_less(0.0, close, 0.0, mass))
    form.grouped[i] = 1.0 if any_less(0.0, close) else 0.0
    form.strays[i] = 1.0 if any_less(close, 1.0) else 0.0


@SEPARATE
def sum_up(form: Form) -> None:
    """The residuals of the groups, r̃, r and ΣC, from sums that carry their rounding."""
    m, n, k, row = form.students, form.units, form.groups, form.coordinates * 8
    for d in range(0, row, 8):
        store(form.scratch, d, splat(0.0))
        store(form.scratch_rest, d, splat(0.0))
        store(form.every, d, splat(0.0))
        store(form.every_rest, d, splat(0.0))
    turned = False
    for i in range(m):
        turned = turned or any_less(load(form.sign, i * 8), 0.0)
    for s in range(k):
        for d in range(s * row, (s + 1) * row, 8):
            store(form.residuals, d, splat(0.0))
    mass = splat(0.0)
    for p in range(n):
        factor, left_out = load(form.coefficient, p * 8), load(form.left_out, p * 8)
        sign, outside = load(form.sign, p * 8), 1.0 - load(form.close, p * 8)
        for d in range(0, row, 8):
            vector = load(form.vectors, p * row + d)
            product = factor * vector
            error = fused(factor, vector, 0.0 - product) + left_out * vector
            if turned:
                add(form.every, d, form.every_rest, d, sign * product, sign * error)
            if form.strays[p] > 0.0:
                add(form.scratch, d, form.scratch_rest, d, outside * product, outside * error)
            if form.grouped[p] > 0.0:
                for s in range(k):
                    share = load(form.member, (p * k + s) * 8)
                    if any_less(0.0, share):
                        # ζ = 0 of the teacher: room for what rounding left out
                        at = (m + s) * row + d
                        add(form.residuals, s * row + d, form.rest, at, share * product, share * error)
        mass += load(form.weight, p * 8) * xi(load(form.square, p * 8)) + load(form.stray, p * 8)
    for s in range(k):
        total = splat(0.0)
        for d in range(0, row, 8):
            value = load(form.residuals, s * row + d) + load(form.rest, (m + s) * row + d)
            store(form.residuals, s * row + d, value)
            store(form.rest, (m + s) * row + d, splat(0.0))
            total += value * load(form.direction, (m + s) * row + d)
        store(form.total, s * 8, total)
        mass += total
    store(form.mass, 0, mass)
    for d in range(0, row, 8):
        total = load(form.scratch, d) + load(form.scratch_rest, d)
        for s in range(k):
            total += load(form.residuals, s * row + d)
        store(form.turned, d, total)
        store(form.residual, d, load(form.every, d) + load(form.every_rest, d) if turned else total)


@inlined
def within(form: Any, i: int, q: int) -> Any:
    """θ of two units of one group."""
    row = form.coordinates * 8
    apart, along, inner = splat(0.0), splat(0.0), splat(0.0)
    for d in range(0, row, 8):
        rest, other = load(form.rest, i * row + d), load(form.rest, q * row + d)
        difference = rest - other
        apart += difference * difference
        along += rest * difference
        inner += rest * other
    sine = apart + load(form.square, i * 8) * apart - along * along
    return arc_tangent(square_root(larger(sine, splat(0.0))) / (1.0 + inner))


@inlined
def angle_changes(form: Any, i: int, q: int) -> Any:
    """Of a stray i and a unit q of a group: S − S₀, θ − θ₀, ẑ·ζ, P₀ and θ₀."""
    n, k, row = form.units, form.groups, form.coordinates * 8
    theta = of_group(form.theta, i * k * 8, form.member, q * k * 8, k)
    sine = of_group(form.sine, i * k * 8, form.member, q * k * 8, k)
    cosine = of_group(form.cosine, i * k * 8, form.member, q * k * 8, k)
    lean = dot(form.direction, i * row, form.rest, q * row, row)
    square = load(form.square, q * 8)
    change = square - lean * (lean + 2.0 * cosine)
    after = square_root(larger(sine * sine + change, splat(0.0)))
    both = sine + after
    sine_change = change / where_less(0.0, both, both, 1.0)
    below = cosine * (cosine + lean) + sine * after
    turn = (sine_change * cosine - sine * lean) / where_less(0.0, below, below, 1.0)
    theta_change = wide_arc_tangent(turn)
    reach = COARSE * sine
    if any_less(reach * reach, square):
        first, last = min(i, q), max(i, q)
        angle = load(form.angles, (first * n + last) * 8)
        whole = square_root(1.0 + square) * load(form.angles, (last * n + first) * 8) - sine
        sine_change = where_less(reach * reach, square, whole, sine_change)
        theta_change = where_less(reach * reach, square, angle - theta, theta_change)
    return sine_change, theta_change, lean, cosine, theta


@SEPARATE
def loss(form: Form, linear: float, curved: float, constant: float) -> None:
    """L, never negative, and the bound of its rounding: `value` and `rounding`. linear, curved, constant: A, B, D."""
    m, n, k, row = form.students, form.units, form.groups, form.coordinates * 8
    even = HALF_PI * curved
    odd = linear - even
    if abs(odd) <= 1e-9 * linear:
        odd = 0.0
    squares = splat(0.0)
    for d in range(0, row, 8):
        turned, residual = load(form.turned, d), load(form.residual, d)
        squares += odd * residual * residual + even * turned * turned
    total, bound = splat(0.0), splat(0.0)
    if k:
        total, bound = between_groups(form)
    for i in range(m if k else 0):
        close, stray = load(form.close, i * 8), load(form.stray, i * 8)
        if form.grouped[i] > 0.0:
            mass = load(form.weight, i * 8) * square_root(1.0 + load(form.square, i * 8))
            for q in range(i + 1, n):
                if form.grouped[q] > 0.0:
                    same = of_group(form.member, i * k * 8, form.member, q * k * 8, k)
                    if any_less(0.0, same):
                        other = load(form.weight, q * 8) * square_root(1.0 + load(form.square, q * 8))
                        theta = within(form, i, q)
                        y = theta * theta  # below 0.05
                        series = 1.0 - y * (1.0 / SERIES[1]) * (1.0 - y * (1.0 / SERIES[2]))
                        series = 1.0 - y * (1.0 / SERIES[0]) * series
                        value = 2.0 * same * mass * other * (theta * y * (1.0 / 3.0) * series)
                        total += value
                        bound += size(value)
                    if any_less(same, close * load(form.close, q * 8)):
                        value, reach = fourth_order(form, i, q)
                        bound += reach
                        if q < m:  # 0 with a bare teacher
                            total += value
        if form.strays[i] > 0.0:
            for s in range(k):
                at = (i * k + s) * 8
                value = g_of(load(form.theta, at), load(form.sine, at), load(form.cosine, at))
                value = 2.0 * stray * load(form.total, s * 8) * value
                total += value
                bound += size(value)
            for q in range(m):
                if form.grouped[q] > 0.0 and any_less(close, load(form.close, q * 8)):
                    sine_change, theta_change, lean, cosine, theta = angle_changes(form, i, q)
                    bent = sine_change - (theta + theta_change) * lean - theta_change * cosine
                    chosen = 2.0 * stray * load(form.weight, q * 8)
                    total += where_less(0.0, size(chosen), chosen * bent, splat(0.0))
                    bound += size(chosen) * square_root(load(form.square, q * 8))
    total += load(form.alone, 0)
    bound += load(form.alone, 8)
    mass = load(form.mass, 0)
    value = squares + curved * total - constant * mass * mass
    store(form.value, 0, larger(value, splat(0.0)))
    if k:
        store(form.rounding, 0, 4.0 * EPSILON * (squares + curved * bound + constant * mass * mass) + TINY)
        return
    sum_of_sizes = splat(0.0)
    for p in range(n):
        sum_of_sizes += size(load(form.stray, p * 8))
    store(form.rounding, 0, EPSILON * sum_of_sizes * sum_of_sizes + TINY)


@inlined
def between_groups(form: Any) -> Any:
    """The sums over groups of Σ C C' g(θ) over pairs of different groups, and their terms' sizes."""
    m, k, row = form.students, form.groups, form.coordinates * 8
    total, bound = splat(0.0), splat(0.0)
    for s in range(k):
        mass = load(form.total, s * 8)
        for other in range(k):
            if other != s:
                theirs = load(form.total, other * 8)
                tilted, tilted_back, leaning = splat(0.0), splat(0.0), splat(0.0)
                for d in range(0, row, 8):
                    axis, toward = (
                        load(form.direction, (m + s) * row + d),
                        load(form.direction, (m + other) * row + d),
                    )
                    lean = load(form.residuals, s * row + d) - mass * axis
                    lean_back = load(form.residuals, other * row + d) - theirs * toward
                    tilted += lean * toward
                    tilted_back += lean_back * axis
                    leaning += lean * lean_back
                sums = (0.0 - HALF_PI) * tilted
                for i in range(m):
                    if form.grouped[i] > 0.0:
                        at = (i * k + other) * 8
                        tilt = load(form.tilt, at)
                        single = load(form.bare_xi, at) + tilt * arc_tangent(
                            tilt / (1.0 + load(form.bare_xi, at))
                        )
                        sums += load(form.member, (i * k + s) * 8) * load(form.weight, i * 8) * single
                first, second = mass * theirs, 2.0 * sums * theirs
                third, last = tilted * tilted_back, HALF_PI * leaning
                total += first + second + third - last
                bound += size(first) + size(second) + size(third) + size(last)
    return total, bound


@inlined
def fourth_order(form: Any, i: int, q: int) -> Any:
    """What of C C' g(θ), twice, of two students of different groups is of no single unit, and its terms' size."""
    k, row = form.groups, form.coordinates * 8
    same = of_group(form.member, i * k * 8, form.member, q * k * 8, k)
    apart = load(form.close, i * 8) * load(form.close, q * 8) - same
    here = of_group(form.tilt, i * k * 8, form.member, q * k * 8, k)
    there = of_group(form.tilt, q * k * 8, form.member, i * k * 8, k) if q < form.students else splat(0.0)
    inner = dot(form.rest, i * row, form.rest, q * row, row)
    a, b = load(form.square, i * 8), load(form.square, q * 8)
    both = here + there
    rho = both + inner
    value = inner * both + 0.5 * (a * b + inner * inner) - bend(a + b + a * b - rho * rho, rho)
    value += bend(a - here * here, here) + bend(b - there * there, there)
    chosen = 2.0 * apart * load(form.weight, i * 8) * load(form.weight, q * 8)
    length = square_root(a) + square_root(b)
    reach = square_root(a * b) * length + length * length * length * length
    return chosen * value, size(chosen) * reach


@SEPARATE
def field(form: Form, linear: float, curved: float, constant: float, resting: float) -> None:
    """F of each student, as `closed_form.field`, into `force`: in the coordinates of the students as they were given.

    linear, curved, constant, resting: A, B, D, R.
    """
    even = HALF_PI * curved
    odd = linear - even
    if abs(odd) <= 1e-9 * linear:
        odd = 0.0
    for i in range(form.students):
        pulls_on(form, i)
        row, few = form.coordinates * 8, form.groups * 8
        sign, length, mass = load(form.sign, i * 8), load(form.length, i * 8), load(form.mass, 0)
        for d in range(0, row, 8):
            action = splat(0.0)
            for q in range(form.units):
                if form.grouped[q] > 0.0 and q < form.students:
                    action += load(form.pull_rest, q * 8) * load(form.rest, q * row + d)
                if form.strays[q] > 0.0 or q == i:
                    action += load(form.pull_direction, q * 8) * load(form.direction, q * row + d)
            for s in range(0, few, 8):
                action += load(form.pull_axis, s) * load(
                    form.direction, form.students * row + s // 8 * row + d
                )
                action += load(form.pull_residual, s) * load(form.residuals, s // 8 * row + d)
            residual = load(form.residual, d)
            value = 2.0 * even * load(form.turned, d) + 2.0 * curved * action
            value = value - 2.0 * constant * mass * load(form.direction, i * row + d)
            value = sign * value + 2.0 * odd * residual
            store(form.force, i * row + d, where_less(0.0, length, value, resting * residual))


@SEPARATE
def pulls_on(form: Form, i: int) -> None:
    """What the action on student i is made of, as multiples of ζ_q, û_q, v̂_l and the groups' residuals."""
    m, n, k, row = form.students, form.units, form.groups, form.coordinates * 8
    for q in range(n):
        store(form.pull_rest, q * 8, splat(0.0))
        store(form.pull_direction, q * 8, splat(0.0))
    for s in range(k):
        store(form.pull_axis, s * 8, splat(0.0))
        store(form.pull_residual, s * 8, splat(0.0))
    along = splat(0.0)  # of ẑ_i
    close = load(form.close, i * 8)
    if form.grouped[i] > 0.0:
        square = load(form.square, i * 8)
        rising, turning, pulled = splat(0.0), splat(0.0), splat(0.0)
        for s in range(k):
            at = (i * k + s) * 8
            foreign = close - load(form.member, at)
            pulled += (1.0 + load(form.bare_xi, at)) * foreign * load(form.total, s * 8)
            store(form.pull_residual, s * 8, (load(form.bare_omega, at) - HALF_PI) * foreign)
        for q in range(n):
            if form.grouped[q] > 0.0 and q != i:
                weight, theirs = load(form.weight, q * 8), load(form.square, q * 8)
                same = of_group(form.member, i * k * 8, form.member, q * k * 8, k)
                pull = splat(0.0)
                if any_less(0.0, same):
                    theta = within(form, i, q)
                    beyond = beyond_sine(theta)
                    stretch = (theirs - square) / (1.0 + square)
                    rising += same * weight * ((theta - beyond) * xi(stretch) - beyond)
                    turning += same * weight * theta
                    pull -= same * weight * theta
                apart = close * load(form.close, q * 8) - same
                if q < m and any_less(0.0, apart):
                    toward = of_group(form.tilt, i * k * 8, form.member, q * k * 8, k)
                    change = of_group(form.tilt, q * k * 8, form.member, i * k * 8, k)
                    change += dot(form.rest, i * row, form.rest, q * row, row)
                    before = 1.0 + of_group(form.bare_xi, i * k * 8, form.member, q * k * 8, k)
                    x_change = theirs * (1.0 + square) - change * (2.0 * toward + change)
                    after = square_root(larger(before * before + x_change, splat(0.0)))
                    xi_change = x_change / (before + after)
                    omega_change = arc_tangent(
                        (change * before - toward * xi_change) / (after * before + (toward + change) * toward)
                    )
                    pulled += apart * weight * xi_change
                    towards(form, q, apart * weight * omega_change)
                    pull += apart * weight * omega_change
                store(form.pull_rest, q * 8, pull)
        rising += pulled / (1.0 + square)
        towards(form, i, rising)
        store(form.pull_rest, i * 8, rising + turning)
    if form.strays[i] > 0.0:
        outside = 1.0 - close
        for s in range(k):
            at = (i * k + s) * 8
            along += outside * load(form.sine, at) * load(form.total, s * 8)
            store(form.pull_residual, s * 8, load(form.pull_residual, s * 8) - outside * load(form.theta, at))
        for q in range(m):
            if form.grouped[q] > 0.0 and any_less(close, load(form.close, q * 8)):
                sine_change, theta_change, _, _, _ = angle_changes(form, i, q)
                chosen = outside * load(form.weight, q * 8)
                along += where_less(0.0, size(chosen), chosen * sine_change, splat(0.0))
                pull = where_less(0.0, size(chosen), 0.0 - chosen * theta_change, splat(0.0))
                towards(form, q, pull)
                store(form.pull_rest, q * 8, load(form.pull_rest, q * 8) + pull)
    for q in range(m if k else n):
        if form.strays[q] > 0.0 and q != i:
            mass, first, last = load(form.stray, q * 8), min(i, q), max(i, q)
            along += load(form.angles, (last * n + first) * 8) * mass
            store(form.pull_direction, q * 8, 0.0 - load(form.angles, (first * n + last) * 8) * mass)
    store(form.pull_direction, i * 8, along)


@inlined
def towards(form: Any, q: int, pull: Any) -> None:
    """Add a pull to the axis of the group of unit q."""
    k = form.groups
    for s in range(k):
        share = load(form.member, (q * k + s) * 8)
        store(form.pull_axis, s * 8, load(form.pull_axis, s * 8) + share * pull)
