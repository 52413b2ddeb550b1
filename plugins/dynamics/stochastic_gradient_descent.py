"""stochastic_gradient_descent: θ ← θ − η ∇L_batch(θ), with a batch drawn anew at each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from twolayer import Descent, Network, Problem, ProblemSpec, Weights, dynamics
from twolayer.core.trajectory import Clock
from twolayer.errors import TrainingError

MOST_NUMBERS = 10**9
"""Of one batch; it lies in memory under the array backends."""


@dynamics("stochastic_gradient_descent")
@dataclass(frozen=True)
class StochasticGradientDescent(Descent):
    """θ ← θ − step_size ∇L_batch(θ) over the trained parameters, with batches of `batch_size` samples.

    On a teacher a batch is fresh x ~ N(0, I_d), and L_batch is (1/2B) Σ (f(x) − f*(x))². Of a finite data set it is
    a subset without replacement, drawn anew at each step, with the loss of the set. ∇L_batch is ∇L on average.
    """

    batch_size: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 1:
            raise ValueError(f"batch_size: at least 1, is {self.batch_size}")

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse batches that are larger than the data, or than memory."""
        samples, features = problem.size
        if samples is not None:
            self.refuse_above(samples)
        if self.batch_size * (features or 1) > MOST_NUMBERS:
            raise ValueError(f"batch_size: a batch of {self.batch_size} samples is more than memory holds")

    @property
    def samples_per_step(self) -> int:
        """A batch."""
        return self.batch_size

    def refuse_above(self, samples: int) -> None:
        """Refuse more samples than there are: they are drawn without replacement."""
        if self.batch_size > samples:
            raise ValueError(
                f"batch_size: {self.batch_size} of {samples} samples cannot be drawn without replacement; "
                f"{samples} at most"
            )

    def restarts(self) -> bool:
        """Yes."""
        return True

    def steps(
        self, problem: Problem, weights: Weights, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """One step after another."""
        self.refuse_unfit(problem)
        while True:
            weights = problem.descend_on_batches(weights, self.step_size, self.batch_size, 1, random)
            yield weights

    def trajectory(
        self, problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """As `steps`, all steps between two saved ones in one call of the backend."""
        self.refuse_unfit(problem)
        done = int(clock.step[0])
        for step in clock.step:
            count = int(step) - done
            weights = problem.descend_on_batches(weights, self.step_size, self.batch_size, count, random)
            done = int(step)
            yield weights

    def refuse_unfit(self, problem: Problem) -> None:
        """Refuse what is known only of the data themselves: the number of samples in a file."""
        if problem.data.law == "finite":
            try:
                self.refuse_above(problem.data.samples)
            except ValueError as error:
                raise TrainingError(f"dynamics.{error}") from None
