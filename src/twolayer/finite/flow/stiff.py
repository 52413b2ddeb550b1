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
from numpy.polynomial import legendre

from twolayer.finite.flow.clock import FlowClock
from twolayer.finite.flow.dense import factor_lu, largest_of, solve_lu
from twolayer.finite.flow.events import next_event
from twolayer.finite.flow.kernels import INNER_KERNEL, SEPARATE
from twolayer.finite.flow.neurons import Neurons
from twolayer.finite.flow.problem import FlowProblem
from twolayer.finite.flow.series import Series, begin, expand_force, horner
from twolayer.finite.flow.sliding import solve_cholesky
from twolayer.kernels.record import Integers, Matrix, Record, Vector

__all__ = ["Collocation", "advance_stiff", "build_collocation", "residual_at", "stiff_step"]

STAGES = 11
"""The monomials of more would lose digits."""
LARGEST_SYSTEM = 1500
"""Stages times responses beyond which a step would cost more than the Taylor steps that it replaces."""
ITERATIONS = 25
"""Corrections of one step, beyond which a shorter one is tried."""
ROUNDING = 4e-16
"""A change of this, times its scale, is rounding."""
SHARE = 0.1
"""Of the tolerance: one stiff step stands for many Taylor steps, most of which end far below theirs."""
STILL = 2e-14
"""A projection that moves by less than this, times |x| |v|, stands still: rounding makes no events."""
FARTHEST = 1e24
"""Longest step: coefficients are divided by its powers."""


class Collocation(Record):
    """The Radau points on (0, 1], and what turns values at them into integrals and polynomials."""

    points: Vector  # (stage,) the last is 1
    integral: Matrix  # (stage, stage) A: of the interpolant at the points, from 0 to each
    modes: Matrix  # (mode, stage + 1) values at 0 and at the points to Legendre coefficients on [0, 1]
    powers: Matrix  # (stage + 1, mode) those to coefficients of t^i; integers


def build_collocation(order: int) -> Collocation:
    """The points whose polynomials fit into series of the given order."""
    stages = min(STAGES, order - 1)
    difference = np.zeros(stages + 1)
    difference[stages - 1 :] = -1.0, 1.0
    points = np.sort(legendre.legroots(difference))
    slope = legendre.legder(difference)
    for _ in range(3):
        points -= legendre.legval(points, difference) / legendre.legval(points, slope)
    points[-1] = 1.0
    values = legendre.legvander(points, stages - 1)
    integrals = np.stack(
        [legendre.legval(points, legendre.legint(row, lbnd=-1.0, scl=1.0)) / 2.0 for row in np.eye(stages)],
        axis=1,
    )
    integral = np.linalg.solve(values.T, integrals.T).T
    modes = np.linalg.inv(legendre.legvander(np.append(-1.0, points), stages))
    # Shifted Legendre polynomials have integer coefficients in t: exact here.
    shifted = np.zeros((stages + 1, stages + 1))
    for degree in range(stages + 1):
        value = 1.0
        for i in range(degree + 1):
            shifted[i, degree] = (-1.0) ** (degree - i) * value
            value = value * (degree - i) * (degree + i + 1) / (i + 1) ** 2
    return Collocation(
        points=0.5 * (points + 1.0),
        integral=np.ascontiguousarray(integral),
        modes=np.ascontiguousarray(modes),
        powers=shifted,
    )


@SEPARATE
def add_kernel(
    j: int, i: int, problem: FlowProblem, neurons: Neurons, series: Series, reduced: Matrix, kernel: Matrix
) -> None:
    """Add neuron j at point i to K (response, response), r' = −K r up to decay.

    reduced (entry, entry): the Gram matrix of its acting lines with the lines that slide projected out.
    """
    acting = series.entry_count[j]
    weight = series.weight[j] * series.load[j, i]
    gain = series.gain[j, i]
    along = weight * max(2.0 * problem.radial - 1.0, 0.0)
    across = weight * gain * gain
    for e in range(acting):
        side = series.active_slope[j, e]
        row = series.response[j, e]
        value = side * along * series.projection[j, i, series.active[j, e]]
        for f in range(acting):
            kernel[row, series.response[j, f]] += series.active_rate[j, f] * (
                value * series.projection[j, i, series.active[j, f]] + side * across * reduced[e, f]
            )


@SEPARATE
def project_gram(j: int, problem: FlowProblem, series: Series, reduced: Matrix) -> None:
    """Write G_AA − G_AK G_KK⁻¹ G_KA of the acting lines A and the sliding ones K of neuron j."""
    acting = series.entry_count[j]
    sliding = series.sliding_count[j]
    right = np.empty(sliding)
    for f in range(acting):
        column = series.active[j, f]
        for row in range(sliding):
            right[row] = problem.gram[series.sliding[j, row], column]
        if sliding > 0:
            solve_cholesky(series.factor[j], sliding, right)
        for e in range(acting):
            value = problem.gram[series.active[j, e], column]
            for row in range(sliding):
                value -= problem.gram[series.active[j, e], series.sliding[j, row]] * right[row]
            reduced[e, f] = value


