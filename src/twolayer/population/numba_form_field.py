"""The field of eight networks, from their groups."""

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
from twolayer.population.lane_series import arc_tangent, beyond_sine, larger, xi
from twolayer.population.lanes import size
from twolayer.population.numba_forms import HALF_PI, SEPARATE, Form, angle_changes, dot, of_group, within

__all__ = ["field"]


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
