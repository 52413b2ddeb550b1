"""Compiled measures of many networks before the same teachers: loss, its rounding, its gradient's norm, and the
teacher that each student is closest to. The second implementation, tested against `PopulationProblem`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twolayer.core.network import TIED, TRAINED, Weights
from twolayer.core.seeds import even_batch, over_seeds
from twolayer.kernels.entry import entry
from twolayer.kernels.jit import njit
from twolayer.kernels.simd import (
    WIDTH,
    aligned_zeros,
    fused,
    inlined,
    load,
    splat,
    square_root,
    store,
    where_less,
)
from twolayer.population.lane_series import angle_of
from twolayer.population.lanes import normalize, size
from twolayer.population.numba_form_field import field as field_of
from twolayer.population.numba_form_loss import loss
from twolayer.population.numba_forms import allocate, chords, dot
from twolayer.population.numba_groups import group, place_teachers
from twolayer.population.problem import PopulationProblem

__all__ = ["MeasuredPopulationProblem"]

LOSS, ROUNDING, GRADIENT_NORM = 0, 1, 2
"""The rows of what `measure` gives."""

FEWEST, MOST = 32, 128
"""Times eight networks, that one thread takes at a time."""

KEPT = 32
"""How many measures are kept, each of one set of networks."""


@dataclass(frozen=True)
class MeasuredPopulationProblem(PopulationProblem):
    """A `PopulationProblem` on NumPy arrays that is compiled for measuring, `threads` batches of networks at a time.

    Several metrics look at the same networks: what `gradient_norm` and `closest_teachers` find is kept for the others.
    Weights must not change in place meanwhile. Weights in float32 take the array code.
    """

    threads: int = 1
    kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def loss(self, weights: Weights) -> Any:
        """As `PopulationProblem.loss`, to rounding."""
        return self.rows(weights)[LOSS] if compiled(weights) else super().loss(weights)

    def rounding(self, weights: Weights) -> Any:
        """As `PopulationProblem.rounding`, to rounding."""
        return self.rows(weights)[ROUNDING] if compiled(weights) else super().rounding(weights)

    def gradient_norm(self, weights: Weights, weight_decay: float = 0.0, *, least: bool = False) -> Any:
        """As `Problem.gradient_norm`, to rounding."""
        at_zero = least and self.factors.resting and not weights.hidden.any(-1).all()
        if at_zero or not compiled(weights):
            return super().gradient_norm(weights, weight_decay, least=least)

        def rows() -> tuple[float, Any]:
            return weight_decay, self.measured(weights, weight_decay, with_gradient=True)

        decay, found = self.of_same(weights, "rows", rows)
        if decay != weight_decay:
            found = self.measured(weights, weight_decay, with_gradient=True)
        return found[GRADIENT_NORM]

    def closest_teachers(self, weights: Weights) -> tuple[Any, Any, Any]:
        """As `TeacherProblem.closest_teachers`, to rounding."""
        if not compiled(weights):
            return super().closest_teachers(weights)
        index, angle, height, _ = self.of_same(weights, "closest", lambda: self.found_closest(weights))
        return index, angle, height

    def hidden_norms(self, weights: Weights) -> Any:
        """As `Problem.hidden_norms`, to rounding."""
        if not compiled(weights):
            return super().hidden_norms(weights)
        return self.of_same(weights, "closest", lambda: self.found_closest(weights))[3]

    def rows(self, weights: Weights) -> Any:
        """Loss and rounding: those that `gradient_norm` found, if it was asked before."""
        known = self.kept.get(("rows", *identity(weights)))
        return known[1][1] if known else self.measured(weights, 0.0, with_gradient=False)

    def measured(self, weights: Weights, weight_decay: float, *, with_gradient: bool) -> Any:
        """Loss, rounding and gradient norm, (3, …)."""
        weights = self.network.with_tied_outputs(weights)
        lead, factor = weights.hidden.shape[:-2], self.factors
        hidden, output, teachers, given = (
            np.ascontiguousarray(array)
            for array in (
                flat(weights.hidden, 2),
                flat(weights.output, 1),
                self.data.hidden,
                self.data.output,
            )
        )
        numbers = np.asarray(
            [
                self.network.scale,
                factor.linear,
                factor.curved,
                factor.constant,
                factor.resting,
                float(weight_decay),
            ]
        )
        grouped = self.data.orthogonal
        turns = bool(grouped or self.network.activation.even)
        found = np.full((len(hidden), 3), np.nan)

        def measure_batch(chosen: slice) -> None:
            students, count = hidden.shape[1], len(teachers)
            measure(
                allocate(students, students + count, count if grouped else 0, hidden.shape[2]),
                hidden[chosen],
                output[chosen],
                teachers,
                given,
                numbers,
                self.network.mode,
                turns,
                with_gradient,
                found[chosen],
            )

        self.in_batches(measure_batch, len(hidden))
        return found.T.reshape(3, *lead)

    def found_closest(self, weights: Weights) -> tuple[Any, Any, Any, Any]:
        """`closest_teachers` and `hidden_norms`, of these weights for the first time."""
        hidden = np.ascontiguousarray(flat(weights.hidden, 2))
        teachers, even = np.ascontiguousarray(self.data.hidden), bool(self.network.activation.even)
        index = np.empty(hidden.shape[:2], dtype=np.int64)
        angle, height, length = (np.empty(hidden.shape[:2]) for _ in range(3))

        def of_batch(chosen: slice) -> None:
            find_closest(
                hidden[chosen], teachers, even, index[chosen], angle[chosen], height[chosen], length[chosen]
            )

        self.in_batches(of_batch, len(hidden))
        lead = weights.hidden.shape[:-1]
        return index.reshape(lead), angle.reshape(lead), height.reshape(lead), length.reshape(lead)

    def in_batches(self, work: Callable[[slice], None], count: int) -> None:
        """The work on slices of `count` networks, `threads` at a time."""
        size = WIDTH * max(FEWEST, even_batch(-(-count // WIDTH), MOST, self.threads))
        over_seeds(
            lambda batch: work(slice(batch * size, (batch + 1) * size)), -(-count // size), self.threads
        )

    def of_same(self, weights: Weights, kind: str, find: Callable[[], Any]) -> Any:
        """What was kept of these very weights, or is found now and kept."""
        key = (kind, *identity(weights))
        if key not in self.kept:
            while len(self.kept) >= KEPT:
                del self.kept[next(iter(self.kept))]
            self.kept[key] = weights, find()  # with the weights, so that no others come to lie there
        return self.kept[key][1]


def compiled(weights: Weights) -> bool:
    """Whether there are kernels for weights of this precision."""
    return bool(weights.hidden.dtype == np.float64 and weights.output.dtype == np.float64)


def identity(weights: Weights) -> tuple[Any, ...]:
    """Which arrays they are."""
    return tuple(
        (array.__array_interface__["data"][0], array.shape, array.strides)
        for array in (weights.hidden, weights.output)
    )


def flat(array: Any, axes: int) -> Any:
    """The array with one axis, of networks, before the last ones."""
    return array.reshape(-1, *array.shape[-axes:])


@entry
@njit(cache=True, nogil=True, no_cfunc_wrapper=True)
def measure(
    form: Any, hidden: Any, output: Any, teachers: Any, given: Any, numbers: Any, mode: int, turns: bool,
    with_gradient: bool, found: Any,
) -> None:  # fmt: skip
    """Loss, rounding and gradient norm into found (network, 3), of hidden (network, neuron, feature) and output
    (network, neuron), |w| where they are tied, before teachers (teacher, feature) with b in given (teacher,).

    form: empty, with groups where the teachers are orthogonal. numbers: s, A, B, D, R and λ of the gradient.
    turns: whether students are turned to the closest one.
    """
    count, students, coordinates = hidden.shape
    k = len(given)
    row = coordinates * 8
    scale, linear, curved, constant, resting, decay = numbers
    for q in range(k):
        store(form.coefficient, (students + q) * 8, splat(-given[q]))
        for d in range(coordinates):
            store(form.vectors, (students + q) * row + d * 8, splat(teachers[q, d]))
    place_teachers(form)
    outputs = np.zeros(students * 8)
    for first in range(0, count, 8):
        fill(form.vectors, hidden, first)
        for i in range(students):
            for lane in range(8):
                outputs[i * 8 + lane] = output[min(first + lane, count - 1), i]
            value = load(outputs, i * 8)
            product = scale * value
            store(form.coefficient, i * 8, product)
            store(form.left_out, i * 8, fused(scale, value, 0.0 - product))
        group(form, turns, True)
        loss(form, linear, curved, constant)
        for lane in range(min(8, count - first)):
            found[first + lane, 0] = form.value[lane]
            found[first + lane, 1] = form.rounding[lane]
        if with_gradient:
            field_of(form, linear, curved, constant, resting)
            store(form.value, 0, gradient_norm(form, outputs, scale, decay, mode))
            for lane in range(min(8, count - first)):
                found[first + lane, 2] = form.value[lane]


@njit(cache=True, nogil=True)
def fill(vectors: Any, hidden: Any, first: int) -> None:
    """Eight networks from the first on into lanes, (neuron, coordinate, lane), flat; the last one fills up."""
    for lane in range(8):
        network = hidden[min(first + lane, len(hidden) - 1)].reshape(-1)
        for index in range(network.size):
            vectors[index * 8 + lane] = network[index]


@inlined
def gradient_norm(form: Any, outputs: Any, scale: float, decay: float, mode: int) -> Any:
    """|∇(L + (λ/2)|θ|²)| over the trained parameters, from the field."""
    total, row = splat(0.0), form.coordinates * 8
    for i in range(form.students):
        output, sign = load(outputs, i * 8), load(form.sign, i * 8)
        along = splat(0.0)
        for d in range(i * row, (i + 1) * row, 8):
            along += sign * load(form.vectors, d) * load(form.force, d)
        by_output = scale * along
        for d in range(i * row, (i + 1) * row, 8):
            slope = scale * output * load(form.force, d)
            vector = sign * load(form.vectors, d)
            if mode == TIED:
                slope += by_output * sign * load(form.direction, d) + 2.0 * decay * vector
            else:
                slope += decay * vector
            total += slope * slope
        if mode == TRAINED:
            slope = by_output + decay * output
            total += slope * slope
    return square_root(total)


@entry
@njit(cache=True, nogil=True, no_cfunc_wrapper=True)
def find_closest(
    hidden: Any, teachers: Any, even: bool, index: Any, angle: Any, height: Any, lengths: Any
) -> None:
    """As `closest.closest_teachers`, of hidden (network, neuron, feature), and |w|, into arrays (network, neuron)."""
    count, students, coordinates = hidden.shape
    k, row = len(teachers), coordinates * 8
    vectors, direction = aligned_zeros(2, students * row, hidden)
    axes, unit = aligned_zeros(2, k * row, hidden)
    theta, along = aligned_zeros(2, k * 8, hidden)
    length = aligned_zeros(1, 8, hidden)[0]
    for q in range(k):
        for d in range(coordinates):
            store(axes, q * row + d * 8, splat(teachers[q, d]))
        normalize(axes, unit, q * row, 8, coordinates)
    for first in range(0, count, 8):
        fill(vectors, hidden, first)
        for i in range(students):
            store(length, 0, normalize(vectors, direction, i * row, 8, coordinates))
            for q in range(k):
                minus, plus = chords(direction, i * row, unit, q * row, row)
                ahead = dot(vectors, i * row, unit, q * row, row)
                if even:
                    minus, plus = where_less(plus, minus, plus, minus), where_less(plus, minus, minus, plus)
                    ahead = size(ahead)
                store(theta, q * 8, angle_of(minus, plus))
                store(along, q * 8, ahead)
            for lane in range(min(8, count - first)):
                best, least, finite = 0, theta[lane], True
                for q in range(k):
                    finite = finite and math.isfinite(theta[q * 8 + lane])
                    if theta[q * 8 + lane] < least:
                        best, least = q, theta[q * 8 + lane]
                found = finite and length[lane] > 0.0
                lengths[first + lane, i] = length[lane]
                index[first + lane, i] = best if found else -1
                angle[first + lane, i] = least if found else math.nan
                height[first + lane, i] = along[best * 8 + lane] if found else math.nan