@SEPARATE
def factor_system(
    length: float,
    rule: Collocation,
    problem: FlowProblem,
    neurons: Neurons,
    series: Series,
    system: Matrix,
    swaps: Integers,
) -> bool:
    """Factor I + h A ⊗ K with K at the points, rows and columns (stage, response); False if that is not possible."""
    neuron_count = series.projection.shape[0]
    responses = series.residual.shape[0]
    stages = rule.points.size
    kernels = np.zeros((stages, responses, responses))
    reduced = np.empty((responses, responses))
    for j in range(neuron_count):
        if neurons.moving[j]:
            project_gram(j, problem, series, reduced)
            for i in range(stages):
                add_kernel(j, i + 1, problem, neurons, series, reduced, kernels[i])
    for i in range(stages):
        for m in range(stages):
            value = length * rule.integral[i, m]
            for row in range(responses):
                for column in range(responses):
                    system[i * responses + row, m * responses + column] = value * kernels[m, row, column]
    for row in range(stages * responses):
        system[row, row] += 1.0
    return largest_of(system) <= 1e150 and factor_lu(system, swaps)


@SEPARATE
def keeps_direction(j: int, stages: int, problem: FlowProblem, neurons: Neurons, series: Series) -> bool:
    """Whether balanced neuron j stays along the direction it starts with, given its forces at the points.

    Against its force that is an unstable equilibrium, which no polynomial would keep through many e-foldings.
    """
    if problem.radial == 0 or not neurons.balanced[j]:
        return False
    gain = series.gain[j, 0]
    for i in range(1, stages + 1):
        power, terms = 0.0, 0.0
        for k in range(problem.norm.size):
            power += series.force[j, i, k] * series.projection[j, 0, k]
            terms += abs(series.force[j, i, k]) * problem.norm[k]
        if gain * power < 0.0 and neurons.outside[j] > 0.0:
            return False
        for k in range(problem.norm.size):
            turning = gain * (series.drive[j, i, k] - power * series.projection[j, 0, k])
            if not abs(turning) <= STILL * terms * problem.norm[k]:
                return False
    return True


@SEPARATE
def integrate_rate(j: int, length: float, rule: Collocation, problem: FlowProblem, series: Series) -> None:
    """∫ b of neuron j at the points, and e^(2(ρ − ρ_0))."""
    stages = rule.points.size
    for i in range(stages):
        value = 0.0
        for m in range(stages):
            value += rule.integral[i, m] * series.rate[j, m + 1]
        series.mass[j, i + 1] = length * value
        growth = problem.radial * (length * value - problem.weight_decay * length * rule.points[i])
        # Room of Taylor steps, for e^(2(ρ − ρ_0)) at the points here.
        series.load[j, i + 1] = np.exp(2.0 * growth)


@SEPARATE
def solve_neuron(
    j: int, length: float, rule: Collocation, problem: FlowProblem, neurons: Neurons, series: Series
) -> float:
    """Neuron j at the points, given its forces there; the largest change, relative to the neuron."""
    stages = rule.points.size
    lines = problem.gram.shape[0]
    zeta = series.projection[j]
    gain = series.gain[j]
    rate = series.rate[j]
    balanced = neurons.balanced[j]
    scale = 1.0
    if problem.radial == 0:
        scale = neurons.outside[j]
        for i in range(stages + 1):
            for k in range(lines):
                scale = max(scale, abs(zeta[i, k]) / problem.norm[k])
    changed = 0.0
    if keeps_direction(j, stages, problem, neurons, series):
        for i in range(1, stages + 1):
            power = 0.0
            for k in range(lines):
                changed = max(changed, abs(zeta[i, k] - zeta[0, k]) / problem.norm[k])
                zeta[i, k] = zeta[0, k]
                power += series.force[j, i, k] * zeta[0, k]
            rate[i] = gain[0] * power
        integrate_rate(j, length, rule, problem, series)
        return changed
    matrix = np.empty((stages, stages))
    right = np.empty((lines + 1, stages))
    powers = np.empty(stages)
    swaps = np.empty(stages, dtype=np.int64)
    for _ in range(3):
        for i in range(1, stages + 1):
            power = 0.0
            for k in range(lines):
                power += series.force[j, i, k] * zeta[i, k]
            rate[i] = gain[i] * power if problem.radial > 0 else problem.weight_decay
            powers[i - 1] = power
        for i in range(stages):
            for m in range(stages):
                matrix[i, m] = length * rule.integral[i, m] * rate[m + 1]
            matrix[i, i] += 1.0
            for k in range(lines):
                value = 0.0
                for m in range(stages):
                    value += rule.integral[i, m] * gain[m + 1] * series.drive[j, m + 1, k]
                right[k, i] = zeta[0, k] + length * value
            value = 0.0
            for m in range(stages):
                value += rule.integral[i, m] * powers[m]
            right[lines, i] = gain[0] + length * value
        if not (largest_of(matrix) <= 1e150 and largest_of(right) <= 1e150):
            return np.inf
        if not factor_lu(matrix, swaps):
            return np.inf
        for k in range(lines + 1):
            solve_lu(matrix, swaps, right[k])
        changed = 0.0
        for i in range(stages):
            for k in range(lines):
                changed = max(changed, abs(right[k, i] - zeta[i + 1, k]) / problem.norm[k])
                zeta[i + 1, k] = right[k, i]
            if not balanced:
                changed = max(changed, scale * abs(right[lines, i] - gain[i + 1]))
                gain[i + 1] = right[lines, i]
        if not changed <= 1e300 or changed <= ROUNDING * scale:
            break
    integrate_rate(j, length, rule, problem, series)
    return changed / scale if scale > 0.0 else 0.0


