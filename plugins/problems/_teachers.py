"""Teachers whose vectors a plugin makes: their population, or samples of it, as of `gaussian_teacher`."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from twolayer import FiniteData, Network, ProblemSpec, Teacher

from .gaussian_teacher import GaussianTeacher


@dataclass(frozen=True)
class MadeTeachers(ProblemSpec):
    """Base of problems with f*(x) = Σ_l b_l σ(v_l·x) on x ~ N(0, I_d). A subclass adds fields and writes `vectors`.

    profile, samples, noise and loss: as of `gaussian_teacher`. shared: one draw of teachers and sample for all seeds.
    """

    dimension: int
    profile: Literal["none", "constant", "linear"] = field(default="none", kw_only=True)
    samples: int | None = field(default=None, kw_only=True)
    shared: bool = field(default=False, kw_only=True)
    loss: str = field(default="half_mean_square", kw_only=True)
    noise: float = field(default=0.0, kw_only=True)

    @abstractmethod
    def vectors(self, random: np.random.Generator, seed: int) -> Any:
        """v of a seed, (teacher, feature)."""

    def outputs(self, seed: int) -> float | list[float]:
        """b of a seed, one number or one for each."""
        return 1.0

    @property
    def draws_vectors(self) -> bool:
        """Whether seeds have different teachers."""
        return True

    def placed(self, vectors: Any, outputs: float | list[float]) -> GaussianTeacher:
        """The problem with these vectors; ValueError for what is refused there."""
        return GaussianTeacher(
            self.dimension,
            vectors=np.asarray(vectors, dtype=np.float64).tolist(),
            coefficients=outputs,
            profile=self.profile,
            samples=self.samples,
            loss=self.loss,
            noise=self.noise,
        )

    def of_seed(self, random: np.random.Generator, seed: int) -> GaussianTeacher:
        """The problem of a seed."""
        return self.placed(self.vectors(random, seed), self.outputs(seed))

    def check(self) -> None:
        """Refuse, by a ValueError, what a teacher refuses, with a draw of the teachers."""
        self.of_seed(np.random.default_rng(0), 0)
        if self.shared and self.samples is None and not self.draws_vectors:
            raise ValueError("shared: nothing is drawn that could be shared; leave it out")

    def seed_data(self, network: Network, random: np.random.Generator, seed: int) -> Teacher | FiniteData:
        """The teacher of a seed, or a sample of its population."""
        return self.of_seed(random, seed).data(network, random)

    def generate(self, random: np.random.Generator) -> Teacher:
        """The teacher alone, of seed 0."""
        return self.of_seed(random, 0).generate(random)

    @property
    def per_seed(self) -> bool:
        """Whether each seed has another teacher, or another sample."""
        return not self.shared and (self.draws_vectors or self.samples is not None)

    @property
    def laws(self) -> frozenset[str]:
        """The population's; a sample is finite data, too."""
        return frozenset({"population"} if self.samples is None else {"finite", "population"})

    @property
    def size(self) -> tuple[int | None, int]:
        """The number of samples, None for the population, and d."""
        return self.samples, self.dimension


@dataclass(frozen=True)
class WithCoefficients(MadeTeachers):
    """Base of those whose coefficients the config gives: one number, or one for each teacher."""

    coefficients: float | list[float] = field(default=1.0, kw_only=True)

    @property
    @abstractmethod
    def count(self) -> int:
        """k, the number of teachers."""

    def outputs(self, seed: int) -> float | list[float]:
        """b, of every seed."""
        return self.coefficients

    @property
    def teacher_outputs(self) -> tuple[float, ...]:
        """b_l."""
        return tuple(np.broadcast_to(np.asarray(self.coefficients, dtype=np.float64), self.count).tolist())


def rotation(dimension: int, columns: int, random: np.random.Generator) -> Any:
    """`columns` orthonormal vectors (feature, column), uniform: the first columns of a rotation of Haar's law."""
    orthonormal, triangle = np.linalg.qr(random.standard_normal((dimension, columns)))
    return orthonormal * np.sign(np.diag(triangle))
