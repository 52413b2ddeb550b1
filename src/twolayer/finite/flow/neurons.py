"""The state of the neurons: projections onto the inputs, a logarithmic scale, and an activation pattern."""

from __future__ import annotations

import numpy as np

from twolayer.core.arrays import norm
from twolayer.finite.flow.kernels import INNER_KERNEL, KERNEL, SEPARATE
from twolayer.finite.flow.problem import Floats, FlowProblem, Lines
from twolayer.kernels.record import Bytes, Flags, Matrix, Record, Signs, Vector

__all__ = ["Neurons", "normalize", "outputs_of_network", "rebuild_weights", "size_of", "state_of_weights"]

BALANCED = 1e-14
"""Relative difference of |a| and |w| that counts as rounding."""
OUT_OF_SPAN = 1e-13
"""Projections of more inputs than dimensions drift out of the span of possible ones; from here they are returned."""


class Neurons(Record):
    """a = e^ρ g and w = e^ρ v, with ζ_k = ⟨v, x_k⟩ and ν the length of the part of v outside the span.

    Trained and tied outputs: g² + |v|² = 2, and g² − |v|² is e^(−2ρ) times a conserved number (0 when balanced:
    then g = ±1 for ever and |v| = 1). Fixed outputs: ρ = 0, so that g and v are the weights.
    """

    projection: Matrix  # (neuron, line) ζ
    log_scale: Vector  # (neuron,) ρ
    gain: Vector  # (neuron,) g
    outside: Vector  # (neuron,) ν
    skew: Vector  # (neuron,) g² − |v|²
    pattern: Signs  # (neuron, line) +1 active, −1 on the other side, 0 sliding along z_k = 0
    balanced: Flags  # (neuron,)
    moving: Flags  # (neuron,) False: w = 0, where nothing is left but decay
    resting: Bytes  # (neuron,) of these, above 1: has come to 0, and may leave it; 1: just now (`zero`)


def state_of_weights(
    problem: FlowProblem, lines: Lines, hidden: Floats, output: Floats, output_layer: str
) -> tuple[Neurons, Floats]:
    """The state of given weights, and the unit directions (neuron, feature) of their parts outside the span."""
    length = norm(hidden)
    size = np.abs(output)
    # The force at w = 0 is that of a linear σ; where σ has a kink there, `zero` decides.
    moving = (length > 0.0) | ((output != 0.0) & (not problem.kinked))
    if output_layer == "fixed":
        balanced = np.ones(len(output), dtype=np.bool_)
        scale = np.ones(len(output))
        gain = output.copy()
    else:
        balanced = moving & ((np.abs(size - length) <= BALANCED * length) | (output_layer == "tied"))
        scale = np.where(balanced, length, np.hypot(size, length) / np.sqrt(2.0))
        scale[scale == 0.0] = 1.0
        gain = np.where(balanced, np.sign(output), output / scale)
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
    terms = np.abs(direction) @ np.abs(lines.inputs).T
    projection[np.abs(projection) < 2.0 * np.finfo(np.float64).eps * terms] = 0.0
    skew = np.where(balanced, 0.0, gain**2 - np.einsum("jd,jd->j", direction, direction))
    pattern = np.where(projection == 0.0, problem.rest, np.sign(projection)).astype(np.int8)
    resting = np.zeros(len(output), dtype=np.int8)
    neurons = Neurons(projection, np.log(scale), gain, outside, skew, pattern, balanced, moving, resting)
    return neurons, unit


def rebuild_weights(
    lines: Lines, outside_direction: Floats, neurons: Neurons, output_layer: str
) -> tuple[Floats, Floats]:
    """Hidden (neuron, feature) and output (neuron,) weights of a state; |w| = |a| to rounding when balanced."""
    direction = neurons.projection @ lines.lift + neurons.outside[:, None] * outside_direction
    if output_layer != "fixed":
        length = np.sqrt(np.einsum("jd,jd->j", direction, direction))
        length[~neurons.balanced | (length == 0.0)] = 1.0
        direction /= length[:, None]
    scale = np.exp(neurons.log_scale)
    return scale[:, None] * direction, scale * neurons.gain


@KERNEL
def outputs_of_network(problem: FlowProblem, neurons: Neurons, outputs: Vector) -> None:
    """Write h of every response, (response,)."""
    for response in range(outputs.size):
        outputs[response] = 0.0
    neuron_count, lines = neurons.projection.shape
    for j in range(neuron_count):
        if not neurons.moving[j]:
            continue
        weight = problem.output_scale * neurons.gain[j] * np.exp(2.0 * neurons.log_scale[j])
        for k in range(lines):
            side = neurons.pattern[j, k]
            if side == 0:
                continue
            outputs[k] += problem.slope[side + 1, k] * (weight * neurons.projection[j, k])
            other = problem.opposite[k]
            if other >= 0:
                outputs[other] += problem.slope[side + 1, other] * (weight * neurons.projection[j, k])


@SEPARATE
def normalize(j: int, problem: FlowProblem, neurons: Neurons) -> None:
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
        inside = np.zeros(lines)
        apart = 0.0
        for k in range(lines):
            for other in range(lines):
                inside[k] += problem.gram[k, other] * dual[other]
            apart = max(apart, abs(zeta[k] - inside[k]) / problem.norm[k])
        # Not at every step: the rounding of the projector would turn the neuron the same way each time.
        if apart > OUT_OF_SPAN:
            for k in range(lines):
                zeta[k] = inside[k]
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


@INNER_KERNEL
def size_of(j: int, problem: FlowProblem, neurons: Neurons) -> float:
    """max_k |⟨v, x_k⟩|/|x_k|, of the order of the length of v inside the span."""
    size = 0.0
    for k in range(problem.gram.shape[0]):
        size = max(size, abs(neurons.projection[j, k]) / problem.norm[k])
    return size
