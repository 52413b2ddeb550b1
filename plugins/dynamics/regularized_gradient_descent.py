"""regularized_gradient_descent: θ ← θ − η ∇(L + (λ/2)|θ|²), with λ constant or on a schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from twolayer import Descent, Problem, Weights, dynamics
from twolayer.core.dynamics import WeightDecay
from twolayer.core.trajectory import Clock


@dynamics("regularized_gradient_descent")
@dataclass(frozen=True)
class RegularizedGradientDescent(Descent):
    """θ ← θ − step_size ∇(L + (weight_decay/2)(|a|² + |W|²)) over the trained parameters of both layers.

    weight_decay: a number, or {values: [λ₀, λ₁, …], until: [t₁, …]}: λ_i until time t_{i+1}, the last for ever.
    A step uses the λ of the time that it starts from, and weights are seen with the λ of the step that led to them.
    """

    weight_decay: float | WeightDecay

    stays_in_span = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.weight_decay, float) and self.weight_decay < 0:
            raise ValueError(f"weight_decay: must be 0 or above, is {self.weight_decay!r}")

    def weight_decay_at(self, time: float) -> float:
        """λ of the step that led to a time; at time 0 that of the first."""
        return WeightDecay.of(self.weight_decay).at(max(time - self.step_size, 0.0))

    def restarts(self) -> bool:
        """Yes."""
        return True

    @property
    def settled_after(self) -> float:
        """When λ changes for the last time."""
        return WeightDecay.of(self.weight_decay).last_change

    def steps(
        self, problem: Problem, weights: Weights, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """One step after another, each with the λ of the time it starts from."""
        step, schedule = 0, WeightDecay.of(self.weight_decay)
        while True:
            weights = problem.descend(weights, self.step_size, schedule.at(step * self.step_size), 1)
            yield weights
            step += 1

    def trajectory(
        self, problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """As `steps`, all steps with one λ between two saved ones in one call of the backend."""
        schedule = WeightDecay.of(self.weight_decay)
        changes = [int(np.ceil(until / self.step_size * (1 - 1e-12))) for until in schedule.until]
        done = int(clock.step[0])
        for step in clock.step:
            for stop in (*(change for change in changes if done < change < step), int(step)):
                decay = schedule.at(done * self.step_size)
                weights = problem.descend(weights, self.step_size, decay, int(stop) - done)
                done = int(stop)
            yield weights
