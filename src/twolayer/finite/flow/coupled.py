"""The coupled flow: Taylor steps of all neurons and the events of single ones inside them, stiff steps where those
reach farther, and what a step leaves of weights and residuals at its end."""

from __future__ import annotations

import numpy as np

from twolayer.finite.flow.clock import PATIENCE, FlowClock
from twolayer.finite.flow.collocation import Collocation
from twolayer.finite.flow.event_passing import pass_event
from twolayer.finite.flow.kernels import INNER_KERNEL, KERNEL, SEPARATE
from twolayer.finite.flow.neurons import Neurons, normalize, outputs_of_network
from twolayer.finite.flow.problem import FlowProblem
from twolayer.finite.flow.rays import Rays
from twolayer.finite.flow.relax import relax, resolution
from twolayer.finite.flow.series import Series, advance
from twolayer.finite.flow.status import ARRIVED, AT_ZERO, PAUSED, STATIONARY, STUCK
from twolayer.finite.flow.stiff import advance_stiff, residual_at, stiff_step
from twolayer.finite.flow.taylor_step import begin_step
from twolayer.finite.flow.zero import any_resting, release
from twolayer.kernels.entry import annotated_entry
from twolayer.kernels.record import Vector

__all__ = ["flow_to"]

CARRIED = 1e-17
"""A residual below this over the tolerance, times its scale, is advanced by its series.

Above, it is y − h of the weights. Rounding of y − h and truncation of the series are then alike. With weight
decay residuals end at balances of large terms, where a series has no relative accuracy to offer.
"""

FLOOR = 1e-20
"""Without weight decay the state is stationary once every residual is below this times its scale."""

WORTHWHILE = 16.0
"""A stiff step costs about as much as so many Taylor steps."""

MOST_PATIENCE = 4096
"""The most Taylor steps in a row without an event that a stiff step waits for."""
DRIFT = 10.0
"""Times the tolerance and the scale: so far the weights may be from the residuals of stiff steps."""


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
