"""The state of the neurons: projections onto the inputs, a logarithmic scale, and an activation pattern."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from twolayer.finite_flow.problem import Floats, Lines, Problem

__all__ = ["Neurons", "normalize", "outputs_of_network", "place_neurons", "rebuild_weights"]

BALANCED = 1e-14
"""Relative difference of |a| and |w| that counts as rounding."""


class Neurons(NamedTuple):
    """a = e^ρ g and w = e^ρ v, with ζ_k = ⟨v, x_k⟩ and ν the length of the part of v outside the span.

    Trained and tied outputs: g² + |v|² = 2, and g² − |v|² is e^(−2ρ) times a conserved number (0 when balanced:
    then g = ±1 for ever and |v| = 1). Fixed outputs: ρ = 0, so that g and v are the weights.
    """

    projection: Floats  # (neuron, line) ζ
    log_scale: Floats  # (neuron,) ρ
    gain: Floats  # (neuron,) g
    outside: Floats  # (neuron,) ν
    skew: Floats  # (neuron,) g² − |v|²
    pattern: npt.NDArray[np.int8]  # (neuron, line) +1 active, −1 on the other side, 0 sliding along z_k = 0
    balanced: npt.NDArray[np.bool_]  # (neuron,)
    moving: npt.NDArray[np.bool_]  # (neuron,) False: w = 0, where σ'(0) = 0 leaves nothing but decay


def place_neurons(
    problem: Problem, lines: Lines, hidden: Floats, output: Floats, output_layer: str
) -> tuple[Neurons, Floats]:
    """The state of given weights, and the unit directions (neuron, feature) of their parts outside the span."""
    length = np.array([np.sqrt(np.dot(w / m, w / m)) * m if (m := np.max(np.abs(w), initial=0.0)) > 0 else 0.0 for w in hidden])
    moving = length > 0.0
    size = np.abs(output)
    if output_layer == "fixed":
        balanced = np.ones(len(output), dtype=np.bool_)
        scale = np.ones(len(output))
        gain = output.copy()
    else:
        balanced = (np.abs(size - length) <= BALANCED * length) & moving
        if output_layer == "tied":
            balanced = moving.copy()
        largest = np.maximum(np.maximum(size, length), np.finfo(np.float64).tiny)
        joint = largest * np.sqrt(0.5 * ((size / largest) ** 2 + (length / largest) ** 2))
        scale = np.where(balanced, length, joint)
        scale[scale == 0.0] = 1.0
        gain = np.where(balanced, np.sign(output), output / scale)
        if output_layer == "tied":
            gain = np.ones(len(output))
    direction = hidden / scale[:, None]
    inside = direction @ lines.lift.T @ lines.inputs if len(lines.inputs) else np.zeros_like(direction)
    apart = direction - inside
    # Twice is enough: what is left of the span after one projection is rounding.
    if len(lines.inputs):
        apart -= apart @ lines.lift.T @ lines.inputs
    outside = np.sqrt(np.einsum("jd,jd->j", apart, apart))
    full = problem.rank == hidden.shape[1]
    outside[(outside < 1e-14 * np.sqrt(np.einsum("jd,jd->j", direction, direction))) | full] = 0.0
    unit = np.divide(apart, outside[:, None], out=np.zeros_like(apart), where=outside[:, None] > 0.0)
    projection = np.ascontiguousarray(direction @ lines.inputs.T)
    # A projection that is exactly zero must stay so: rounding would put it on one side of its boundary.
    projection[np.abs(projection) < 2.0 * np.finfo(np.float64).eps * np.abs(direction) @ np.abs(lines.inputs).T] = 0.0
    skew = np.where(balanced, 0.0, gain**2 - np.einsum("jd,jd->j", direction, direction))
    absolute = problem.back == np.arange(len(problem.back))
    pattern = np.where(projection > 0.0, 1, np.where((projection == 0.0) & absolute, 0, -1)).astype(np.int8)
    neurons = Neurons(
        projection, np.log(scale), gain.astype(np.float64), outside, skew, pattern, balanced, moving
    )
    return neurons, unit


def rebuild_weights(
    lines: Lines,
    outside_direction: Floats,
    neurons: Neurons,
    projection: Floats,
    log_scale: Floats,
    gain: Floats,
    outside: Floats,
    *,
    output_layer: str,
) -> tuple[Floats, Floats]:
    """Hidden (neuron, feature) and output (neuron,) weights of a state; |w| = |a| to rounding when balanced."""
    direction = projection @ lines.lift + outside[:, None] * outside_direction
    scale = np.exp(log_scale)
    if output_layer != "fixed":
        length = np.sqrt(np.einsum("jd,jd->j", direction, direction))
        unit = neurons.balanced & (length > 0.0)
        direction = np.where(unit[:, None], direction / np.where(unit, length, 1.0)[:, None], direction)
    return scale[:, None] * direction, scale * gain


@njit(cache=True, nogil=True)
def outputs_of_network(problem: Problem, neurons: Any, outputs: Any) -> None:
    """Write h of every response, (response,)."""
    outputs[:] = 0.0
    neuron_count, lines = neurons.projection.shape
    for j in range(neuron_count):
        if not neurons.moving[j]:
            continue
        weight = problem.output_scale * neurons.gain[j] * np.exp(2.0 * neurons.log_scale[j])
        for k in range(lines):
            if neurons.pattern[j, k] > 0:
                outputs[k] += weight * neurons.projection[j, k]
            elif neurons.pattern[j, k] < 0 and problem.back[k] >= 0:
                outputs[problem.back[k]] -= weight * neurons.projection[j, k]


@njit(cache=True, nogil=True)
def normalize(j: int, problem: Problem, neurons: Any) -> None:
    """Return neuron j to g² + |v|² = 2 and g² − |v|² = skew, from which truncation moved it; ζ to the span.

    Without this a neuron that shrinks by e^−13 would amplify the error of its norm by e^26.
    """
    if problem.radial == 0:
        return
    lines = problem.gram.shape[0]
    zeta = neurons.projection[j]
    dual = np.zeros(lines)
    for k in range(lines):
        if zeta[k] != 0.0:
            for other in range(lines):
                dual[other] += zeta[k] * problem.inverse[k, other]
    square = neurons.outside[j] ** 2
    for k in range(lines):
        square += zeta[k] * dual[k]
    if problem.rank < lines:
        for k in range(lines):
            if zeta[k] != 0.0:
                inside = 0.0
                for other in range(lines):
                    inside += problem.gram[k, other] * dual[other]
                zeta[k] = inside
    if neurons.balanced[j]:
        factor = 1.0 / np.sqrt(square)
        for k in range(lines):
            zeta[k] *= factor
        neurons.outside[j] *= factor
        return
    # The step along (g, −|v|), the normal of the hyperbola, is well conditioned even where g or v vanishes.
    gain = neurons.gain[j]
    step = (neurons.skew[j] - (gain * gain - square)) / (2.0 * (gain * gain + square))
    gain *= 1.0 + step
    factor = 1.0 - step
    joint = np.sqrt(0.5 * (gain * gain + square * factor * factor))
    for k in range(lines):
        zeta[k] *= factor / joint
    neurons.outside[j] *= factor / joint
    neurons.gain[j] = gain / joint
    neurons.skew[j] /= joint * joint
    neurons.log_scale[j] += np.log(joint)
