"""Gradient flow on a teacher to long horizons: implicit Runge–Kutta with the exact Jacobian.

The loss falls as T⁻³ while the overlap of students decays as 1/T beside modes that relax in a time of order one:
the flow is stiff, and an explicit method would take T steps. Radau IIA of order 5 (scipy) takes the Hessian of
`PopulationProblem`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import Radau

from twolayer.errors import TrainingError
from twolayer.model import Weights

__all__ = ["population_flow"]

ROUNDING = 2.0**-49
"""The absolute tolerance is at least this, times the largest weight of the moment: a coordinate that is 0 but for
rounding is not followed, and weights of 1e-14 grow with the relative tolerance."""


def population_flow(
    problem: Any, weights: Weights, times: Any, weight_decay: float, rtol: float, atol: float
) -> Weights:
    """dθ/dt = −∇(L + (weight_decay/2)|θ|²) of one seed on the host at `times`, of which the first is the start.

    problem: a `PopulationProblem`, best in its reduced coordinates. Returns hidden (time, neuron, feature) and
    output (time, neuron). Raises TrainingError where the integrator cannot go on, with the time that it reached.
    """
    packing = Packing(problem, weights, weight_decay)
    solver = Radau(
        lambda _, y: packing.velocity(y),
        float(times[0]),
        packing.packed(weights),
        float(times[-1]),
        rtol=rtol,
        atol=floor(atol, packing.packed(weights)),
        jac=lambda _, y: packing.jacobian(y),
    )
    states, saved = [packing.packed(weights)], 1
    while saved < len(times):
        solver.atol = floor(atol, solver.y)
        told = solver.step()
        if solver.status == "failed":
            raise TrainingError(
                f"gradient_flow: the integrator stops at time {solver.t!r} of {float(times[-1])!r}: {told}; "
                "float64 weights carry the flow no further there"
            )
        if solver.t >= times[saved]:
            between = solver.dense_output()
            while saved < len(times) and solver.t >= times[saved]:
                states.append(solver.y if solver.t == times[saved] else between(times[saved]))
                saved += 1
    return packing.unpacked(np.stack(states))


def floor(atol: float, vector: Any) -> float:
    """The absolute tolerance at a state."""
    return max(atol, ROUNDING * float(np.abs(vector).max()), 1e-300)


class Packing:
    """The trained parameters of one seed as one vector, and the flow's velocity and Jacobian in it."""

    def __init__(self, problem: Any, start: Weights, weight_decay: float) -> None:
        self.problem, self.start, self.weight_decay = problem, start, weight_decay
        self.trained = problem.network.output == "trained"
        self.shape = start.hidden.shape

    def packed(self, weights: Weights) -> Any:
        """Hidden weights neuron by neuron, then output weights where they are trained."""
        parts = [weights.hidden.reshape(-1), *([weights.output] if self.trained else [])]
        return np.concatenate(parts)

    def unpacked(self, vectors: Any) -> Weights:
        """The weights of vectors (…, parameter)."""
        lead, size = vectors.shape[:-1], self.shape[0] * self.shape[1]
        hidden = vectors[..., :size].reshape(*lead, *self.shape)
        output = (
            vectors[..., size:] if self.trained else np.broadcast_to(self.start.output, hidden.shape[:-1])
        )
        return self.problem.network.closed(Weights(hidden, output))

    def velocity(self, vector: Any) -> Any:
        """−∇ of the objective."""
        return -self.packed(self.problem.gradient(self.unpacked(vector), self.weight_decay))

    def jacobian(self, vector: Any) -> Any:
        """−∇∇ of the objective; tied outputs are penalised twice."""
        decay = self.weight_decay * (2.0 if self.problem.network.output == "tied" else 1.0)
        return -self.problem.hessian(self.unpacked(vector)) - decay * np.eye(len(vector))
