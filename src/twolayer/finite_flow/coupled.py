"""The coupled flow: Taylor steps of all neurons, and the events of single neurons inside a step.

At an event only the neuron that had it is expanded anew, against the residual that the step predicts. The
velocity of its contribution to h jumps there, which the other neurons see at the end of the step only: the
step ends where the direction of a neuron would have moved by the tolerance for it. (Derived.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from twolayer.finite_flow.events import next_event
from twolayer.finite_flow.neurons import normalize, outputs_of_network
from twolayer.finite_flow.problem import Floats, Integers, Problem
from twolayer.finite_flow.series import advance, begin, extend, shift
from twolayer.finite_flow.sliding import settle

__all__ = ["ARRIVED", "HELD", "STUCK", "UNSETTLED", "Clock", "flow_to", "start_clock"]

ARRIVED, HELD, STUCK, UNSETTLED = 0, 1, 2, 3
CARRIED = 1e-6
"""A residual below this times its scale is carried by its own series; above, it is y − h of the weights."""
FLOOR = 1e-20
"""Without weight decay the state is held once every residual is below this times its scale."""
REPEATS = 64
"""Events of a neuron within the rounding of one time, beyond four per line, that count as an endless loop."""


class Clock(NamedTuple):
    """Where the integration stands: times[0] the start of the step, [1] its length, [2] its last event.

    missed: coefficients, about the last event, of a bound on the movement of a direction that the step misses
    because neurons without an event see the change of the others' contributions only at its end.
    """

    times: Floats  # (3,)
    missed: Floats  # (4,)
    counts: Integers  # (6,) events, steps, step in progress, repeated events, neuron and line of the last event
    residual: Floats  # (response,) carried
    scale: Floats  # (response,) of the residuals
    event_time: Floats  # (neuron,) next event since the start of the step
    event_line: Integers  # (neuron,)
    last_event: Floats  # (neuron,) absolute time
    repeats: Integers  # (neuron,)


def start_clock(problem: Problem, neuron_count: int, time: float) -> Clock:
    """A clock at the given time, with residuals still to be set."""
    responses = len(problem.targets)
    return Clock(
        times=np.array([time, 0.0, 0.0]),
        missed=np.zeros(4),
        counts=np.zeros(6, dtype=np.int64),
        residual=np.zeros(responses),
        scale=np.zeros(responses),
        event_time=np.zeros(neuron_count),
        event_line=np.zeros(neuron_count, dtype=np.int64),
        last_event=np.full(neuron_count, -np.inf),
        repeats=np.zeros(neuron_count, dtype=np.int64),
    )


@njit(cache=True, nogil=True)
def step_length(problem: Problem, neurons: Any, series: Any, tolerance: float) -> float:
    """Length at which the last two coefficients of every series are the tolerance, relative to its neuron."""
    neuron_count, size, lines = series.projection.shape
    length = np.inf
    largest = np.zeros(size)
    for j in range(neuron_count):
        if not neurons.moving[j]:
            continue
        first = 1.0
        second = 0.0
        if problem.radial == 0:
            first = neurons.outside[j]
            for k in range(lines):
                first = max(first, np.abs(series.projection[j, 0, k]) / problem.norm[k])
                second = max(second, np.abs(series.projection[j, 1, k]) / problem.norm[k])
        for i in range(size - 2, size):
            worst = 0.0
            for k in range(lines):
                worst = max(worst, np.abs(series.projection[j, i, k]) / problem.norm[k])
            if worst > 0.0:
                reach = (tolerance * first / worst) ** (1.0 / i)
                # A fixed output moves a hidden weight that starts tiny by many times its size.
                if second > 0.0:
                    reach = max(reach, (tolerance * second / worst) ** (1.0 / (i - 1)))
                length = min(length, reach)
            worst = max(np.abs(series.mass[j, i]), np.abs(series.gain[j, i]) if not neurons.balanced[j] else 0.0)
            if worst > 0.0:
                length = min(length, (tolerance / worst) ** (1.0 / i))
    for response in range(series.residual.shape[0]):
        for i in range(size):
            value = problem.response_rate[response] * problem.response_norm[response]
            largest[i] = max(largest[i], value * np.abs(series.residual[response, i]))
    for i in range(size - 2, size):
        if largest[i] > 0.0 and largest[0] > 0.0:
            length = min(length, (tolerance * largest[0] / largest[i]) ** (1.0 / i))
    return length


@njit(cache=True, nogil=True)
def begin_step(problem: Problem, neurons: Any, series: Any, clock: Any, tolerance: float, scratch: Any) -> None:
    """Expand all neurons and the residual, choose the length of the step, and find the next event of each."""
    neuron_count, size, _ = series.projection.shape
    residual = series.residual
    residual[:] = 0.0
    residual[:, 0] = clock.residual
    for j in range(neuron_count):
        series.start[j] = 0.0
        if neurons.moving[j]:
            begin(j, problem, neurons, series)
    for i in range(size - 1):
        for j in range(neuron_count):
            if not neurons.moving[j]:
                continue
            extend(i, j, problem, neurons, series, residual)
            for e in range(series.active_count[j]):
                change = series.contribution[j, i + 1, series.active[j, e]]
                response = series.response[j, e]
                residual[response, i + 1] -= change if series.active_rate[j, e] > 0.0 else -change
    length = step_length(problem, neurons, series, tolerance)
    clock.times[1] = length
    clock.times[2] = 0.0
    clock.missed[:] = 0.0
    for j in range(neuron_count):
        clock.event_time[j] = np.inf
        if neurons.moving[j]:
            clock.event_time[j], clock.event_line[j] = next_event(
                j, length, problem, neurons, series, residual, scratch
            )
    clock.counts[1] += 1
    clock.counts[2] = 1


@njit(cache=True, nogil=True)
def longest(missed: Any, room: float, tolerance: float) -> float:
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


@njit(cache=True, nogil=True)
def pass_event(
    j: int, problem: Problem, neurons: Any, series: Any, clock: Any, tolerance: float, scratch: Any
) -> int:
    """Take neuron j through its event, expand it anew there, and end the step where the others must know."""
    lines = problem.gram.shape[0]
    order = series.mass.shape[1] - 1
    time = clock.event_time[j]
    own = time - series.start[j]
    # The first two coefficients of the contribution, about the event, on the lines where the neuron acted.
    slope = np.zeros(lines)
    bend = np.zeros(lines)
    for e in range(series.active_count[j]):
        k = series.active[j, e]
        for i in range(order, 0, -1):
            bend[k] = bend[k] * own + slope[k]
            slope[k] = slope[k] * own + i * series.contribution[j, i, k]
        bend[k] *= 0.5
    advance(j, own, problem, neurons, series, neurons, clock.residual, scratch)
    residual = np.empty_like(series.residual)
    shift(series.residual, time, residual)
    if not settle(j, clock.event_line[j], problem, neurons, residual[:, 0].copy()):
        return UNSETTLED
    begin(j, problem, neurons, series)
    for i in range(order):
        extend(i, j, problem, neurons, series, residual)
    series.start[j] = time

    for e in range(series.active_count[j]):
        k = series.active[j, e]
        slope[k] -= series.contribution[j, 1, k]
        bend[k] -= series.contribution[j, 2, k]
    missed = clock.missed
    for first in range(3):
        for i in range(2, first - 1, -1):
            missed[i] += (time - clock.times[2]) * missed[i + 1]
    clock.times[2] = time
    for k in range(lines):
        weight = max(problem.rate[k], problem.back_rate[k]) * problem.norm[k]
        missed[2] += weight * np.abs(slope[k]) / 2.0
        missed[3] += weight * np.abs(bend[k]) / 3.0
    clock.times[1] = min(clock.times[1], time + longest(missed, clock.times[1] - time, tolerance))

    clock.event_time[j], clock.event_line[j] = next_event(
        j, clock.times[1] - time, problem, neurons, series, residual, scratch
    )
    clock.event_time[j] += time
    clock.counts[0] += 1
    now = clock.times[0] + time
    if now - clock.last_event[j] <= 1e-14 * max(np.abs(now), 1e-3):
        clock.repeats[j] += 1
    else:
        clock.repeats[j] = 0
    clock.last_event[j] = now
    if clock.repeats[j] > REPEATS + 4 * lines:
        return STUCK
    return ARRIVED


@njit(cache=True, nogil=True)
def end_step(problem: Problem, neurons: Any, series: Any, clock: Any, length: float, scratch: Any) -> None:
    """Move all neurons to the end of the step, and set the residuals there."""
    neuron_count = neurons.projection.shape[0]
    for j in range(neuron_count):
        if neurons.moving[j]:
            advance(j, length - series.start[j], problem, neurons, series, neurons, clock.residual, scratch)
            normalize(j, problem, neurons)
            for row in range(series.sliding_count[j]):
                neurons.projection[j, series.sliding[j, row]] = 0.0
        elif problem.radial > 0:
            neurons.log_scale[j] -= problem.weight_decay * length
    outputs = np.empty_like(clock.residual)
    outputs_of_network(problem, neurons, outputs)
    for response in range(outputs.size):
        clock.scale[response] = max(clock.scale[response], np.abs(outputs[response]))
        if np.abs(clock.residual[response]) > CARRIED * clock.scale[response]:
            clock.residual[response] = problem.targets[response] - outputs[response]
    clock.times[0] += length
    clock.counts[2] = 0


@njit(cache=True, nogil=True)
def at_floor(problem: Problem, clock: Any) -> bool:
    """Whether nothing moves any more."""
    if problem.weight_decay > 0.0:
        return False
    largest = 0.0
    scale = 0.0
    for response in range(clock.residual.size):
        rate = problem.response_rate[response] * problem.response_norm[response]
        largest = max(largest, rate * np.abs(clock.residual[response]))
        scale = max(scale, rate * clock.scale[response])
    return largest <= FLOOR * scale


@njit(cache=True, nogil=True)
def flow_to(
    target: float,
    most_events: int,
    problem: Problem,
    neurons: Any,
    series: Any,
    clock: Any,
    tolerance: float,
    frame: Any,
    frame_residual: Any,
) -> int:
    """Integrate until the step in progress covers `target`; write the state there into frame.

    Returns ARRIVED; HELD if nothing moved any more, at clock.times[0] or before; or why it stopped.
    """
    neuron_count, lines = neurons.projection.shape
    scratch = np.empty(lines)
    while True:
        if clock.counts[2] == 0:
            if at_floor(problem, clock):
                frame.projection[:] = neurons.projection
                frame.log_scale[:] = neurons.log_scale
                frame.gain[:] = neurons.gain
                frame.outside[:] = neurons.outside
                frame_residual[:] = clock.residual
                return HELD
            begin_step(problem, neurons, series, clock, tolerance, scratch)
        first = np.argmin(clock.event_time)
        time = clock.event_time[first]
        length = clock.times[1]
        local = target - clock.times[0]
        if local <= min(time, length):
            frame_residual[:] = clock.residual
            for j in range(neuron_count):
                if neurons.moving[j]:
                    advance(j, local - series.start[j], problem, neurons, series, frame, frame_residual, scratch)
                else:
                    frame.log_scale[j] = neurons.log_scale[j]
                    frame.gain[j] = neurons.gain[j]
                    if problem.radial > 0:
                        frame.log_scale[j] -= problem.weight_decay * local
            return ARRIVED
        if time < length:
            status = pass_event(first, problem, neurons, series, clock, tolerance, scratch)
            clock.counts[4] = first
            clock.counts[5] = clock.event_line[first]
            if status != ARRIVED:
                return status
            if clock.counts[0] > most_events:
                return STUCK
        else:
            end_step(problem, neurons, series, clock, length, scratch)
            if length <= 1e-15 * max(np.abs(clock.times[0]), 1e-3):
                clock.counts[3] += 1
                if clock.counts[3] > 1000:
                    return STUCK
            else:
                clock.counts[3] = 0
