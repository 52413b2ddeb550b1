"""The system of Newton's corrections of a stiff step, I + h A ⊗ K, K the tangent kernel at the points, r' = −K r."""

from __future__ import annotations

import numpy as np

from twolayer.finite.flow.collocation import Collocation
from twolayer.finite.flow.dense import factor_lu, largest_of
from twolayer.finite.flow.kernels import SEPARATE
from twolayer.finite.flow.neurons import Neurons
from twolayer.finite.flow.problem import FlowProblem
from twolayer.finite.flow.series import Series
from twolayer.finite.flow.sliding import solve_cholesky
from twolayer.kernels.record import Integers, Matrix

__all__ = ["add_kernel", "factor_system", "project_gram"]


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
