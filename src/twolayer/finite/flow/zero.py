"""A neuron that reaches w = 0 while its output weight is not 0 rests, leaves again, or is dead.

Close to 0 the objective changes by |a| φ(w) + O(|w|²) with φ(w) = −sign(a) Σ_k force of line k × |z_k|, which is
linear on each cone between boundaries: φ ≥ 0 everywhere exactly if φ ≥ 0 on the rays in which rank − 1 boundaries
meet. Explicit descent with step h moves there by the map z ← z + sign(a) G q(z), in units of h whatever h is, and
this map, which never settles at exactly 0, decides what the limit of small steps does:
    φ > 0 on all rays: the neuron rests at 0, until φ falls below 0 on a ray, along which it then leaves;
    φ < 0 on some ray when it comes: it leaves at once, where the map leads from the direction of its arrival.
    Where this depends on where exactly the steps hit 0, the limit is not unique: a fork. It is one too where the map
    is caught between two points, w and −w in effect, while φ > 0: steps may then stay near 0 after a ray has opened;
    σ flat on one side, with a cone of directions in which no sample is active: the map ends there, and the neuron
    is dead.
A neuron that starts at exactly 0 moves where σ'(0) ≠ 0: it leaves where the map leads from 0. A linear σ has no kink
at 0, and nothing here is for it. (Derived.)
"""

from __future__ import annotations

import numpy as np

from twolayer.finite.flow.clock import FlowClock
from twolayer.finite.flow.events import first_root
from twolayer.finite.flow.kernels import INNER_KERNEL, KERNEL, SEPARATE
from twolayer.finite.flow.neurons import Neurons, size_of
from twolayer.finite.flow.problem import FlowProblem
from twolayer.finite.flow.rays import Rays, lowest_ray, same_direction
from twolayer.finite.flow.series import Series
from twolayer.finite.flow.sliding import NOISE, settle
from twolayer.finite.flow.zero_map import CAUGHT, ESCAPED, follow_map, follow_to_infinity
from twolayer.kernels.entry import annotated_entry
from twolayer.kernels.record import Matrix, Vector

__all__ = ["ARRIVED_NOW", "ZERO", "any_resting", "at_zero", "next_release", "release"]

ZERO = 1e-12
"""A neuron this small compared with its largest size so far has reached 0: smaller is rounding."""

LEAVING = 1e-13
"""Size with which a neuron leaves 0, as a share of the largest of any neuron so far."""

OPEN = 1e-13
"""φ below this, times the forces at their largest, is below 0."""

MOVING = 0

ARRIVED_NOW = 1

RESTS = 2

CAUGHT_THERE = 3


@INNER_KERNEL
def threshold(problem: FlowProblem, clock: FlowClock) -> float:
    """The value −φ from which on φ is below 0 and not rounding."""
    total = 0.0
    for response in range(clock.residual.size):
        total += problem.rate[response] * problem.response_norm[response] * clock.scale[response]
    return OPEN * total


@INNER_KERNEL
def any_resting(sign: float, neurons: Neurons) -> bool:
    """Whether a neuron with this sign of its output weight rests at 0."""
    found = False
    for j in range(neurons.resting.size):
        found = found or (neurons.resting[j] >= RESTS and neurons.gain[j] * sign > 0.0)
    return found


@INNER_KERNEL
def largest_reach(clock: FlowClock) -> float:
    """The largest size of any neuron so far."""
    largest = 0.0
    for j in range(clock.reach.size):
        largest = max(largest, clock.reach[j])
    return largest


@SEPARATE
def start_along(
    j: int, size: float, direction: Vector, problem: FlowProblem, neurons: Neurons, residual: Matrix
) -> bool:
    """Start neuron j with a size along a direction (line,), with the pattern that the sliding rule gives there."""
    largest = 0.0
    for k in range(direction.size):
        largest = max(largest, abs(direction[k]) / problem.norm[k])
    for k in range(direction.size):
        neurons.projection[j, k] = size * direction[k] / largest
        if direction[k] > 0.0:
            neurons.pattern[j, k] = np.int8(1)
        elif direction[k] < 0.0:
            neurons.pattern[j, k] = np.int8(-1)
        else:
            neurons.pattern[j, k] = problem.rest[k]
    neurons.moving[j] = True
    neurons.resting[j] = MOVING
    return settle(j, np.int64(-1), NOISE, problem, neurons, residual) >= 0


@SEPARATE
def release(problem: FlowProblem, neurons: Neurons, clock: FlowClock, rays: Rays) -> bool:
    """Let the neurons go that rest at 0 and for which φ is below 0 on a ray; True if there were any.

    clock.margin keeps by how much φ was above 0, for each sign of a, at clock.margin_residual: with |u| = 1 it
    changes by no more than Σ rate |x| |change of r|.
    """
    released = False
    room = np.empty((clock.residual.size, 1))
    for response in range(clock.residual.size):
        room[response, 0] = clock.residual[response]
    limit = threshold(problem, clock)
    for side in range(2):
        sign = 1.0 - 2.0 * side
        if not any_resting(sign, neurons):
            continue
        change = 0.0
        for response in range(clock.residual.size):
            rate = problem.rate[response] * problem.response_norm[response]
            change += rate * abs(clock.residual[response] - clock.margin_residual[side, response])
        if change < clock.margin[side]:
            continue
        ray, lowest = lowest_ray(sign, rays, clock.residual)
        clock.margin[side] = max(lowest, 0.0)
        for response in range(clock.residual.size):
            clock.margin_residual[side, response] = clock.residual[response]
        if ray < 0 or lowest >= -limit:
            continue
        for i in range(rays.load.shape[0]):
            value = 0.0
            for response in range(clock.residual.size):
                value -= sign * rays.load[i, response] * clock.residual[response]
            if (
                value < -limit
                and i != ray
                and not same_direction(rays.projection[i], rays.projection[ray], problem)
            ):
                clock.forks[0] += 1
                break
        for j in range(neurons.resting.size):
            if neurons.resting[j] >= RESTS and neurons.gain[j] * sign > 0.0:
                if neurons.resting[j] == CAUGHT_THERE:
                    clock.forks[0] += 1
                clock.reach[j] = LEAVING * largest_reach(clock)
                start_along(j, clock.reach[j], rays.projection[ray], problem, neurons, room)
                released = True
    return released


