"""orthogonal: inputs at right angles to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from twolayer import FiniteData, ProblemSpec, problem
from twolayer.core.wording import counted


@dataclass(frozen=True)
class Uniform:
    """A law: uniform on [low, high]; with `random_sign`, times ±1 by fair coins, either sign at least once."""

    low: float
    high: float
    random_sign: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"high: must be at least low ({self.low!r}), is {self.high!r}")

    def draw(self, count: int, random: np.random.Generator) -> Any:
        """`count` numbers."""
        sizes = random.uniform(self.low, self.high, count)
        if not self.random_sign:
            return sizes
        signs = random.choice([-1.0, 1.0], count)
        if count > 1 and abs(signs.sum()) == count:
            signs[random.integers(count)] *= -1.0
        return signs * sizes


@problem("orthogonal")
@dataclass(frozen=True)
class Orthogonal(ProblemSpec):
    """n = `samples` inputs in d = `dimension` ≥ n dimensions, pairwise orthogonal.

    norms, targets: a list, one number for all, or a law {low, high, random_sign}.
    directions: `axes` (x_k along the k-th axis) or `random` (a Haar-random orthonormal set, anew for each seed).
    With a law or random directions every seed has another data set.
    """

    samples: int
    dimension: int
    targets: float | list[float] | Uniform
    norms: float | list[float] | Uniform = 1.0
    directions: Literal["axes", "random"] = "axes"
    loss: str = "half_mean_square"

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= self.dimension:
            raise ValueError(
                f"samples: {self.samples} inputs cannot be orthogonal in {self.dimension} dimensions; "
                f"choose from 1 to {self.dimension}"
            )
        for name in ("norms", "targets"):
            values = getattr(self, name)
            if isinstance(values, list) and len(values) != self.samples:
                raise ValueError(
                    f"{name}: {counted(len(values), 'value')} for {counted(self.samples, 'sample')}"
                )
        lowest = self.norms.low if isinstance(self.norms, Uniform) else np.min(self.norms)
        if not lowest > 0:
            raise ValueError(f"norms: must be above 0, are {self.norms!r}")

    @property
    def laws(self) -> frozenset[str]:
        """Finite data, of no teacher."""
        return frozenset({"finite"})

    @property
    def size(self) -> tuple[int, int]:
        """n and d."""
        return self.samples, self.dimension

    @property
    def per_seed(self) -> bool:
        """Whether anything is drawn."""
        laws = isinstance(self.norms, Uniform) or isinstance(self.targets, Uniform)
        return laws or self.directions == "random"

    def generate(self, random: np.random.Generator) -> FiniteData:
        """Draw the set of one seed: directions, then norms, then targets."""
        directions = np.eye(self.samples, self.dimension)
        if self.directions == "random":
            orthonormal, triangle = np.linalg.qr(random.standard_normal((self.dimension, self.samples)))
            directions = (orthonormal * np.sign(np.diag(triangle))).T
        norms = self.values_of(self.norms, random)
        return FiniteData(norms[:, None] * directions, self.values_of(self.targets, random), self.loss)

    def values_of(self, values: float | list[float] | Uniform, random: np.random.Generator) -> Any:
        """One number a sample."""
        if isinstance(values, Uniform):
            return values.draw(self.samples, random)
        return np.broadcast_to(np.asarray(values, dtype=np.float64), (self.samples,)).copy()
