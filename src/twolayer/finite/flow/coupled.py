"""The coupled flow: Taylor steps of all neurons, and the events of single neurons inside a step.

At an event only the neuron that had it is expanded anew, against the residual that the step predicts. The
velocity of its contribution to h jumps there, which the other neurons see at the end of the step only: the
step ends where the direction of a neuron would have moved by the tolerance for it. (Derived.)
"""

from __future__ import annotations

import numpy as np

from twolayer.finite.flow.clock import PATIENCE, FlowClock
from twolayer.finite.flow.events import next_event
from twolayer.finite.flow.kernels import INNER_KERNEL, KERNEL, SEPARATE
from twolayer.finite.flow.neurons import Neurons, normalize, outputs_of_network
from twolayer.finite.flow.problem import FlowProblem
from twolayer.finite.flow.relax import relax, resolution
from twolayer.finite.flow.series import Series, advance, begin, extend, shift
from twolayer.finite.flow.sliding import NOISE, settle
from twolayer.finite.flow.status import ARRIVED, AT_ZERO, PAUSED, REPEATS, STATIONARY, STUCK, UNSETTLED
from twolayer.finite.flow.stiff import Collocation, advance_stiff, residual_at, stiff_step
from twolayer.finite.flow.zero import ZERO, Rays, any_resting, next_release, release, size_of
from twolayer.kernels.entry import annotated_entry
from twolayer.kernels.record import Vector

__all__ = ["flow_to"]

CARRIED = 1e-17
"""A residual below this over the tolerance, times its scale, is advanced by its series.

Above, it is y − h of the weights. Rounding of y − h and truncation of the series are then alike. With weight
decay residuals end at balances of large terms, where a series has no relative accuracy to offer.
"""
LONGEST = 1e30
"""Length of a step of states that are polynomials, whose last coefficients vanish."""
ROUNDING = 2e-14
"""A hidden weight this small compared with the distance that the forces may move it in the step has reached 0 too."""
FLOOR = 1e-20
"""Without weight decay the state is stationary once every residual is below this times its scale."""
WORTHWHILE = 16.0
"""A stiff step costs about as much as so many Taylor steps."""
MOST_PATIENCE = 4096
DRIFT = 10.0
"""Times the tolerance and the scale: so far the weights may be from the residuals of stiff steps."""


@SEPARATE
def step_length(problem: FlowProblem, neurons: Neurons, series: Series, tolerance: float) -> float:
    """Length at which the last two coefficients of every series are the tolerance, relative to its neuron."""
    neuron_count, size, lines = series.projection.shape
    length = LONGEST
    largest = np.zeros(size)
    for j in range(neuron_count):
        if not neurons.moving[j]:
            continue
        # Its mass is 0 as a float, and shrinks on: only its direction moves.
        gone = series.weight[j] == 0.0 and series.rate[j, 0] < problem.weight_decay
        first = 1.0
        second = 0.0
        if problem.radial == 0:
            first = neurons.outside[j]
            for k in range(lines):
                first = max(first, abs(series.projection[j, 0, k]) / problem.norm[k])
                second = max(second, abs(series.projection[j, 1, k]) / problem.norm[k])
        for i in range(size - 2, size):
            worst = 0.0
            for k in range(lines):
                worst = max(worst, abs(series.projection[j, i, k]) / problem.norm[k])
            if worst > 0.0:
                reach = (tolerance * first / worst) ** (1.0 / i)
                # A fixed output moves a hidden weight that starts tiny by many times its size.
                if second > 0.0:
                    reach = max(reach, (tolerance * second / worst) ** (1.0 / (i - 1)))
                length = min(length, reach)
            worst = 0.0 if gone else abs(series.mass[j, i])
            if not neurons.balanced[j]:
                worst = max(worst, abs(series.gain[j, i]))
            if worst > 0.0:
                length = min(length, (tolerance / worst) ** (1.0 / i))
    for response in range(series.residual.shape[0]):
        for i in range(size):
            value = problem.rate[response] * problem.response_norm[response]
            largest[i] = max(largest[i], value * abs(series.residual[response, i]))
    for i in range(size - 2, size):
        if largest[i] > 0.0 and largest[0] > 0.0:
            length = min(length, (tolerance * largest[0] / largest[i]) ** (1.0 / i))
    return length


