"""gradient_descent: θ ← θ − η ∇L(θ)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from twolayer import Descent, Network, Problem, ProblemSpec, Weights, dynamics
from twolayer.core.trajectory import Clock

from ._first_order import check_output_step, steps_of


@dynamics("gradient_descent")
@dataclass(frozen=True)
class GradientDescent(Descent):
    """θ ← θ − step_size ∇L(θ) over the trained parameters, with the whole data (or population) at each step.

    output_step_size: of the output layer, where it is another; time is that of `step_size`. It runs on the array code.
    """

    output_step_size: float | None = None

    stays_in_span = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_output_step(self.output_step_size)

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse a step size of outputs that do not move."""
        check_output_step(self.output_step_size, network)

    def validate_last_stage(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse a step above the limit that a problem knows of, where every minimum is unstable."""
        limit = problem.step_limit(network)
        if self.output_step_size is None and self.step_size > limit:
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
        if self.output_step_size is not None:
            yield from steps_of(problem, weights, random, (self.step_size, self.output_step_size))
        while True:
            weights = problem.descend(weights, self.step_size, 0.0, 1)
            yield weights

    def trajectory(
        self, problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """As `steps`, all steps between two saved ones in one call of the backend."""
        if self.output_step_size is not None:
            yield from super().trajectory(problem, weights, clock, random)
            return
        done = int(clock.step[0])
        for step in clock.step:
            weights = problem.descend(weights, self.step_size, 0.0, int(step) - done)
            done = int(step)
            yield weights
