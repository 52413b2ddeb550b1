"""Taylor coefficients of the flow between events, where fixed patterns make it polynomial.

With q_k the force along line k, u = G q, b = g q·ζ (b = λ for fixed outputs) and m = e^(2(ρ − ρ₀)),
    ζ' = g u − b ζ,   g' = q·ζ − b g (unbalanced),   m' = 2 radial (b − λ) m,   r' = −s Σ (e^(2ρ₀) m g ζ)'.
On the lines K that slide, q_K = −G_KK⁻¹ G_KA q_A. Every coefficient of r after the first is linear in r, so
that a residual carried by its series keeps its relative accuracy however small it is. (Derived.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from twolayer.finite_flow.problem import Floats, Integers, Problem
from twolayer.finite_flow.sliding import factor_cholesky, solve_cholesky

__all__ = ["Series", "advance", "begin", "build_series", "extend", "shift"]


class Series(NamedTuple):
    """Coefficients of each neuron about its own start, and of the residual about the start of the step."""

    projection: Floats  # (neuron, order + 1, line) ζ
    force: Floats  # (neuron, order + 1, line) q
    drive: Floats  # (neuron, order + 1, line) u
    contribution: Floats  # (neuron, order + 1, line) s e^(2ρ) g ζ
    gain: Floats  # (neuron, order + 1) g
    mass: Floats  # (neuron, order + 1) m
    load: Floats  # (neuron, order + 1) m g
    rate: Floats  # (neuron, order + 1) b
    residual: Floats  # (response, order + 1)
    start: Floats  # (neuron,) time since the start of the step
    active: Integers  # (neuron, line) lines that carry a given force
    active_rate: Floats  # (neuron, line) force per residual on them
    response: Integers  # (neuron, line) the residual they feel
    active_count: Integers  # (neuron,)
    sliding: Integers  # (neuron, line) lines along which the neuron slides
    sliding_count: Integers  # (neuron,)
    factor: Floats  # (neuron, rank, rank) Cholesky factors of G_KK


def build_series(neurons: int, lines: int, responses: int, rank: int, order: int) -> Series:
    """Room for the coefficients up to the given order."""
    vector = (neurons, order + 1, lines)
    scalar = (neurons, order + 1)
    index = (neurons, lines)
    return Series(
        projection=np.zeros(vector),
        force=np.zeros(vector),
        drive=np.zeros(vector),
        contribution=np.zeros(vector),
        gain=np.zeros(scalar),
        mass=np.zeros(scalar),
        load=np.zeros(scalar),
        rate=np.zeros(scalar),
        residual=np.zeros((responses, order + 1)),
        start=np.zeros(neurons),
        active=np.zeros(index, dtype=np.int64),
        active_rate=np.zeros(index),
        response=np.zeros(index, dtype=np.int64),
        active_count=np.zeros(neurons, dtype=np.int64),
        sliding=np.zeros(index, dtype=np.int64),
        sliding_count=np.zeros(neurons, dtype=np.int64),
        factor=np.empty((neurons, rank, rank)),
    )


@njit(cache=True, nogil=True)
def begin(j: int, problem: Problem, neurons: Any, series: Any) -> None:
    """Set the coefficients of order 0 of neuron j, and the lines that act on it."""
    lines = problem.gram.shape[0]
    acting = 0
    sliding = 0
    for k in range(lines):
        series.projection[j, 0, k] = neurons.projection[j, k]
        if neurons.pattern[j, k] == 0:
            series.sliding[j, sliding] = k
            sliding += 1
        elif neurons.pattern[j, k] > 0:
            series.active[j, acting] = k
            series.active_rate[j, acting] = problem.rate[k]
            series.response[j, acting] = k
            acting += 1
        elif problem.back[k] >= 0:
            series.active[j, acting] = k
            series.active_rate[j, acting] = -problem.back_rate[k]
            series.response[j, acting] = problem.back[k]
            acting += 1
    series.active_count[j] = acting
    series.sliding_count[j] = sliding
    if sliding > 0:
        factor = series.factor[j]
        for row in range(sliding):
            for column in range(row + 1):
                factor[row, column] = problem.gram[series.sliding[j, row], series.sliding[j, column]]
        factor_cholesky(factor, sliding)
    series.gain[j, :] = 0.0
    series.gain[j, 0] = neurons.gain[j]
    series.mass[j, 0] = 1.0
    series.load[j, 0] = neurons.gain[j]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def dot(left: Any, right: Any) -> float:
    """Σ left right, in an order that vectorises."""
    total = 0.0
    for k in range(left.size):
        total += left[k] * right[k]
    return total


@njit(cache=True, nogil=True)
def add_rows(matrix: Any, rows: Any, values: Any, count: int, total: Any) -> None:
    """total += Σ_e values[rows_e] matrix[rows_e, :], four rows at a time."""
    size = total.size
    e = 0
    while e + 4 <= count:
        k0, k1, k2, k3 = rows[e], rows[e + 1], rows[e + 2], rows[e + 3]
        v0, v1, v2, v3 = values[k0], values[k1], values[k2], values[k3]
        r0, r1, r2, r3 = matrix[k0], matrix[k1], matrix[k2], matrix[k3]
        for k in range(size):
            total[k] += (v0 * r0[k] + v1 * r1[k]) + (v2 * r2[k] + v3 * r3[k])
        e += 4
    while e < count:
        v0 = values[rows[e]]
        r0 = matrix[rows[e]]
        for k in range(size):
            total[k] += v0 * r0[k]
        e += 1


@njit(cache=True, nogil=True)
def extend(i: int, j: int, problem: Problem, neurons: Any, series: Any, residual: Any) -> None:
    """From the coefficients up to order i of neuron j and residual (response, order + 1), those of order i + 1."""
    zeta = series.projection[j]
    force = series.force[j, i]
    drive = series.drive[j, i]
    rate = series.rate[j]
    gain = series.gain[j]
    mass = series.mass[j]
    load = series.load[j]
    following = zeta[i + 1]
    lines = drive.size
    force[:] = 0.0
    drive[:] = 0.0
    for e in range(series.active_count[j]):
        force[series.active[j, e]] = series.active_rate[j, e] * residual[series.response[j, e], i]
    add_rows(problem.gram, series.active[j], force, series.active_count[j], drive)

    if problem.radial == 0:
        rate[i] = problem.weight_decay if i == 0 else 0.0
    else:
        power = 0.0
        if neurons.balanced[j]:
            for order in range(i + 1):
                power += dot(series.force[j, order], zeta[i - order])
            rate[i] = gain[0] * power
        else:
            # Σ_l g_l (q·ζ)_{i−l}; the power of lower orders is read back from g' = q·ζ − b g.
            for order in range(i + 1):
                power += dot(series.force[j, order], zeta[i - order])
            rate[i] = gain[0] * power
            for order in range(1, i + 1):
                past = (i - order + 1) * gain[i - order + 1]
                for inner in range(i - order + 1):
                    past += rate[inner] * gain[i - order - inner]
                rate[i] += gain[order] * past
            change = power
            for order in range(i + 1):
                change -= rate[order] * gain[i - order]
            gain[i + 1] = change / (i + 1)

    sliding = series.sliding_count[j]
    if sliding > 0:
        right = np.empty(sliding)
        for row in range(sliding):
            right[row] = -drive[series.sliding[j, row]]
        solve_cholesky(series.factor[j], sliding, right)
        for row in range(sliding):
            force[series.sliding[j, row]] = right[row]
        add_rows(problem.gram, series.sliding[j], force, sliding, drive)

    gain_0 = gain[0]
    for k in range(lines):
        following[k] = gain_0 * drive[k]
    if not neurons.balanced[j]:
        for order in range(1, i + 1):
            value = gain[order]
            past = series.drive[j, i - order]
            for k in range(lines):
                following[k] += value * past[k]
    for order in range(i + 1):
        value = rate[order]
        past = zeta[i - order]
        for k in range(lines):
            following[k] -= value * past[k]
    share = 1.0 / (i + 1)
    for k in range(lines):
        following[k] *= share
    for row in range(sliding):
        following[series.sliding[j, row]] = 0.0

    growth = -problem.weight_decay * mass[i]
    for order in range(i + 1):
        growth += rate[order] * mass[i - order]
    mass[i + 1] = 2.0 * problem.radial * growth * share
    total = 0.0
    for order in range(i + 2):
        total += gain[order] * mass[i + 1 - order]
    load[i + 1] = total

    contribution = series.contribution[j, i + 1]
    contribution[:] = 0.0
    weight = problem.output_scale * np.exp(2.0 * neurons.log_scale[j])
    for order in range(i + 2):
        value = weight * load[order]
        past = zeta[i + 1 - order]
        for k in range(lines):
            contribution[k] += value * past[k]


@njit(cache=True, nogil=True)
def horner(coefficients: Any, lowest: int, time: float, value: Any) -> None:
    """value_k = Σ_{i ≥ lowest} c_ik time^i for coefficients (order + 1, line)."""
    order = coefficients.shape[0] - 1
    value[:] = coefficients[order]
    for i in range(order - 1, lowest - 1, -1):
        for k in range(value.size):
            value[k] = value[k] * time + coefficients[i, k]
    if lowest == 1:
        for k in range(value.size):
            value[k] *= time


@njit(cache=True, nogil=True)
def advance(
    j: int, time: float, problem: Problem, neurons: Any, series: Any, room: Any, residual: Any, before: Any
) -> None:
    """The state of neuron j, written into room, at a time since its own start.

    room may be neurons itself. The change of its contribution is taken off residual (response,), whose
    relative accuracy it shares. `before` (line,) is scratch.
    """
    horner(series.projection[j], 0, time, room.projection[j])
    order = series.mass.shape[1] - 1
    mass = series.mass[j, order]
    gain = series.gain[j, order]
    for i in range(order - 1, -1, -1):
        mass = mass * time + series.mass[j, i]
        gain = gain * time + series.gain[j, i]
    growth = 0.5 * np.log(mass)
    room.log_scale[j] = neurons.log_scale[j] + growth
    room.gain[j] = gain
    if problem.radial > 0:
        shrink = np.exp(-(growth / problem.radial + problem.weight_decay * time))
    else:
        shrink = np.exp(-problem.weight_decay * time)
    room.outside[j] = neurons.outside[j] * shrink
    room.skew[j] = neurons.skew[j] * shrink * shrink
    horner(series.contribution[j], 1, time, before)
    for e in range(series.active_count[j]):
        change = before[series.active[j, e]]
        residual[series.response[j, e]] -= change if series.active_rate[j, e] > 0.0 else -change


@njit(cache=True, nogil=True)
def shift(coefficients: Any, time: float, shifted: Any) -> None:
    """Coefficients (response, order + 1) of the same polynomials about another time."""
    responses, size = coefficients.shape
    for response in range(responses):
        row = shifted[response]
        row[:] = coefficients[response]
        for first in range(size - 1):
            for i in range(size - 2, first - 1, -1):
                row[i] += time * row[i + 1]
