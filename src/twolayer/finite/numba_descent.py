"""Compiled gradient descent on finite data: the second implementation, tested against `EmpiricalProblem.descend`.

Two kernels for one seed. `descend_carried` keeps the pre-activations z_jk = w_j·x_k and the coefficients
C of W(t) = keep^t W(0) + C X, so that a step costs one (neuron, sample) × (sample, sample) product whatever
the input dimension. `descend_direct` keeps W, which is cheaper with fewer features than three quarters of the samples
and with many samples, and serves tied outputs, which need |w_j|. Neither calls BLAS in its loop, so bits do not
depend on BLAS threads. With many features and neurons the array code is run, one seed at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.core.activation import two_slopes
from twolayer.core.network import TIED, TRAINED, Weights
from twolayer.core.seeds import over_seeds
from twolayer.finite.problem import EmpiricalProblem
from twolayer.kernels.jit import njit
from twolayer.kernels.minibatch import descend_on_batches, slopes_of
from twolayer.kernels.simd import (
    aligned_zeros,
    bits_less,
    inlined,
    load,
    repeat,
    splat,
    square_root,
    store,
    where_less,
)

__all__ = ["CompiledProblem"]

MOST_CARRIED = 192
"""Samples beyond which the tables of `descend_carried` leave the nearer caches. (Measured, as is 3/4 below.)"""
MOST_FEATURES, FEWEST_NEURONS = 400, 16
"""Features beyond which, from so many neurons on, the products of the array code, by BLAS, are faster than
`descend_direct`, whatever the number of samples. (Measured on one core: 1.0 times at 400, 1.1 to 2.3 at 800 to 3000;
at 100 the kernel is 2 to 6 times faster for 300 to 20,000 samples.)"""


@dataclass(frozen=True)
class CompiledProblem(EmpiricalProblem):
    """An `EmpiricalProblem` on NumPy arrays whose descents are compiled, `threads` seeds at a time."""

    threads: int = 1

    def descend(self, weights: Weights, step_size: float, weight_decay: float, count: int) -> Weights:
        """As `EmpiricalProblem.descend`, to rounding."""
        if count == 0:
            return weights
        number = weights.hidden.dtype.type
        lead = weights.hidden.shape[:-2]
        hidden = weights.hidden.reshape(-1, *weights.hidden.shape[-2:]).copy()
        output = weights.output.reshape(-1, weights.output.shape[-1]).copy()
        inputs, targets = np.ascontiguousarray(self.data.inputs), np.ascontiguousarray(self.data.targets)
        network = self.network
        kinks = two_slopes(network.activation, "the kernel of descent on finite data").slopes
        by_signs = kinks in ((0.0, 0.0, 1.0), (-1.0, 0.0, 1.0))
        samples, features = self.data.samples, self.data.features
        direct = network.output == "tied" or samples > MOST_CARRIED or 4 * features < 3 * samples
        slopes: Any = tuple(map(number, kinks))
        kernel: Any = descend_carried if by_signs and not direct else descend_direct
        many = features > MOST_FEATURES and network.neurons >= FEWEST_NEURONS
        by_arrays = many and kernel is descend_direct
        scalars = (
            number(network.scale),
            number(2.0 * self.data.loss_weight * network.scale),
            number(step_size),
            number(weight_decay),
        )

        def descend_seed(seed: int) -> None:
            if by_arrays:
                problem = EmpiricalProblem(network=network, data=self.data.of_seed(seed))
                start = Weights(hidden[seed : seed + 1], output[seed : seed + 1])
                moved = problem.descend(start, step_size, weight_decay, count)
                hidden[seed], output[seed] = moved.hidden[0], moved.output[0]
                return
            index = seed if self.data.per_seed else ...
            kernel(
                inputs[index],
                targets[index],
                hidden[seed],
                output[seed],
                slopes,
                network.mode,
                *scalars,
                count,
            )

        over_seeds(descend_seed, hidden.shape[0], self.threads)
        return Weights(hidden.reshape(*lead, *hidden.shape[1:]), output.reshape(*lead, output.shape[1]))

    def descend_on_batches(
        self, weights: Weights, step_size: float, batch_size: int, count: int, random: Sequence[Any]
    ) -> Weights:
        """As `Problem.descend_on_batches`, to rounding."""
        force = 2.0 * self.data.samples * self.data.loss_weight
        return descend_on_batches(
            self.network,
            weights,
            (self.data.inputs, self.data.targets),
            None,
            step_size * force,
            batch_size,
            count,
            random,
            self.threads,
        )


@np.errstate(over="ignore", invalid="ignore")  # a thread has NumPy's settings, and divergence is found later
def descend_carried(
    inputs: Any, targets: Any, hidden: Any, output: Any, kinks: Any, mode: int,
    scale: Any, force: Any, step_size: Any, weight_decay: Any, count: int,
) -> None:  # fmt: skip
    """`count` steps in place, in pre-activations. mode: `core.network.OUTPUTS`, not tied; kinks: 0 or −1, 0, 1."""
    samples = len(targets)
    width = (samples + 15) // 16 * 16
    preactivation = padded_rows(hidden @ inputs.T, width)
    coefficient = padded_rows(np.zeros_like(preactivation), width)
    carry(
        padded_rows(inputs @ inputs.T, width).ravel(),
        targets,
        preactivation.ravel(),
        coefficient.ravel(),
        output,
        padded_rows(np.zeros((4 * width, 0), hidden.dtype), 16).ravel(),
        kinks,
        mode,
        scale,
        force,
        step_size,
        weight_decay,
        count,
    )
    kept = (1 - step_size * weight_decay) ** count
    hidden[...] = kept * hidden + coefficient[:, :samples] @ inputs


def padded_rows(values: Any, width: int) -> Any:
    """values (row, column) and zeros up to `width` columns, a multiple of 16: each row begins on a cache line."""
    rows, columns = values.shape
    numbers = 64 // values.itemsize
    spare = np.zeros(rows * width + numbers, values.dtype)
    skip = -spare.ctypes.data % 64 // values.itemsize
    padded = spare[skip : skip + rows * width].reshape(rows, width)
    padded[:, :columns] = values
    return padded


@inlined
def list_sums(signs: int, group: int, rows: Any, place: int) -> None:
    """Put into `rows` where the sums of two groups lie whose samples are the bits of `signs`."""
    rows[place] = 16 * (16 * group + signs % 16)
    rows[place + 1] = 16 * (16 * (group + 1) + signs // 16)


@inlined
def add_sums(sums: Any, rows: Any, first: int, groups: int, column: int) -> Any:
    """The sum of the listed rows of the table `sums` (row, 16), in the eight columns from `column` on."""
    total = splat(sums.dtype.type(0))
    for group in range(first, first + groups, 4):
        p, q = rows[group] + column, rows[group + 1] + column
        r, s = rows[group + 2] + column, rows[group + 3] + column
        total += (load(sums, p) + load(sums, q)) + (load(sums, r) + load(sums, s))
    return total


@njit(cache=True, nogil=True, no_cfunc_wrapper=True)
def carry(
    gram: Any, targets: Any, preactivation: Any, coefficient: Any, output: Any, sums: Any, kinks: Any, mode: int,
    scale: Any, force: Any, step_size: Any, weight_decay: Any, count: int,
) -> None:  # fmt: skip
    """The steps of `descend_carried`, in place: preactivation and coefficient (neuron, sample), gram (sample, sample).

    Slopes are 0 and ±1, so the product of slopes with r_k x_k·x_i needs no multiplications: for each group of
    four samples the 16 sums over its subsets are tabulated, sums (subset, 16), and a neuron adds up the sums that
    its signs ask for, four groups at a time. Of 16 columns at once, so that the table stays in the nearest cache.
    Samples are padded with zeros to a multiple of 16.
    """
    neurons, samples = output.size, targets.size
    width = preactivation.size // neurons
    groups = width // 4
    above, below = np.empty(neurons * groups, np.int64), np.empty(neurons * groups, np.int64)
    residual = np.zeros(width, targets.dtype)
    growth = np.zeros(8 * neurons, targets.dtype)
    one = targets.dtype.type(1)
    zero = one - one
    shrink = one - step_size * weight_decay
    absolute = kinks[0] < zero
    for _ in range(count):
        for k in range(samples):
            residual[k] = -targets[k]
        for j in range(neurons):
            weight = scale * output[j]
            for k in range(0, width, 8):
                z = load(preactivation, j * width + k)
                store(residual, k, load(residual, k) + weight * (z * slopes_of(z, kinks)))
                list_sums(bits_less(0.0, z), k // 4, above, j * groups + k // 4)
                if absolute:
                    list_sums(bits_less(z, 0.0), k // 4, below, j * groups + k // 4)
        for k in range(0, width, 8):
            store(residual, k, load(residual, k) * (step_size * force))
        for column in range(0, width, 16):
            for k in range(width):
                half = 1 << (k % 4)
                to, of = 16 * (4 * (k - k % 4) + half), 16 * 4 * (k - k % 4)
                first = repeat(residual, k) * load(gram, k * width + column)
                second = repeat(residual, k) * load(gram, k * width + column + 8)
                for row in range(0, 16 * half, 16):
                    store(sums, to + row, load(sums, of + row) + first)
                    store(sums, to + row + 8, load(sums, of + row + 8) + second)
            for j in range(neurons):
                weight = output[j]
                total = load(growth, 8 * j)
                for part in range(0, 16, 8):
                    moved = add_sums(sums, above, j * groups, groups, part)
                    if absolute:  # what is below zero counts with −1
                        moved = moved - add_sums(sums, below, j * groups, groups, part)
                    k = j * width + column + part
                    z = load(preactivation, k)
                    slope = slopes_of(z, kinks) * load(residual, column + part)
                    total += slope * z
                    store(coefficient, k, shrink * load(coefficient, k) - weight * slope)
                    store(preactivation, k, shrink * z - weight * moved)
                store(growth, 8 * j, total)
        for j in range(neurons):
            if mode == TRAINED:
                change = zero
                for lane in range(8 * j, 8 * j + 8):
                    change += growth[lane]
                output[j] = shrink * output[j] - change
            store(growth, 8 * j, zero)


@inlined
def predict_four(
    x: Any, weight: Any, outputs: Any, slopes: Any, sums: Any, k: int, features: int, width: int, kinks: Any
) -> None:
    """Put z of four samples into `slopes`, and Σ a σ(z) over each lane's neurons into `sums` (sample, lane).

    The weights are read once for the four.
    """
    zero, start = x.dtype.type(0), k * features
    t0, t1, t2, t3 = splat(zero), splat(zero), splat(zero), splat(zero)
    for p in range(0, width, 8):
        w = load(weight, p)
        z0, z1 = repeat(x, start) * w, repeat(x, start + features) * w
        z2, z3 = repeat(x, start + 2 * features) * w, repeat(x, start + 3 * features) * w
        for i in range(1, features):
            w, q = load(weight, i * width + p), start + i
            z0 += repeat(x, q) * w
            z1 += repeat(x, q + features) * w
            z2 += repeat(x, q + 2 * features) * w
            z3 += repeat(x, q + 3 * features) * w
        store(slopes, k * width + p, z0)
        store(slopes, (k + 1) * width + p, z1)
        store(slopes, (k + 2) * width + p, z2)
        store(slopes, (k + 3) * width + p, z3)
        a = load(outputs, p)
        t0 += a * (z0 * slopes_of(z0, kinks))
        t1 += a * (z1 * slopes_of(z1, kinks))
        t2 += a * (z2 * slopes_of(z2, kinks))
        t3 += a * (z3 * slopes_of(z3, kinks))
    store(sums, 8 * k, t0)
    store(sums, 8 * k + 8, t1)
    store(sums, 8 * k + 16, t2)
    store(sums, 8 * k + 24, t3)


@inlined
def move_eight(
    x: Any, weight: Any, slopes: Any, kept: Any, i: int, p: int, samples: int, features: int, width: int
) -> None:
    """w ← kept w − Σ_k slopes_k x_k, of eight coordinates from i on: the slopes are read once for the eight."""
    q = i * width + p
    w0, w1 = load(weight, q) * kept, load(weight, q + width) * kept
    w2, w3 = load(weight, q + 2 * width) * kept, load(weight, q + 3 * width) * kept
    w4, w5 = load(weight, q + 4 * width) * kept, load(weight, q + 5 * width) * kept
    w6, w7 = load(weight, q + 6 * width) * kept, load(weight, q + 7 * width) * kept
    for k in range(samples):
        c, y = load(slopes, k * width + p), k * features + i
        w0 -= c * repeat(x, y)
        w1 -= c * repeat(x, y + 1)
        w2 -= c * repeat(x, y + 2)
        w3 -= c * repeat(x, y + 3)
        w4 -= c * repeat(x, y + 4)
        w5 -= c * repeat(x, y + 5)
        w6 -= c * repeat(x, y + 6)
        w7 -= c * repeat(x, y + 7)
    store(weight, q, w0)
    store(weight, q + width, w1)
    store(weight, q + 2 * width, w2)
    store(weight, q + 3 * width, w3)
    store(weight, q + 4 * width, w4)
    store(weight, q + 5 * width, w5)
    store(weight, q + 6 * width, w6)
    store(weight, q + 7 * width, w7)


@njit(cache=True, nogil=True, no_cfunc_wrapper=True)
def descend_direct(
    inputs: Any, targets: Any, hidden: Any, output: Any, kinks: Any, mode: int,
    scale: Any, force: Any, step_size: Any, weight_decay: Any, count: int,
) -> None:  # fmt: skip
    """`count` steps in place, in weights, eight neurons at a time. mode: `core.network.OUTPUTS`.
    kinks: σ' under, at and over 0.

    Neurons are padded with zeros, which stay, to a multiple of eight: weight (feature, neuron), flat.
    """
    neurons, features, samples = hidden.shape[0], hidden.shape[1], inputs.shape[0]
    width = (neurons + 7) // 8 * 8
    weight = aligned_zeros(1, features * width, hidden)[0]
    outputs = aligned_zeros(1, width, hidden)[0]
    for j in range(neurons):
        outputs[j] = output[j]
        for i in range(features):
            weight[i * width + j] = hidden[j, i]
    x = inputs.ravel()
    slopes = aligned_zeros(1, samples * width, hidden)[0]  # z, then a r σ'(z)
    sums = aligned_zeros(1, 8 * samples, hidden)[0]
    residual = np.empty_like(targets)
    one = targets.dtype.type(1)
    zero = one - one
    shrink = one - step_size * weight_decay * (one + one if mode == TIED else one)
    for _ in range(count):
        whole = samples - samples % 4
        for k in range(0, whole, 4):
            predict_four(x, weight, outputs, slopes, sums, k, features, width, kinks)
        for k in range(whole, samples):
            total = splat(zero)
            for p in range(0, width, 8):
                z = repeat(x, k * features) * load(weight, p)
                for i in range(1, features):
                    z += repeat(x, k * features + i) * load(weight, i * width + p)
                store(slopes, k * width + p, z)
                total += load(outputs, p) * (z * slopes_of(z, kinks))
            store(sums, 8 * k, total)
        for k in range(samples):
            lanes = sums[8 * k : 8 * k + 8]
            left = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
            right = (lanes[4] + lanes[5]) + (lanes[6] + lanes[7])
            residual[k] = step_size * force * (scale * (left + right) - targets[k])
        for p in range(0, width, 8):
            before = load(outputs, p)
            growth = splat(zero)
            for k in range(samples):
                z = load(slopes, k * width + p)
                slope = repeat(residual, k) * slopes_of(z, kinks)
                growth += slope * z
                store(slopes, k * width + p, slope * before)
            kept = splat(shrink)
            if mode == TIED:
                kept = kept - where_less(0.0, before, growth / before, 0.0)
            whole = features - features % 8
            for i in range(0, whole, 8):
                move_eight(x, weight, slopes, kept, i, p, samples, features, width)
            for i in range(whole, features):
                w = load(weight, i * width + p) * kept
                for k in range(samples):
                    w -= load(slopes, k * width + p) * repeat(x, k * features + i)
                store(weight, i * width + p, w)
            if mode == TRAINED:
                store(outputs, p, shrink * before - growth)
            elif mode == TIED:
                largest = splat(zero)
                for i in range(features):
                    w = load(weight, i * width + p)
                    w = where_less(w, 0.0, 0.0 - w, w)
                    largest = where_less(w, largest, largest, w)  # NaN stays
                square = splat(zero)
                for i in range(features):  # by ratios: squares would leave the range of floats
                    ratio = where_less(0.0, largest, load(weight, i * width + p) / largest, largest)
                    square += ratio * ratio
                store(outputs, p, largest * square_root(square))
    for j in range(neurons):
        output[j] = outputs[j]
        for i in range(features):
            hidden[j, i] = weight[i * width + j]