@SEPARATE
def add_slopes(j: int, problem: FlowProblem, neurons: Neurons, series: Series, slopes: Matrix) -> None:
    """Take (s e^(2ρ) g ζ)' of neuron j at the points off slopes (response, stage), which become r'."""
    stages = slopes.shape[1]
    for i in range(1, stages + 1):
        power = 0.0
        for e in range(series.active_count[j]):
            k = series.active[j, e]
            power += series.force[j, i, k] * series.projection[j, i, k]
        gain = series.gain[j, i]
        weight = series.weight[j] * series.load[j, i]
        along = max(2.0 * problem.radial - 1.0, 0.0) * power
        decay = (2.0 * problem.radial if problem.radial > 0 else 1.0) * problem.weight_decay * gain
        for e in range(series.entry_count[j]):
            k = series.active[j, e]
            slope = weight * (
                (along - decay) * series.projection[j, i, k] + gain * gain * series.drive[j, i, k]
            )
            slopes[series.response[j, e], i - 1] -= series.active_slope[j, e] * slope


@INNER_KERNEL
def is_idle(j: int, problem: FlowProblem, series: Series) -> bool:
    """Whether neuron j has a fixed output and sees no sample: its hidden weight only decays, as e^(−λ t).

    Its polynomials stand still, and the decay is put on by `advance_stiff`: collocation would lose the signs
    of what decays through many decades.
    """
    return problem.radial == 0 and series.active_count[j] == 0 and series.sliding_count[j] == 0


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
            scale = 1.0
            if problem.radial == 0:
                scale = neurons.outside[j]
                for i in range(size):
                    for k in range(lines):
                        scale = max(scale, abs(series.projection[j, i, k]) / problem.norm[k])
            allowed = (tolerance + 2.0 * ROUNDING) * scale
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
def settle_rounding(
    j: int, rule: Collocation, problem: FlowProblem, neurons: Neurons, series: Series
) -> None:
    """Let projections of neuron j that move by rounding alone stand still, from values at the points."""
    stages = rule.points.size
    lines = problem.gram.shape[0]
    zeta = series.projection[j]
    scale = 1.0
    if problem.radial == 0:
        scale = neurons.outside[j]
        for k in range(lines):
            scale = max(scale, abs(zeta[0, k]) / problem.norm[k])
    for k in range(lines):
        moved = 0.0
        for i in range(1, stages + 1):
            moved = max(moved, abs(zeta[i, k] - zeta[0, k]))
        if moved <= STILL * problem.norm[k] * scale:
            for i in range(1, stages + 1):
                zeta[i, k] = zeta[0, k]


@SEPARATE
def to_powers(length: float, rule: Collocation, values: Vector) -> None:
    """Values at 0 and at the points (stage + 1,) become coefficients of t^i, in place."""
    size = rule.points.size + 1
    modes = np.empty(size)
    factor = np.empty(size)
    factor[0] = 1.0
    for i in range(1, size):
        factor[i] = factor[i - 1] / length
    # By way of Legendre coefficients, whose rounding the large integers do not magnify. Differences to the
    # start: what stands still has coefficients of exactly zero.
    for row in range(size):
        modes[row] = 0.0
        for i in range(1, size):
            modes[row] += rule.modes[row, i] * (values[i] - values[0])
    for i in range(1, size):
        value = 0.0
        for row in range(i, size):
            value += rule.powers[i, row] * modes[row]
        values[i] = value * factor[i]
    for i in range(size, values.size):
        values[i] = 0.0


@SEPARATE
def columns_to_powers(length: float, rule: Collocation, values: Matrix) -> None:
    """`to_powers` of each column of values (stage + 1 or more, line)."""
    column = np.empty(values.shape[0])
    for k in range(values.shape[1]):
        for i in range(column.size):
            column[i] = values[i, k]
        to_powers(length, rule, column)
        for i in range(column.size):
            values[i, k] = column[i]


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
