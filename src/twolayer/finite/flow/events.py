"""The next event of a neuron: the first root of the polynomials that keep its pattern valid."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.finite.flow.kernels import SEPARATE
from twolayer.finite.flow.neurons import Neurons
from twolayer.finite.flow.problem import FlowProblem, force_on_side
from twolayer.finite.flow.series import Series
from twolayer.finite.flow.sliding import NOISE
from twolayer.kernels.record import Matrix, Vector

__all__ = ["NO_LINE", "first_root", "next_event"]

NO_LINE: Any = np.int64(-1)  # a plain −1 would be another type to the compiler
"""The event is no arrival at a boundary: a multiplier left its interval, or an output weight changed sign."""
MARGIN = 4e-15
"""A projection has crossed once it is this far, times |x| |v|, on the other side: rounding makes no events."""


@SEPARATE
def first_root(coefficients: Vector, horizon: float, slack: float) -> float:
    """First time in (0, horizon] at which a polynomial falls to slack / 4, or infinity; 0 if it starts there.

    March with the part of the shifted polynomial that falls, a concave lower bound: no root is stepped over.
    """
    size = coefficients.size
    shifted = np.empty(size)
    for i in range(size):
        shifted[i] = coefficients[i]
    time = 0.0
    for _ in range(100):
        if shifted[0] <= 0.25 * slack:
            return time
        rest = horizon - time
        bound = 0.0
        for i in range(size - 1, 0, -1):
            bound = (bound + min(shifted[i], 0.0)) * rest
        if shifted[0] + bound > 0.0:
            return np.inf
        # Each falling term alone bounds the root of the lower bound from above; Newton then descends to it.
        step = rest
        for i in range(1, size):
            if shifted[i] < 0.0:
                step = min(step, (-shifted[0] / shifted[i]) ** (1.0 / i))
        for _ in range(12):
            value = 0.0
            slope = 0.0
            for i in range(size - 1, 0, -1):
                slope = slope * step + value
                value = value * step + min(shifted[i], 0.0)
            slope = slope * step + value
            value = value * step + shifted[0]
            change = value / slope
            step -= change
            if abs(change) <= 1e-3 * step:
                break
        step *= 0.999
        if step <= 1e-16 * time:
            return time
        time += step
        for first in range(size - 1):
            for i in range(size - 2, first - 1, -1):
                shifted[i] += step * shifted[i + 1]
    return time


@SEPARATE
def next_event(
    j: int, horizon: float, problem: FlowProblem, neurons: Neurons, series: Series, residual: Matrix
) -> tuple[float, int]:
    """Time since the start of neuron j, and line, of its first event up to horizon; infinity if there is none.

    residual (response, order + 1) is expanded about the same start.
    """
    size = series.mass.shape[1]
    lines = problem.gram.shape[0]
    zeta = series.projection
    polynomial = np.empty(size)
    time = np.inf
    line = NO_LINE
    if not problem.kinked:
        return time, line

    scale = 1.0
    if problem.radial == 0 or not neurons.balanced[j]:
        # Rounding of the distance that the forces move a hidden weight, which may start tiny or pass zero.
        scale = 0.0
        for k in range(lines):
            force = 0.0
            for i in range(size - 2, -1, -1):
                force = (force + abs(series.force[j, i, k])) * horizon
            scale += abs(series.gain[j, 0]) * force * problem.norm[k]
        scale = max(scale, neurons.outside[j])
        for k in range(lines):
            scale = max(scale, abs(zeta[j, 0, k]) / problem.norm[k])
    lower = series.change
    for k in range(lines):
        lower[j, k] = 0.0
    for i in range(size - 1, 0, -1):
        for k in range(lines):
            lower[j, k] = (lower[j, k] + min(neurons.pattern[j, k] * zeta[j, i, k], 0.0)) * horizon
    for k in range(lines):
        side = neurons.pattern[j, k]
        slack = MARGIN * problem.norm[k] * scale
        if side == 0 or side * zeta[j, 0, k] + slack + lower[j, k] >= 0.0:
            continue
        for i in range(size):
            polynomial[i] = side * zeta[j, i, k]
        polynomial[0] += slack
        root = first_root(polynomial, min(horizon, time), slack)
        if root < time:
            time = root
            line = k

    for row in range(series.sliding_count[j]):
        k = series.sliding[j, row]
        width = force_on_side(k, 1, problem, residual, 0) - force_on_side(k, -1, problem, residual, 0)
        if width == 0.0:
            continue
        sign = 1.0 if width > 0.0 else -1.0
        slack = 0.0
        for other in range(lines):
            slack += abs(problem.gram[k, other] * series.force[j, 0, other])
        slack *= NOISE / problem.gram[k, k]
        for end in range(2):
            for i in range(size - 1):
                force = series.force[j, i, k]
                if end == 0:
                    polynomial[i] = sign * (force - force_on_side(k, -1, problem, residual, i))
                else:
                    polynomial[i] = sign * (force_on_side(k, 1, problem, residual, i) - force)
            polynomial[size - 1] = 0.0
            polynomial[0] += slack
            root = first_root(polynomial, min(horizon, time), slack)
            if root < time:
                time = root
                line = NO_LINE

    if series.sliding_count[j] > 0 and not neurons.balanced[j]:
        # Boundaries that attracted repel once the output weight has changed sign.
        sign = (
            1.0 if series.gain[j, 0] > 0.0 or (series.gain[j, 0] == 0.0 and series.gain[j, 1] > 0.0) else -1.0
        )
        for i in range(size):
            polynomial[i] = sign * series.gain[j, i]
        polynomial[0] += MARGIN
        root = first_root(polynomial, min(horizon, time), MARGIN)
        if root < time:
            time = root
            line = NO_LINE
    return time, line
