"""heavy_ball: gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from twolayer import Descent, Problem, Weights, dynamics


@dynamics("heavy_ball")
@dataclass(frozen=True)
class HeavyBall(Descent):
    """v ← momentum v − step_size ∇L(θ); θ ← θ + v, with v = 0 at the start. Source: Polyak 1964."""

    momentum: float = 0.9

    def steps(self, problem: Problem, weights: Weights, random: Sequence[Any]) -> Iterator[Weights]:
        """The weights after each step."""
        velocity = 0.0 * weights
        while True:
            velocity = self.momentum * velocity - self.step_size * problem.gradient(weights)
            weights = weights + velocity
            yield weights
