"""Gradient flow on a teacher to long horizons: implicit Runge–Kutta with the exact Jacobian.

The loss falls as T⁻³ while the overlap of students decays as 1/T beside modes that relax in a time of order one:
the flow is stiff, and an explicit method would take T steps. Radau IIA of order 5 (scipy) takes the Hessian of
`PopulationProblem`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import Radau

from twolayer.model import Weights

__all__ = ["population_flow"]

ROUNDING = 2.0**-49
"""The absolute tolerance is at least this, times the largest weight of the moment: a coordinate that is 0 but for
rounding is not followed, and weights of 1e-14 grow with the relative tolerance."""

DEAD = 2.0**-40
"""A student on its way into 0, where the integrator cannot go on, is at 0 when it is shorter than this, times the
largest weight."""

STEPS = 3000
"""So many steps without the time doubling are no progress: forces are rounding, and no step is within tolerance."""

COARSER, COARSEST = 32.0, 2.0**25
"""The absolute tolerance is then raised by this factor; beyond that one in all, the flow is given up."""


def population_flow(packing: Packing, times: Any, rtol: float, atol: float) -> Weights:
    """dθ/dt = −∇(L + (weight_decay/2)|θ|²) of one seed on the host at `times`, of which the first is the start.

    packing: of a `PopulationProblem`, best in its reduced coordinates. Returns hidden (time, neuron, feature) and
    output (time, neuron), NaN from where the integrator cannot go on. A student may reach 0 in finite time (its
    gradient is of order one there); it stays, as |w| g(ŵ) is then smallest at 0, and the others go on.
    """
    state = packing.packed(packing.start)
    states = np.full((len(times), len(state)), np.nan)
    states[0], saved, stop = state, 1, float(times[-1])
    if not np.isfinite(state).all():  # the piece before was not carried to its end
        return packing.unpacked(states)
    solver, coarse = radau(packing, float(times[0]), state, stop, rtol, atol), 1.0
    since, steps = solver.t, 0
    while saved < len(times):
        solver.atol = coarse * floor(atol, solver.y)
        solver.step()
        steps += 1
        if solver.status == "failed" or steps > STEPS:
            state = packing.buried(solver.y)
            if state is None:
                state, coarse = solver.y, coarse * COARSER
            if coarse > COARSEST or packing.blurred(state, coarse * floor(atol, state)):
                break
            solver = radau(packing, solver.t, state, stop, rtol, coarse * floor(atol, state))
            since, steps = solver.t, 0
            continue
        if solver.t >= 2.0 * since:
            since, steps = solver.t, 0
            if coarse > 1.0 and packing.blurred(solver.y, solver.atol):
                break
        if solver.t >= times[saved]:
            between = solver.dense_output()
            while saved < len(times) and solver.t >= times[saved]:
                states[saved] = solver.y if solver.t == times[saved] else between(times[saved])
                saved += 1
    return packing.unpacked(states)


def radau(packing: Packing, start: float, state: Any, stop: float, rtol: float, atol: float) -> Radau:
    """The integrator at a state."""
    return Radau(
        lambda _, y: packing.velocity(y),
        start,
        state,
        stop,
        rtol=rtol,
        atol=floor(atol, state),
        jac=lambda _, y: packing.jacobian(y),
    )


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

    def buried(self, vector: Any) -> Any | None:
        """The state with the students put to 0 that move into it and are as good as there; None without any."""
        vector, size = vector.copy(), self.shape[0] * self.shape[1]
        hidden = vector[:size].reshape(self.shape)  # a view
        inward = (hidden * self.velocity(vector)[:size].reshape(self.shape)).sum(-1) < 0
        dead = inward & (np.abs(hidden).max(-1) < DEAD * np.abs(hidden).max())
        hidden[dead] = 0.0
        return vector if dead.any() else None

    def blurred(self, vector: Any, error: float) -> bool:
        """Whether an error of each parameter costs the loss its second digit, where rounding leaves it that."""
        loss = float(self.problem.loss(self.unpacked(vector)))
        slope, top = np.linalg.norm(self.velocity(vector)), np.linalg.norm(self.jacobian(vector), 2)

        def change(error: float) -> float:
            size = error * np.sqrt(len(vector))
            return float(slope * size + 0.5 * top * size**2)

        rounding = np.finfo(np.float64).eps * np.abs(vector).max()
        return change(rounding) <= 0.01 * loss < change(error)

    def velocity(self, vector: Any) -> Any:
        """−∇ of the objective."""
        return -self.packed(self.problem.gradient(self.unpacked(vector), self.weight_decay))

    def jacobian(self, vector: Any) -> Any:
        """−∇∇ of the objective; tied outputs are penalised twice."""
        decay = self.weight_decay * (2.0 if self.problem.network.output == "tied" else 1.0)
        return -self.problem.hessian(self.unpacked(vector)) - decay * np.eye(len(vector))
