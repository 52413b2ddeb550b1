"""The data of a flow as the kernels see it: distinct lines of inputs, their Gram matrix and force rates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twolayer.finite.flow.kernels import INNER_KERNEL
from twolayer.kernels.record import Bytes, Integers, Matrix, Record, Vector

__all__ = ["Floats", "FlowProblem", "Lines", "Samples", "build_problem", "force_on_side", "sample_residual"]

Floats = npt.NDArray[np.float64]

COLLINEAR = 1e-15
"""Unit inputs closer than this, up to sign, lie on one line: their activation boundaries coincide."""
ORTHOGONAL = 4.0 * np.finfo(np.float64).eps
"""Smaller cosines are rounding; kept, they would wake components that orthogonal inputs freeze at zero."""


class FlowProblem(Record):
    """What stays fixed while the flow runs. One or two responses per line: the outputs h that its samples read.

    A neuron on a side of line k (−1: z_k < 0, 0: z_k = 0, 1: z_k > 0) adds s a slope[side + 1, i] z_k to each
    response i of the line, and feels the force Σ_i slope[side + 1, i] rate_i r_i along it, r = targets − h.
    Response k is that of samples γ x_k with γ > 0, whose slopes are those of σ; opposite_k is that of γ < 0, with
    σ(−z). It is the same one, or its negative, for an even or a linear σ. The largest slope is 1: its size is in
    output_scale. radial: `core.network.OUTPUTS`, d ln|w|/dt of a balanced neuron in units of its rate b.
    """

    gram: Matrix  # (line, line) ⟨x_k, x_l⟩
    inverse: Matrix  # (line, line) pseudo-inverse of the Gram matrix
    norm: Vector  # (line,) |x_k|
    opposite: Integers  # (line,) the second response; −1 where there is none
    rest: Bytes  # (line,) the side whose forces σ'(0) gives at z_k = 0; 0 where it is neither
    slope: Matrix  # (3, response) of σ on the line, behind it, on its boundary and in front of it
    kinked: bool  # whether σ has two slopes: else boundaries mean nothing
    even: bool
    targets: Vector  # (response,)
    rate: Vector  # (response,) 2κs, times the squared multiples of x_k among the samples
    response_norm: Vector  # (response,) |x_k| of the line of each response
    output_scale: float
    weight_decay: float
    radial: int
    rank: int


class Lines(NamedTuple):
    """The way back from projections onto lines to weights: w = e^ρ (lift of ζ + ν direction outside)."""

    inputs: Floats  # (line, feature) one input per line
    lift: Floats  # (line, feature) G⁺X, so that ζ·lift lies in the span of the inputs


class Samples(NamedTuple):
    """Which response a sample reads, and as which multiple: h(x_sample) = factor · h_response."""

    line: Integers  # (sample,) −1 for a zero input
    response: Integers  # (sample,) the same for the side of the line that the sample is on
    factor: Floats  # (sample,)
    offset: Floats  # (sample,) target − factor · merged target; 0 for a sample alone on its side


def build_problem(
    inputs: Floats,
    targets: Floats,
    *,
    slopes: tuple[float, float, float],
    radial: int,
    loss_weight: float,
    output_scale: float,
    weight_decay: float,
) -> tuple[FlowProblem, Lines, Samples]:
    """Merge the samples on a common ray (line, if σ is even or linear), drop zero inputs, factor the Gram matrix.

    Collinear inputs switch together, so events are located once per line. With x = γ x_k the network value
    is γ h_k, and Σ (γ h_k − y)² = (Σ γ²) (h_k − ȳ)² + constant with ȳ = Σ γ y / Σ γ².
    """
    length = np.sqrt(np.einsum("kd,kd->k", inputs, inputs))
    representatives: list[int] = []
    line = np.full(len(inputs), -1)
    side = np.ones(len(inputs))
    for sample in np.flatnonzero(length > 0.0):
        if representatives:
            known = inputs[representatives] / length[representatives, None]
            direction = inputs[sample] / length[sample]
            for sign in (1.0, -1.0):
                near = np.flatnonzero(np.max(np.abs(known - sign * direction), axis=1) <= COLLINEAR)
                if near.size:
                    line[sample], side[sample] = near[0], sign
        if line[sample] < 0:
            line[sample] = len(representatives)
            representatives.append(int(sample))
    largest = float(np.max(np.abs(slopes))) or 1.0
    front: Floats = np.array(slopes) / largest
    even, kinked = bool(front[0] == -front[2]), bool(front[0] != front[2])
    orientation = np.where(kinked, 1.0, side)
    if even or not kinked:
        side[:] = 1.0
    count = len(representatives)
    backs = np.unique(line[(side < 0.0) & (line >= 0)])
    back = np.full(count, -1)
    back[backs] = count + np.arange(backs.size)
    response = np.where(line < 0, -1, np.where(side > 0.0, line, back[line] if count else -1))
    factor = np.zeros(len(inputs))
    used = line >= 0
    if count:
        factor[used] = orientation[used] * length[used] / length[representatives][line[used]]
    responses = count + backs.size
    weight: Floats = np.bincount(response[used], factor[used] ** 2, responses).astype(np.float64)
    merged = np.bincount(response[used], factor[used] * targets[used], responses) / weight
    offset = targets.astype(np.float64)
    if count:
        # Exactly zero for a sample alone on its side, so that its residual keeps its relative accuracy.
        alone = used & (np.bincount(response[used], minlength=responses)[response] == 1)
        merged[response[alone]] = targets[alone] / factor[alone]
        offset[used] -= factor[used] * merged[response[used]]
        offset[alone] = 0.0
    output_scale *= largest
    slope: Floats = np.repeat(front[:, None], responses, axis=1)
    slope[:, count:] = -front[::-1, None]
    rest = np.full(count, -1 if front[1] == front[0] else int(front[1] == front[2]), dtype=np.int8)
    rest[back >= 0] = 0

    distinct = np.ascontiguousarray(inputs[representatives])
    norm = length[representatives]
    cosines = (distinct / norm[:, None]) @ (distinct / norm[:, None]).T
    cosines[np.abs(cosines) < ORTHOGONAL] = 0.0
    np.fill_diagonal(cosines, 1.0)
    gram = norm[:, None] * cosines * norm
    # The singular values of the inputs, not of the Gram matrix, decide the rank: half the digits are at stake.
    left, singular, right = np.linalg.svd(distinct, full_matrices=False)
    rank = int(np.sum(singular > np.max(singular, initial=0.0) * max(distinct.shape, default=1) * 2.3e-16))
    left, singular, right = left[:, :rank], singular[:rank], right[:rank]
    problem = FlowProblem(
        gram=np.ascontiguousarray(0.5 * (gram + gram.T)),
        inverse=np.ascontiguousarray((left / singular**2) @ left.T),
        norm=norm,
        opposite=back.astype(np.int64),
        rest=rest,
        slope=slope,
        kinked=kinked,
        even=even,
        targets=merged,
        rate=2.0 * loss_weight * output_scale * weight,
        response_norm=np.concatenate([norm, norm[backs]]),
        output_scale=output_scale,
        weight_decay=float(weight_decay),
        radial=radial,
        rank=rank,
    )
    lines = Lines(distinct, np.ascontiguousarray((left / singular) @ right))
    return problem, lines, Samples(line.astype(np.int64), response.astype(np.int64), factor, offset)


@INNER_KERNEL
def force_on_side(k: int, side: int, problem: FlowProblem, residual: Matrix, i: int) -> float:
    """The force along line k on a side of it, at coefficient i of residual (response, order + 1)."""
    force = problem.slope[side + 1, k] * problem.rate[k] * residual[k, i]
    other = problem.opposite[k]
    if other >= 0:
        force += problem.slope[side + 1, other] * problem.rate[other] * residual[other, i]
    return force


def sample_residual(samples: Samples, residual: Floats) -> Floats:
    """The residuals y − h of all samples, (sample,), from those of the responses, (response,)."""
    if residual.size == 0:
        return samples.offset.copy()
    return samples.offset + samples.factor * residual[samples.response]
