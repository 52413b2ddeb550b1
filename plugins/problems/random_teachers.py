"""random_teachers: teachers drawn anew for each seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from twolayer import problem

from ._teachers import WithCoefficients, check_each, for_each, rotation


@problem("random_teachers")
@dataclass(frozen=True)
class RandomTeachers(WithCoefficients):
    """f*(x) = Σ_l b_l σ(v_l·x) on x ~ N(0, I_dimension), with v_l in random directions, anew for each seed.

    directions: `independent`, each uniform on the sphere, or `orthonormal`, a uniform set of orthonormal vectors.
    norms: |v_l|, one number or one for each. coefficients, profile, samples, noise and loss: as of `gaussian_teacher`.
    shared: one draw of teachers and sample for all seeds.
    """

    teachers: int
    directions: Literal["independent", "orthonormal"] = "independent"
    norms: float | list[float] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teachers < 1:
            raise ValueError(f"teachers: at least 1 teacher is needed, not {self.teachers}")
        if self.directions == "orthonormal" and self.teachers > self.dimension:
            raise ValueError(
                f"teachers: {self.teachers} orthonormal teachers need as many dimensions, not {self.dimension}; give "
                "fewer, or set directions: independent"
            )
        check_each("norms", self.norms, self.teachers)
        if not np.all(np.asarray(self.norms) > 0):
            raise ValueError(f"norms: must be above 0, as in {self.norms}")
        if self.dimension == 1 and self.teachers > 1:
            raise ValueError("dimension: in one dimension teachers coincide; at least 2 for several teachers")
        check_each("coefficients", self.coefficients, self.count)

    @property
    def count(self) -> int:
        """k."""
        return self.teachers

    def vectors(self, random: np.random.Generator, seed: int) -> Any:
        """Directions, then their norms."""
        if self.directions == "orthonormal":
            drawn = rotation(self.dimension, self.teachers, random).T
        else:
            drawn = random.standard_normal((self.teachers, self.dimension))
            drawn = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        return drawn * for_each(self.norms, self.teachers)[:, None]
