"""What a problem plugin is: the section of a config that data are made from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from twolayer.core.data import Data
from twolayer.core.network import Network

__all__ = ["ProblemSpec"]


class ProblemSpec(ABC):
    """A law of data as a config names it; the fields of the dataclass are its section.

    What a subclass does not say has the answer given here.
    loss: the name of the loss of its finite data; a field of that name lets a config say it.
    """

    loss = "half_mean_square"

    @abstractmethod
    def generate(self, random: np.random.Generator) -> Data:
        """The data of one seed, on the host in float64, drawn from the seed's generator."""

    def data(self, network: Network, random: np.random.Generator) -> Data:
        """As `generate`, for data that depend on the network, such as labels of a teacher of its kind."""
        return self.generate(random)

    def seed_data(self, network: Network, random: np.random.Generator, seed: int) -> Data:
        """As `data`, for a problem that must know the seed's number, such as one that reads a row of a file."""
        return self.data(network, random)

    def reduced(self, neurons: int) -> Data | None:
        """The data in coordinates of the span of teachers and `neurons` students; None where there are none."""
        return None

    @property
    def per_seed(self) -> bool:
        """Whether seeds have different data."""
        return False

    @property
    def laws(self) -> frozenset[str]:
        """The laws of data it makes, `finite` or `population`; for a sample of a teacher's population both."""
        return frozenset({"finite", "population"})

    @property
    def size(self) -> tuple[int | None, int | None]:
        """The numbers of samples (None for a population) and of features; None each where it is not known yet."""
        return None, None

    @property
    def teacher_outputs(self) -> tuple[float, ...]:
        """The output weights of the teachers; none without teachers."""
        return ()

    @property
    def profile(self) -> str:
        """What of f − f* is removed before squaring: none of it, unless a law of data has such a setting."""
        return "none"

    def step_limit(self, network: Network) -> float:
        """The step size above which gradient descent has no stable minimum; infinite where none is known."""
        return math.inf

    def remarks(self) -> list[str]:
        """What is allowed and likely not meant, each beginning with a key: it is said as a warning."""
        return []

    def validate(self, network: Network) -> None:
        """Refuse, by a ValueError that begins with a key, what does not go with the network."""