@SEPARATE
def next_release(
    length: float, problem: FlowProblem, neurons: Neurons, clock: FlowClock, rays: Rays, residual: Matrix
) -> float:
    """First time in a step at which φ falls below 0 on a ray for a neuron at rest, or its length.

    residual (response, order + 1) is expanded about the start of the step.
    """
    size = residual.shape[1] - 1
    polynomial = np.empty(size)
    limit = threshold(problem, clock)
    for side in range(2):
        sign = 1.0 - 2.0 * side
        if not any_resting(sign, neurons):
            continue
        change = 0.0
        moved = 0.0
        for response in range(residual.shape[0]):
            rate = problem.rate[response] * problem.response_norm[response]
            value = 0.0
            for i in range(size - 1, 0, -1):
                value = (value + abs(residual[response, i])) * length
            moved += rate * value
            change += rate * abs(residual[response, 0] - clock.margin_residual[side, response])
        if change + moved < clock.margin[side]:
            continue
        for ray in range(rays.load.shape[0]):
            value = 0.0
            for response in range(residual.shape[0]):
                value -= sign * rays.load[ray, response] * residual[response, 0]
            if value + 2.0 * limit > moved:
                continue
            for i in range(size):
                polynomial[i] = 0.0
                for response in range(residual.shape[0]):
                    polynomial[i] -= sign * rays.load[ray, response] * residual[response, i]
            polynomial[0] += 2.0 * limit
            length = min(length, first_root(polynomial, length, 0.1 * limit))
    return length


@annotated_entry
@KERNEL
def at_zero(problem: FlowProblem, neurons: Neurons, series: Series, clock: FlowClock, rays: Rays) -> None:
    """Decide for every neuron that has just reached 0, or starts there, whether it rests, leaves, or is dead."""
    lines = problem.gram.shape[0]
    residual = np.empty((clock.residual.size, 1))
    for response in range(clock.residual.size):
        residual[response, 0] = clock.residual[response]
    limit = threshold(problem, clock)
    state = np.empty(lines)
    escape = np.empty(lines)
    for j in range(neurons.resting.size):
        if neurons.resting[j] != ARRIVED_NOW:
            continue
        sign = 1.0 if neurons.gain[j] > 0.0 else -1.0
        neurons.resting[j] = MOVING if rays.dead_cone else RESTS
        clock.margin[0 if sign > 0.0 else 1] = -1.0
        ray, lowest = lowest_ray(sign, rays, clock.residual)
        closed = ray < 0 or lowest >= -limit
        if closed and not (rays.part and neurons.resting[j] == RESTS):
            # On one line it goes to and fro until its force vanishes, which is when the ray opens.
            for phase in range(
                rays.phases.shape[0] if neurons.resting[j] == RESTS and problem.rank > 1 else 0
            ):
                if neurons.resting[j] == RESTS:
                    ended = follow_map(
                        clock.approach[j], rays.phases[phase], sign, rays, problem, residual, state
                    )
                    if ended == CAUGHT:
                        neurons.resting[j] = CAUGHT_THERE
            continue
        # Where the steps lead from several positions about 0: 0 not known yet, else as `follow_map`.
        ends = 0
        fork = False
        for phase in range(rays.phases.shape[0]):
            ended = follow_map(clock.approach[j], rays.phases[phase], sign, rays, problem, residual, state)
            if ended == 0:
                continue
            if ended != ESCAPED:
                fork = fork or (ends > 0 and ends != ended)
                ends = ended if ends == 0 else ends
                continue
            start_along(j, 1.0, state, problem, neurons, residual)
            if not follow_to_infinity(j, problem, neurons, series, residual):
                continue
            scale = size_of(j, problem, neurons)
            for k in range(lines):
                state[k] = neurons.projection[j, k] / scale
            fork = fork or ends > ESCAPED or (ends == ESCAPED and not same_direction(state, escape, problem))
            if ends != ESCAPED:
                ends = ESCAPED
                for k in range(lines):
                    escape[k] = state[k]
        if closed and (ends == 0 or ends == CAUGHT):
            for k in range(lines):
                neurons.projection[j, k] = 0.0
            neurons.moving[j] = False
            neurons.resting[j] = CAUGHT_THERE if ends == CAUGHT else RESTS
            continue
        if ends == 0 or ends == CAUGHT:
            fork = True
            start_along(j, 1.0, rays.projection[ray], problem, neurons, residual)
            follow_to_infinity(j, problem, neurons, series, residual)
            for k in range(lines):
                escape[k] = neurons.projection[j, k]
            ends = ESCAPED
        if fork:
            clock.forks[0] += 1
        if ends == ESCAPED:
            clock.reach[j] = LEAVING * largest_reach(clock)
            start_along(j, clock.reach[j], escape, problem, neurons, residual)
        else:
            for k in range(lines):
                neurons.projection[j, k] = 0.0
            neurons.moving[j] = False
            neurons.resting[j] = MOVING
