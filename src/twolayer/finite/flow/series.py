"""Taylor coefficients of the flow between events, where fixed patterns make it polynomial.

With q_k the force along line k, u = G q, b = g q·ζ (b = λ for fixed outputs) and m = e^(2(ρ − ρ₀)),
    ζ' = g u − b ζ,   g' = q·ζ − b g (unbalanced),   m' = 2 radial (b − λ) m,   r' = −s Σ (e^(2ρ₀) m g ζ)'.
On the lines K that slide, q_K = −G_KK⁻¹ G_KA q_A. Every coefficient of r after the first is linear in r, so
that a residual carried by its series keeps its relative accuracy however small it is. (Derived.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.finite.flow.kernels import INNER_DOT, INNER_KERNEL, SEPARATE
from twolayer.finite.flow.neurons import Neurons
from twolayer.finite.flow.problem import FlowProblem
from twolayer.finite.flow.sliding import factor_cholesky, solve_cholesky
from twolayer.kernels.record import Cube, Integers, Matrix, Pairs, Record, Vector

__all__ = ["Series", "advance", "begin", "build_series", "expand_force", "extend", "shift"]


class Series(Record):
    """Coefficients of each neuron about its start, and of the residual about the start of the step."""

    projection: Cube  # (neuron, order + 1, line) ζ
    force: Cube  # (neuron, order + 1, line) q
    drive: Cube  # (neuron, order + 1, line) u
    contribution: Cube  # (neuron, order + 1, line) s e^(2ρ) g ζ
    gain: Matrix  # (neuron, order + 1) g
    mass: Matrix  # (neuron, order + 1) m
    load: Matrix  # (neuron, order + 1) m g
    rate: Matrix  # (neuron, order + 1) b
    weight: Vector  # (neuron,) s e^(2ρ) at the start of each neuron
    change: Matrix  # (neuron, line) room for the change of its contribution
    residual: Matrix  # (response, order + 1)
    shifted: Matrix  # (response, order + 1) the same about the time of an event
    start: Vector  # (neuron,) time since the start of the step
    active: (
        Pairs  # (neuron, response) lines that carry a given force: each once, then those of a second response
    )
    active_rate: Matrix  # (neuron, response) force per residual on them
    active_slope: Matrix  # (neuron, response) output per contribution
    response: Pairs  # (neuron, response) the residual they feel
    active_count: Integers  # (neuron,) lines
    entry_count: Integers  # (neuron,) lines, and second responses
    sliding: Pairs  # (neuron, line) lines along which the neuron slides
    sliding_count: Integers  # (neuron,)
    factor: Cube  # (neuron, rank, rank) Cholesky factors of G_KK


def build_series(neurons: int, lines: int, responses: int, rank: int, order: int) -> Series:
    """Room for the coefficients up to the given order."""
    vector = (neurons, order + 1, lines)
    scalar = (neurons, order + 1)
    index = (neurons, lines)
    entry = (neurons, responses)
    return Series(
        projection=np.zeros(vector),
        force=np.zeros(vector),
        drive=np.zeros(vector),
        contribution=np.zeros(vector),
        gain=np.zeros(scalar),
        mass=np.zeros(scalar),
        load=np.zeros(scalar),
        rate=np.zeros(scalar),
        weight=np.zeros(neurons),
        change=np.zeros((neurons, lines)),
        residual=np.zeros((responses, order + 1)),
        shifted=np.zeros((responses, order + 1)),
        start=np.zeros(neurons),
        active=np.zeros(entry, dtype=np.int64),
        active_rate=np.zeros(entry),
        active_slope=np.zeros(entry),
        response=np.zeros(entry, dtype=np.int64),
        active_count=np.zeros(neurons, dtype=np.int64),
        entry_count=np.zeros(neurons, dtype=np.int64),
        sliding=np.zeros(index, dtype=np.int64),
        sliding_count=np.zeros(neurons, dtype=np.int64),
        factor=np.empty((neurons, rank, rank)),
    )


@INNER_KERNEL
def add_entry(
    j: int, entry: int, k: int, response: int, slope: float, problem: FlowProblem, series: Series
) -> None:
    """Let a response of line k act on neuron j."""
    series.active[j, entry] = k
    series.active_slope[j, entry] = slope
    series.active_rate[j, entry] = slope * problem.rate[response]
    series.response[j, entry] = response


@SEPARATE
def begin(j: int, problem: FlowProblem, neurons: Neurons, series: Series) -> None:
    """Set the coefficients of order 0 of neuron j, and the lines that act on it."""
    lines = problem.gram.shape[0]
    acting = 0
    sliding = 0
    for k in range(lines):
        series.projection[j, 0, k] = neurons.projection[j, k]
        if neurons.pattern[j, k] == 0:
            series.sliding[j, sliding] = k
            sliding += 1
            continue
        other = problem.opposite[k]
        slope = problem.slope[neurons.pattern[j, k] + 1, k]
        if slope != 0.0:
            add_entry(j, acting, k, k, slope, problem, series)
            acting += 1
        elif other >= 0:
            add_entry(j, acting, k, other, problem.slope[neurons.pattern[j, k] + 1, other], problem, series)
            acting += 1
    series.active_count[j] = acting
    for e in range(acting):
        k = series.active[j, e]
        other = problem.opposite[k]
        if other >= 0 and series.response[j, e] == k:
            slope = problem.slope[neurons.pattern[j, k] + 1, other]
            if slope != 0.0:
                add_entry(j, acting, k, other, slope, problem, series)
                acting += 1
    series.entry_count[j] = acting
    series.sliding_count[j] = sliding
    if sliding > 0:
        factor = series.factor[j]
        for row in range(sliding):
            for column in range(row + 1):
                factor[row, column] = problem.gram[series.sliding[j, row], series.sliding[j, column]]
        factor_cholesky(factor, sliding)
    for i in range(series.gain.shape[1]):
        series.gain[j, i] = 0.0
    series.gain[j, 0] = neurons.gain[j]
    series.weight[j] = problem.output_scale * np.exp(2.0 * neurons.log_scale[j])
    series.mass[j, 0] = 1.0
    series.load[j, 0] = neurons.gain[j]


@INNER_DOT
def power_of_order(i: int, j: int, force: Any, projection: Any) -> float:
    """(q·ζ)_i = Σ_l q_l·ζ_{i−l}."""
    total = 0.0
    for order in range(i + 1):
        for k in range(force.shape[2]):
            total += force[j, order, k] * projection[j, i - order, k]
    return total


@INNER_KERNEL
def add_rows(i: int, j: int, gram: Any, rows: Any, force: Any, count: int, drive: Any) -> None:
    """drive[j, i] += Σ_e force[j, i, rows_e] gram[rows_e], four rows at a time."""
    size = gram.shape[0]
    e = 0
    while e + 4 <= count:
        k0, k1, k2, k3 = rows[j, e], rows[j, e + 1], rows[j, e + 2], rows[j, e + 3]
        v0, v1, v2, v3 = force[j, i, k0], force[j, i, k1], force[j, i, k2], force[j, i, k3]
        for k in range(size):
            drive[j, i, k] += (v0 * gram[k0, k] + v1 * gram[k1, k]) + (v2 * gram[k2, k] + v3 * gram[k3, k])
        e += 4
    while e < count:
        k0 = rows[j, e]
        v0 = force[j, i, k0]
        for k in range(size):
            drive[j, i, k] += v0 * gram[k0, k]
        e += 1


@SEPARATE
def expand_force(
    i: int, first: int, last: int, problem: FlowProblem, neurons: Neurons, series: Series, residual: Matrix
) -> None:
    """Coefficients of order i of the force q and the drive u = G q on neurons first to last − 1; u = 0 on K."""
    force = series.force
    drive = series.drive
    for j in range(first, last):
        if not neurons.moving[j]:
            continue
        for k in range(force.shape[2]):
            force[j, i, k] = 0.0
            drive[j, i, k] = 0.0
        acting = series.active_count[j]
        for e in range(series.entry_count[j]):
            force[j, i, series.active[j, e]] += series.active_rate[j, e] * residual[series.response[j, e], i]
        add_rows(i, j, problem.gram, series.active, force, acting, drive)
        sliding = series.sliding_count[j]
        if sliding > 0:
            right = np.empty(sliding)
            for row in range(sliding):
                right[row] = -drive[j, i, series.sliding[j, row]]
            solve_cholesky(series.factor[j], sliding, right)
            for row in range(sliding):
                force[j, i, series.sliding[j, row]] = right[row]
            add_rows(i, j, problem.gram, series.sliding, force, sliding, drive)
            for row in range(sliding):
                drive[j, i, series.sliding[j, row]] = 0.0


@SEPARATE
def extend(
    i: int, first: int, last: int, problem: FlowProblem, neurons: Neurons, series: Series, residual: Matrix
) -> None:
    """From the coefficients up to order i of neurons first to last − 1, those of order i + 1.

    residual (response, order + 1) is known up to order i. A call passes hundreds of words, hence the range.
    """
    expand_force(i, first, last, problem, neurons, series, residual)
    zeta = series.projection
    drive = series.drive
    rate = series.rate
    gain = series.gain
    mass = series.mass
    contribution = series.contribution
    lines = zeta.shape[2]
    share = 1.0 / (i + 1)
    for j in range(first, last):
        if not neurons.moving[j]:
            continue
        balanced = neurons.balanced[j]
        if problem.radial == 0:
            rate[j, i] = problem.weight_decay if i == 0 else 0.0
        else:
            power = power_of_order(i, j, series.force, zeta)
            rate[j, i] = gain[j, 0] * power
            if not balanced:
                # b_i = Σ_l g_l (q·ζ)_{i−l}, whose lower orders are read back from g' = q·ζ − b g.
                for order in range(1, i + 1):
                    past = (i - order + 1) * gain[j, i - order + 1]
                    for inner in range(i - order + 1):
                        past += rate[j, inner] * gain[j, i - order - inner]
                    rate[j, i] += gain[j, order] * past
                for order in range(i + 1):
                    power -= rate[j, order] * gain[j, i - order]
                gain[j, i + 1] = power * share

        start_gain = gain[j, 0]
        for k in range(lines):
            zeta[j, i + 1, k] = start_gain * drive[j, i, k]
        if not balanced:
            for order in range(1, i + 1):
                value = gain[j, order]
                for k in range(lines):
                    zeta[j, i + 1, k] += value * drive[j, i - order, k]
        for order in range(i + 1):
            value = rate[j, order]
            for k in range(lines):
                zeta[j, i + 1, k] -= value * zeta[j, i - order, k]
        for k in range(lines):
            zeta[j, i + 1, k] *= share

        growth = -problem.weight_decay * mass[j, i]
        for order in range(i + 1):
            growth += rate[j, order] * mass[j, i - order]
        mass[j, i + 1] = 2.0 * problem.radial * growth * share
        load = start_gain * mass[j, i + 1]
        if not balanced:
            for order in range(1, i + 2):
                load += gain[j, order] * mass[j, i + 1 - order]
        series.load[j, i + 1] = load

        for k in range(lines):
            contribution[j, i + 1, k] = 0.0
        for order in range(i + 2):
            value = series.weight[j] * series.load[j, order]
            for k in range(lines):
                contribution[j, i + 1, k] += value * zeta[j, i + 1 - order, k]


@INNER_KERNEL
def horner(j: int, coefficients: Any, lowest: int, time: float, value: Any) -> None:
    """value[j, k] = Σ_{i ≥ lowest} c_jik time^i for coefficients (neuron, order + 1, line)."""
    order = coefficients.shape[1] - 1
    lines = coefficients.shape[2]
    for k in range(lines):
        value[j, k] = coefficients[j, order, k]
    for i in range(order - 1, lowest - 1, -1):
        for k in range(lines):
            value[j, k] = value[j, k] * time + coefficients[j, i, k]
    if lowest == 1:
        for k in range(lines):
            value[j, k] *= time


@SEPARATE
def advance(
    j: int,
    time: float,
    problem: FlowProblem,
    neurons: Neurons,
    series: Series,
    room: Neurons,
    residual: Vector,
) -> None:
    """The state of neuron j, written into room, at a time since its start; room may be neurons.

    The change of its contribution is taken off residual (response,), whose relative accuracy it shares.
    """
    horner(j, series.projection, 0, time, room.projection)
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
    horner(j, series.contribution, 1, time, series.change)
    for e in range(series.entry_count[j]):
        change = series.change[j, series.active[j, e]]
        residual[series.response[j, e]] -= series.active_slope[j, e] * change


@INNER_KERNEL
def shift(coefficients: Any, time: float, shifted: Any) -> None:
    """Coefficients (response, order + 1) of the same polynomials about another time."""
    responses, size = coefficients.shape
    for response in range(responses):
        for i in range(size):
            shifted[response, i] = coefficients[response, i]
        for first in range(size - 1):
            for i in range(size - 2, first - 1, -1):
                shifted[response, i] += time * shifted[response, i + 1]
