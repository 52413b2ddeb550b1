"""The data of a flow as the kernels see it: distinct lines of inputs, their Gram matrix and force rates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "FlowProblem", "Lines", "Samples", "build_problem", "sample_residual"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

COLLINEAR = 1e-15
"""Unit inputs closer than this, up to sign, lie on one line: their activation boundaries coincide."""
ORTHOGONAL = 4.0 * np.finfo(np.float64).eps
"""Smaller cosines are rounding; kept, they would wake components that orthogonal inputs freeze at zero."""


class FlowProblem(NamedTuple):
    """What stays fixed while the flow runs. One response per side of a line that carries a sample.

    The force along line k is rate_k r_k where z_k > 0 and −back_rate_k r_back(k) where z_k < 0, with
    r = targets − h. radial: `core.network.OUTPUTS`, d ln|w|/dt of a
    balanced neuron in units of its rate b.
    """

    gram: Floats  # (line, line) ⟨x_k, x_l⟩
    inverse: Floats  # (line, line) pseudo-inverse of the Gram matrix
    norm: Floats  # (line,) |x_k|
    rate: Floats  # (line,) 2κs, times the squared multiples of x_k among the samples
    back_rate: Floats  # (line,) the same for the other side; 0 where that side is flat
    back: Integers  # (line,) response of the other side; −1 where it is flat
    targets: Floats  # (response,)
    response_rate: Floats  # (response,) rate of each response, on either side
    response_norm: Floats  # (response,) |x_k| of the line of each response
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
    activation: str,
    radial: int,
    loss_weight: float,
    output_scale: float,
    weight_decay: float,
) -> tuple[FlowProblem, Lines, Samples]:
    """Merge the samples on a common ray (and line, for `abs`), drop zero inputs, and factor the Gram matrix.

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
    if activation == "abs":
        side[:] = 1.0
    count = len(representatives)
    backs = np.unique(line[(side < 0.0) & (line >= 0)])
    back = np.full(count, -1)
    back[backs] = count + np.arange(backs.size)
    response = np.where(line < 0, -1, np.where(side > 0.0, line, back[line] if count else -1))
    factor = np.zeros(len(inputs))
    used = line >= 0
    if count:
        factor[used] = length[used] / length[representatives][line[used]]
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
    response_rate: Floats = 2.0 * loss_weight * output_scale * weight
    rate: Floats = response_rate[:count].copy()
    back_rate = np.zeros(count)
    if activation == "abs":
        back[:] = np.arange(count)
        back_rate[:] = rate
    else:
        back_rate[backs] = response_rate[count:]

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
        rate=rate,
        back_rate=back_rate,
        back=back.astype(np.int64),
        targets=merged,
        response_rate=response_rate,
        response_norm=np.concatenate([norm, norm[backs]]),
        output_scale=float(output_scale),
        weight_decay=float(weight_decay),
        radial=radial,
        rank=rank,
    )
    lines = Lines(distinct, np.ascontiguousarray((left / singular) @ right))
    return problem, lines, Samples(line.astype(np.int64), response.astype(np.int64), factor, offset)


def sample_residual(samples: Samples, residual: Floats) -> Floats:
    """The residuals y − h of all samples, (sample,), from those of the responses, (response,)."""
    if residual.size == 0:
        return samples.offset.copy()
    return samples.offset + samples.factor * residual[samples.response]
