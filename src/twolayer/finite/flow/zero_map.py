"""Where a neuron close to w = 0 goes: the map of explicit descent about 0, and the flow from there (`zero`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.finite.flow.kernels import SEPARATE
from twolayer.finite.flow.neurons import Neurons, size_of
from twolayer.finite.flow.problem import FlowProblem, force_on_side
from twolayer.finite.flow.rays import Rays
from twolayer.finite.flow.series import Series, begin, expand_force
from twolayer.finite.flow.sliding import NOISE, settle
from twolayer.kernels.record import Matrix, Vector

__all__ = ["CAUGHT", "ESCAPED", "follow_map", "follow_to_infinity"]

STEPS = 4000
"""Of the map, at most; it escapes or dies in some tens."""

ESCAPED = 1

DEAD = 2

CAUGHT = 3


@SEPARATE
def follow_map(
    approach: Vector,
    phase: Vector,
    sign: float,
    rays: Rays,
    problem: FlowProblem,
    residual: Matrix,
    state: Vector,
) -> int:
    """Iterate explicit descent about 0, at one residual, from up the direction of approach, in units of its step.

    ESCAPED, DEAD (nothing acts there), CAUGHT (it goes to and fro between two points, as it may with |z| for as long
    as the forces stay) or 0. approach and state (line,): from where, and where it ended. phase (rank,): an offset.
    """
    lines, rank = rays.inputs.shape
    force = np.zeros(lines)
    weights = np.zeros(rank)
    before = np.zeros(rank)
    last = np.zeros(rank)
    largest = 0.0
    for response in range(residual.shape[0]):
        largest += problem.rate[response] * problem.response_norm[response] * abs(residual[response, 0])
    # From exactly 0 the first step is that of σ'(0).
    spread = 0.0
    for k in range(lines):
        if approach[k] != 0.0:
            spread = 0.3
    for i in range(rank):
        weights[i] = spread * phase[i]
        for k in range(lines):
            weights[i] += approach[k] * rays.dual[k, i]
        weights[i] *= 3.0 * largest
    for _ in range(STEPS):
        for i in range(rank):
            before[i] = last[i]
            last[i] = weights[i]
        acts = False
        for k in range(lines):
            value = 0.0
            for i in range(rank):
                value += rays.inputs[k, i] * last[i]
            state[k] = value
            side = 1 if value > 0.0 else (-1 if value < 0.0 else 0)
            force[k] = force_on_side(k, side, problem, residual, 0)
            if force[k] != 0.0:
                acts = True
                for i in range(rank):
                    weights[i] += sign * force[k] * rays.inputs[k, i]
        if not acts:
            return DEAD
        square = 0.0
        for i in range(rank):
            square += weights[i] * weights[i]
        if np.sqrt(square) > 100.0 * largest:
            return ESCAPED
    apart, step = 0.0, 0.0
    for i in range(rank):
        apart = max(apart, abs(weights[i] - before[i]))
        step = max(step, abs(weights[i] - last[i]))
    return CAUGHT if apart < 1e-9 * largest and step > 1e-6 * largest else 0


@SEPARATE
def follow_to_infinity(
    j: int, problem: FlowProblem, neurons: Neurons, series: Series, residual: Matrix
) -> bool:
    """Follow the flow of neuron j at fixed residuals, straight between events, until there are no more events.

    False if it comes back to 0 or to rest; else its projections are those far out.
    """
    lines = problem.gram.shape[0]
    zeta = neurons.projection[j]
    sign = 1.0 if neurons.gain[j] > 0.0 else -1.0
    start = size_of(j, problem, neurons)
    for _ in range(50 * (lines + 1)):
        begin(j, problem, neurons, series)
        expand_force(np.int64(0), j, j + 1, problem, neurons, series, residual)
        time = np.inf
        line: Any = np.int64(-1)
        speed = 0.0
        terms = 0.0
        for k in range(lines):
            velocity = sign * series.drive[j, 0, k]
            speed = max(speed, abs(velocity) / problem.norm[k])
            terms += abs(series.force[j, 0, k]) * problem.norm[k]
            side = neurons.pattern[j, k]
            if side * velocity < 0.0 and -zeta[k] / velocity < time:
                time = max(-zeta[k] / velocity, 0.0)
                line = k
        if speed <= NOISE * terms:
            return False
        if line < 0:
            time = 1e6 * start / speed
        for k in range(lines):
            zeta[k] += time * sign * series.drive[j, 0, k]
        if line < 0:
            return True
        zeta[line] = 0.0
        for row in range(series.sliding_count[j]):
            zeta[series.sliding[j, row]] = 0.0
        if size_of(j, problem, neurons) <= 1e-9 * start:
            return False
        if settle(j, line, NOISE, problem, neurons, residual) < 0:
            return False
    return False
