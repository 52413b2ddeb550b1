"""Compiled one-pass descent with one sample per step: the second implementation, tested against `one_pass`.

After the step W is a lower triangle plus g xᵀ outside of the teachers' span. Plane rotations of neighbouring columns
first gather x in one of them, and then make the triangle anew: O(m²) per step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.core.network import TIED, TRAINED, Network, Weights
from twolayer.core.seeds import over_seeds
from twolayer.kernels.jit import njit
from twolayer.population.kernel_problem import KernelProblem

__all__ = ["COMPILED_ACTIVATIONS", "CompiledKernelProblem", "one_pass"]

COMPILED_ACTIVATIONS = {"": 0, "quadratic": 1, "erf": 2}
"""The number of σ in the kernel, by the activation's `compiled`; 0 is that of two slopes."""


def one_pass(
    network: Network,
    teacher: Any,
    weights: Weights,
    step_size: float,
    count: int,
    random: Sequence[np.random.Generator],
    lengths: Any,
    threads: int,
) -> Weights:
    """As `one_pass.one_pass`, to rounding: `threads` seeds at once."""
    dtype = weights.hidden.dtype
    hidden, output = np.array(weights.hidden, np.float64), np.array(weights.output, np.float64)
    seeds, _, features = hidden.shape
    slopes = network.activation.slopes or (0.0, 0.0, 0.0)
    numbers = (
        np.ascontiguousarray(teacher.hidden, np.float64),
        np.ascontiguousarray(teacher.output, np.float64),
        (teacher.dimension or features) - features,
        COMPILED_ACTIVATIONS[network.activation.compiled],
        (float(slopes[0]), float(slopes[1]), float(slopes[2])),
        network.mode,
        float(network.scale),
        float(step_size),
        math.sqrt(teacher.noise),
        dtype == np.float32,
        count,
    )

    def descend_seed(seed: int) -> None:
        kept = np.empty(0) if lengths is None else np.ascontiguousarray(lengths[seed], np.float64)
        descend(random[seed], hidden[seed], output[seed], kept, *numbers)

    over_seeds(descend_seed, seeds, threads)
    return Weights(hidden.astype(dtype), output.astype(dtype))


@dataclass(frozen=True)
class CompiledKernelProblem(KernelProblem):
    """A `KernelProblem` on NumPy arrays whose one-pass descents are compiled, `seeds_at_once` of them in parallel."""

    seeds_at_once: int = 1

    def one_pass(
        self, weights: Weights, step_size: float, count: int, random: Sequence[Any], lengths: Any
    ) -> Weights:
        """As `TeacherProblem.one_pass`, to rounding."""
        return one_pass(
            self.network, self.data, weights, step_size, count, random, lengths, self.seeds_at_once
        )


@njit(cache=True, nogil=True)
def respond(kind: int, slopes: Any, z: float) -> Any:
    """σ(z) and σ'(z)."""
    if kind == 1:
        return z * z, 2.0 * z
    if kind == 2:
        return math.erf(z * math.sqrt(0.5)), math.sqrt(2.0 / math.pi) * math.exp(-0.5 * z * z)
    slope = slopes[2] if z > 0.0 else (slopes[0] if z < 0.0 else slopes[1])
    return slope * z, slope


@njit(cache=True, nogil=True)
def rotation(first: float, second: float) -> Any:
    """Cosine, sine and length of the plane rotation that takes (first, second) to (length, 0)."""
    length = math.sqrt(first * first + second * second)
    if length == 0.0:
        return 1.0, 0.0, 0.0
    return first / length, second / length, length


@njit(cache=True, nogil=True)
def descend(
    random: Any, hidden: Any, output: Any, lengths: Any, teachers: Any, outputs: Any, rest: int, kind: int,
    slopes: Any, mode: int, scale: float, step_size: float, noise: float, single: bool, count: int,
) -> None:  # fmt: skip
    """`count` steps in place of one seed: hidden (neuron, feature), output (neuron,). rest: d less the features."""
    m, n = hidden.shape
    k = teachers.shape[0]
    width = n + (1 if rest > 0 else 0)
    x = np.zeros(width)
    w = np.zeros((m, width))
    for i in range(m):  # to compile a copy of arrays takes a second, for what it says where sizes differ
        for a in range(n):
            w[i, a] = hidden[i, a]
    push, grow = np.zeros(m), np.zeros(m)
    for _ in range(count):
        for a in range(n):
            x[a] = random.standard_normal()
        if rest > 0:
            x[n] = math.sqrt(random.chisquare(rest))
        error = 0.0
        for r in range(k):
            z = 0.0
            for a in range(n):
                z += teachers[r, a] * x[a]
            error += outputs[r] * respond(kind, slopes, z)[0]
        if noise > 0.0:
            error += noise * random.standard_normal()
        total = 0.0
        for i in range(m):
            z = 0.0
            for a in range(n):
                z += w[i, a] * x[a]
            grow[i], push[i] = respond(kind, slopes, z)
            total += output[i] * grow[i]
        force = step_size * scale * (error - scale * total)
        for i in range(m):
            push[i] *= force * output[i]
            grow[i] *= force
        if mode == TIED:
            for i in range(m):
                factor = 1.0 + (grow[i] / output[i] if output[i] > 0.0 else 0.0)
                for a in range(width):
                    w[i, a] *= factor
        if rest > 0:  # gather what of x is outside of the teachers' span in the first column there
            for a in range(n, k, -1):
                cosine, sine, x[a - 1] = rotation(x[a - 1], x[a])
                x[a] = 0.0
                for i in range(a - 1 - k, m):
                    first, second = w[i, a - 1], w[i, a]
                    w[i, a - 1] = cosine * first + sine * second
                    w[i, a] = cosine * second - sine * first
        for i in range(m):
            for a in range(width):
                w[i, a] += push[i] * x[a]
            if lengths.size > 0:
                square = 0.0
                for a in range(width):
                    square += w[i, a] * w[i, a]
                factor = lengths[i] / math.sqrt(square) if square > 0.0 else 0.0
                for a in range(width):
                    w[i, a] *= factor
        if rest > 0:
            for i in range(m):
                a = k + i
                cosine, sine, w[i, a] = rotation(w[i, a], w[i, a + 1])
                w[i, a + 1] = 0.0
                for j in range(i + 1, m):
                    first, second = w[j, a], w[j, a + 1]
                    w[j, a] = cosine * first + sine * second
                    w[j, a + 1] = cosine * second - sine * first
        if mode == TRAINED:
            for i in range(m):
                output[i] += grow[i]
        if single:
            for i in range(m):
                output[i] = np.float32(output[i])
                for a in range(width):
                    w[i, a] = np.float32(w[i, a])
        if mode == TIED:
            for i in range(m):
                square = 0.0
                for a in range(width):
                    square += w[i, a] * w[i, a]
                output[i] = math.sqrt(square)
    for i in range(m):
        for a in range(n):
            hidden[i, a] = w[i, a]
