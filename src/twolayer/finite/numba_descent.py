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
from twolayer.kernels.simd import aligned_zeros, load, repeat, splat, square_root, store, where_less

__all__ = ["CompiledProblem"]

FREE_ORDER = {"contract", "reassoc"}
"""Sums may be reordered (vectorised); NaN and infinity keep their meaning, as they show divergence."""


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
        kernel: Any = descend_direct
        if by_signs and not direct:
            kernel, slopes = descend_carried, network.activation.even
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


@njit(cache=True, nogil=True, fastmath=FREE_ORDER, inline="always")
def slope_of(preactivation: Any, below: Any, one: Any) -> Any:
    """σ'(z) without a branch: 1 above zero, 0 at it, `below` under it (0 for relu, −1 for abs).

    Both activations are z σ'(z), which loses neither NaN nor infinity.
    """
    above = one if preactivation > 0 else one - one
    return above + (below if preactivation < 0 else one - one)


@njit(cache=True, nogil=True, fastmath=FREE_ORDER, inline="always")
def add_sums(sums: Any, row: Any, pattern: Any, moved: Any) -> None:
    """Add to `moved` (sample,) the tabulated sums over the samples where `row` is above zero.

    sums (16 · group, sample): row b of a group of four is the sum over the members that are bits of b.
    """
    groups, width = pattern.size, moved.size
    for group in range(groups):
        k = 4 * group
        bits = (row[k] > 0) + 2 * (row[k + 1] > 0) + 4 * (row[k + 2] > 0) + 8 * (row[k + 3] > 0)
        pattern[group] = 16 * group + bits
    for group in range(0, groups, 4):
        p, q, r, s = pattern[group], pattern[group + 1], pattern[group + 2], pattern[group + 3]
        for i in range(width):
            moved[i] += (sums[p, i] + sums[q, i]) + (sums[r, i] + sums[s, i])


@njit(cache=True, nogil=True, fastmath=FREE_ORDER)
def descend_carried(
    inputs: Any, targets: Any, hidden: Any, output: Any, absolute: bool, mode: int,
    scale: Any, force: Any, step_size: Any, weight_decay: Any, count: int,
) -> None:  # fmt: skip
    """`count` steps in place, in pre-activations (neuron, sample). mode: `core.network.OUTPUTS`, not tied.

    Slopes are 0 and ±1, so the product of slopes with r_k x_k·x_i needs no multiplications: for each group of
    four samples the 16 sums over its subsets are tabulated once a step, and a neuron adds up the sums that its
    pattern asks for, four groups at a time. Samples are padded with zeros to a multiple of 16.
    """
    neurons, samples = hidden.shape[0], inputs.shape[0]
    one = targets.dtype.type(1)
    below = -one if absolute else one - one
    padded = (samples + 15) // 16 * 16
    groups = padded // 4
    gram = aligned_zeros(padded, padded, inputs)
    gram[:samples, :samples] = np.dot(inputs, inputs.T)
    preactivation = aligned_zeros(neurons, padded, inputs)
    preactivation[:, :samples] = np.dot(hidden, inputs.T)
    coefficient = aligned_zeros(neurons, padded, inputs)
    sums = aligned_zeros(16 * groups, padded, inputs)
    pattern = np.empty(groups, np.int64)
    moved = aligned_zeros(1, padded, inputs)[0]
    residual = aligned_zeros(1, padded, inputs)[0]
    shrink = one - step_size * weight_decay
    for _ in range(count):
        residual[:samples] = -targets
        for j in range(neurons):
            weight = scale * output[j]
            for k in range(padded):
                z = preactivation[j, k]
                residual[k] += weight * (z * slope_of(z, below, one))
        for k in range(padded):
            residual[k] *= step_size * force
        for group in range(groups):
            for member in range(4):
                k, half = 4 * group + member, 1 << member
                for row in range(16 * group, 16 * group + half):
                    for i in range(padded):
                        sums[row + half, i] = sums[row, i] + residual[k] * gram[k, i]
        for j in range(neurons):
            moved[:] = one - one
            if absolute:  # what is below zero counts with −1
                add_sums(sums, -preactivation[j], pattern, moved)
                moved[:] = -moved
            add_sums(sums, preactivation[j], pattern, moved)
            weight = output[j]
            growth = one - one
            for k in range(padded):
                z = preactivation[j, k]
                slope = slope_of(z, below, one) * residual[k]
                growth += slope * z
                coefficient[j, k] = shrink * coefficient[j, k] - weight * slope
                preactivation[j, k] = shrink * z - weight * moved[k]
            if mode == TRAINED:
                output[j] = shrink * weight - growth
    kept = shrink**count
    travelled = np.dot(coefficient[:, :samples].copy(), inputs)
    for j in range(neurons):
        for i in range(hidden.shape[1]):
            hidden[j, i] = kept * hidden[j, i] + travelled[j, i]


@njit(cache=True, nogil=True, forceinline=True)
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


@njit(cache=True, nogil=True, forceinline=True)
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


@njit(cache=True, nogil=True)
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
