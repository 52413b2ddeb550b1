"""Compiled velocity and Jacobian of gradient flow on a teacher, one seed: the second implementation.

The formulas are those of `closed_form` and, for orthogonal teachers, of `orthogonal_form`, written as loops over
pairs: in the few dimensions of a flow the array code spends its time on calls. Tested against it to rounding.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twolayer.core.network import TIED, TRAINED, Weights
from twolayer.kernels.entry import entry
from twolayer.kernels.jit import njit
from twolayer.kernels.sphere import angle_between, dot, length_of
from twolayer.population.flow import OdeSystem
from twolayer.population.orthogonal_form import CLOSE, COARSE

__all__ = ["CompiledOdeSystem"]


class CompiledOdeSystem(OdeSystem):
    """An `OdeSystem` whose velocity and Jacobian are compiled."""

    def __init__(self, problem: Any, start: Weights, weight_decay: float) -> None:
        super().__init__(problem, start, weight_decay)
        network, factor = problem.network, problem.factors
        teachers = np.ascontiguousarray(problem.data.hidden)
        numbers = (network.scale, factor.linear, factor.curved, factor.constant, weight_decay)
        kind = (network.mode, network.activation.even, bool(problem.data.orthogonal))
        self.law = (np.ascontiguousarray(start.output), teachers, problem.data.output, *kind, numbers)

    def velocity(self, vector: Any) -> Any:
        """−∇ of the objective."""
        return velocity(vector, *self.law)

    def jacobian(self, vector: Any) -> Any:
        """−∇∇ of the objective."""
        return jacobian(vector, *self.law)


@njit(cache=True, nogil=True)
def units_of(
    vector: Any, given: Any, teachers: Any, teacher_output: Any, mode: int, turn: bool, scale: float
) -> Any:
    """Vectors u, directions û, lengths |u|, coefficients c of all units; output and sign of each student."""
    m, (k, d) = given.size, teachers.shape
    vectors = np.empty((m + k, d))
    directions = np.zeros((m + k, d))
    lengths, coefficients = np.empty(m + k), np.empty(m + k)
    outputs, signs = np.empty(m), np.ones(m)
    for p in range(m + k):
        for a in range(d):
            vectors[p, a] = vector[p * d + a] if p < m else teachers[p - m, a]
        lengths[p] = length_of(vectors[p])
        if lengths[p] > 0.0:
            for a in range(d):
                directions[p, a] = vectors[p, a] / lengths[p]
    for i in range(m):
        outputs[i] = given[i]
        if mode == TRAINED:
            outputs[i] = vector[m * d + i]
        if mode == TIED:
            outputs[i] = lengths[i]
        coefficients[i] = scale * outputs[i]
        if turn:
            highest, lowest = -math.inf, math.inf
            for q in range(m, m + k):
                cosine = dot(vectors[i], directions[q])
                highest, lowest = max(highest, cosine), min(lowest, cosine)
            if highest < -lowest:
                signs[i] = -1.0
                for a in range(d):
                    vectors[i, a] = -vectors[i, a]
                    directions[i, a] = -directions[i, a]
    for q in range(k):
        coefficients[m + q] = -teacher_output[q]
    return vectors, directions, lengths, coefficients, outputs, signs


@njit(cache=True, nogil=True)
def plain_field(vectors: Any, directions: Any, lengths: Any, coefficients: Any, m: int, numbers: Any) -> Any:
    """F_i as `closed_form.field`, (student, feature)."""
    _, linear, curved, constant, _ = numbers
    units, d = vectors.shape
    field = np.zeros((m, d))
    residual = np.zeros(d)
    total = 0.0
    for p in range(units):
        total += coefficients[p] * lengths[p]
        for a in range(d):
            residual[a] += coefficients[p] * vectors[p, a]
    for i in range(m):
        if lengths[i] == 0.0 and curved != 0.0:
            continue
        along = 0.0
        for q in range(units):
            theta = angle_between(directions[i], directions[q]) if q != i else 0.0
            along += math.sin(theta) * coefficients[q] * lengths[q]
            for a in range(d):
                field[i, a] -= theta * coefficients[q] * vectors[q, a]
        along = 2.0 * (curved * along - constant * total)
        for a in range(d):
            field[i, a] = 2.0 * (linear * residual[a] + curved * field[i, a]) + along * directions[i, a]
    return field


@njit(cache=True, nogil=True)
def xi(x: float) -> float:
    """ξ = √(1 + X) − 1 without loss of digits."""
    return x / (1.0 + math.sqrt(1.0 + x))


@njit(cache=True, nogil=True)
def beyond_sine(theta: float) -> float:
    """θ − sin θ of small angles, by its series."""
    square = theta * theta
    series = 1.0 - square / 20.0 * (1.0 - square / 42.0 * (1.0 - square / 72.0))
    return theta * square / 6.0 * series


@njit(cache=True, nogil=True)
def grouped_field(
    vectors: Any, directions: Any, lengths: Any, coefficients: Any, m: int, numbers: Any
) -> Any:
    """F_i as `orthogonal_form.field`, (student, feature)."""
    _, linear, curved, constant, _ = numbers
    units, d = vectors.shape
    k = units - m
    even = 0.5 * math.pi * curved
    share = linear - even if abs(linear - even) > 1e-9 * linear else 0.0
    field = np.zeros((m, d))
    teacher = np.empty(units, dtype=np.int64)  # whose group a unit belongs to, or −1 of strays
    signs, weight, square = np.ones(units), np.zeros(units), np.zeros(units)
    turned, headed = np.empty((units, d)), np.empty((units, d))
    rest, position, tilt = np.zeros((units, d)), np.zeros((units, d)), np.zeros((units, k))
    for p in range(units):
        highest, lowest, nearest, farthest = -math.inf, math.inf, 0, 0
        for s in range(k):
            along = dot(vectors[p], directions[m + s])
            if along > highest:
                highest, nearest = along, s
            if along < lowest:
                lowest, farthest = along, s
        teacher[p], height = nearest, highest
        if p >= m:
            teacher[p], height = p - m, lengths[p]
        elif highest < -lowest:
            signs[p], teacher[p], height = -1.0, farthest, -lowest
        for a in range(d):
            turned[p, a], headed[p, a] = signs[p] * vectors[p, a], signs[p] * directions[p, a]
        axis = directions[m + teacher[p]]
        if p < m:
            for a in range(d):
                rest[p, a] = turned[p, a] - height * axis[a]
            if not (height > 0.0 and length_of(rest[p]) <= CLOSE * height):
                teacher[p] = -1
                rest[p] = 0.0
                continue
            for a in range(d):
                rest[p, a] /= height
            square[p] = dot(rest[p], rest[p])
            for s in range(k):
                tilt[p, s] = dot(rest[p], directions[m + s])
        weight[p] = coefficients[p] * height
        for a in range(d):
            position[p, a] = axis[a] + rest[p, a]
    totals, residuals, everything, odd, mass = np.zeros(k), np.zeros((k, d)), np.zeros(d), np.zeros(d), 0.0
    for p in range(units):
        for a in range(d):
            odd[a] += coefficients[p] * vectors[p, a]
        if teacher[p] < 0:
            mass += coefficients[p] * lengths[p]
            for a in range(d):
                everything[a] += coefficients[p] * turned[p, a]
            continue
        totals[teacher[p]] += weight[p]
        mass += weight[p] * xi(square[p])
        for a in range(d):
            residuals[teacher[p], a] += weight[p] * rest[p, a]
    for s in range(k):
        mass += totals[s]
        for a in range(d):
            residuals[s, a] += totals[s] * directions[m + s, a]
            everything[a] += residuals[s, a]
    bare_xi, bare_omega = np.empty(k), np.empty(k)
    thetas, sines, cosines = np.empty(k), np.empty(k), np.empty(k)
    action = np.empty(d)
    for i in range(m):
        if lengths[i] == 0.0 and curved != 0.0:
            continue
        along, ahead, group = 0.0, 0.0, teacher[i]  # of y, and of û
        action[:] = 0.0
        for s in range(k):
            if s == group:
                continue
            if group < 0:
                thetas[s] = angle_between(headed[i], directions[m + s])
                sines[s], cosines[s] = math.sin(thetas[s]), math.cos(thetas[s])
                ahead += totals[s] * sines[s]
                for a in range(d):
                    action[a] -= thetas[s] * residuals[s, a]
            else:
                bare_xi[s] = xi(square[i] - tilt[i, s] ** 2)
                bare_omega[s] = math.atan2(tilt[i, s], 1.0 + bare_xi[s])
                along += (1.0 + bare_xi[s]) * totals[s] / (1.0 + square[i])
                for a in range(d):
                    action[a] += (bare_omega[s] - 0.5 * math.pi) * residuals[s, a]
        for q in range(units):
            s = teacher[q]
            if q == i:
                continue
            if s < 0:
                theta = angle_between(headed[i], headed[q])
                ahead += math.sin(theta) * coefficients[q] * lengths[q]
                for a in range(d):
                    action[a] -= theta * coefficients[q] * turned[q, a]
            elif s == group:
                distance, inner, lean = 0.0, 0.0, 0.0
                for a in range(d):
                    apart = rest[i, a] - rest[q, a]
                    distance += apart**2
                    inner += rest[i, a] * rest[q, a]
                    lean += rest[i, a] * apart
                sine = max(distance + square[i] * distance - lean**2, 0.0)
                theta = math.atan2(math.sqrt(sine), 1.0 + inner)
                stretch = xi((square[q] - square[i]) / (1.0 + square[i]))
                along += weight[q] * (math.sin(theta) * stretch - beyond_sine(theta))
                for a in range(d):
                    action[a] += weight[q] * theta * (rest[i, a] - rest[q, a])
            elif q >= m:  # the teacher itself is bare
                continue
            elif group < 0:
                lean = dot(headed[i], rest[q])
                change = square[q] - lean * (lean + 2.0 * cosines[s])
                if square[q] > (COARSE * sines[s]) ** 2:
                    theta = angle_between(headed[i], headed[q])
                    change = math.sqrt(1.0 + square[q]) * math.sin(theta) - sines[s]
                    theta -= thetas[s]
                else:
                    after = math.sqrt(max(sines[s] ** 2 + change, 0.0))
                    change /= sines[s] + after
                    theta = math.atan2(
                        change * cosines[s] - sines[s] * lean,
                        cosines[s] * (cosines[s] + lean) + sines[s] * after,
                    )
                ahead += weight[q] * change
                for a in range(d):
                    action[a] -= weight[q] * theta * position[q, a]
            else:
                change = tilt[q, group] + dot(rest[i], rest[q])
                more = square[q] * (1.0 + square[i]) - change * (2.0 * tilt[i, s] + change)
                before = 1.0 + bare_xi[s]
                after = math.sqrt(max(before**2 + more, 0.0))
                more /= before + after
                along += weight[q] * more / (1.0 + square[i])
                turn = math.atan2(
                    change * before - tilt[i, s] * more, after * before + (tilt[i, s] + change) * tilt[i, s]
                )
                for a in range(d):
                    action[a] += weight[q] * turn * position[q, a]
        for a in range(d):
            value = even * everything[a] + curved * (action[a] + along * position[i, a])
            value += (curved * ahead - constant * mass) * headed[i, a]
            field[i, a] = 2.0 * (signs[i] * value + share * odd[a])
    return field


@entry
@njit(cache=True, nogil=True)
def velocity(
    vector: Any, given: Any, teachers: Any, teacher_output: Any, mode: int, turn: bool, orthogonal: bool, numbers: Any
) -> Any:  # fmt: skip
    """−∇ of the objective in the trained parameters, as `PopulationProblem.gradient`, (parameter,).

    mode: `core.network.OUTPUTS`. turn: |·|. numbers: s, A, B, D of the loss, weight decay.
    """
    m, d, scale, decay = given.size, teachers.shape[1], numbers[0], numbers[4]
    vectors, directions, lengths, coefficients, outputs, signs = units_of(
        vector, given, teachers, teacher_output, mode, turn, scale
    )
    if orthogonal:
        field = grouped_field(vectors, directions, lengths, coefficients, m, numbers)
    else:
        field = plain_field(vectors, directions, lengths, coefficients, m, numbers)
    slope = np.empty(vector.size)
    for i in range(m):
        by_output = scale * dot(vectors[i], field[i])
        for a in range(d):
            value = scale * outputs[i] * field[i, a]
            if mode == TIED:
                value += by_output * directions[i, a] + decay * vectors[i, a]
            slope[i * d + a] = -signs[i] * (value + decay * vectors[i, a])
        if mode == TRAINED:
            slope[m * d + i] = -(by_output + decay * outputs[i])
    return slope


@entry
@njit(cache=True, nogil=True)
def jacobian(
    vector: Any, given: Any, teachers: Any, teacher_output: Any, mode: int, turn: bool, orthogonal: bool, numbers: Any
) -> Any:  # fmt: skip
    """−∇∇ of the objective, as `PopulationProblem.hessian`, (parameter, parameter); arguments as `velocity`."""
    m, d = given.size, teachers.shape[1]
    scale, linear, curved, constant, decay = numbers
    vectors, directions, lengths, coefficients, _, signs = units_of(
        vector, given, teachers, teacher_output, mode, turn, scale
    )
    units = len(vectors)
    field = plain_field(vectors, directions, lengths, coefficients, m, numbers)
    total = 0.0
    for p in range(units):
        total += coefficients[p] * lengths[p]
    both = np.zeros((m * d, m * d))
    cross, last = np.zeros((m * d, m)), np.zeros((m, m))
    normal, by_output = np.empty(d), np.empty(d)
    for i in range(m):
        if lengths[i] == 0.0 and curved != 0.0:
            continue
        u, c = directions[i], coefficients[i]
        diagonal = both[i * d : (i + 1) * d, i * d : (i + 1) * d]
        for a in range(d):
            cross[i * d + a, i] += scale * field[i, a]
        for q in range(units):
            v = directions[q]
            theta = angle_between(u, v) if q != i else 0.0
            sine, cosine = math.sin(theta), math.cos(theta)
            product = dot(u, v)
            for a in range(d):
                normal[a] = v[a] - product * u[a]
            size = length_of(normal)
            if size > 0.0:
                for a in range(d):
                    normal[a] /= size
            bend = 2.0 * curved * coefficients[q] * lengths[q] * sine
            if q == i:
                bend = -2.0 * constant * total
            bend *= c / lengths[i] if lengths[i] > 0.0 else 0.0
            for a in range(d):
                diagonal[a, a] += bend
                for b in range(d):
                    inner = -u[a] * u[b]
                    if q != i:
                        inner += normal[a] * normal[b]
                    diagonal[a, b] += bend * inner
            if q >= m:
                continue
            heavy = c * coefficients[q]
            block = both[i * d : (i + 1) * d, q * d : (q + 1) * d]
            for a in range(d):
                block[a, a] += 2.0 * heavy * (linear - curved * theta)
                for b in range(d):
                    turned = sine * (sine * u[a] * normal[b] - cosine * normal[a] * normal[b] + v[a] * u[b])
                    block[a, b] += 2.0 * heavy * (curved * turned - constant * u[a] * v[b])
                by_output[a] = 2.0 * lengths[q] * (
                    linear * v[a] + curved * (sine * u[a] - theta * v[a]) - constant * u[a]
                )  # fmt: skip
                cross[i * d + a, q] += scale * c * by_output[a]
            last[i, q] = scale**2 * dot(vectors[i], by_output)
    size_of = m * d + (m if mode == TRAINED else 0)
    matrix = np.empty((size_of, size_of))
    for i in range(m):
        radial = scale * dot(vectors[i], field[i]) / lengths[i] if lengths[i] > 0.0 else 0.0
        for j in range(m):
            for a in range(d):
                for b in range(d):
                    value = both[i * d + a, j * d + b]
                    if mode == TIED:
                        value += (
                            cross[i * d + a, j] * directions[j, b] + cross[j * d + b, i] * directions[i, a]
                        )
                        value += last[i, j] * directions[i, a] * directions[j, b]
                        if i == j:
                            value += radial * ((1.0 if a == b else 0.0) - directions[i, a] * directions[i, b])
                    matrix[i * d + a, j * d + b] = -signs[i] * signs[j] * value
                if mode == TRAINED:
                    matrix[i * d + a, m * d + j] = -signs[i] * cross[i * d + a, j]
                    matrix[m * d + j, i * d + a] = -signs[i] * cross[i * d + a, j]
            if mode == TRAINED:
                matrix[m * d + i, m * d + j] = -last[i, j]
    for p in range(size_of):
        matrix[p, p] -= decay * (2.0 if mode == TIED else 1.0)
    return matrix
