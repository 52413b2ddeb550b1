"""overlapping_teachers: teachers with prescribed overlaps v_l·v_k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer import problem

from ._teachers import WithCoefficients, check_each, coincident, rotation

NEGATIVE = 1e-12
"""An eigenvalue of the overlaps below minus this share of the largest is none of a Gram matrix."""


@problem("overlapping_teachers")
@dataclass(frozen=True)
class OverlappingTeachers(WithCoefficients):
    """f*(x) = Σ_l b_l σ(v_l·x) on x ~ N(0, I_dimension), with V Vᵀ = `overlaps`.

    overlaps: the matrix (teacher, teacher), symmetric and positive semidefinite, its diagonal |v_l|²; or one number ρ
    for all pairs of `teachers` unit vectors. V is its symmetric square root, in the first k features, or in a uniform
    orthonormal frame, anew for each seed, if rotated.
    coefficients, profile, samples, noise, loss: as of `gaussian_teacher`. shared: one draw for all seeds.
    """

    overlaps: float | list[list[float]]
    teachers: int | None = None
    rotated: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.overlaps, list):
            if self.teachers is not None and self.teachers != len(self.overlaps):
                raise ValueError(
                    f"teachers: overlaps are of {len(self.overlaps)}, not {self.teachers}; leave it out"
                )
            if not self.overlaps or any(len(row) != len(self.overlaps) for row in self.overlaps):
                raise ValueError(
                    "overlaps: must be a square matrix, a list of as many numbers for each teacher"
                )
        elif self.teachers is None or self.teachers < 1:
            raise ValueError("teachers: one overlap for all pairs needs their number, 1 or more")
        if self.count > self.dimension:
            raise ValueError(f"overlaps: {self.count} teachers need as many dimensions, not {self.dimension}")
        matrix = self.matrix
        if not np.array_equal(matrix, matrix.T):
            raise ValueError("overlaps: must be symmetric, v_l·v_k = v_k·v_l")
        if not (np.diag(matrix) > 0).all():
            raise ValueError("overlaps: the diagonal has |v_l|², which is above 0")
        values = np.linalg.eigvalsh(matrix)
        if values[0] < -NEGATIVE * values[-1]:
            raise ValueError(
                f"overlaps: no vectors have them, as the smallest eigenvalue is {values[0]:.3g}, below 0"
            )
        check_each("coefficients", self.coefficients, self.count)
        if (pair := coincident(self.vectors(np.random.default_rng(0), 0))) is not None:
            raise ValueError(f"overlaps: make teachers {pair[0]} and {pair[1]} coincide; join them")

    @property
    def count(self) -> int:
        """k."""
        return len(self.overlaps) if isinstance(self.overlaps, list) else self.teachers or 0

    @property
    def draws_vectors(self) -> bool:
        """Where they are rotated."""
        return self.rotated

    @property
    def matrix(self) -> Any:
        """The overlaps as an array, (teacher, teacher)."""
        if isinstance(self.overlaps, list):
            return np.asarray(self.overlaps, dtype=np.float64)
        return np.where(np.eye(self.count, dtype=bool), 1.0, self.overlaps)

    def vectors(self, random: np.random.Generator, seed: int) -> Any:
        """The square root, (teacher, teacher), in the frame."""
        values, axes = np.linalg.eigh(self.matrix)
        root = (axes * np.sqrt(np.maximum(values, 0.0))) @ axes.T
        frame = np.eye(self.dimension, self.count)
        return root @ (rotation(self.dimension, self.count, random) if self.rotated else frame).T
