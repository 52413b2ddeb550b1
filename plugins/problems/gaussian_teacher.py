"""gaussian_teacher: learn a teacher network on x ~ N(0, I_d), with the population loss in closed form."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from twolayer import Network, Teacher, hookimpl
from twolayer.gaussian import angles, unit

NEAREST = 1e-7
"""Radians. Teachers closer than this are one teacher for a loss that keeps sixteen digits."""


@dataclass(frozen=True)
class GaussianTeacher:
    """f*(x) = Σ_l b_l σ(v_l·x) on x ~ N(0, I_dimension); the loss is ½ E (f − f*)².

    Give one of three: teachers: a number, placed along the first axes; angles: in degrees, in the plane of the
    first two axes; vectors: (teacher, feature), with their own norms.
    norms: |v_l|, one number or one for each. coefficients: b_l, likewise.
    profile: what of f − f* is removed before squaring, its mean (constant), or its mean and its linear part.
    """

    dimension: int
    teachers: int | None = None
    angles: list[float] | None = None
    vectors: list[list[float]] | None = None
    norms: float | list[float] | None = None
    coefficients: float | list[float] = 1.0
    profile: Literal["none", "constant", "linear"] = "none"

    def __post_init__(self) -> None:
        given = [name for name in ("teachers", "angles", "vectors") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none of them"
            raise ValueError(f"give one of teachers (a number), angles or vectors, not {found}")
        if self.dimension < 1:
            raise ValueError(f"dimension: at least 1, is {self.dimension}")
        if self.count < 1:
            raise ValueError(f"{given[0]}: at least 1 teacher is needed")
        if self.teachers is not None and self.teachers > self.dimension:
            raise ValueError(
                f"teachers: {self.teachers} orthonormal teachers need as many dimensions, not {self.dimension}; "
                "give fewer, or place them by angles or vectors"
            )
        if self.angles is not None and self.dimension < 2:
            raise ValueError("angles: a plane needs dimension 2 or more")
        for index, vector in enumerate(self.vectors or ()):
            if len(vector) != self.dimension:
                raise ValueError(
                    f"vectors: [{index}] has {len(vector)} entries; dimension is {self.dimension}"
                )
        if self.vectors is not None and self.norms is not None:
            raise ValueError("norms: vectors have norms of their own; leave it out")
        for key in ("norms", "coefficients"):
            values = getattr(self, key)
            if isinstance(values, list) and len(values) != self.count:
                raise ValueError(f"{key}: {len(values)} values for {self.count} teachers; give one for each")
        if self.norms is not None and not np.all(np.asarray(self.norms) > 0):
            raise ValueError(f"norms: must be above 0, as in {self.norms}")
        self._refuse_coincident(1.0)

    def check(self, problem: Any, network: Network) -> None:
        """Refuse teachers that are opposite, where |−v·x| = |v·x| makes them one."""
        if network.activation == "abs":
            self._refuse_coincident(-1.0)

    @property
    def count(self) -> int:
        """k, the number of teachers."""
        if self.teachers is not None:
            return self.teachers
        return len(self.angles if self.angles is not None else self.vectors or [])

    def directions(self) -> Any:
        """v before norms are set, (teacher, feature)."""
        if self.vectors is not None:
            return np.asarray(self.vectors, dtype=np.float64)
        placed = np.zeros((self.count, self.dimension))
        if self.angles is not None:
            turned = np.deg2rad(self.angles)
            placed[:, 0], placed[:, 1] = np.cos(turned), np.sin(turned)
        else:
            np.fill_diagonal(placed, 1.0)
        return placed

    def generate(self, random: np.random.Generator) -> Teacher:
        """The teacher; nothing is drawn."""
        norms = 1.0 if self.norms is None else np.asarray(self.norms, dtype=np.float64)
        hidden = self.directions() * np.broadcast_to(norms, self.count)[:, None]
        output = np.broadcast_to(np.asarray(self.coefficients, dtype=np.float64), self.count).copy()
        return Teacher(hidden, output, self.profile)

    def _refuse_coincident(self, sign: float) -> None:
        """Refuse zero teachers, and pairs whose directions are equal up to `sign`."""
        if self.teachers is not None:
            return
        key = "angles" if self.angles is not None else "vectors"
        directions = unit(self.directions())
        for index, direction in enumerate(directions):
            if not direction.any():
                raise ValueError(f"{key}: [{index}] is zero; a teacher has a direction")
        for i, j in itertools.combinations(range(self.count), 2):
            if angles(directions[i : i + 1], sign * directions[j : j + 1]).item() < NEAREST:
                word = "coincide" if sign > 0 else "are opposite, and the same for |·|"
                raise ValueError(f"{key}: [{i}] and [{j}] {word}; join them, adding their coefficients")


@hookimpl
def register_problems(register: Any) -> None:
    register("gaussian_teacher", GaussianTeacher)
