"""Long steps where fast residuals have died out and slow ones go on: collocation at the Radau points.

A Taylor step cannot be much longer than the shortest time scale of the data, 1/|x|² say, even when the residual
that moves on it is long at rest. Here the residuals r(t) on a step of length h are the polynomial that obeys
r' = −(s Σ e^(2ρ) g ζ)' at the s Radau points (Radau IIA: L-stable, of order 2s − 1 at the end of the step):
    r_i = r_0 + h Σ_l A_il r'(t_l).
Given r, each neuron obeys ζ' = g u − b ζ, g' = q·ζ − b g, with b implicit, and B' = b, from which ρ follows as
ρ_0 + radial (B − λ t). Newton's corrections solve (I + h A ⊗ K) δ = defect with the tangent kernel K at the
points, r' = −K r: a system in residuals alone, whatever the number of neurons. The polynomials take the place of
the Taylor coefficients, so that frames and events read them as they read those. (Method: Hairer and Wanner,
Solving Ordinary Differential Equations II, Sections IV.5 and IV.8; the reduction to residuals is derived.)
"""

from __future__ import annotations

import numpy as np

from twolayer.finite.flow.clock import FlowClock
from twolayer.finite.flow.collocation import Collocation, columns_to_powers, to_powers
from twolayer.finite.flow.dense import largest_of, solve_lu
from twolayer.finite.flow.events import next_event
from twolayer.finite.flow.kernels import INNER_KERNEL, SEPARATE
from twolayer.finite.flow.neurons import Neurons
from twolayer.finite.flow.problem import FlowProblem
from twolayer.finite.flow.series import Series, begin, expand_force, horner
from twolayer.finite.flow.stiff_neuron import (
    ROUNDING,
    add_slopes,
    is_idle,
    scale_of,
    settle_rounding,
    solve_neuron,
)
from twolayer.finite.flow.stiff_system import factor_system
from twolayer.kernels.record import Vector

__all__ = ["advance_stiff", "residual_at", "stiff_step"]

LARGEST_SYSTEM = 1500
"""Stages times responses beyond which a step would cost more than the Taylor steps that it replaces."""

ITERATIONS = 25
"""Corrections of one step, beyond which a shorter one is tried."""

SHARE = 0.1
"""Of the tolerance: one stiff step stands for many Taylor steps, most of which end far below theirs."""

FARTHEST = 1e24
"""Longest step: coefficients are divided by its powers."""


@SEPARATE
def solve_step(
    length: float,
    rule: Collocation,
    problem: FlowProblem,
    neurons: Neurons,
    series: Series,
    clock: FlowClock,
    reference: Vector,
    tolerance: float,
) -> bool:
    """Values of all at the points of a step, into series; False if the corrections do not converge."""
    neuron_count, _, lines = series.projection.shape
    responses = clock.residual.size
    stages = rule.points.size
    residual = series.residual
    for i in range(stages + 1):
        for response in range(responses):
            residual[response, i] = clock.residual[response]
    for j in range(neuron_count):
        series.start[j] = 0.0
        if not neurons.moving[j]:
            continue
        begin(j, problem, neurons, series)
        series.mass[j, 0] = 0.0
        for i in range(1, stages + 1):
            series.gain[j, i] = series.gain[j, 0]
            series.load[j, i] = 1.0
            for k in range(lines):
                series.projection[j, i, k] = series.projection[j, 0, k]
    first = np.int64(0)
    slopes = np.empty((responses, stages))
    defect = np.empty(stages * responses)
    system = np.empty((stages * responses, stages * responses))
    swaps = np.empty(stages * responses, dtype=np.int64)
    if not factor_system(length, rule, problem, neurons, series, system, swaps):
        return False
    enough = max(1e-2 * tolerance, 10.0 * ROUNDING)
    for iteration in range(ITERATIONS):
        changed = 0.0
        for i in range(1, stages + 1):
            expand_force(i, first, neuron_count, problem, neurons, series, residual)
        for response in range(responses):
            for i in range(stages):
                slopes[response, i] = 0.0
        for j in range(neuron_count):
            if neurons.moving[j] and not is_idle(j, problem, series):
                changed = max(changed, solve_neuron(j, length, rule, problem, neurons, series))
                add_slopes(j, problem, neurons, series, slopes)
        if not changed <= 1e3 or not largest_of(slopes) <= 1e150:
            return False
        if (iteration == 2 or iteration == 6) and not factor_system(
            length, rule, problem, neurons, series, system, swaps
        ):
            return False
        for i in range(stages):
            for response in range(responses):
                value = 0.0
                for m in range(stages):
                    value += rule.integral[i, m] * slopes[response, m]
                value = residual[response, 0] + length * value
                defect[i * responses + response] = value - residual[response, i + 1]
        solve_lu(system, swaps, defect)
        finished = changed <= enough
        for i in range(stages):
            for response in range(responses):
                value = defect[i * responses + response]
                residual[response, i + 1] += value
                # Negated, so that what is not a number is not finished.
                if not abs(value) <= enough * reference[response] + ROUNDING * clock.scale[response]:
                    finished = False
        if finished and iteration > 0:
            return True
    return False


