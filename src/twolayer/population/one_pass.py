"""One-pass stochastic gradient descent with one sample per step, at a cost that does not grow with the dimension.

The update of a sample x needs W x and V x, and moves each w along x. Of x ~ N(0, I_d) that is its part in the span of
students and teachers, m + k normal coordinates, and the rest: a vector of length χ_{d−m−k} in a direction orthogonal
to the span, which becomes one more coordinate (derived). The coordinates outside of the teachers' span are then turned
so that W is lower triangular there: m of them again. The overlaps Q and M so have exactly the law that they have under
descent in d features; directions mean nothing else. Where d ≤ m + k, x is drawn in all d features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from twolayer.core.arrays import array_namespace, norm
from twolayer.core.network import Network, Weights

__all__ = ["one_pass", "placed_on_spheres", "triangular", "turned"]

Array = Any


def placed_on_spheres(hidden: Array, lengths: Array) -> Array:
    """Hidden weights (…, neuron, feature) with lengths (…, neuron); 0 stays."""
    xp = array_namespace(hidden)
    found = norm(hidden)
    return hidden * (lengths / xp.where(found > 0, found, xp.ones_like(found)))[..., None]


def triangular(hidden: Array, teachers: int) -> Array:
    """Whether hidden weights (…, neuron, feature) are lower triangular after the teachers' coordinates."""
    return not np.triu(hidden[..., teachers:], 1).any()


def turned(hidden: Array, teachers: int) -> Array:
    """Hidden weights (…, neuron, feature) with the features after the teachers' turned until the neurons are lower
    triangular there, with a diagonal ≥ 0; as many of these features are left as there are neurons."""
    outside = hidden[..., teachers:]
    triangle = np.swapaxes(np.linalg.qr(np.swapaxes(outside, -1, -2), mode="r"), -1, -2)
    signs = np.where(np.diagonal(triangle, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    return np.concatenate([hidden[..., :teachers], np.tril(triangle * signs[..., None, :])], axis=-1)


def one_pass(
    network: Network,
    teacher: Any,
    weights: Weights,
    step_size: float,
    count: int,
    random: Sequence[np.random.Generator],
    lengths: Array | None,
) -> Weights:
    """`count` steps of all seeds, on the host: the plain loop, against which the compiled one is tested.

    weights: in min(d, m + k) features, the teachers' first where there are fewer than d. lengths (seed, neuron): what
    each |w| is set back to after each step, or None.
    """
    hidden, output = np.array(weights.hidden, np.float64), np.array(weights.output, np.float64)
    dtype, features, count_teachers = weights.hidden.dtype, hidden.shape[-1], len(teacher.output)
    rest = (teacher.dimension or features) - features
    sigma, scale = network.activation, network.scale
    for _ in range(count):
        inputs = np.stack([each.standard_normal(features) for each in random])
        moved = hidden
        if rest:
            beyond = np.sqrt([[each.chisquare(rest)] for each in random])
            inputs = np.concatenate([inputs, beyond], axis=-1)
            moved = np.concatenate([hidden, np.zeros_like(hidden[..., :1])], axis=-1)
        labels = sigma.value(inputs[:, :features] @ teacher.hidden.T) @ teacher.output
        if teacher.noise:
            labels = labels + math.sqrt(teacher.noise) * np.stack([each.standard_normal() for each in random])
        preactivations = np.einsum("sia,sa->si", moved, inputs)
        values = sigma.value(preactivations)
        error = labels - scale * np.sum(output * values, axis=-1)
        force = step_size * scale * error[:, None]
        step = (force * output * sigma.derivative(preactivations))[..., None] * inputs[:, None, :]
        if network.output == "tied":
            length = np.linalg.norm(moved, axis=-1)
            growth = np.where(length > 0, force * values / np.where(length > 0, length, 1.0), 0.0)
            step = step + growth[..., None] * moved
        moved = moved + step
        if lengths is not None:
            moved = placed_on_spheres(moved, lengths)
        if network.output == "trained":
            output = output + force * values
        hidden = turned(moved, count_teachers) if rest else moved
        hidden, output = (part.astype(dtype).astype(np.float64) for part in (hidden, output))
        output = np.asarray(network.with_tied_outputs(Weights(hidden, output)).output)
    return Weights(hidden.astype(dtype), output.astype(dtype))
