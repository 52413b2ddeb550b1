"""Lemma C.4 of Zhou, Ge and Jin 2021: the least eigenvalue of separated teachers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from twolayer import Result, at_least, at_most
from twolayer.analysis.teachers import in_plane

from .. import theory
from ..theory import paper


@paper.claim(
    "Two teachers: λ_min(M) = (2/π)(Δ − sin Δ), M_ij = E[xxᵀ s_i s_j]",
    "in closed form; M and its eigenvalues are computed at 40 separations from 0.01 to π/2, no run",
    "derived",
    on=(),
    figures=["teachers"],
)
def smallest_eigenvalue() -> Mapping[str, Result]:
    separations = np.geomspace(1e-2, np.pi / 2, 40)
    results = {}
    for dimension in (2, 5):
        axes = np.zeros((len(separations), 2, dimension))
        axes[:, :, :2] = in_plane(np.stack([0 * separations, separations], axis=-1))
        found = np.array([theory.smallest(pair) for pair in axes])
        results[f"d = {dimension}"] = at_most(np.abs(found - theory.smallest_of_two(separations)), 1e-10)
    return results


@paper.claim(
    "Lemma C.4: λ_min(M) ≥ Ω(Δ³/r³)",
    "Lemma C.4; teachers at equal steps of Δ in a plane, M computed, no run: λ_min r³/Δ³ at Δ = 0.02 against half of "
    "that at Δ = π/r, and of that of r = 2",
    "published",
    on=(),
    figures=["teachers"],
)
def separation() -> Mapping[str, Result]:
    ratio = theory.separation_ratio
    return {
        **{f"r = {r}": at_least(ratio(r, 0.02), 0.5 * ratio(r, math.pi / r)) for r in (2, 3, 4, 6)},
        "in r": at_least(np.array([ratio(r, 0.02) for r in (2, 3, 4, 6, 8, 12)]), 0.5 * ratio(2, 0.02)),
    }
