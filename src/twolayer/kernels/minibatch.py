"""Compiled stochastic gradient descent: the second implementation, tested against `Problem.descend_on_batches`.

Each step has a key from the seed's generator, and its inputs are numbers of that key (`core.counter`), so no batch is
ever stored: blocks of `BLOCK` samples are drawn, or gathered from finite data, and used while they are in the nearest
cache. Subsets of finite data are drawn from the generator itself (numba takes NumPy's, with the same stream). Lanes
are neurons, teachers among them. Seeds run in parallel and share nothing, so a seed's bits depend neither on the
others nor on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from twolayer.core.activation import two_slopes
from twolayer.core.counter import batch_keys
from twolayer.core.network import FIXED, TIED, TRAINED, Network, Weights
from twolayer.core.seeds import over_seeds
from twolayer.kernels.jit import njit
from twolayer.kernels.normals import fill_normals
from twolayer.kernels.simd import WIDTH, aligned_zeros, inlined, load, repeat, splat, store, where_less
from twolayer.kernels.sphere import length_of

__all__ = ["descend_on_batches", "slopes_of"]

BLOCK = 64
"""Samples at a time, a multiple of eight."""


def descend_on_batches(
    network: Network,
    weights: Weights,
    samples: tuple[Any, Any] | None,
    teacher: tuple[Any, Any] | None,
    rate: float,
    batch_size: int,
    count: int,
    random: Sequence[np.random.Generator],
    threads: int,
    profiled: tuple[float, float] = (0.0, 0.0),
) -> Weights:
    """`count` steps for all seeds (seed, neuron, feature), in float64 within; float32 weights are rounded at
    each step, so that saved steps change nothing.

    samples: inputs (…, sample, feature) and targets (…, sample), of which each step takes a subset; with a leading
    seed axis where seeds have different ones. teacher: where there are none, hidden (teacher, feature) and output
    (teacher,) of one whose labels fresh normal inputs get.
    rate: the step size times the factor of Σ r² / 2B in the loss. profiled: `PopulationProblem.profiled`.
    """
    if count == 0:
        return weights
    dtype = weights.hidden.dtype
    seeds, neurons, features = weights.hidden.shape
    teachers = len(teacher[0]) if teacher else 0
    width = -(-(neurons + teachers) // WIDTH) * WIDTH
    vectors, outputs = np.zeros((seeds, features, width)), np.zeros((seeds, width))
    vectors[..., :neurons] = np.swapaxes(weights.hidden, 1, 2)
    outputs[:, :neurons] = weights.output
    if teacher:
        vectors[..., neurons : neurons + teachers] = np.asarray(teacher[0]).T
        outputs[:, neurons : neurons + teachers] = -np.asarray(teacher[1])
    kinks = two_slopes(network.activation, "the kernel of stochastic descent").slopes
    numbers = (
        neurons, kinks, network.mode, network.scale, rate, *profiled, dtype == np.float32,
        batch_size, count,
    )  # fmt: skip

    def descend_seed(seed: int) -> None:
        inputs, targets = samples or (np.empty((0, features)), np.empty(0))
        index = seed if inputs.ndim == 3 else ...
        inputs = np.asarray(inputs[index], dtype=np.float64)
        targets = np.asarray(targets[index], dtype=np.float64)
        keys = batch_keys(random[seed], 0 if samples else count)
        drawn_by = random[seed] if samples else None
        descend(drawn_by, keys, inputs, targets, vectors[seed].reshape(-1), outputs[seed], features, *numbers)

    over_seeds(descend_seed, seeds, threads)
    hidden = np.ascontiguousarray(np.swapaxes(vectors[..., :neurons], 1, 2)).astype(dtype)
    return Weights(hidden, outputs[:, :neurons].astype(dtype))


Kinks = tuple[float, float, float]


@njit(cache=True, nogil=True)
def pick(random: Any, order: Any, picked: Any) -> None:
    """As `seeds.subset`, into `picked`. order: 0 … n − 1, and so again at the end."""
    samples, size = order.size, picked.size
    for index in range(size):
        picked[index] = index + int(random.random() * (samples - index))
        order[index], order[picked[index]] = order[picked[index]], order[index]
    for index in range(size - 1, -1, -1):
        other, picked[index] = picked[index], order[index]
        order[index], order[other] = order[other], order[index]


@inlined
def predict(
    batch: Any, vectors: Any, coefficients: Any, slopes: Any, residual: Any, sums: Any,
    first: int, features: int, width: int, kinks: Kinks,
) -> None:  # fmt: skip
    """Add f − f* of eight samples to `residual`, and put σ' of each into `slopes` (sample, column)."""
    s0, s1, s2, s3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    s4, s5, s6, s7 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    start = first * features
    for p in range(0, width, 8):
        z0, z1, z2, z3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        z4, z5, z6, z7 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        for i in range(features):
            w, x = load(vectors, i * width + p), start + i
            z0, z1 = z0 + w * repeat(batch, x), z1 + w * repeat(batch, x + features)
            z2, z3 = z2 + w * repeat(batch, x + 2 * features), z3 + w * repeat(batch, x + 3 * features)
            z4, z5 = z4 + w * repeat(batch, x + 4 * features), z5 + w * repeat(batch, x + 5 * features)
            z6, z7 = z6 + w * repeat(batch, x + 6 * features), z7 + w * repeat(batch, x + 7 * features)
        c, row = load(coefficients, p), first * width + p
        s0 += c * (z0 * slope(slopes, row, z0, kinks))
        s1 += c * (z1 * slope(slopes, row + width, z1, kinks))
        s2 += c * (z2 * slope(slopes, row + 2 * width, z2, kinks))
        s3 += c * (z3 * slope(slopes, row + 3 * width, z3, kinks))
        s4 += c * (z4 * slope(slopes, row + 4 * width, z4, kinks))
        s5 += c * (z5 * slope(slopes, row + 5 * width, z5, kinks))
        s6 += c * (z6 * slope(slopes, row + 6 * width, z6, kinks))
        s7 += c * (z7 * slope(slopes, row + 7 * width, z7, kinks))
    store(sums, 0, s0)
    store(sums, 8, s1)
    store(sums, 16, s2)
    store(sums, 24, s3)
    store(sums, 32, s4)
    store(sums, 40, s5)
    store(sums, 48, s6)
    store(sums, 56, s7)
    for k in range(8):
        for lane in range(8):
            residual[first + k] += sums[8 * k + lane]


