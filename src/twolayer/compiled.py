"""Compiled gradient descent on finite data: the second implementation, held against `EmpiricalProblem.descend`.

Two kernels for one seed. `descend_carried` keeps the pre-activations z_jk = w_j·x_k and the coefficients
C of W(t) = keep^t W(0) + C X, so that a step costs one (neuron, sample) × (sample, sample) product whatever
the input dimension. `descend_direct` keeps W, which is cheaper with fewer features than half the samples, and
serves tied outputs, which need |w_j|.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from twolayer.model import EmpiricalProblem, Weights
from twolayer.seeds import over_seeds

__all__ = ["CompiledProblem"]

FREE_ORDER = {"contract", "reassoc"}
"""Sums may be reordered (vectorised); NaN and infinity keep their meaning, for divergence is read from them."""


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
        direct = network.output == "tied" or 2 * self.data.features < self.data.samples
        kernel = descend_direct if direct else descend_carried
        scalars = (
            number(network.scale),
            number(2.0 * self.data.loss_weight * network.scale),
            number(step_size),
            number(weight_decay),
        )
        mode = {"fixed": 0, "trained": 1, "tied": 2}[network.output]

        def one(seed: int) -> None:
            own = seed if self.data.per_seed else ...
            absolute = network.activation == "abs"
            kernel(inputs[own], targets[own], hidden[seed], output[seed], absolute, mode, *scalars, count)

        over_seeds(one, hidden.shape[0], self.threads)
        return Weights(hidden.reshape(*lead, *hidden.shape[1:]), output.reshape(*lead, output.shape[1]))


@njit(cache=True, nogil=True, fastmath=FREE_ORDER, inline="always")
def slope_of(preactivation: Any, absolute: bool, one: Any) -> Any:
    """σ'(z), with σ'(0) = 0. Both activations are z σ'(z), which loses neither NaN nor infinity."""
    if preactivation > 0:
        return one
    if absolute and preactivation < 0:
        return -one
    return one - one


@njit(cache=True, nogil=True, fastmath=FREE_ORDER)
def descend_carried(
    inputs: Any, targets: Any, hidden: Any, output: Any, absolute: bool, mode: int,
    scale: Any, force: Any, step_size: Any, weight_decay: Any, count: int,
) -> None:  # fmt: skip
    """`count` steps in place, in pre-activations (neuron, sample). mode: 0 fixed, 1 trained outputs."""
    neurons, samples = hidden.shape[0], inputs.shape[0]
    one = targets.dtype.type(1)
    gram = np.dot(inputs, inputs.T)
    preactivation = np.dot(hidden, inputs.T)
    coefficient = np.zeros_like(preactivation)
    move = np.empty_like(preactivation)
    moved = np.empty_like(preactivation)
    residual = np.empty_like(targets)
    shrink = one - step_size * weight_decay
    for _ in range(count):
        residual[:] = -targets
        for j in range(neurons):
            weight = scale * output[j]
            for k in range(samples):
                z = preactivation[j, k]
                residual[k] += weight * (z * slope_of(z, absolute, one))
        for k in range(samples):
            residual[k] *= step_size * force
        for j in range(neurons):
            weight = output[j]
            growth = one - one
            for k in range(samples):
                z = preactivation[j, k]
                slope = slope_of(z, absolute, one) * residual[k]
                move[j, k] = weight * slope
                growth += slope * z
            if mode == 1:
                output[j] = shrink * weight - growth
        if samples > 8:
            np.dot(move, gram, moved)
        else:
            for j in range(neurons):
                for k in range(samples):
                    total = one - one
                    for i in range(samples):
                        total += move[j, i] * gram[i, k]
                    moved[j, k] = total
        for j in range(neurons):
            for k in range(samples):
                coefficient[j, k] = shrink * coefficient[j, k] - move[j, k]
                preactivation[j, k] = shrink * preactivation[j, k] - moved[j, k]
    kept = shrink**count
    travelled = np.dot(coefficient, inputs)
    for j in range(neurons):
        for i in range(hidden.shape[1]):
            hidden[j, i] = kept * hidden[j, i] + travelled[j, i]


@njit(cache=True, nogil=True, fastmath=FREE_ORDER)
def descend_direct(
    inputs: Any, targets: Any, hidden: Any, output: Any, absolute: bool, mode: int,
    scale: Any, force: Any, step_size: Any, weight_decay: Any, count: int,
) -> None:  # fmt: skip
    """`count` steps in place, in weights (neuron, feature). mode: 0 fixed, 1 trained, 2 tied outputs."""
    neurons, features, samples = hidden.shape[0], hidden.shape[1], inputs.shape[0]
    one = targets.dtype.type(1)
    preactivation = np.empty((neurons, samples), inputs.dtype)
    residual = np.empty_like(targets)
    shrink = one - step_size * weight_decay * (2 if mode == 2 else 1)
    for _ in range(count):
        residual[:] = -targets
        for j in range(neurons):
            weight = scale * output[j]
            for k in range(samples):
                z = one - one
                for i in range(features):
                    z += hidden[j, i] * inputs[k, i]
                preactivation[j, k] = z
                residual[k] += weight * (z * slope_of(z, absolute, one))
        for k in range(samples):
            residual[k] *= step_size * force
        for j in range(neurons):
            weight = output[j]
            growth = one - one
            for k in range(samples):
                growth += slope_of(preactivation[j, k], absolute, one) * residual[k] * preactivation[j, k]
            own = shrink
            if mode == 2 and weight > 0:
                own = shrink - growth / weight
            for i in range(features):
                hidden[j, i] *= own
            for k in range(samples):
                slope = weight * slope_of(preactivation[j, k], absolute, one) * residual[k]
                for i in range(features):
                    hidden[j, i] -= slope * inputs[k, i]
            if mode == 1:
                output[j] = shrink * weight - growth
            elif mode == 2:
                square = one - one
                for i in range(features):
                    square += hidden[j, i] * hidden[j, i]
                output[j] = np.sqrt(square)
