"""gaussian_teacher: learn a teacher network on x ~ N(0, I_d), with the population loss in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from twolayer import FiniteData, Network, Teacher, problem
from twolayer.population.closed_form import unit
from twolayer.population.problem import orthonormal
from twolayer.population.stability import step_limit

from ._teachers import (
    TeacherPopulation,
    check_each,
    check_noise,
    check_samples,
    coincident,
    for_each,
    sample_of,
)

FIFTEEN_DEGREES = np.pi / 12


@problem("gaussian_teacher")
@dataclass(frozen=True)
class GaussianTeacher(TeacherPopulation):
    """f*(x) = Σ_l b_l σ(v_l·x) on x ~ N(0, I_dimension); the loss is ½ E (f − f*)².

    Give one of three: teachers: a number, placed along the first axes; angles: in degrees, in the plane of the
    first two axes; vectors: (teacher, feature), with norms.
    norms: |v_l|, one number or one for each. coefficients: b_l, likewise.
    profile: what of f − f* is removed before squaring, its mean (constant), or its mean and its linear part.
    samples: learn from that many x ~ N(0, I) with the teacher's labels instead, drawn anew for each seed, or once
    with `shared`; `loss` is then that of the sample, and the population's is measured too.
    noise: Δ of labels f*(x) + √Δ ζ, ζ ~ N(0, 1), on samples and in each batch; the population's loss is without Δ/2.
    """

    dimension: int
    teachers: int | None = None
    angles: list[float] | None = None
    vectors: list[list[float]] | None = None
    norms: float | list[float] | None = None
    coefficients: float | list[float] = 1.0
    profile: Literal["none", "constant", "linear"] = "none"
    samples: int | None = None
    shared: bool = False
    loss: str = "half_mean_square"
    noise: float = 0.0

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
            raise ValueError("norms: vectors have norms already; leave it out")
        for key in ("norms", "coefficients"):
            check_each(key, getattr(self, key), self.count)
        if self.norms is not None and not np.all(np.asarray(self.norms) > 0):
            raise ValueError(f"norms: must be above 0, as in {self.norms}")
        check_noise(self.noise)
        self._refuse_coincident(1.0)
        if self.samples is None and self.shared:
            raise ValueError("shared: a population has nothing to share; only with samples")
        check_samples(self.samples, self.dimension, self.loss, self.profile)

    def remarks(self) -> list[str]:
        """Angles that are multiples of π/12 to two digits look like radians."""
        turned = [abs(angle) for angle in self.angles or () if angle]
        apart = [abs(angle - FIFTEEN_DEGREES * round(angle / FIFTEEN_DEGREES)) for angle in turned]
        if not turned or max(turned) > 2.01 * np.pi or max(apart) > 0.005:
            return []
        return [f"angles: {self.angles} look like radians and are read as degrees"]

    @property
    def per_seed(self) -> bool:
        """Whether each seed learns from another sample."""
        return self.samples is not None and not self.shared

    def validate(self, network: Network) -> None:
        """Refuse teachers that are opposite, where |−v·x| = |v·x| makes them one."""
        if network.activation.even:
            self._refuse_coincident(-1.0)

    def step_limit(self, network: Network) -> float:
        """The step size above which gradient descent has no stable minimum; infinite where none is known."""
        if self.samples is not None:
            return math.inf
        few = self  # coordinates that the teachers do not need change nothing
        if self.vectors is None:
            few = replace(self, dimension=min(self.dimension, max(2, self.count)))
        return step_limit(few.generate(np.random.default_rng(0)), network)

    @property
    def teacher_outputs(self) -> tuple[float, ...]:
        """b_l."""
        return tuple(for_each(self.coefficients, self.count).tolist())

    @property
    def count(self) -> int:
        """k, the number of teachers."""
        if self.teachers is not None:
            return self.teachers
        return len(self.angles if self.angles is not None else self.vectors or [])

    def directions(self, features: int) -> Any:
        """v before norms are set, (teacher, feature), in the first features: all where they are given as vectors."""
        if self.vectors is not None:
            return np.asarray(self.vectors, dtype=np.float64)
        placed = np.zeros((self.count, features))
        if self.angles is not None:
            turned = np.deg2rad(self.angles)
            placed[:, 0], placed[:, 1] = np.cos(turned), np.sin(turned)
        else:
            np.fill_diagonal(placed, 1.0)
        return placed

    def generate(self, random: np.random.Generator) -> Teacher:
        """The teacher; nothing is drawn."""
        return self.placed(self.dimension)

    def data(self, network: Network, random: np.random.Generator) -> Teacher | FiniteData:
        """The teacher, or a sample x ~ N(0, I) with its labels, by the network's activation, and the teacher."""
        teacher = self.generate(random)
        if self.samples is None:
            return teacher
        return sample_of(teacher, self.samples, self.loss, network, random)

    def reduced(self, neurons: int) -> Teacher | None:
        """The teacher in the min(d, m + k) coordinates of a reduced draw: nothing here grows with the dimension but
        vectors, which are turned into their span. A sample has no such coordinates."""
        if self.samples is not None:
            return None
        coordinates = neurons + self.count
        if self.dimension <= coordinates:
            return self.placed(self.dimension)
        teacher = self.placed(coordinates)
        hidden = teacher.hidden
        if self.vectors is not None:
            hidden = np.zeros((self.count, coordinates))
            hidden[:, : self.count] = teacher.hidden @ orthonormal(unit(teacher.hidden))
        return replace(teacher, hidden=hidden, dimension=self.dimension)

    def placed(self, features: int) -> Teacher:
        """The teacher with its norms and coefficients."""
        norms = for_each(1.0 if self.norms is None else self.norms, self.count)
        hidden, output = self.directions(features) * norms[:, None], for_each(self.coefficients, self.count)
        return Teacher(hidden, output, self.profile, noise=self.noise)

    def _refuse_coincident(self, sign: float) -> None:
        """Refuse zero teachers, and pairs whose directions are equal up to `sign`."""
        if self.teachers is not None:
            return
        key = "angles" if self.angles is not None else "vectors"
        directions = unit(self.directions(2))
        for index, direction in enumerate(directions):
            if not direction.any():
                raise ValueError(f"{key}: [{index}] is zero; a teacher has a direction")
        if (found := coincident(directions, sign)) is not None:
            i, j = found
            word = "coincide" if sign > 0 else "are opposite, and the same for |·|"
            pair = f" ({self.angles[i]:g}° and {self.angles[j]:g}°)" if self.angles is not None else ""
            raise ValueError(f"{key}: [{i}] and [{j}] {word}{pair}; join them, adding their coefficients")
