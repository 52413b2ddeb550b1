"""minimize: go to a stationary point of the objective at once, by the exact Hessian."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer import InstantUpdate, Problem, Weights, dynamics
from twolayer.core.arrays import to_host
from twolayer.core.network import placed_like
from twolayer.core.parameters import TrainedParameters
from twolayer.core.seeds import over_seeds
from twolayer.core.trajectory import FlowWeights

from ._trust_region import Iterate, trust_region

POLISH = 60
"""Newton's steps after the trust region, at most."""
FLAT = (1e-14, 1e-8)
"""Curvatures below this share of the largest are left out of a step of Newton's, the smaller share first."""
PROBED, ROUNDING = 1e-3, 1e-10
"""At a saddle the objective falls by more than this share of it, so far (of the parameters' norm) along the lowest
curvature. The sign of the curvature alone says less: at neurons of a length of rounding it is rounding too."""


@dynamics("minimize")
@dataclass(frozen=True)
class Minimize(InstantUpdate):
    """θ ← a stationary point of L + (weight_decay/2)(|a|² + |W|²) near θ, in the trained parameters, seed by seed.

    A trust region with the exact Hessian (scipy's trust-exact) first, then Newton's method while it lowers the
    gradient. On the host in float64 under every backend.
    weight_decay: λ. gradient_norm: the gradient's norm to be reached. iterations: of the trust region, at most.

    A seed that ends above `gradient_norm`, at a saddle, or on the way to a minimum at infinite weights stays where it
    came to, and the run's notes say so. On
    finite data with relu or another activation of two slopes the objective is smooth only while no sample changes its
    side of a neuron: a minimum inside such a region is reached, one on a boundary (w_j·x_k = 0) has no
    gradient of 0 and is noted as not reached.
    """

    weight_decay: float = 0.0
    gradient_norm: float = 1e-12
    iterations: int = 1000

    stays_in_span = True  # gradients and Newton's steps are combinations of students and teachers

    host_reason = "minimize is computed on the host"

    def __post_init__(self) -> None:
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay: must be 0 or above, is {self.weight_decay!r}")
        if not self.gradient_norm > 0:
            raise ValueError(f"gradient_norm: must be above 0, is {self.gradient_norm!r}")
        if self.iterations < 1:
            raise ValueError(f"iterations: at least 1, is {self.iterations}")

    def weight_decay_at(self, time: float) -> float:
        """λ, at any time."""
        return self.weight_decay

    def seed_by_seed(self, problem: Problem) -> bool:
        """But where the minimum is known in closed form."""
        return not problem.closed_minimum

    def update(self, problem: Problem, weights: Weights, random: Sequence[np.random.Generator]) -> Weights:
        """The stationary points, and for each seed what was not reached."""
        if problem.closed_minimum:
            return problem.minimum(weights, self.weight_decay)
        hidden, output = (to_host(part).astype(np.float64) for part in (weights.hidden, weights.output))

        def one(seed: int) -> tuple[Weights, str]:
            data = problem.data.of_seed(seed).mapped(lambda array: to_host(array).astype(np.float64))
            return self.minimum(data.problem(problem.network), Weights(hidden[seed], output[seed]))

        ends = over_seeds(one, len(hidden), problem.threads)
        return FlowWeights(
            placed_like(np.stack([end.hidden for end, _ in ends]), weights.hidden),
            placed_like(np.stack([end.output for end, _ in ends]), weights.output),
            None,
            tuple(message for _, message in ends),
        )

    def minimum(self, problem: Problem, weights: Weights) -> tuple[Weights, str]:
        """Where one seed ends, and what it did not reach, or "": problem and weights without a seed axis."""
        objective = TrainedObjective(problem, weights, self.weight_decay)
        start = objective.packed(objective.start)
        with np.errstate(over="ignore", invalid="ignore"):
            parts = objective.value(start), objective.slope(start), objective.curvature(start)
        if not all(np.isfinite(part).all() for part in parts):
            return (
                weights,
                "minimize: the loss and its derivatives are not finite at its start, which is too large",
            )
        found = None if self.states is None else self.states.load()
        vector, steps = start, 0
        if found is not None and "polished" in found:
            vector, steps = found["polished"]["vector"], found["polished"]["steps"]
        elif objective.steepness(start) > self.gradient_norm:
            vector = self.trusted(objective, Iterate(start) if found is None else Iterate(**found["trusted"]))

        def save(vector: Any, steps: int) -> None:
            if self.states is not None:
                self.states.offer(lambda: {"polished": {"vector": vector, "steps": steps}})

        vector = polished(objective, vector, steps, save)
        return objective.unpacked(vector), self.shortfall(objective, vector)

    def trusted(self, objective: TrainedObjective, begin: Iterate) -> Any:
        """Where SciPy's trust regions end: exact ones, or by conjugate gradients where the Hessian has rows of zeros,
        for which the estimate of its smallest singular value divides by 0."""

        def save(reached: Iterate) -> None:
            if self.states is not None:
                self.states.offer(lambda: {"trusted": reached.state()})

        def end(begin: Iterate) -> Any:
            return trust_region(objective, begin, self.gradient_norm, self.iterations, save)

        if begin.exact:
            try:
                return end(begin)
            except (ValueError, np.linalg.LinAlgError):
                begin = Iterate(objective.packed(objective.start), exact=False)
        with np.errstate(divide="ignore", invalid="ignore"):  # a flat direction, which it then leaves
            return end(begin)

    def shortfall(self, objective: TrainedObjective, vector: Any) -> str:
        """What is not reached, or ""."""
        steepness = objective.steepness(vector)
        if not steepness <= self.gradient_norm:
            return (
                f"minimize ends with a gradient of norm {steepness:.3g}, above {self.gradient_norm:g}: more "
                "iterations may reach it, unless rounding or a boundary between activation patterns is in the way"
            )
        here = objective.value(vector)
        growing = float(objective.slope(vector) @ vector) < -PROBED * here
        if growing and objective.value((1.0 + PROBED) * vector) < here * (1.0 - PROBED**2):
            return (
                f"minimize ends at an objective of {here:.3g} that still falls as all weights grow, and has no "
                "minimum there, as losses like the logistic one have none where all labels are fitted"
            )
        values, modes = np.linalg.eigh(objective.curvature(vector))
        away = PROBED * np.linalg.norm(vector) * modes[:, 0]
        lower = min(objective.value(vector + away), objective.value(vector - away))
        if values[0] < 0 and lower < here * (1.0 - ROUNDING):
            return f"minimize ends at a saddle: the smallest eigenvalue of the Hessian is {values[0]:.3g}"
        return ""


