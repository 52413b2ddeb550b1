"""Which neurons at w = 0 are at rest on finite data, where an activation of two slopes has a kink.

Near w_j = 0 the objective changes by φ(w_j) = Σ_k f_k σ(w_j·x_k), f_k = (s/n) a_j ℓ'_k. It is linear on each cone
between the boundaries w·x_k = 0, so that φ ≥ 0 everywhere exactly if φ ≥ 0 on the rays in which rank − 1 boundaries
meet. Then 0 is a minimum in w_j, no velocity leads away (`finite.flow.zero`), and 0 is in the subdifferential.
(Derived.)
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

__all__ = ["at_rest", "rays_of"]

MOST_RAYS = 20_000
"""Of more rays none are listed, and no neuron is said to be at rest."""
MOST_NUMBERS = 4_000_000
"""Of neurons times rays that are looked at at once."""
ROUNDING = 1e-12
"""φ above −ROUNDING Σ_k |f_k||x_k| on a ray is not below 0."""


def rays_of(inputs: Any) -> Any | None:
    """x_k·u of the unit directions u in which rank − 1 boundaries of inputs (sample, feature) meet, each with its
    opposite, (ray, sample); None where there are too many."""
    length = np.linalg.norm(inputs, axis=-1)
    felt = length > 0
    units = inputs[felt] / length[felt, None]
    if not len(units):
        return np.zeros((0, len(inputs)))
    _, singular, basis = np.linalg.svd(units, full_matrices=False)
    rank = int((singular > 1e-12 * singular[0]).sum())
    if math.comb(len(units), rank - 1) > MOST_RAYS:
        return None
    inside = units @ basis[:rank].T  # (sample, rank)
    chosen = np.array(list(itertools.combinations(range(len(units)), rank - 1)), dtype=np.int64)
    if rank == 1:
        rays = np.ones((1, 1))
    else:
        _, singular, complement = np.linalg.svd(inside[chosen], full_matrices=True)
        met = singular[:, -1] > 1e-10  # boundaries that coincide meet in more than a ray
        rays, chosen = complement[met, -1, :], chosen[met]
    projection = np.zeros((len(rays), len(inputs)))
    projection[:, felt] = rays @ inside.T * length[felt]
    if rank > 1:
        np.put_along_axis(projection, np.flatnonzero(felt)[chosen], 0.0, axis=1)
    return np.concatenate([projection, -projection])


def at_rest(forces: Any, rays: Any, slopes: tuple[float, float, float], lengths: Any) -> Any:
    """Whether φ ≥ 0 everywhere, (neuron,): forces f (neuron, sample), rays of `rays_of`, lengths |x_k| (sample,)."""
    values = np.where(rays > 0, slopes[2] * rays, slopes[0] * rays).T
    least = np.full(len(forces), np.inf)
    several = max(1, MOST_NUMBERS // max(len(rays), 1))
    for first in range(0, len(forces), several):
        chosen = slice(first, first + several)
        least[chosen] = (forces[chosen] @ values).min(-1, initial=np.inf)
    return least >= -ROUNDING * (np.abs(forces) @ lengths)
