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

import itertools
import math
from typing import Any

import numpy as np

from twolayer.finite.flow.clock import FlowClock
from twolayer.finite.flow.events import first_root
from twolayer.finite.flow.kernels import INNER_KERNEL, KERNEL, SEPARATE
from twolayer.finite.flow.neurons import Neurons
from twolayer.finite.flow.problem import FlowProblem, Lines, force_on_side
from twolayer.finite.flow.series import Series, begin, expand_force
from twolayer.finite.flow.sliding import NOISE, settle
from twolayer.kernels.entry import annotated_entry
from twolayer.kernels.record import Matrix, Record, Vector

__all__ = ["ZERO", "Rays", "at_zero", "build_rays", "next_release", "no_rays", "release", "size_of"]

ZERO = 1e-12
"""A neuron this small compared with its largest size so far has reached 0: smaller is rounding."""
LEAVING = 1e-13
"""Size with which a neuron leaves 0, as a share of the largest of any neuron so far."""
OPEN = 1e-13
"""φ below this, times the forces at their largest, is below 0."""
MOST_NUMBERS = 1_000_000
"""Of rays times lines. Of more rays a random part is listed, so that a neuron may leave 0 late."""
PHASES = 8
"""Positions of the steps about 0 from which the map is followed to see whether they agree."""
STEPS = 4000
"""Of the map, at most; it escapes or dies in some tens."""

ESCAPED = 1
DEAD = 2
CAUGHT = 3

MOVING = 0
ARRIVED_NOW = 1
RESTS = 2
CAUGHT_THERE = 3


class Rays(Record):
    """Unit directions in the span of the inputs in which rank − 1 boundaries meet."""

    projection: Matrix  # (ray, line) ζ
    load: Matrix  # (ray, response) force along the ray per unit of residual
    inputs: Matrix  # (line, rank) in an orthonormal basis of their span
    dual: Matrix  # (line, rank) weights for ζ in that basis
    phases: Matrix  # (phase, rank) random vectors of length about 1
    dead_cone: bool  # some open cone of directions activates no sample
    part: bool  # not all rays are listed


def no_rays(problem: FlowProblem) -> Rays:
    """No ray, as long as no neuron has reached 0."""
    lines = len(problem.gram)
    none = np.zeros((0, lines))
    return Rays(none, np.zeros((0, len(problem.targets))), none.T.copy(), none.T.copy(), none, False, False)


def build_rays(problem: FlowProblem, lines: Lines) -> Rays:
    """List the rays of a problem with at least one line, and whether some directions are dead."""
    count, rank = len(problem.gram), problem.rank
    units = lines.inputs / problem.norm[:, None]
    _, _, basis = np.linalg.svd(units, full_matrices=False)
    inside = units @ basis[:rank].T  # (line, rank)
    most = MOST_NUMBERS // (2 * count)
    part = math.comb(count, rank - 1) > most
    if part:
        keys = np.random.default_rng(1).random((most, count))
        chosen = np.sort(np.argpartition(keys, rank - 2, axis=1)[:, : rank - 1], axis=1)
    else:
        subsets = list(itertools.combinations(range(count), rank - 1))
        chosen = np.array(subsets, dtype=np.int64).reshape(len(subsets), rank - 1)
    normals = inside[chosen]  # (ray, rank − 1, rank)
    if rank == 1:
        rays = np.ones((1, 1))
    else:
        _, singular, complement = np.linalg.svd(normals, full_matrices=True)
        rays = complement[:, -1, :]
        met = singular[:, -1] > 1e-10  # boundaries that coincide meet in more than a ray
        rays, chosen = rays[met], chosen[met]
    projection = rays @ inside.T * problem.norm
    np.put_along_axis(projection, chosen, 0.0, axis=1)
    projection[np.abs(projection) < 1e-13 * problem.norm] = 0.0
    projection = np.concatenate([projection, -projection])
    line = np.concatenate([np.arange(count), np.flatnonzero(problem.opposite >= 0)])
    side = np.sign(projection[:, line]).astype(np.int64) + 1
    load = problem.slope[side, np.arange(len(line))] * projection[:, line] * problem.rate
    felt = np.any(load != 0.0, axis=1)
    random = np.random.default_rng(0).normal(size=(PHASES, rank)) / np.sqrt(rank)
    dead_cone = False
    if np.any(problem.slope[::2, 0] == 0.0) and np.all(problem.opposite < 0):
        # Gordan: either some direction is on the inactive side of all, or a convex combination of inputs is 0.
        from scipy.optimize import nnls  # loads much of SciPy

        _, apart = nnls(np.vstack([units.T, np.ones(count)]), np.append(np.zeros(units.shape[1]), 1.0))
        dead_cone = bool(apart > 1e-10)
    return Rays(
        np.ascontiguousarray(projection[felt]),
        np.ascontiguousarray(load[felt]),
        np.ascontiguousarray(inside * problem.norm[:, None]),
        np.ascontiguousarray(problem.inverse @ (inside * problem.norm[:, None])),
        random,
        dead_cone,
        part,
    )


@INNER_KERNEL
def size_of(j: int, problem: FlowProblem, neurons: Neurons) -> float:
    """max_k |⟨v, x_k⟩|/|x_k|, of the order of the length of v inside the span."""
    size = 0.0
    for k in range(problem.gram.shape[0]):
        size = max(size, abs(neurons.projection[j, k]) / problem.norm[k])
    return size


@INNER_KERNEL
def lowest_ray(sign: float, rays: Rays, residual: Vector) -> tuple[int, float]:
    """The ray on which φ is least, and its value there."""
    best: Any = np.int64(-1)
    lowest = np.inf
    for i in range(rays.load.shape[0]):
        value = 0.0
        for response in range(residual.size):
            value -= sign * rays.load[i, response] * residual[response]
        if value < lowest:
            lowest = value
            best = i
    return best, lowest


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


@INNER_KERNEL
def same_direction(first: Any, second: Any, problem: FlowProblem) -> bool:
    """Whether two directions (line,) give the same neuron: for |z| also one that is turned round."""
    plain = 0.0
    turned = 0.0
    for k in range(first.size):
        plain = max(plain, abs(first[k] - second[k]) / problem.norm[k])
        turned = max(turned, abs(first[k] + second[k]) / problem.norm[k])
    return plain < 1e-6 or (problem.even and turned < 1e-6)


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
