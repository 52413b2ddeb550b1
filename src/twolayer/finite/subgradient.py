"""The least element of the subdifferential on finite data, where neurons lie on activation boundaries.

At a boundary w_j·x_k = 0 of an activation of two slopes the loss has a kink: σ' may be any number between the slopes.
Where the kink is convex in w_j (sign(ℓ'_k s a_j) = sign(above − below)) both sides may push towards it, a flow comes
to rest on it, and the gradient of either side is not small there. The velocity of the flow is then the negative of the
least element (Filippov): for each neuron
    minimise |G_j + (s/n) a_j Σ_k c_k ℓ'_k x_k|²  over σ'_k + c_k between the slopes,
over its convex kinks k, with G_j its gradient as σ' is evaluated. A concave kink pushes away and is left as evaluated.
At w_j = 0 all kinks meet: where no direction leads down (`finite.rest_at_zero`) the least element is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer.core.network import Weights
from twolayer.finite.rest_at_zero import at_rest, rays_of

__all__ = ["least_gradient"]

TOUCHING = 4e-14
"""A projection smaller than this times |x| |w| is 0 to rounding, as in `finite.flow.sliding`."""


def least_gradient(problem: Any, weights: Weights, weight_decay: float) -> Weights:
    """The element of least norm of the objective's subdifferential in the trained parameters, on the host: the
    gradient, but for neurons on convex kinks, and at rest at w = 0. One at 0 that may leave keeps its gradient by
    σ'(0)."""
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
    still = ~weights.hidden.any(-1) & gradient.hidden.any(-1)  # at 0, where σ'(0) says that it moves
    if not (kinks.any() or still.any()):
        return gradient
    slope = data.criterion.derivative(problem.predict(weights), data.targets)[..., None, :]
    force = problem.network.scale / data.samples * weights.output[..., None] * slope  # (…, neuron, sample)
    hidden = np.array(gradient.hidden)
    if still.any():
        hidden[resting(problem, force, still)] = 0.0
    kinks &= force * (slopes[2] - slopes[0]) > 0
    used = problem.network.activation.derivative(preactivation)
    low, high = min(slopes[0], slopes[2]), max(slopes[0], slopes[2])
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
    for several in np.unique(count[count > 1]):
        places = np.argwhere(count == several)
        spots = tuple(places.T)
        chosen = np.argsort(~kinks[spots], axis=-1, kind="stable")[:, :several]  # (place, kink)
        inputs = data.inputs[places[:, :1], chosen] if data.per_seed else data.inputs[chosen]
        forces = np.take_along_axis(force[spots], chosen, -1)[..., None] * inputs  # (place, kink, feature)
        before = np.take_along_axis(used[spots], chosen, -1)
        size = np.linalg.norm(forces, axis=-1)
        directions = np.swapaxes(forces / size[..., None], -1, -2)
        found = least_within(directions, -hidden[spots], (size * (low - before), size * (high - before)))
        hidden[spots] += np.matmul(directions, found[..., None])[..., 0]
    return Weights(hidden, gradient.output)


def resting(problem: Any, force: Any, still: Any) -> Any:
    """Which of the neurons `still` at 0 are at rest, a mask (…, neuron); force: (…, neuron, sample)."""
    data, found = problem.data, np.zeros_like(still)
    for seed in range(len(still)) if data.per_seed else [...]:
        inputs = data.inputs[seed] if data.per_seed else data.inputs
        rays, chosen = rays_of(inputs), still[seed]
        if rays is not None and chosen.any():
            lengths = np.linalg.norm(inputs, axis=-1)
            rests = at_rest(force[seed][chosen], rays, problem.network.activation.slopes, lengths)
            found[seed] = placed(chosen, rests)
    return found


def placed(mask: Any, values: Any) -> Any:
    """Values at the places where a mask is true, False elsewhere."""
    found = np.zeros_like(mask)
    found[mask] = values
    return found


def least_within(directions: Any, wanted: Any, bounds: tuple[Any, Any]) -> Any:
    """The x (place, kink) within bounds with the least |directions x − wanted|, for directions (place, feature, kink):
    without the bounds where that x lies within, as it does of a neuron that slides."""
    left, values, right = np.linalg.svd(directions, full_matrices=False)
    rank = np.finfo(values.dtype).eps * max(directions.shape[-2:])
    kept = values > rank * values[:, :1]
    along = np.einsum("pfv,pf->pv", left, wanted) * np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0)
    found = np.einsum("pvk,pv->pk", right, along)
    inside = ((found >= bounds[0]) & (found <= bounds[1])).all(-1)
    if not inside.all():
        from scipy.optimize import lsq_linear  # loads much of SciPy

        for place in np.flatnonzero(~inside):
            limits = bounds[0][place], bounds[1][place]
            found[place] = lsq_linear(directions[place], wanted[place], limits, method="bvls", tol=1e-15).x
    return found
