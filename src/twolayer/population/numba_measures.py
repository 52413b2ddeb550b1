"""Compiled loss, its rounding and the norm of its gradient, of many networks before the same teachers."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.core.network import TIED, TRAINED
from twolayer.core.seeds import over_seeds
from twolayer.kernels.jit import njit
from twolayer.kernels.simd import WIDTH, fused, load, splat, square_root, store
from twolayer.population.closed_form import Factors
from twolayer.population.numba_forms import allocate, field, group, loss, place_teachers

__all__ = ["GRADIENT_NORM", "LOSS", "ROUNDING", "measures"]

LOSS, ROUNDING, GRADIENT_NORM = 0, 1, 2
"""The rows of what `measures` gives."""

BATCH = 32 * WIDTH
"""Networks that one thread takes at a time."""


def measures(
    hidden: Any, output: Any, teachers: Any, given: Any, network: Any, factors: Factors, grouped: bool,
    weight_decay: Any, wanted: tuple[bool, bool], threads: int,
) -> Any:  # fmt: skip
    """Loss, rounding and gradient norm (3, network) of hidden (network, neuron, feature) and output (network, neuron)
    with λ (network,) of the gradient; NaN where not `wanted`: (loss and rounding, gradient).

    output: |w| where they are tied. teachers (teacher, feature), given: b (teacher,). grouped: whether they are
    orthogonal.
    """
    count = len(hidden)
    found = np.full((3, count), np.nan)
    numbers = np.asarray(
        [network.scale, factors.linear, factors.curved, factors.constant, factors.resting], dtype=np.float64
    )
    arrays = [np.ascontiguousarray(array, dtype=np.float64) for array in (hidden, output, teachers, given)]
    decay = np.ascontiguousarray(np.broadcast_to(np.asarray(weight_decay, dtype=np.float64), (count,)))
    turns = bool(grouped or network.activation.even)

    def measure_batch(batch: int) -> None:
        chosen = slice(batch * BATCH, (batch + 1) * BATCH)
        measure(
            arrays[0][chosen], arrays[1][chosen], arrays[2], arrays[3], numbers, decay[chosen], network.mode,
            bool(grouped), turns, wanted[0], wanted[1], found[:, chosen],
        )  # fmt: skip

    over_seeds(measure_batch, -(-count // BATCH), threads)
    return found


@njit(cache=True, nogil=True)
def measure(
    hidden: Any, output: Any, teachers: Any, given: Any, numbers: Any, weight_decay: Any, mode: int, grouped: bool,
    turns: bool, with_loss: bool, with_gradient: bool, found: Any,
) -> None:  # fmt: skip
    """As `measures`, into found; numbers: s, A, B, D, R."""
    count, students, coordinates = hidden.shape
    k = len(given)
    row = coordinates * 8
    scale, linear, curved, constant, resting = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    form = allocate(students, students + k, k if grouped else 0, coordinates, hidden)
    for q in range(k):
        store(form.coefficient, (students + q) * 8, splat(-given[q]))
        for d in range(coordinates):
            store(form.vectors, (students + q) * row + d * 8, splat(teachers[q, d]))
    place_teachers(form)
    outputs, decay = np.zeros(students * 8), np.zeros(8)
    for first in range(0, count, 8):
        for lane in range(8):
            index = min(first + lane, count - 1)
            decay[lane] = weight_decay[index]
            for i in range(students):
                outputs[i * 8 + lane] = output[index, i]
                for d in range(coordinates):
                    form.vectors[(i * coordinates + d) * 8 + lane] = hidden[index, i, d]
        for i in range(students):
            give_output(form, i, scale, load(outputs, i * 8))
        group(form, turns, with_loss)
        stop = min(8, count - first)
        if with_loss:
            loss(form, linear, curved, constant)
            for lane in range(stop):
                found[0, first + lane] = form.value[lane]
                found[1, first + lane] = form.rounding[lane]
        if with_gradient:
            field(form, linear, curved, constant, resting)
            store(form.value, 0, gradient_norm(form, outputs, scale, load(decay, 0), mode))
            for lane in range(stop):
                found[2, first + lane] = form.value[lane]


@njit(cache=True, nogil=True, forceinline=True)
def give_output(form: Any, i: int, scale: float, output: Any) -> None:
    """c = s a of student i, and what its rounding leaves out."""
    product = scale * output
    store(form.coefficient, i * 8, product)
    store(form.left_out, i * 8, fused(scale, output, 0.0 - product))


@njit(cache=True, nogil=True, forceinline=True)
def gradient_norm(form: Any, outputs: Any, scale: float, decay: Any, mode: int) -> Any:
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
