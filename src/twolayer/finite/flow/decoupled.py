"""The flow while the network outputs are negligible: neurons move alone, in closed form between events.

With r = y the force q, the drive u = G q and D = Σ_k q_k x_k of a pattern are constant. A balanced neuron obeys
dw/dp = D with dp = a dt, so that with B = ⟨σu, D⟩/|D|, E = e^(|D| t) and p in units of its size,
    S = |w|/|w_0| = ½ ((1 + B) E + (1 − B)/E),   p |D| = ½ ((1 + B) E − (1 − B)/E) − B,   ζ ← (ζ + σ p u)/S.
The next event is the least p at which a component of ζ + σ p u vanishes. (Derived; early alignment is Section 3
of Boursier, Pillaud-Vivien and Flammarion 2022.)
"""

from __future__ import annotations

import numpy as np

from twolayer.finite.flow.clock import FlowClock
from twolayer.finite.flow.events import MARGIN, NO_LINE
from twolayer.finite.flow.kernels import KERNEL, SEPARATE
from twolayer.finite.flow.neurons import Neurons, normalize
from twolayer.finite.flow.problem import FlowProblem
from twolayer.finite.flow.series import Series, begin, expand_force
from twolayer.finite.flow.sliding import NOISE, settle
from twolayer.finite.flow.status import ARRIVED, REPEATS, STUCK, UNSETTLED
from twolayer.kernels.entry import annotated_entry

__all__ = ["decoupled_to"]

ANTIPARALLEL = 1e-12
"""1 + B below this: the neuron points against its D, and shrinks without turning."""
LONGEST = 300.0
"""Growth exponent of one piece, well inside the range of doubles."""


@SEPARATE
def drift(
    j: int, duration: float, problem: FlowProblem, neurons: Neurons, series: Series, clock: FlowClock
) -> int:
    """Move neuron j alone for a duration, through its events."""
    lines = problem.gram.shape[0]
    zeta = neurons.projection[j]
    sign = neurons.gain[j]
    repeats = 0
    while True:
        begin(j, problem, neurons, series)
        expand_force(np.int64(0), j, j + 1, problem, neurons, series, series.residual)
        force = series.force
        drive = series.drive
        square = 0.0
        growth = 0.0
        size = 0.0
        for k in range(lines):
            square += force[j, 0, k] * drive[j, 0, k]
            growth += sign * force[j, 0, k] * zeta[k]
            size += abs(force[j, 0, k]) * problem.norm[k]
        speed = np.sqrt(max(square, 0.0))
        if speed <= MARGIN * size:
            neurons.log_scale[j] -= problem.radial * problem.weight_decay * duration
            return ARRIVED
        cosine = min(max(growth / speed, -1.0), 1.0)
        piece = min(duration, LONGEST / speed)
        line = NO_LINE
        if 1.0 + cosine < ANTIPARALLEL:
            neurons.log_scale[j] -= problem.radial * (speed + problem.weight_decay) * piece
        else:
            reach = np.inf
            for k in range(lines):
                side = neurons.pattern[j, k]
                towards = -side * sign * drive[j, 0, k]
                if side == 0 or towards <= 0.0 or not problem.kinked:
                    continue
                path = max(side * zeta[k] + MARGIN * problem.norm[k], 0.0) / towards
                if path < reach:
                    reach = path
                    line = k
            stretch = np.exp(speed * piece)
            path = (0.5 * ((1.0 + cosine) * stretch - (1.0 - cosine) / stretch) - cosine) / speed
            if path >= reach:
                path = reach
                centre = path * speed + cosine
                root = np.sqrt(centre * centre + 1.0 - cosine * cosine)
                # Both forms are the positive root of (1 + B) E² − 2 c E − (1 − B); each without cancellation.
                stretch = (
                    (centre + root) / (1.0 + cosine) if centre >= 0.0 else (1.0 - cosine) / (root - centre)
                )
                piece = min(np.log(stretch) / speed, duration)
            else:
                line = NO_LINE
            factor = 0.5 * ((1.0 + cosine) * stretch + (1.0 - cosine) / stretch)
            for k in range(lines):
                zeta[k] = (zeta[k] + sign * path * drive[j, 0, k]) / factor
            neurons.outside[j] /= factor
            neurons.log_scale[j] += problem.radial * (np.log(factor) - problem.weight_decay * piece)
            normalize(j, problem, neurons)
            for row in range(series.sliding_count[j]):
                zeta[series.sliding[j, row]] = 0.0
        duration -= piece
        if line != NO_LINE:
            clock.counts[0] += 1
            clock.counts[4] = j
            clock.counts[5] = line
            repeats = repeats + 1 if piece * speed <= 1e-14 else 0
            if repeats > REPEATS + 4 * lines:
                return STUCK
            settled = settle(j, line, NOISE, problem, neurons, series.residual)
            if settled < 0:
                return UNSETTLED
            clock.forks[0] += settled
        if duration <= 0.0:
            return ARRIVED


@annotated_entry
@KERNEL
def decoupled_to(
    target: float, negligible: float, problem: FlowProblem, neurons: Neurons, series: Series, clock: FlowClock
) -> int:
    """Move all neurons to `target`, or to the time at which outputs may reach `negligible` times the targets.

    The state is that of clock.times[0] on return.
    """
    for response in range(problem.targets.size):
        series.residual[response, 0] = problem.targets[response]
    neuron_count = neurons.projection.shape[0]
    fastest = 0.0
    strongest = 0.0
    felt = 0.0
    for response in range(problem.targets.size):
        weight = problem.rate[response] * problem.response_norm[response]
        fastest += weight * abs(problem.targets[response])
        strongest = max(strongest, weight * abs(problem.targets[response]))
        felt = max(felt, weight * problem.response_norm[response])
    while True:
        mass = 0.0
        for j in range(neuron_count):
            if neurons.moving[j]:
                mass += problem.output_scale * np.exp(2.0 * neurons.log_scale[j])
        if felt * mass >= negligible * strongest:
            return ARRIVED
        # |h_k| ≤ |x_k| Σ s e^(2ρ), and ρ grows at most at the rate radial Σ |q| |x|.
        room = np.log(negligible * strongest / max(felt * mass, 1e-300)) / (2.0 * problem.radial * fastest)
        rest = target - clock.times[0]
        if room < rest and 2.0 * problem.radial * fastest * room < 0.1:
            return ARRIVED
        piece = min(room, rest)
        for j in range(neuron_count):
            if neurons.moving[j]:
                status = drift(j, piece, problem, neurons, series, clock)
                if status != ARRIVED:
                    return status
            else:
                neurons.log_scale[j] -= problem.weight_decay * piece
        if piece == rest:
            clock.times[0] = target
            return ARRIVED
        clock.times[0] += piece
