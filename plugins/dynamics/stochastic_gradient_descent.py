"""stochastic_gradient_descent: θ ← θ − η ∇L_batch(θ), with a batch drawn anew at each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from twolayer import Descent, Network, Problem, ProblemSpec, Weights, dynamics
from twolayer.core.arrays import norm, to_host
from twolayer.core.network import placed_like
from twolayer.core.trajectory import Clock
from twolayer.population.one_pass import placed_on_spheres, triangular, turned

from ._first_order import check_batches, check_output_step, refuse_above, steps_of


@dynamics("stochastic_gradient_descent")
@dataclass(frozen=True)
class StochasticGradientDescent(Descent):
    """θ ← θ − step_size ∇L_batch(θ) over the trained parameters, with batches of `batch_size` samples.

    On a teacher a batch is fresh x ~ N(0, I_d), and L_batch is (1/2B) Σ (f(x) − f*(x))². Of a finite data set it is
    a subset without replacement, drawn anew at each step, with the loss of the set. ∇L_batch is ∇L on average.
    draw: `full`, in all d features; `reduced`, on a teacher with batches of one sample, in min(d, m + k) coordinates
    of the span of teachers and students, at no cost in d: w·w and w·v have the same law, and another sample.
    spherical: after each step each w_j is set back to the length that it started with.
    epochs: batches of finite data go through all samples, each once an epoch, in an order that is drawn for each epoch
    anew; the last batch of an epoch has what is left.
    output_step_size: of the output layer, where it is another; time is that of `step_size`. With it, and with epochs,
    the array code is run.
    """

    batch_size: int
    draw: Literal["full", "reduced"] = "full"
    spherical: bool = False
    epochs: bool = False
    output_step_size: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_output_step(self.output_step_size)
        if self.batch_size < 1:
            raise ValueError(f"batch_size: at least 1, is {self.batch_size}")
        if self.draw == "reduced" and self.batch_size != 1:
            raise ValueError(
                f"draw: 'reduced' draws one sample per step, and batch_size is {self.batch_size}; set it to 1, or "
                "draw to 'full'"
            )
        for key in ("epochs", "output_step_size"):
            if getattr(self, key) and (self.draw == "reduced" or self.spherical):
                other = "draw 'reduced'" if self.draw == "reduced" else "spherical"
                raise ValueError(f"{key}: not with {other}; leave one of them out")

    @property
    def by_arrays(self) -> bool:
        """Whether steps are those of the array code, one by one."""
        return self.epochs or self.output_step_size is not None

    @property
    def stays_in_span(self) -> bool:  # type: ignore[override]
        """Where draws are reduced: in the span of teachers and students, up to a rotation about the teachers."""
        return self.draw == "reduced"

    @property
    def host_reason(self) -> str:  # type: ignore[override]
        """A reduced draw is sequential, and small."""
        return "stochastic descent with reduced draws is computed on the host" if self.stays_in_span else ""

    def checks_rounding(self, problem: Problem) -> bool:
        """Not of reduced draws, of which only overlaps have a meaning."""
        return self.draw == "full"

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse batches that are larger than the data, or than memory."""
        if self.draw == "reduced":
            if problem.size[0] is not None or "population" not in problem.laws:
                raise ValueError(
                    "draw: 'reduced' needs a teacher on the whole population ('gaussian_teacher')"
                )
            if problem.profile != "none":
                raise ValueError("draw: 'reduced' knows no profile; set problem.profile: none, or draw: full")
        if self.spherical and network.output == "tied":
            raise ValueError("spherical: lengths are fixed, and network.output 'tied' trains them")
        check_output_step(self.output_step_size, network)
        check_batches(problem, self.batch_size, self.epochs)

    @property
    def samples_per_step(self) -> int:
        """A batch."""
        return self.batch_size

    def restarts(self) -> bool:
        """Yes, but within an epoch, whose order the weights carry."""
        return not self.epochs

    def resumes(self) -> bool:
        """Yes."""
        return True

    def steps(
        self, problem: Problem, weights: Weights, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """One step after another."""
        if self.by_arrays:
            sizes = self.step_size, self.output_step_size or self.step_size
            yield from steps_of(problem, weights, random, sizes, self.batch_size, self.epochs)
        self.refuse_unfit(problem)
        lengths = self.lengths(weights)
        while True:
            weights = self.descend(problem, weights, 1, random, lengths)
            yield weights

    def trajectory(
        self, problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """As `steps`, all steps between two saved ones in one call of the backend."""
        if self.by_arrays:
            yield from super().trajectory(problem, weights, clock, random)
            return
        self.refuse_unfit(problem)
        lengths = self.lengths(weights)
        done = int(clock.step[0])
        for step in clock.step:
            count = int(step) - done
            weights = self.descend(problem, weights, count, random, lengths)
            done = int(step)
            yield weights

    def lengths(self, weights: Weights) -> Any:
        """|w_j| (seed, neuron), to which each step goes back; None where it does not."""
        return norm(weights.hidden) if self.spherical else None

    def descend(
        self, problem: Any, weights: Weights, count: int, random: Sequence[np.random.Generator], lengths: Any
    ) -> Weights:
        """`count` steps."""
        if self.draw == "reduced":
            return self.descend_reduced(problem, weights, count, random, lengths)
        if lengths is None:
            found: Weights = problem.descend_on_batches(
                weights, self.step_size, self.batch_size, count, random
            )
            return found
        for _ in range(count):
            weights = problem.descend_on_batches(weights, self.step_size, self.batch_size, 1, random)
            weights = Weights(placed_on_spheres(weights.hidden, lengths), weights.output)
        return weights

    def descend_reduced(
        self, problem: Any, weights: Weights, count: int, random: Sequence[np.random.Generator], lengths: Any
    ) -> Weights:
        """`count` steps on the host."""
        if count == 0:
            return weights
        hidden, teachers = to_host(weights.hidden), len(problem.data.output)
        if problem.data.dimension and not triangular(hidden, teachers):
            hidden = turned(hidden, teachers)
        kept = None if lengths is None else to_host(lengths)
        host = Weights(hidden, to_host(weights.output))
        moved = problem.one_pass(host, self.step_size, count, random, kept)
        return Weights(placed_like(moved.hidden, weights.hidden), placed_like(moved.output, weights.output))

    def refuse_unfit(self, problem: Problem) -> None:
        """Refuse what is known only of the data themselves: the number of samples in a file."""
        if problem.data.samples is not None:
            refuse_above(self.batch_size, problem.data.samples)
