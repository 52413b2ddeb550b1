"""The closed forms in lanes of eight networks: `orthogonal_form`, and `closed_form` as the case without groups.

Formulas, their derivations and the meaning of `Groups` are those of the two modules. Lanes are networks (seeds, or a
seed's frames) that share their teachers. They never mix, and what no lane needs is skipped, so a network's bits
depend on no other.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from twolayer.kernels.record import Layout, Record, Vector
from twolayer.kernels.separate import separate
from twolayer.kernels.simd import (
    WIDTH,
    any_less,
    inlined,
    load,
    rounded_difference,
    rounded_sum,
    splat,
    square_root,
    store,
    where_less,
)
from twolayer.population.lane_series import arc_tangent, larger, wide_arc_tangent
from twolayer.population.orthogonal_groups import COARSE

__all__ = [
    "HALF_PI",
    "SEPARATE",
    "Form",
    "add",
    "allocate",
    "angle_changes",
    "chords",
    "dot",
    "of_group",
    "within",
]

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
    return layout(students, units, groups, coordinates).zeros()


@cache
def layout(students: int, units: int, groups: int, coordinates: int) -> Layout[Form]:
    """Where the arrays of a form lie in its memory."""
    few = max(1, groups)
    sizes = {name: units for name in UNITS} | {name: few for name in GROUPS} | {name: 1 for name in SINGLE}
    sizes |= {name: coordinates for name in ROWS} | {name: students * few for name in PAIRS}
    sizes |= {name: units * coordinates for name in ("vectors", "direction", "rest")}
    sizes |= {"force": students * coordinates, "residuals": few * coordinates, "member": units * few}
    sizes |= {"angles": units * units, "alone": 3}
    numbers = {"students": students, "units": units, "groups": groups, "coordinates": coordinates}
    arrays = {name: (WIDTH * size,) for name, size in sizes.items()}
    return Layout(Form, {**numbers, **arrays, "grouped": (units,), "strays": (units,)})


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
