"""Students in lanes by their teachers: groups, and the sums over them that losses and fields share."""

from __future__ import annotations

import math

from twolayer.kernels.simd import (
    any_less,
    fused,
    load,
    rounded_difference,
    splat,
    square_root,
    store,
    where_less,
)
from twolayer.population.lane_series import angle_of, arc_tangent, g_of, xi
from twolayer.population.lanes import normalize, size
from twolayer.population.numba_forms import SEPARATE, Form, add, chords, dot
from twolayer.population.orthogonal_groups import CLOSE, NEARLY

__all__ = ["group", "place_teachers"]


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
