"""halving_gradient_descent: gradient descent that takes half of the step where it diverges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from twolayer import Descent, Problem, Weights, dynamics
from twolayer.core.arrays import to_host
from twolayer.core.trajectory import Clock, WeightsWithMemory


@dynamics("halving_gradient_descent")
@dataclass(frozen=True)
class HalvingGradientDescent(Descent):
    """θ ← θ − (step_size/2^h) ∇L(θ), 2^h steps for each step of the clock; h is 0, and grows where a seed diverges.

    every: after so many steps of the clock the loss is looked at. Where it is not finite, or above `rise` times that
    of the look before (and not by rounding), the seed goes back to that look, and on with half of its step.
    halvings: how often, at most; then it goes on as it is. Time is step_size·step, whatever h. Each seed has
    its h. With a step that is stable it is gradient descent.
    """

    every: int = 100
    rise: float = 2.0
    halvings: int = 20

    stays_in_span = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.every < 1:
            raise ValueError(f"every: at least 1 step, is {self.every}")
        if not self.rise >= 1:
            raise ValueError(f"rise: a factor of 1 or above, is {self.rise!r}")
        if not 0 <= self.halvings <= 40:
            raise ValueError(f"halvings: from 0 to 40, is {self.halvings}")

    def resumes(self) -> bool:
        """Yes: the weights carry the look before, and h."""
        return True

    def steps(
        self, problem: Problem, weights: Weights, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """One step after another, each stretch between two looks at a time."""
        begin, state, halvings = 0, weights, np.zeros(weights.hidden.shape[0], dtype=np.int64)
        while True:
            stops = list(range(begin + 1, begin + self.every + 1))
            path, halvings = self.stretch(problem, state, begin, stops, halvings)
            yield from path
            begin, state = stops[-1], path[-1]

    def trajectory(
        self, problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """As `steps`, all steps between two saved ones in one call of the backend."""
        begin, state = int(clock.step[0]), Weights(weights.hidden, weights.output)
        halvings: Any = np.zeros(weights.hidden.shape[0], dtype=np.int64)
        if weights.memory:
            begin -= begin % self.every
            state = Weights(weights.memory["hidden"], weights.memory["output"])
            halvings = to_host(weights.memory["halvings"]).astype(np.int64)
        yield weights
        left = clock.step[1:].tolist()
        while left:
            end = begin + self.every - begin % self.every
            inside = [step for step in left if step <= end]
            left = left[len(inside) :]
            stops = inside if inside and inside[-1] == end else [*inside, end]
            path, halvings = self.stretch(problem, state, begin, stops, halvings)
            for step, frame in zip(inside, path, strict=False):
                look = frame if step == end else state
                memory = {"hidden": look.hidden, "output": look.output, "halvings": halvings}
                yield WeightsWithMemory(frame.hidden, frame.output, memory)
            begin, state = end, path[-1]

    def stretch(
        self, problem: Problem, state: Weights, begin: int, stops: Sequence[int], halvings: Any
    ) -> tuple[list[Weights], Any]:
        """The weights at the steps `stops`, the last of which is a look, from those at `begin`; and h (seed,) with
        which no seed diverges, or no more can be halved."""
        before = to_host(problem.loss(state))
        while True:
            path, current, done = [], state, begin
            for step in stops:
                current, done = self.moved(problem, current, step - done, halvings), step
                path.append(current)
            after = to_host(problem.loss(current))
            rounding = np.maximum(to_host(problem.rounding(state)), to_host(problem.rounding(current)))
            diverged = ~(after <= self.rise * before + np.nan_to_num(rounding)) & (halvings < self.halvings)
            if not diverged.any():
                return path, halvings
            halvings = halvings + diverged

    def moved(self, problem: Problem, weights: Weights, count: int, halvings: Any) -> Weights:
        """After `count` steps of the clock, each seed with its h."""
        xp = array_namespace(weights.hidden)
        found: Weights | None = None
        for number in np.unique(halvings).tolist():
            ends = problem.descend(weights, self.step_size / 2**number, 0.0, count * 2**number)
            if found is None:
                found = ends
                continue
            chosen = xp.asarray(halvings == number, device=device(weights.hidden))
            found = Weights(
                xp.where(chosen[:, None, None], ends.hidden, found.hidden),
                xp.where(chosen[:, None], ends.output, found.output),
            )
        assert found is not None, "there is a seed"
        return found
