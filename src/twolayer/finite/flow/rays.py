"""The rays in which boundaries meet: between them the objective is linear close to w = 0 (`zero`)."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from twolayer.finite.flow.kernels import INNER_KERNEL
from twolayer.finite.flow.problem import FlowProblem, Lines
from twolayer.kernels.record import Matrix, Record, Vector

__all__ = ["Rays", "build_rays", "lowest_ray", "no_rays", "same_direction"]

MOST_NUMBERS = 1_000_000
"""Of rays times lines. Of more rays a random part is listed, so that a neuron may leave 0 late."""

PHASES = 8
"""Positions of the steps about 0 from which the map is followed to see whether they agree."""


class Rays(Record):
    """Unit directions in the span of the inputs in which rank − 1 boundaries meet."""

    projection: Matrix  # (ray, line) ζ
    load: Matrix  # (ray, response) force along the ray per unit of residual
    inputs: Matrix  # (line, rank) in an orthonormal basis of their span
    dual: Matrix  # (line, rank) weights for ζ in that basis
    phases: Matrix  # (phase, rank) random vectors of length about 1
    dead_cone: bool  # some open cone of directions activates no sample
    part: bool  # not all rays are listed


def no_rays(problem: FlowProblem) -> Rays:
    """No ray, as long as no neuron has reached 0."""
    lines = len(problem.gram)
    none = np.zeros((0, lines))
    return Rays(none, np.zeros((0, len(problem.targets))), none.T.copy(), none.T.copy(), none, False, False)


def build_rays(problem: FlowProblem, lines: Lines) -> Rays:
    """List the rays of a problem with at least one line, and whether some directions are dead."""
    count, rank = len(problem.gram), problem.rank
    units = lines.inputs / problem.norm[:, None]
    _, _, basis = np.linalg.svd(units, full_matrices=False)
    inside = units @ basis[:rank].T  # (line, rank)
    most = MOST_NUMBERS // (2 * count)
    part = math.comb(count, rank - 1) > most
    if part:
        keys = np.random.default_rng(1).random((most, count))
        chosen = np.sort(np.argpartition(keys, rank - 2, axis=1)[:, : rank - 1], axis=1)
    else:
        subsets = list(itertools.combinations(range(count), rank - 1))
        chosen = np.array(subsets, dtype=np.int64).reshape(len(subsets), rank - 1)
    normals = inside[chosen]  # (ray, rank − 1, rank)
    if rank == 1:
        rays = np.ones((1, 1))
    else:
        _, singular, complement = np.linalg.svd(normals, full_matrices=True)
        rays = complement[:, -1, :]
        met = singular[:, -1] > 1e-10  # boundaries that coincide meet in more than a ray
        rays, chosen = rays[met], chosen[met]
    projection = rays @ inside.T * problem.norm
    np.put_along_axis(projection, chosen, 0.0, axis=1)
    projection[np.abs(projection) < 1e-13 * problem.norm] = 0.0
    projection = np.concatenate([projection, -projection])
    line = np.concatenate([np.arange(count), np.flatnonzero(problem.opposite >= 0)])
    side = np.sign(projection[:, line]).astype(np.int64) + 1
    load = problem.slope[side, np.arange(len(line))] * projection[:, line] * problem.rate
    felt = np.any(load != 0.0, axis=1)
    random = np.random.default_rng(0).normal(size=(PHASES, rank)) / np.sqrt(rank)
    dead_cone = False
    if np.any(problem.slope[::2, 0] == 0.0) and np.all(problem.opposite < 0):
        # Gordan: either some direction is on the inactive side of all, or a convex combination of inputs is 0.
        from scipy.optimize import nnls  # loads much of SciPy

        _, apart = nnls(np.vstack([units.T, np.ones(count)]), np.append(np.zeros(units.shape[1]), 1.0))
        dead_cone = bool(apart > 1e-10)
    return Rays(
        np.ascontiguousarray(projection[felt]),
        np.ascontiguousarray(load[felt]),
        np.ascontiguousarray(inside * problem.norm[:, None]),
        np.ascontiguousarray(problem.inverse @ (inside * problem.norm[:, None])),
        random,
        dead_cone,
        part,
    )


@INNER_KERNEL
def lowest_ray(sign: float, rays: Rays, residual: Vector) -> tuple[int, float]:
    """The ray on which φ is least, and its value there."""
    best: Any = np.int64(-1)
    lowest = np.inf
    for i in range(rays.load.shape[0]):
        value = 0.0
        for response in range(residual.size):
            value -= sign * rays.load[i, response] * residual[response]
        if value < lowest:
            lowest = value
            best = i
    return best, lowest


@INNER_KERNEL
def same_direction(first: Any, second: Any, problem: FlowProblem) -> bool:
    """Whether two directions (line,) give the same neuron: for |z| also one that is turned round."""
    plain = 0.0
    turned = 0.0
    for k in range(first.size):
        plain = max(plain, abs(first[k] - second[k]) / problem.norm[k])
        turned = max(turned, abs(first[k] + second[k]) / problem.norm[k])
    return plain < 1e-6 or (problem.even and turned < 1e-6)
