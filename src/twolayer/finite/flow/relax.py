"""After a stiff step the weights follow the residuals that it integrated.

A stiff step bounds the error of each neuron relative to that neuron. Where inputs differ much in length, outputs on
long ones are small differences to it: y − h of the weights leaves the residual r by more than r is known to, which
would start a transient as fast as the data allow. One implicit Euler step of the flow that has the mismatch
m = y − h − r in place of the residual takes it away,
    c = h (I + h K)⁻¹ m,   ζ += g G q − b ζ,   g += q·ζ − b g,   ρ += radial b,   b = g q·ζ,
q the force of c and K the tangent kernel: fast parts of m vanish, slow ones stay, and so does |a|² − |w|². (Derived.)
"""

from __future__ import annotations

import numpy as np

from twolayer.finite.flow.dense import factor_lu, largest_of, solve_lu
from twolayer.finite.flow.kernels import INNER_KERNEL, SEPARATE
from twolayer.finite.flow.neurons import Neurons, normalize, size_of
from twolayer.finite.flow.problem import FlowProblem
from twolayer.finite.flow.series import Series, begin, expand_force
from twolayer.finite.flow.stiff_system import add_kernel, project_gram
from twolayer.kernels.record import Vector

__all__ = ["relax", "resolution"]

FARTHEST = 1e-6
"""Of itself: a neuron that had to move farther is not corrected, since the step is linear."""
ROUNDING = 1e-15
"""Of Σ |a| |w| |x|: so far h of the weights is from exact."""


@SEPARATE
def resolution(problem: FlowProblem, neurons: Neurons) -> float:
    """The rounding of h of the weights, per length of the input."""
    total = 0.0
    for j in range(neurons.moving.size):
        if not neurons.moving[j]:
            continue
        gain = abs(neurons.gain[j])
        if problem.radial > 0:
            size = np.sqrt(max(2.0 - gain * gain, 0.0))
        else:
            size = max(size_of(j, problem, neurons), neurons.outside[j])
        total += problem.output_scale * np.exp(2.0 * neurons.log_scale[j]) * gain * size
    return ROUNDING * total


@INNER_KERNEL
def rate_of(j: int, problem: FlowProblem, neurons: Neurons, series: Series) -> float:
    """q·ζ of neuron j, for the force that `expand_force` left at order 0."""
    power = 0.0
    for k in range(problem.norm.size):
        power += series.force[j, 0, k] * neurons.projection[j, k]
    return power


@SEPARATE
def correction(
    length: float, mismatch: Vector, problem: FlowProblem, neurons: Neurons, series: Series
) -> bool:
    """Turn the mismatch (response,) into c; False if the system cannot be solved. Expands neurons to order 0."""
    neuron_count, responses = neurons.moving.size, mismatch.size
    system = np.zeros((responses, responses))
    reduced = np.empty((responses, responses))
    swaps = np.empty(responses, dtype=np.int64)
    for j in range(neuron_count):
        if neurons.moving[j]:
            begin(j, problem, neurons, series)
            series.load[j, 0] = 1.0  # where `add_kernel` has e^(2(ρ − ρ_0))
            project_gram(j, problem, series, reduced)
            add_kernel(j, 0, problem, neurons, series, reduced, system)
    for row in range(responses):
        for column in range(responses):
            system[row, column] *= length
        system[row, row] += 1.0
    if not largest_of(system) <= 1e150 or not factor_lu(system, swaps):
        return False
    solve_lu(system, swaps, mismatch)
    for response in range(responses):
        mismatch[response] *= length
    return True


@SEPARATE
def relax(length: float, mismatch: Vector, problem: FlowProblem, neurons: Neurons, series: Series) -> bool:
    """Let the weights follow by a step of a length; False if nothing was done. Uses up mismatch (response,)."""
    neuron_count, lines = neurons.projection.shape
    if not correction(length, mismatch, problem, neurons, series):
        return False
    residual = series.shifted
    for response in range(mismatch.size):
        residual[response, 0] = mismatch[response]
    first = np.int64(0)
    expand_force(first, first, neuron_count, problem, neurons, series, residual)
    for j in range(neuron_count):
        if not neurons.moving[j]:
            continue
        gain = neurons.gain[j]
        power = rate_of(j, problem, neurons, series)
        decay = gain * power if problem.radial > 0 else 0.0
        size = 1.0 if problem.radial > 0 else max(size_of(j, problem, neurons), neurons.outside[j])
        moved = abs(decay)
        for k in range(lines):
            moved = max(moved, abs(gain * series.drive[j, 0, k]) / (problem.norm[k] * size))
        if not neurons.balanced[j]:
            moved = max(moved, abs(power))
        # Negated, so that NaN is too far.
        if not moved <= FARTHEST:
            return False
    for j in range(neuron_count):
        if not neurons.moving[j]:
            continue
        gain = neurons.gain[j]
        power = rate_of(j, problem, neurons, series)
        decay = gain * power if problem.radial > 0 else 0.0
        for k in range(lines):
            neurons.projection[j, k] += gain * series.drive[j, 0, k] - decay * neurons.projection[j, k]
        for row in range(series.sliding_count[j]):
            neurons.projection[j, series.sliding[j, row]] = 0.0
        if not neurons.balanced[j]:
            neurons.gain[j] += power - decay * gain
        shrink = np.exp(-decay)
        neurons.outside[j] *= shrink
        neurons.skew[j] *= shrink * shrink
        neurons.log_scale[j] += problem.radial * decay
        normalize(j, problem, neurons)
    return True
