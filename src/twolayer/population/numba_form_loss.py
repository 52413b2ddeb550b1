"""The loss of eight networks, and the bound of its rounding, from their groups."""

from __future__ import annotations

from typing import Any

from twolayer.kernels.simd import (
    any_less,
    inlined,
    load,
    splat,
    square_root,
    store,
    where_less,
)
from twolayer.population.closed_form import SERIES
from twolayer.population.lane_series import arc_tangent, bend, g_of, larger
from twolayer.population.lanes import size
from twolayer.population.numba_forms import HALF_PI, SEPARATE, Form, angle_changes, dot, of_group, within

__all__ = ["loss"]

EPSILON = 2.0**-52
TINY = 2.0**-1022


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
