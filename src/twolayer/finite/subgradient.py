"""The least element of the subdifferential on finite data, where neurons lie on activation boundaries.

At a boundary w_j·x_k = 0 of an activation of two slopes the loss has a kink: σ' may be any number between the slopes.
Where the kink is convex in w_j (sign(ℓ'_k s a_j) = sign(above − below)) both sides may push towards it, a flow comes
to rest on it, and the gradient of either side is not small there. The velocity of the flow is then the negative of the
least element (Filippov): for each neuron
    minimise |G_j + (s/n) a_j Σ_k c_k ℓ'_k x_k|²  over σ'_k + c_k between the slopes,
over its convex kinks k, with G_j its gradient as σ' is evaluated. A concave kink pushes away and is left as evaluated.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.core.network import Weights

__all__ = ["least_gradient"]

TOUCHING = 4e-14
"""A projection smaller than this times |x| |w| is 0 to rounding, as in `finite.flow.sliding`."""


def least_gradient(problem: Any, weights: Weights, weight_decay: float) -> Weights:
    """The element of least norm of the objective's subdifferential in the trained parameters, on the host: the
    gradient, but for neurons on convex kinks. A neuron at w = 0, which rests by σ'(0), is left as it is."""
    gradient = problem.gradient(weights, weight_decay)
    slopes, data = problem.network.activation.slopes, problem.data
    if slopes is None or slopes[0] == slopes[2]:
        return gradient
    weights = problem.network.with_tied_outputs(weights)
    preactivation = problem.preactivations(weights)
    lengths = (
        np.linalg.norm(weights.hidden, axis=-1)[..., None]
        * np.linalg.norm(data.inputs, axis=-1)[..., None, :]
    )
    kinks = (np.abs(preactivation) <= TOUCHING * lengths) & (lengths > 0)
    if not kinks.any():
        return gradient
    slope = data.criterion.derivative(problem.predict(weights), data.targets)[..., None, :]
    force = problem.network.scale / data.samples * weights.output[..., None] * slope  # (…, neuron, sample)
    kinks &= force * (slopes[2] - slopes[0]) > 0
    used = problem.network.activation.derivative(preactivation)
    low, high = min(slopes[0], slopes[2]), max(slopes[0], slopes[2])
    hidden = np.array(gradient.hidden)
    count = kinks.sum(-1)
    single = np.argwhere(count == 1)
    if len(single):
        spots, kink = tuple(single.T), kinks[count == 1].argmax(-1)
        inputs = data.inputs[single[:, 0], kink] if data.per_seed else data.inputs[kink]
        forces = np.take_along_axis(force[spots], kink[:, None], -1) * inputs
        before = np.take_along_axis(used[spots], kink[:, None], -1)
        size = np.linalg.norm(forces, axis=-1, keepdims=True)
        direction = forces / size
        along = -np.sum(direction * hidden[spots], axis=-1, keepdims=True)
        hidden[spots] += direction * np.clip(along, size * (low - before), size * (high - before))
    for spot in map(tuple, np.argwhere(count > 1)):
        chosen = kinks[spot]
        inputs = data.inputs[spot[0]] if data.per_seed else data.inputs
        forces = (force[spot][chosen, None] * inputs[chosen]).T  # (feature, kink)
        size = np.linalg.norm(forces, axis=0)
        bounds = size * (low - used[spot][chosen]), size * (high - used[spot][chosen])
        hidden[spot] += (forces / size) @ least_within(forces / size, -hidden[spot], bounds)
    return Weights(hidden, gradient.output)


def least_within(directions: Any, wanted: Any, bounds: tuple[Any, Any]) -> Any:
    """The x within bounds with the least |directions x − wanted|: without them where that x lies within, as it does of
    a neuron that slides."""
    free = np.linalg.lstsq(directions, wanted, rcond=None)[0]
    if (free >= bounds[0]).all() and (free <= bounds[1]).all():
        return free
    from scipy.optimize import lsq_linear  # loads much of SciPy

    return lsq_linear(directions, wanted, bounds, method="bvls", tol=1e-15).x