class TrainedObjective(TrainedParameters):
    """L + (weight_decay/2)(|a|² + |W|²) of one seed as a function of its trained parameters."""

    def __init__(self, problem: Problem, start: Weights, weight_decay: float) -> None:
        super().__init__(problem, start)
        self.weight_decay = weight_decay

    def value(self, vector: Any) -> float:
        """The objective."""
        weights = self.unpacked(vector)
        return float(self.problem.loss(weights) + self.problem.penalty(weights, self.weight_decay))

    def slope(self, vector: Any) -> Any:
        """Its gradient."""
        return self.packed(self.problem.gradient(self.unpacked(vector), self.weight_decay))

    def steepness(self, vector: Any) -> float:
        """The gradient's norm."""
        return float(np.linalg.norm(self.slope(vector)))

    def curvature(self, vector: Any) -> Any:
        """Its Hessian; tied outputs are penalised twice."""
        decay = self.weight_decay * (2.0 if self.problem.network.output == "tied" else 1.0)
        matrix = self.problem.hessian(self.unpacked(vector))
        return 0.5 * (matrix + matrix.T) + decay * np.eye(len(vector))


def polished(objective: TrainedObjective, vector: Any, steps: int, save: Callable[[Any, int], None]) -> Any:
    """The vector after steps of Newton's method, as long as one of them lowers the gradient.

    steps: taken already. save: is called with each vector, and the steps to it.
    """
    slope = objective.slope(vector)
    for done in range(steps, POLISH):
        values, modes = np.linalg.eigh(objective.curvature(vector))
        force = modes.T @ slope
        for flat in FLAT:
            steep = np.abs(values) > flat * np.abs(values).max()
            step = -modes @ np.where(steep, force / np.where(steep, values, 1.0), 0.0)
            lengths = (1.0, 0.5, 0.25)
            tried = [(vector + share * step, objective.slope(vector + share * step)) for share in lengths]
            lower = [pair for pair in tried if np.linalg.norm(pair[1]) < np.linalg.norm(slope)]
            if lower:
                vector, slope = lower[0]
                save(vector, done + 1)
                break
        else:
            break
    return vector