@inlined
def slopes_of(preactivations: Any, kinks: Any) -> Any:
    """σ' in lanes, `kinks` under, at and over 0; σ is z σ', which loses neither NaN nor infinity."""
    below, at_zero, above = kinks
    return where_less(0.0, preactivations, above, where_less(preactivations, 0.0, below, at_zero))


@inlined
def slope(slopes: Any, index: int, preactivation: Any, kinks: Any) -> Any:
    """`slopes_of`, put into `slopes` as well."""
    value = slopes_of(preactivation, kinks)
    store(slopes, index, value)
    return value


@inlined
def collect(
    batch: Any, slopes: Any, gradient: Any, samples: int, features: int, width: int, columns: int
) -> None:
    """Add Σ_k slopes_kj x_ki to `gradient` (coordinate, column), of the first columns."""
    for p in range(0, columns, 8):
        i = 0
        while i < features:
            g = i * width + p
            if i + 8 <= features:
                g0, g1 = load(gradient, g), load(gradient, g + width)
                g2, g3 = load(gradient, g + 2 * width), load(gradient, g + 3 * width)
                g4, g5 = load(gradient, g + 4 * width), load(gradient, g + 5 * width)
                g6, g7 = load(gradient, g + 6 * width), load(gradient, g + 7 * width)
                for k in range(samples):
                    c, x = load(slopes, k * width + p), k * features + i
                    g0, g1 = g0 + c * repeat(batch, x), g1 + c * repeat(batch, x + 1)
                    g2, g3 = g2 + c * repeat(batch, x + 2), g3 + c * repeat(batch, x + 3)
                    g4, g5 = g4 + c * repeat(batch, x + 4), g5 + c * repeat(batch, x + 5)
                    g6, g7 = g6 + c * repeat(batch, x + 6), g7 + c * repeat(batch, x + 7)
                store(gradient, g, g0)
                store(gradient, g + width, g1)
                store(gradient, g + 2 * width, g2)
                store(gradient, g + 3 * width, g3)
                store(gradient, g + 4 * width, g4)
                store(gradient, g + 5 * width, g5)
                store(gradient, g + 6 * width, g6)
                store(gradient, g + 7 * width, g7)
                i += 8
            elif i + 4 <= features:
                g0, g1 = load(gradient, g), load(gradient, g + width)
                g2, g3 = load(gradient, g + 2 * width), load(gradient, g + 3 * width)
                for k in range(samples):
                    c, x = load(slopes, k * width + p), k * features + i
                    g0, g1 = g0 + c * repeat(batch, x), g1 + c * repeat(batch, x + 1)
                    g2, g3 = g2 + c * repeat(batch, x + 2), g3 + c * repeat(batch, x + 3)
                store(gradient, g, g0)
                store(gradient, g + width, g1)
                store(gradient, g + 2 * width, g2)
                store(gradient, g + 3 * width, g3)
                i += 4
            else:
                g0, g1 = load(gradient, g), splat(0.0)
                for k in range(0, samples, 2):
                    g0 += load(slopes, k * width + p) * repeat(batch, k * features + i)
                    g1 += load(slopes, (k + 1) * width + p) * repeat(batch, (k + 1) * features + i)
                store(gradient, g, g0 + g1)
                i += 1


