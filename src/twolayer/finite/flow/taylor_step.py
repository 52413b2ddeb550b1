"""A Taylor step of all neurons: their series and that of the residuals, its length, and the next event of each."""

from __future__ import annotations

import numpy as np

from twolayer.finite.flow.clock import FlowClock
from twolayer.finite.flow.events import next_event
from twolayer.finite.flow.kernels import SEPARATE
from twolayer.finite.flow.neurons import Neurons, size_of
from twolayer.finite.flow.problem import FlowProblem
from twolayer.finite.flow.rays import Rays
from twolayer.finite.flow.series import Series, begin, extend
from twolayer.finite.flow.zero import next_release

__all__ = ["begin_step"]

LONGEST = 1e30
"""Length of a step of states that are polynomials, whose last coefficients vanish."""


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
