"""A dynamics with memory between steps, which says nothing of how to go on from a save."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from twolayer import Descent, Problem, Weights

__all__ = ["HeavyBall"]


@dataclass(frozen=True)
class HeavyBall(Descent):
    """v ← momentum v − η ∇L, θ ← θ + v."""

    momentum: float = 0.5

    def steps(self, problem: Problem, weights: Weights, random: Any) -> Iterator[Weights]:
        """One step after another."""
        velocity = 0.0 * weights
        while True:
            velocity = self.momentum * velocity - self.step_size * problem.gradient(weights)
            weights = weights + velocity
            yield weights
