"""Teachers whose vectors a plugin makes: their population, or samples of it, as of `gaussian_teacher`."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from twolayer import FiniteData, Network, ProblemSpec, Teacher
from twolayer.core.wording import counted
from twolayer.errors import DataError
from twolayer.population.closed_form import angles, unit

NEAREST = 1e-7
"""Radians. Teachers closer than this are one teacher for a loss that keeps sixteen digits."""

MOST_NUMBERS = 10**9
"""Of the inputs of a sample."""


def coincident(vectors: Any, sign: float = 1.0) -> tuple[int, int] | None:
    """The first two of the vectors (teacher, feature) whose directions are equal up to `sign`; None where none are."""
    directions = unit(np.asarray(vectors, dtype=np.float64))
    for i in range(len(directions) - 1):
        near = angles(directions[i : i + 1], sign * directions[i + 1 :])[0] < NEAREST
        if near.any():
            return i, i + 1 + int(np.argmax(near))
    return None


def sample_of(
    teacher: Teacher, samples: int, loss: str, network: Network, random: np.random.Generator
) -> FiniteData:
    """x ~ N(0, I) with the teacher's labels, by the network's activation, their noise, and the teacher."""
    inputs = random.standard_normal((samples, teacher.features))
    targets = teacher.labels(inputs, network)
    if teacher.noise:
        targets = targets + math.sqrt(teacher.noise) * random.standard_normal(samples)
    return FiniteData(inputs, targets, loss, teacher)


def check_noise(noise: float) -> None:
    """Refuse what is no variance."""
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise: the variance of the labels' noise is 0 or above, not {noise!r}")


def check_samples(samples: int | None, dimension: int, loss: str, profile: str) -> None:
    """Refuse what a finite set cannot have, and what only a finite set has."""
    if samples is None:
        if loss != "half_mean_square":
            raise ValueError(f"loss: the population's is ½ E (f − f*)²; '{loss}' only with samples")
        return
    if samples < 1:
        raise ValueError(f"samples: at least 1, is {samples}")
    if samples * dimension > MOST_NUMBERS:
        raise ValueError(f"samples: {samples} inputs of {dimension} coordinates are more than memory holds")
    if profile != "none":
        raise ValueError(
            f"profile: '{profile}' is removed from the population's loss only; leave it or samples out"
        )


def check_each(key: str, values: Any, count: int) -> None:
    """Refuse a list of another length than there are teachers."""
    if isinstance(values, list) and len(values) != count:
        raise ValueError(
            f"{key}: {counted(len(values), 'value')} for {counted(count, 'teacher')}; give one for each"
        )


def for_each(values: float | list[float], count: int) -> Any:
    """One number, or one for each teacher, as an array (teacher,)."""
    return np.broadcast_to(np.asarray(values, dtype=np.float64), count).copy()


class TeacherPopulation(ProblemSpec):
    """Base of problems on a teacher's population, or on `samples` of it."""

    dimension: int
    samples: int | None

    @property
    def laws(self) -> frozenset[str]:
        """The population's; a sample is finite data, too."""
        return frozenset({"population"} if self.samples is None else {"finite", "population"})

    @property
    def size(self) -> tuple[int | None, int]:
        """The number of samples, None for the population, and d."""
        return self.samples, self.dimension


@dataclass(frozen=True)
class MadeTeachers(TeacherPopulation):
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

    def placed(self, vectors: Any, outputs: float | list[float]) -> Teacher:
        """The teacher with these vectors; ValueError for what is refused."""
        count = len(vectors)
        check_each("coefficients", outputs, count)
        if (pair := coincident(vectors)) is not None:
            raise ValueError(
                f"teachers {pair[0]} and {pair[1]} coincide; join them, adding their coefficients"
            )
        if not np.any(vectors, axis=1).all():
            raise ValueError("a teacher is zero; a teacher has a direction")
        hidden = np.asarray(vectors, dtype=np.float64)
        return Teacher(hidden, for_each(outputs, count), self.profile, noise=self.noise)

    def of_seed(self, random: np.random.Generator, seed: int) -> Teacher:
        """The teacher of a seed."""
        return self.placed(self.vectors(random, seed), self.outputs(seed))

    def check(self) -> None:
        """Refuse, by a ValueError, settings that are wrong by themselves."""
        if self.dimension < 1:
            raise ValueError(f"dimension: at least 1, is {self.dimension}")
        check_noise(self.noise)
        check_samples(self.samples, self.dimension, self.loss, self.profile)
        if self.shared and self.samples is None and not self.draws_vectors:
            raise ValueError("shared: nothing is drawn that could be shared; leave it out")

    def seed_data(self, network: Network, random: np.random.Generator, seed: int) -> Teacher | FiniteData:
        """The teacher of a seed, or a sample of its population."""
        teacher = self.of_seed(random, seed)
        if network.activation.even and (pair := coincident(teacher.hidden, -1.0)) is not None:
            raise DataError(
                f"problem: teachers {pair[0]} and {pair[1]} of seed {seed} are opposite, and the same for an even "
                "activation; join them, adding their coefficients"
            )
        if self.samples is None:
            return teacher
        return sample_of(teacher, self.samples, self.loss, network, random)

    def generate(self, random: np.random.Generator) -> Teacher:
        """The teacher alone, of seed 0."""
        return self.of_seed(random, 0)

    @property
    def per_seed(self) -> bool:
        """Whether each seed has another teacher, or another sample."""
        return not self.shared and (self.draws_vectors or self.samples is not None)


@dataclass(frozen=True)
class WithCoefficients(MadeTeachers):
    """Base of those whose coefficients the config gives: one number, or one for each teacher."""

    coefficients: float | list[float] = field(default=1.0, kw_only=True)

    @property
    @abstractmethod
    def count(self) -> int:
        """k, the number of teachers."""

    def __post_init__(self) -> None:
        self.check()

    def outputs(self, seed: int) -> float | list[float]:
        """b, of every seed."""
        return self.coefficients

    @property
    def teacher_outputs(self) -> tuple[float, ...]:
        """b_l."""
        return tuple(for_each(self.coefficients, self.count).tolist())


def rotation(dimension: int, columns: int, random: np.random.Generator) -> Any:
    """`columns` orthonormal vectors (feature, column), uniform: the first columns of a rotation of Haar's law."""
    orthonormal, triangle = np.linalg.qr(random.standard_normal((dimension, columns)))
    return orthonormal * np.sign(np.diag(triangle))
