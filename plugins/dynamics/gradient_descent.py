"""gradient_descent: θ ← θ − η ∇L(θ)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from twolayer import Descent, Network, Problem, ProblemSpec, Weights, dynamics
from twolayer.core.trajectory import Clock


@dynamics("gradient_descent")
@dataclass(frozen=True)
class GradientDescent(Descent):
    """θ ← θ − step_size ∇L(θ) over the trained parameters, with the whole data (or population) at each step."""

    stays_in_span = True

    def validate_last_stage(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse a step above the limit that a problem knows of, where every minimum is unstable."""
        limit = problem.step_limit(network)
        if self.step_size > limit:
            raise ValueError(
                f"step_size: is {self.step_size!r}, above the stability limit: for a step size above {limit:.6g} "
                "(2 / a lower bound of the top Hessian eigenvalue) gradient descent leaves every minimum in "
                "which no student is at 0; below it, some minima may still be left"
            )

    def restarts(self) -> bool:
        """Yes."""
        return True

    def steps(
        self, problem: Problem, weights: Weights, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """One step after another."""
        while True:
            weights = problem.descend(weights, self.step_size, 0.0, 1)
            yield weights

    def trajectory(
        self, problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """As `steps`, all steps between two saved ones in one call of the backend."""
        done = int(clock.step[0])
        for step in clock.step:
            weights = problem.descend(weights, self.step_size, 0.0, int(step) - done)
            done = int(step)
            yield weights