@SEPARATE
def truncation(
    rule: Collocation,
    problem: FlowProblem,
    neurons: Neurons,
    series: Series,
    clock: FlowClock,
    reference: Vector,
    tolerance: float,
) -> float:
    """The two highest Legendre coefficients of all, over what the tolerance allows."""
    neuron_count, _, lines = series.projection.shape
    size = rule.points.size + 1
    worst = 0.0
    for row in range(size - 2, size):
        for response in range(clock.residual.size):
            value = 0.0
            for i in range(size):
                value += rule.modes[row, i] * series.residual[response, i]
            allowed = tolerance * reference[response] + 2.0 * ROUNDING * clock.scale[response]
            if value != 0.0:
                worst = max(worst, abs(value) / allowed)
        for j in range(neuron_count):
            if not neurons.moving[j]:
                continue
            allowed = (tolerance + 2.0 * ROUNDING) * scale_of(j, size, problem, neurons, series)
            for k in range(lines):
                value = 0.0
                for i in range(size):
                    value += rule.modes[row, i] * series.projection[j, i, k]
                if value != 0.0:
                    worst = max(worst, abs(value) / (problem.norm[k] * allowed))
            value = 0.0
            for i in range(size):
                value += rule.modes[row, i] * series.gain[j, i]
            if not neurons.balanced[j]:
                worst = max(worst, abs(value) / (tolerance + 2.0 * ROUNDING))
            if problem.radial > 0:
                value = 0.0
                largest = 1.0
                for i in range(size):
                    value += rule.modes[row, i] * series.mass[j, i]
                    largest = max(largest, abs(series.mass[j, i]))
                worst = max(worst, abs(value) / (tolerance + 2.0 * ROUNDING * largest))
    return worst


@SEPARATE
def stiff_step(
    length: float,
    rule: Collocation,
    problem: FlowProblem,
    neurons: Neurons,
    series: Series,
    clock: FlowClock,
    tolerance: float,
) -> tuple[bool, float]:
    """Try a step. Whether it was accepted, and the length that its error suggests for this or the next.

    An accepted step has its polynomials in series, and ends at the first event of any neuron.
    """
    neuron_count = neurons.projection.shape[0]
    responses = clock.residual.size
    if rule.points.size * responses > LARGEST_SYSTEM:
        return False, 0.0
    length = min(length, FARTHEST)
    tolerance = max(SHARE * tolerance, 1e-15)
    reference = np.empty(responses)
    largest = 0.0
    for response in range(responses):
        if clock.scale[response] > 0.0:
            largest = max(largest, abs(clock.residual[response]) / clock.scale[response])
    for response in range(responses):
        reference[response] = largest * clock.scale[response]
    if not solve_step(length, rule, problem, neurons, series, clock, reference, tolerance):
        return False, 0.25 * length
    first = np.int64(0)
    error = truncation(rule, problem, neurons, series, clock, reference, tolerance)
    proposal = length * min(max(0.9 * max(error, 1e-300) ** (-1.0 / rule.points.size), 0.1), 8.0)
    if not error <= 1.0:
        return False, min(proposal, 0.8 * length)
    expand_force(first, first, neuron_count, problem, neurons, series, series.residual)
    for response in range(responses):
        to_powers(length, rule, series.residual[response])
    for j in range(neuron_count):
        clock.event_time[j] = np.inf
        if not neurons.moving[j]:
            continue
        settle_rounding(j, rule, problem, neurons, series)
        columns_to_powers(length, rule, series.projection[j])
        columns_to_powers(length, rule, series.force[j])
        to_powers(length, rule, series.gain[j])
        to_powers(length, rule, series.mass[j])
    clock.times[1] = length
    clock.times[2] = 0.0
    for j in range(neuron_count):
        if neurons.moving[j]:
            time, _ = next_event(j, clock.times[1], problem, neurons, series, series.residual)
            clock.times[1] = min(clock.times[1], time)
    return True, proposal


@INNER_KERNEL
def residual_at(time: float, series: Series, residual: Vector) -> None:
    """The residuals (response,) at a time since the start of the step."""
    size = series.residual.shape[1]
    for response in range(residual.size):
        value = 0.0
        for i in range(size - 1, -1, -1):
            value = value * time + series.residual[response, i]
        residual[response] = value


@SEPARATE
def advance_stiff(
    j: int, time: float, problem: FlowProblem, neurons: Neurons, series: Series, room: Neurons
) -> None:
    """The state of neuron j, written into room, at a time since the start of the step; room may be neurons."""
    horner(j, series.projection, 0, time, room.projection)
    size = series.mass.shape[1]
    growth = 0.0
    gain = 0.0
    for i in range(size - 1, -1, -1):
        growth = growth * time + series.mass[j, i]
        gain = gain * time + series.gain[j, i]
    room.log_scale[j] = neurons.log_scale[j] + problem.radial * (growth - problem.weight_decay * time)
    room.gain[j] = gain
    if problem.radial == 0:
        growth = problem.weight_decay * time
    shrink = np.exp(-growth)
    if is_idle(j, problem, series):
        for k in range(room.projection.shape[1]):
            room.projection[j, k] *= shrink
    # A neuron that has shrunk by e^−700 and more has an infinite factor here, and nothing for it to act on.
    room.outside[j] = neurons.outside[j] * shrink if neurons.outside[j] > 0.0 else 0.0
    room.skew[j] = neurons.skew[j] * shrink * shrink if neurons.skew[j] != 0.0 else 0.0