@SEPARATE
def begin_step(
    problem: FlowProblem, neurons: Neurons, series: Series, clock: FlowClock, rays: Rays, tolerance: float
) -> None:
    """Expand all neurons and the residual, choose the length of the step, and find the next event of each."""
    neuron_count, size, _ = series.projection.shape
    residual = series.residual
    for response in range(residual.shape[0]):
        residual[response, 0] = clock.residual[response]
        for i in range(1, size):
            residual[response, i] = 0.0
    for j in range(neuron_count):
        series.start[j] = 0.0
        series.active_count[j] = 0
        series.entry_count[j] = 0
        if neurons.moving[j]:
            begin(j, problem, neurons, series)
            clock.reach[j] = max(clock.reach[j], size_of(j, problem, neurons))
    first = np.int64(0)  # a literal would be compiled separately
    for i in range(size - 1):
        extend(i, first, neuron_count, problem, neurons, series, residual)
        for j in range(neuron_count):
            if not neurons.moving[j]:
                continue
            for e in range(series.entry_count[j]):
                change = series.contribution[j, i + 1, series.active[j, e]]
                residual[series.response[j, e], i + 1] -= series.active_slope[j, e] * change
    length = step_length(problem, neurons, series, tolerance)
    if rays.load.shape[0] > 0:
        length = next_release(length, problem, neurons, clock, rays, residual)
    clock.times[1] = length
    clock.times[2] = 0.0
    for i in range(4):
        clock.missed[i] = 0.0
    for j in range(neuron_count):
        clock.event_time[j] = np.inf
        if neurons.moving[j]:
            clock.event_time[j], clock.event_line[j] = next_event(
                j, length, problem, neurons, series, residual
            )
    clock.counts[1] += 1
    clock.counts[2] = 1


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
        neurons.resting[j] = 1
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


@SEPARATE
def choose_step(
    rule: Collocation,
    problem: FlowProblem,
    neurons: Neurons,
    series: Series,
    clock: FlowClock,
    rays: Rays,
    tolerance: float,
) -> None:
    """Begin a stiff step where stability limits Taylor steps, if it reaches much farther."""
    pace = clock.pace
    patience = clock.patience
    # Only a Taylor step sees when a neuron leaves 0.
    free = rays.load.shape[0] == 0 or not (any_resting(1.0, neurons) or any_resting(-1.0, neurons))
    trial = free and pace[0] == 0.0 and patience[1] >= patience[2]
    if not free:
        pace[0] = 0.0
    if trial:
        pace[1] = clock.times[1]
        pace[0] = 2.0 * WORTHWHILE * pace[1]
    for _ in range(4):
        if pace[0] < WORTHWHILE * pace[1] or pace[0] == 0.0:
            break
        accepted, length = stiff_step(pace[0], rule, problem, neurons, series, clock, tolerance)
        if accepted:
            # Where an event cuts it short, Taylor steps carry the neuron through.
            cut = clock.times[1] < pace[0]
            pace[0] = 0.0 if cut else length
            patience[0] = 1
            patience[1] = 0
            patience[2] = PATIENCE
            for j in range(clock.event_time.size):
                clock.event_time[j] = np.inf
                series.start[j] = 0.0
            clock.counts[1] += 1
            clock.counts[2] = 1
            return
        pace[0] = length
    if trial:
        patience[1] = 0
        patience[2] = min(2 * patience[2], MOST_PATIENCE)
    pace[0] = 0.0
    patience[0] = 0
    begin_step(problem, neurons, series, clock, rays, tolerance)


@INNER_KERNEL
def drift_limit(
    response: int, output: float, rounding: float, problem: FlowProblem, clock: FlowClock, tolerance: float
) -> float:
    """How far y − h of the weights may be from a residual that a stiff step integrated."""
    scale = max(clock.scale[response], abs(output))
    return max(DRIFT * tolerance * scale, rounding * problem.response_norm[response])


@SEPARATE
def end_step(
    problem: FlowProblem, neurons: Neurons, series: Series, clock: FlowClock, length: float, tolerance: float
) -> None:
    """Move all neurons to the end of the step, and set the residuals there."""
    neuron_count = neurons.projection.shape[0]
    for j in range(neuron_count):
        if neurons.moving[j]:
            if clock.patience[0] == 1:
                advance_stiff(j, length, problem, neurons, series, neurons)
            else:
                advance(j, length - series.start[j], problem, neurons, series, neurons, clock.residual)
            normalize(j, problem, neurons)
            for row in range(series.sliding_count[j]):
                neurons.projection[j, series.sliding[j, row]] = 0.0
        elif problem.radial > 0:
            neurons.log_scale[j] -= problem.weight_decay * (length - series.start[j])
        else:
            neurons.outside[j] *= np.exp(-problem.weight_decay * (length - series.start[j]))
    carried = min(max(CARRIED / tolerance, 1e-12), 1e-6) if problem.weight_decay == 0.0 else 0.0
    outputs = np.empty(clock.residual.size)
    outputs_of_network(problem, neurons, outputs)
    stiff = clock.patience[0] == 1
    rounding = 0.0
    if stiff:
        residual_at(length, series, clock.residual)
        rounding = resolution(problem, neurons)
        mismatch = np.empty(clock.residual.size)
        drifts = False
        for response in range(outputs.size):
            mismatch[response] = problem.targets[response] - outputs[response] - clock.residual[response]
            limit = drift_limit(response, outputs[response], rounding, problem, clock, tolerance)
            drifts = drifts or abs(mismatch[response]) > limit
        if drifts and relax(length, mismatch, problem, neurons, series):
            outputs_of_network(problem, neurons, outputs)
    largest = 0.0
    for response in range(outputs.size):
        limit = drift_limit(response, outputs[response], rounding, problem, clock, tolerance)
        scale = max(clock.scale[response], abs(outputs[response]))
        clock.scale[response] = scale
        size = abs(clock.residual[response])
        change = problem.targets[response] - outputs[response] - clock.residual[response]
        # The truncation of the weights would start a fast transient; it is made up for once Taylor steps go on.
        if (abs(change) > limit) if stiff else (size > carried * scale):
            clock.residual[response] = problem.targets[response] - outputs[response]
        if scale > 0.0:
            largest = max(largest, abs(clock.residual[response]) / scale)
    if problem.weight_decay == 0.0:
        for response in range(outputs.size):
            if abs(clock.residual[response]) <= FLOOR * largest * clock.scale[response]:
                clock.residual[response] = 0.0
    clock.times[0] += length
    clock.counts[2] = 0


