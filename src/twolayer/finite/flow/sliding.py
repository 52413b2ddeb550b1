"""What a neuron does at activation boundaries: Filippov's rule, by a bounded least-squares problem.

The force along line k lies between its values on the two sides of z_k = 0, back_k and front_k.
Where sign(a) (front_k − back_k) < 0 both sides push towards the boundary; there the
flow is a gradient flow of a convex function, whose velocity is the element of least norm. On the set Z of such
boundaries that a neuron touches,
    minimise ½ |D|² = ½ qᵀ G q  over q_k between back_k and front_k for k in Z.
A minimiser at back_k leaves to z_k ≤ 0, one at front_k to z_k ≥ 0, one between slides with z_k = 0. A boundary
that repels is crossed. (Derived; for orthogonal inputs Z never slides and a component that reaches zero
stays there, the convention of Boursier, Pillaud-Vivien and Flammarion 2022, Section 2.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.finite.flow.kernels import INNER_KERNEL, KERNEL, SEPARATE
from twolayer.finite.flow.neurons import Neurons
from twolayer.finite.flow.problem import FlowProblem, force_on_side
from twolayer.kernels.entry import annotated_entry
from twolayer.kernels.record import Integers, Matrix, Vector

__all__ = [
    "NOISE",
    "bounded_least_squares",
    "factor_cholesky",
    "settle",
    "settle_all",
    "solve_cholesky",
]

TOUCHING = 4e-14
"""A projection smaller than this times |x| |v| touches its boundary."""
DEPENDENT = 1e-12
"""A boundary whose normal is this close, squared, to the span of those that slide adds no constraint."""
NOISE = 1e-13
"""A velocity below this fraction of its terms is rounding, and so is a multiplier that moves by it.

