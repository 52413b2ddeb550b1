"""The event of a single neuron inside a Taylor step of all.

Only the neuron that had it is expanded anew, against the residual that the step predicts. The velocity of its
contribution to h jumps there, which the other neurons see at the end of the step only: the step ends where the
direction of a neuron would have moved by the tolerance for it. (Derived.)
"""

from __future__ import annotations

import numpy as np

from twolayer.finite.flow.clock import FlowClock
from twolayer.finite.flow.events import next_event
from twolayer.finite.flow.kernels import INNER_KERNEL, SEPARATE
from twolayer.finite.flow.neurons import Neurons, size_of
from twolayer.finite.flow.problem import FlowProblem
from twolayer.finite.flow.series import Series, advance, begin, extend, shift
from twolayer.finite.flow.sliding import NOISE, settle
from twolayer.finite.flow.status import ARRIVED, REPEATS, STUCK, UNSETTLED
from twolayer.finite.flow.zero import ARRIVED_NOW, ZERO
from twolayer.kernels.record import Vector

__all__ = ["pass_event"]

ROUNDING = 2e-14
"""A hidden weight this small compared with the distance that the forces may move it in the step has reached 0 too."""


@INNER_KERNEL
def longest(missed: Vector, room: float, tolerance: float) -> float:
    """Longest time, up to room, for which a cubic with coefficients missed ≥ 0 stays below the tolerance."""
    time = room
    for _ in range(60):
        value = ((missed[3] * time + missed[2]) * time + missed[1]) * time + missed[0] - tolerance
        if value <= 0.0:
            return time
        slope = (3.0 * missed[3] * time + 2.0 * missed[2]) * time + missed[1]
        # Newton's iterates descend on a convex function; a relative 1e-3 is exact enough for a bound.
        if slope <= 0.0 or value > slope * time:
            return 0.0
        if value <= 1e-3 * slope * time:
            return time - value / slope
        time -= value / slope
    return time


@SEPARATE
def pass_event(
    j: int, problem: FlowProblem, neurons: Neurons, series: Series, clock: FlowClock, tolerance: float
) -> int:
    """Take neuron j through its event, expand it anew there, and end the step where the others must know."""
    lines = problem.gram.shape[0]
    order = series.mass.shape[1] - 1
    time = clock.event_time[j]
    since_start = time - series.start[j]
    # The first two coefficients, about the event, of the change of h where the neuron acted.
    slope = np.zeros(problem.rate.size)
    bend = np.zeros(problem.rate.size)
    for e in range(series.entry_count[j]):
        k = series.active[j, e]
        response = series.response[j, e]
        for i in range(order, 0, -1):
            bend[response] = bend[response] * since_start + slope[response]
            slope[response] = slope[response] * since_start + i * series.contribution[j, i, k]
        slope[response] *= series.active_slope[j, e]
        bend[response] *= 0.5 * series.active_slope[j, e]
    advance(j, since_start, problem, neurons, series, neurons, clock.residual)
    residual = series.shifted
    shift(series.residual, time, residual)
    now = clock.times[0] + time
    clock.counts[0] += 1
    size = size_of(j, problem, neurons)
    moved = 0.0
    for k in range(lines):
        moved += abs(neurons.gain[j] * series.force[j, 0, k]) * problem.norm[k]
    moved *= clock.times[1] - series.start[j]
    small = max(ZERO * clock.reach[j], ROUNDING * moved)
    if (problem.radial == 0 or not neurons.balanced[j]) and size <= small:
        largest = 0.0
        for k in range(lines):
            largest = max(largest, abs(series.projection[j, 0, k]) / problem.norm[k])
        for k in range(lines):
            clock.approach[j, k] = series.projection[j, 0, k] / largest
            neurons.projection[j, k] = 0.0
        neurons.moving[j] = False
        neurons.resting[j] = ARRIVED_NOW
        series.active_count[j] = 0
        series.entry_count[j] = 0
        series.start[j] = time
        clock.event_time[j] = np.inf
        clock.times[1] = time
        clock.arrived[0] = 1
        return ARRIVED
    clock.reach[j] = max(clock.reach[j], size)
    if now - clock.last_event[j] <= 1e-14 * max(abs(now), 1e-3):
        clock.repeats[j] += 1
    else:
        clock.repeats[j] = 0
    clock.last_event[j] = now
    # Two events at one time: the forces there are differences that the time no longer resolves.
    noise_level = NOISE * 10.0 ** min(clock.repeats[j], 14)
    settled = settle(j, clock.event_line[j], noise_level, problem, neurons, residual)
    if settled < 0:
        return UNSETTLED
    clock.forks[0] += settled
    begin(j, problem, neurons, series)
    for i in range(order):
        extend(i, j, j + 1, problem, neurons, series, residual)
    series.start[j] = time

    for e in range(series.entry_count[j]):
        k = series.active[j, e]
        response = series.response[j, e]
        slope[response] -= series.active_slope[j, e] * series.contribution[j, 1, k]
        bend[response] -= series.active_slope[j, e] * series.contribution[j, 2, k]
    missed = clock.missed
    for first in range(3):
        for i in range(2, first - 1, -1):
            missed[i] += (time - clock.times[2]) * missed[i + 1]
    clock.times[2] = time
    for response in range(slope.size):
        weight = problem.rate[response] * problem.response_norm[response]
        missed[2] += weight * abs(slope[response]) / 2.0
        missed[3] += weight * abs(bend[response]) / 3.0
    clock.times[1] = min(clock.times[1], time + longest(missed, clock.times[1] - time, tolerance))

    clock.event_time[j], clock.event_line[j] = next_event(
        j, clock.times[1] - time, problem, neurons, series, residual
    )
    clock.event_time[j] += time
    if clock.repeats[j] > REPEATS + 4 * lines:
        return STUCK
    return ARRIVED