@njit(cache=True, nogil=True)
def column_lengths(vectors: Any, length: Any, width: int) -> None:
    """|u| of each column of vectors (coordinate, column), flat."""
    for p in range(width):
        length[p] = length_of(vectors[p::width])


@njit(cache=True, nogil=True, no_cfunc_wrapper=True)
def descend(
    random: Any, keys: Any, inputs: Any, targets: Any, vectors: Any, outputs: Any, features: int,
    neurons: int, kinks: Kinks, mode: int, scale: float, rate: float, constant: float, linear: float, single: bool,
    batch_size: int, count: int,
) -> None:  # fmt: skip
    """`count` steps in place of one seed: vectors (coordinate, column) and outputs (column,), flat.

    Columns are the students, the teachers with −b, and zeros up to a multiple of eight. inputs (sample, feature)
    and targets: finite data, of which `random` draws; none where inputs are drawn by the keys (step,), and then it is
    None: numba takes longer to look at a generator than some steps take. mode: `core.network.OUTPUTS`.
    """
    width = outputs.size
    columns = (neurons + 7) // 8 * 8
    finite = inputs.shape[0] > 0
    rate = rate * scale / batch_size
    weight = aligned_zeros(1, features * width, vectors)[0]
    for x in range(
        vectors.size
    ):  # to compile a copy of arrays takes a second, for what it says where sizes differ
        weight[x] = vectors[x]
    gradient = aligned_zeros(1, features * width, vectors)[0]
    slopes = aligned_zeros(1, BLOCK * width, vectors)[0]
    batch = aligned_zeros(1, BLOCK * features, vectors)[0]
    residual = aligned_zeros(1, BLOCK, vectors)[0]
    sums = aligned_zeros(1, 64, vectors)[0]
    coefficients, length, growth = aligned_zeros(3, width, vectors)
    removed = np.zeros(features)
    order, picked = np.arange(inputs.shape[0]), np.empty(batch_size if finite else 0, np.int64)
    for step in range(count):
        for p in range(width):
            coefficients[p] = outputs[p] * scale if p < neurons else outputs[p]
        mean = 0.0
        if constant > 0 or linear > 0:
            column_lengths(weight, length, width)
            for p in range(width):
                mean += constant * coefficients[p] * length[p]
            for i in range(features):
                removed[i] = 0.0
                for p in range(width):
                    removed[i] += linear * coefficients[p] * weight[i * width + p]
        if random is not None:
            pick(random, order, picked)
        gradient[:] = 0.0
        for begin in range(0, batch_size, BLOCK):
            size = min(BLOCK, batch_size - begin)
            whole = (size + 7) // 8 * 8
            if finite:
                for k in range(size):
                    for i in range(features):
                        batch[k * features + i] = inputs[picked[begin + k], i]
                    residual[k] = -targets[picked[begin + k]]
            else:
                fill_normals(keys[step], begin * features, batch[: size * features])
                for k in range(size):
                    residual[k] = -mean
                    if linear > 0:
                        for i in range(features):
                            residual[k] -= removed[i] * batch[k * features + i]
            batch[size * features : whole * features] = 0.0  # inputs that do nothing fill up the last eight
            residual[size:whole] = 0.0
            for first in range(0, whole, 8):
                predict(batch, weight, coefficients, slopes, residual, sums, first, features, width, kinks)
                for k in range(first, first + 8):
                    error = residual[k]
                    for p in range(k * width, k * width + columns, 8):
                        store(slopes, p, error * load(slopes, p))
            collect(batch, slopes, gradient, whole, features, width, columns)
        growth[:] = 0.0
        if mode != FIXED:  # ∂L/∂a_j = ⟨w_j, D_j⟩ by homogeneity
            for i in range(features):
                for p in range(neurons):
                    growth[p] += weight[i * width + p] * gradient[i * width + p]
        for i in range(features):
            for p in range(neurons):
                moved = outputs[p] * gradient[i * width + p]
                if mode == TIED and outputs[p] > 0:
                    moved += growth[p] * (weight[i * width + p] / outputs[p])
                weight[i * width + p] -= rate * moved
        if single:
            for x in range(features * width):
                weight[x] = np.float32(weight[x])
        if mode == TRAINED:
            for p in range(neurons):
                outputs[p] -= rate * growth[p]
        elif mode == TIED:
            column_lengths(weight, length, width)
            for p in range(neurons):
                outputs[p] = length[p]
        if single:
            for p in range(neurons):
                outputs[p] = np.float32(outputs[p])
    for x in range(vectors.size):
        vectors[x] = weight[x]