Such a neuron does not slide: σ'(0) decides, or neurons would chatter and dead ones wake.
"""


@INNER_KERNEL
def factor_cholesky(matrix: Any, size: int) -> bool:
    """Cholesky factor of the leading block, in place; False if it is singular to `DEPENDENT`."""
    for row in range(size):
        diagonal = matrix[row, row]
        for column in range(row + 1):
            value = matrix[row, column]
            for inner in range(column):
                value -= matrix[row, inner] * matrix[column, inner]
            if column < row:
                matrix[row, column] = value / matrix[column, column]
            else:
                if value <= DEPENDENT * diagonal:
                    return False
                matrix[row, row] = np.sqrt(value)
    return True


@INNER_KERNEL
def solve_cholesky(factor: Any, size: int, right: Any) -> None:
    """Solve with the factor of the leading block; the right side becomes the solution."""
    for row in range(size):
        value = right[row]
        for inner in range(row):
            value -= factor[row, inner] * right[inner]
        right[row] = value / factor[row, row]
    for row in range(size - 1, -1, -1):
        value = right[row]
        for inner in range(row + 1, size):
            value -= factor[inner, row] * right[inner]
        right[row] = value / factor[row, row]


@SEPARATE
def bounded_least_squares(
    gram: Matrix,
    base: Vector,
    low: Vector,
    high: Vector,
    noise: Vector,
    noise_level: float,
    q: Vector,
    status: Integers,
) -> bool:
    """Minimise ½ qᵀ gram q + base·q over low ≤ q ≤ high by an active set; start from feasible q and status.

    Shapes: gram (size, size), all others (size,). Status 0 is free, −1 at low, +1 at high. `noise` is the
    rounding of base, `noise_level` that of other terms. False if the set changed more than 20 (size + 2) times.
    """
    size = base.size
    block = np.empty((size, size))
    right = np.empty(size)
    free = np.empty(size, dtype=np.int64)
    for _ in range(20 * (size + 2)):
        count = np.int64(0)
        for k in range(size):
            if status[k] == 0:
                # A dependent boundary cannot be free as well; what it would carry, the others carry.
                free[count] = k
                for other in range(count + 1):
                    block[count, other] = gram[k, free[other]]
                for row in range(count):
                    for column in range(row + 1):
                        block[row, column] = gram[free[row], free[column]]
                if factor_cholesky(block, count + 1):
                    count += 1
                else:
                    status[k] = 1 if 2.0 * q[k] > low[k] + high[k] else -1
                    q[k] = high[k] if status[k] > 0 else low[k]
        for row in range(count):
            for column in range(row + 1):
                block[row, column] = gram[free[row], free[column]]
            value = -base[free[row]]
            for k in range(size):
                if status[k] != 0:
                    value -= gram[free[row], k] * q[k]
            right[row] = value
        factor_cholesky(block, count)
        solve_cholesky(block, count, right)
        fraction = 1.0
        blocking = -1
        for row in range(count):
            k = free[row]
            move = right[row] - q[k]
            if right[row] < low[k] and (low[k] - q[k]) / move <= fraction:
                fraction = max((low[k] - q[k]) / move, 0.0)
                blocking = k
            elif right[row] > high[k] and (high[k] - q[k]) / move <= fraction:
                fraction = max((high[k] - q[k]) / move, 0.0)
                blocking = k
        for row in range(count):
            k = free[row]
            # Exactly the solution where nothing blocks: a force may be tiny compared with its interval.
            q[k] = q[k] + fraction * (right[row] - q[k]) if blocking >= 0 else right[row]
        if blocking >= 0:
            status[blocking] = -1 if 2.0 * q[blocking] < low[blocking] + high[blocking] else 1
            q[blocking] = low[blocking] if status[blocking] < 0 else high[blocking]
            continue
        worst = 0.0
        entering = -1
        for k in range(size):
            if status[k] == 0:
                continue
            gradient = base[k]
            rounding = noise[k]
            for other in range(size):
                gradient += gram[k, other] * q[other]
                rounding += noise_level * abs(gram[k, other] * q[other])
            violation = gradient * status[k]
            width = gram[k, k] * (high[k] - low[k])
            if violation > rounding and violation > worst * width:
                worst = violation / width
                entering = k
        if entering < 0:
            return True
        status[entering] = 0
    return False


@SEPARATE
def settle(
    j: int, crossing: int, noise_level: float, problem: FlowProblem, neurons: Neurons, residual: Matrix
) -> int:
    """Give neuron j the pattern it leaves with, at residual (response, order + 1).

    `crossing` is the line it reached, or −1; `noise_level` the fraction of its terms at which a velocity is
    rounding. Projections on attracting boundaries that it touches become zero. −1 if the rule
    did not settle; 1 if a boundary lets the neuron go to either side, where only σ'(0) decides; else 0.
    """
    if not problem.kinked:
        return 0
    lines = problem.gram.shape[0]
    zeta = neurons.projection[j]
    pattern = neurons.pattern[j]
    square = neurons.outside[j] ** 2
    scale = 1.0
    if problem.radial == 0 or not neurons.balanced[j]:
        for k in range(lines):
            square = max(square, (zeta[k] / problem.norm[k]) ** 2)
        scale = np.sqrt(square)

    front = np.empty(lines)
    back = np.empty(lines)
    force = np.empty(lines)
    for k in range(lines):
        front[k] = force_on_side(k, 1, problem, residual, 0)
        back[k] = force_on_side(k, -1, problem, residual, 0)
        force[k] = front[k] if pattern[k] > 0 else back[k]
    sign = 1.0
    if neurons.gain[j] < 0.0:
        sign = -1.0
    elif neurons.gain[j] == 0.0:
        growth = 0.0
        for k in range(lines):
            growth += force[k] * zeta[k]
        if growth < 0.0:
            sign = -1.0

    attracting = np.empty(lines, dtype=np.int64)
    repelling = np.empty(lines, dtype=np.int64)
    size = 0
    others = 0
    for k in range(lines):
        if not (pattern[k] == 0 or k == crossing or abs(zeta[k]) <= TOUCHING * problem.norm[k] * scale):
            continue
        if sign * (front[k] - back[k]) < 0.0:
            attracting[size] = k
            size += 1
            zeta[k] = 0.0
        else:
            # On the boundary σ'(0) makes the force, which may be that of one of the sides.
            if pattern[k] == 0:
                pattern[k] = problem.rest[k]
            elif k == crossing:
                pattern[k] = -pattern[k]
            force[k] = front[k] if pattern[k] > 0 else back[k]
            if pattern[k] == 0:
                zeta[k] = 0.0
                force[k] = force_on_side(k, 0, problem, residual, 0)
            repelling[others] = k
            others += 1
    if size + others == 0:
        return 0

    gram = np.empty((size, size))
    low = np.empty(size)
    high = np.empty(size)
    q = np.empty(size)
    noise = np.empty(size)
    base = np.empty(size)
    status = np.empty(size, dtype=np.int64)
    for row in range(size):
        k = attracting[row]
        low[row] = min(front[k], back[k])
        high[row] = max(front[k], back[k])
        for column in range(size):
            gram[row, column] = problem.gram[k, attracting[column]]
        if pattern[k] == 0:
            status[row] = 0
            q[row] = 0.5 * (low[row] + high[row])
        else:
            q[row] = force[k]
            status[row] = 1 if q[row] == high[row] else -1
        force[k] = 0.0
    for _ in range(others + 1):
        for row in range(size):
            k = attracting[row]
            base[row] = 0.0
            noise[row] = 0.0
            for other in range(lines):
                term = problem.gram[k, other] * force[other]
                base[row] += term
                noise[row] += noise_level * abs(term)
        if size > 0 and not bounded_least_squares(gram, base, low, high, noise, noise_level, q, status):
            return -1
        flipped = False
        for index in range(others):
            k = repelling[index]
            velocity = 0.0
            rounding = 0.0
            for other in range(lines):
                term = problem.gram[k, other] * force[other]
                velocity += term
                rounding += noise_level * abs(term)
            for row in range(size):
                term = problem.gram[k, attracting[row]] * q[row]
                velocity += term
                rounding += noise_level * abs(term)
            velocity *= sign
            if velocity * pattern[k] < -rounding or (pattern[k] == 0 and abs(velocity) > rounding):
                pattern[k] = 1 if velocity > 0.0 else -1
                force[k] = front[k] if pattern[k] > 0 else back[k]
                flipped = True
        if not flipped:
            break
    fork = False
    for index in range(others):
        k = repelling[index]
        velocity = -problem.gram[k, k] * force[k]
        rounding = 0.0
        for other in range(lines):
            velocity += problem.gram[k, other] * force[other]
            rounding += noise_level * abs(problem.gram[k, other] * force[other])
        for row in range(size):
            velocity += problem.gram[k, attracting[row]] * q[row]
            rounding += noise_level * abs(problem.gram[k, attracting[row]] * q[row])
        ahead = sign * (velocity + problem.gram[k, k] * front[k])
        behind = sign * (velocity + problem.gram[k, k] * back[k])
        # One that it came to from a side is crossed: what slides there pulled it on, with forces other than these.
        fork = fork or (k != crossing and ahead > rounding and behind < -rounding)
        if pattern[k] * zeta[k] < 0.0:
            zeta[k] = 0.0
    for row in range(size):
        k = attracting[row]
        margin = noise[row]
        for column in range(size):
            margin += noise_level * abs(gram[row, column] * q[column])
        margin /= gram[row, row]
        from_back = abs(q[row] - back[k])
        from_front = abs(q[row] - front[k])
        pattern[k] = 0
        if min(from_back, from_front) <= margin:
            pattern[k] = -1 if from_back <= from_front else 1
    return 1 if fork else 0


@annotated_entry
@KERNEL
def settle_all(problem: FlowProblem, neurons: Neurons, residual: Matrix, forks: Integers) -> int:
    """Give all neurons the pattern they start with, and count forks; −1, or the neuron that did not settle."""
    for j in range(neurons.projection.shape[0]):
        if neurons.moving[j]:
            settled = settle(j, np.int64(-1), NOISE, problem, neurons, residual)
            if settled < 0:
                return j
            forks[0] += settled
    return -1
