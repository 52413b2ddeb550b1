"""One neuron in a stiff step: its values at the points for given forces, and its share in the residuals' slopes."""

from __future__ import annotations

import numpy as np

from twolayer.finite.flow.collocation import Collocation
from twolayer.finite.flow.dense import factor_lu, largest_of, solve_lu
from twolayer.finite.flow.kernels import INNER_KERNEL, SEPARATE
from twolayer.finite.flow.neurons import Neurons
from twolayer.finite.flow.problem import FlowProblem
from twolayer.finite.flow.series import Series
from twolayer.kernels.record import Matrix

__all__ = ["ROUNDING", "add_slopes", "is_idle", "scale_of", "settle_rounding", "solve_neuron"]

ROUNDING = 4e-16
"""A change of this, times its scale, is rounding."""

STILL = 2e-14
"""A projection that moves by less than this, times |x| |v|, stands still: rounding makes no events."""


@SEPARATE
def scale_of(j: int, points: int, problem: FlowProblem, neurons: Neurons, series: Series) -> float:
    """The size of neuron j over its first points: 1 of a direction, else the largest |⟨v, x_k⟩|/|x_k|."""
    if problem.radial > 0:
        return 1.0
    scale = neurons.outside[j]
    for i in range(points):
        for k in range(problem.gram.shape[0]):
            scale = max(scale, abs(series.projection[j, i, k]) / problem.norm[k])
    return scale


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
    scale = scale_of(j, stages + 1, problem, neurons, series)
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
def settle_rounding(
    j: int, rule: Collocation, problem: FlowProblem, neurons: Neurons, series: Series
) -> None:
    """Let projections of neuron j that move by rounding alone stand still, from values at the points."""
    stages = rule.points.size
    lines = problem.gram.shape[0]
    zeta = series.projection[j]
    scale = scale_of(j, 1, problem, neurons, series)
    for k in range(lines):
        moved = 0.0
        for i in range(1, stages + 1):
            moved = max(moved, abs(zeta[i, k] - zeta[0, k]))
        if moved <= STILL * problem.norm[k] * scale:
            for i in range(1, stages + 1):
                zeta[i, k] = zeta[0, k]