@INNER_KERNEL
def at_floor(problem: FlowProblem, clock: FlowClock, smallest: float) -> bool:
    """Whether every residual is within `smallest`, or within `FLOOR` times its scale."""
    if problem.weight_decay > 0.0:
        return False
    for response in range(clock.residual.size):
        if abs(clock.residual[response]) > max(smallest, FLOOR * clock.scale[response]):
            return False
    return True


@annotated_entry
@KERNEL
def flow_to(
    target: float,
    most_events: int,
    pause: int,
    rule: Collocation,
    problem: FlowProblem,
    neurons: Neurons,
    series: Series,
    clock: FlowClock,
    tolerance: float,
    smallest: float,
    frame: Neurons,
    frame_residual: Vector,
    rays: Rays,
) -> int:
    """Integrate until the step in progress covers `target`; write the state there into frame and frame_residual.

    Returns ARRIVED; PAUSED after so many steps and events from the start; STATIONARY, with neurons and clock.residual
    as the state, if nothing moves; AT_ZERO where `at_zero` is to decide; or why it stopped.
    """
    neuron_count = neurons.projection.shape[0]
    while True:
        if clock.counts[2] == 0:
            if clock.arrived[0] > 0:
                clock.arrived[0] = 0
                return AT_ZERO
            if at_floor(problem, clock, smallest):
                return STATIONARY
            if clock.counts[0] + clock.counts[1] >= pause:
                return PAUSED
            if rays.load.shape[0] > 0:
                release(problem, neurons, clock, rays)
            choose_step(rule, problem, neurons, series, clock, rays, tolerance)
        first = 0
        for j in range(1, neuron_count):
            if clock.event_time[j] < clock.event_time[first]:
                first = j
        time = clock.event_time[first]
        length = clock.times[1]
        local = target - clock.times[0]
        if local <= min(time, length):
            for response in range(frame_residual.size):
                frame_residual[response] = clock.residual[response]
            for j in range(neuron_count):
                if neurons.moving[j] and clock.patience[0] == 1:
                    advance_stiff(j, local, problem, neurons, series, frame)
                elif neurons.moving[j]:
                    advance(j, local - series.start[j], problem, neurons, series, frame, frame_residual)
                else:
                    frame.log_scale[j] = neurons.log_scale[j]
                    frame.gain[j] = neurons.gain[j]
                    for k in range(frame.projection.shape[1]):
                        frame.projection[j, k] = 0.0
                    frame.outside[j] = neurons.outside[j]
                    if problem.radial > 0:
                        frame.log_scale[j] -= problem.weight_decay * (local - series.start[j])
                    else:
                        frame.outside[j] *= np.exp(-problem.weight_decay * (local - series.start[j]))
            if clock.patience[0] == 1:
                residual_at(local, series, frame_residual)
            return ARRIVED
        if time < length:
            clock.patience[1] = 0
            status = pass_event(first, problem, neurons, series, clock, tolerance)
            clock.counts[4] = first
            clock.counts[5] = clock.event_line[first]
            if status != ARRIVED:
                return status
            if clock.counts[0] > most_events:
                return STUCK
        else:
            end_step(problem, neurons, series, clock, length, tolerance)
            if clock.patience[0] == 0:
                clock.patience[1] += 1
            if length <= 1e-15 * max(abs(clock.times[0]), 1e-3):
                clock.counts[3] += 1
                if clock.counts[3] > 1000:
                    return STUCK
            else:
                clock.counts[3] = 0
