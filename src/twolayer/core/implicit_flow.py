"""Gradient flow of a smooth objective: implicit Runge–Kutta (Radau IIA of order 5, scipy's) with the exact Hessian.

Near a minimum the Hessian's eigenvalues spread over many decades, and an explicit method would take as many steps as
gradient descent. Before, where accuracy and not stability limits the step, one of order 8 (Dormand and Prince, scipy's
DOP853) needs a tenth of the gradients. No neuron is special at 0 where σ is smooth, so that there are no events.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.integrate import DOP853, Radau

from twolayer.core.budget import Budget
from twolayer.core.network import Weights
from twolayer.core.parameters import TrainedParameters
from twolayer.core.saved_state import State, StateStore, restore_solver, solver_state
from twolayer.core.trajectory import FlowWeights

__all__ = ["implicit_flow", "linear_fall"]

STEPS = 3000
"""So many steps without the time doubling are no progress: forces are rounding, and no step is within tolerance."""

AT_REST = 0.01
"""A flow whose loss falls by no more than this share to the end is at rest."""

NEWTON = 0.01
"""The error left in a step's equations, as a share of the tolerance. scipy asks for √rtol, which where forces are
rounding cannot be reached."""


STIFF, CHECKED = 4.0, 20
"""A step times the top Hessian eigenvalue from which stability limits explicit steps (at about 6), looked at after
so many steps."""


def implicit_flow(
    problem: Any,
    start: Weights,
    times: Any,
    weight_decay: float,
    rtol: float,
    atol: float,
    budget: Budget | None = None,
    states: StateStore | None = None,
) -> Iterator[FlowWeights]:
    """dθ/dt = −∇(L + (weight_decay/2)|θ|²) over the trained parameters of one seed at `times`, of which the first is
    the start: a frame for each as soon as it is reached, hidden (neuron, feature), output (neuron,).

    problem: on the host, of that seed, with a `gradient` and a `hessian`. Where the integrator cannot go on, a state
    from which the loss would fall by less than `AT_REST` stands to the end; otherwise frames are NaN from there on,
    and `stall` says when. So they are beyond the budget. states: where the state is saved after steps; from one that
    is found there, the frames after it are yielded.
    """
    system = SmoothSystem(problem, start, weight_decay)
    state = system.packed(system.start)
    found = None if states is None else states.load()
    if states is None or found is None:
        yield FlowWeights(system.start.hidden, system.start.output)
        saved, since, steps = 1, float(times[0]), 0
        solver = system.solver(float(times[0]), state, float(times[-1]), rtol, atol)
    else:
        saved, since, steps = states.frames, found["since"], found["steps"]
        solver = system.solver(float(times[0]), state, float(times[-1]), rtol, atol, found["implicit"])
        restore_solver(solver, found["solver"])

    def current() -> State:
        implicit = isinstance(solver, Radau)
        return {"since": since, "steps": steps, "implicit": implicit, "solver": solver_state(solver)}

    while saved < len(times):
        if states is not None:
            states.offer(current)
        solver.atol = system.floors(solver.y, rtol, atol)
        with np.errstate(over="ignore", invalid="ignore"):
            solver.step()
        steps += 1
        explicit = isinstance(solver, DOP853)
        if explicit and (solver.status == "failed" or (steps % CHECKED == 0 and system.is_stiff(solver))):
            solver = system.solver(solver.t, solver.y, float(times[-1]), rtol, atol, implicit=True)
            continue
        spent = budget.spend(1, solver.t) if budget is not None and solver.t < times[-1] else ""
        if solver.status == "failed" or steps > STEPS or spent:
            if not spent and system.is_at_rest(solver.y, float(times[-1]) - solver.t):
                rest = system.unpacked(solver.y)
                final = FlowWeights(rest.hidden, rest.output)
            else:
                stall = spent or f"at time {solver.t:.6g} no step is within tolerance"
                final = FlowWeights.lost(start, None, stall=stall)
            yield from itertools.repeat(final, len(times) - saved)
            return
        if solver.t - times[0] >= 2.0 * (since - times[0]):
            since, steps = solver.t, 0
        between = solver.dense_output()
        while saved < len(times) and solver.t >= times[saved]:
            reached = np.array(solver.y) if solver.t == times[saved] else between(times[saved])
            weights = system.unpacked(reached)
            yield FlowWeights(weights.hidden, weights.output)
            saved += 1


class SmoothSystem(TrainedParameters):
    """The flow's velocity and Jacobian in the trained parameters of one seed."""

    def __init__(self, problem: Any, start: Weights, weight_decay: float) -> None:
        super().__init__(problem, problem.network.with_tied_outputs(start))
        self.weight_decay = weight_decay

    def floors(self, vector: Any, rtol: float, atol: float) -> Any:
        """The absolute tolerance of each parameter: the relative one of its neuron, so that neurons of 1e-14 grow with
        the relative tolerance, and coordinates that are 0 but for rounding are not followed."""
        weights = self.unpacked(vector)
        size = np.abs(weights.hidden).max(-1)
        if self.trained:
            size = np.maximum(size, np.abs(weights.output))
        least = np.maximum(np.maximum(atol, rtol * size), 1e-300)
        return np.concatenate([np.repeat(least, self.shape[1]), *([least] if self.trained else [])])

    def solver(
        self, start: float, state: Any, stop: float, rtol: float, atol: float, implicit: bool = False
    ) -> Any:
        """scipy's integrator from a state on."""
        settings = {
            "rtol": max(rtol, 100.0 * np.finfo(np.float64).eps),
            "atol": self.floors(state, rtol, atol),
        }

        def velocity(_: float, vector: Any) -> Any:
            return self.velocity(vector)

        if not implicit:
            return DOP853(velocity, start, state, stop, **settings)
        made = Radau(velocity, start, state, stop, jac=lambda _, vector: self.jacobian(vector), **settings)
        made.newton_tol = max(made.newton_tol, NEWTON)
        return made

    def is_stiff(self, solver: Any) -> bool:
        """Whether stability, and not accuracy, limits an explicit step."""
        matrix = self.jacobian(solver.y)
        if not np.isfinite(matrix).all():
            return False
        return bool(-np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[0] * solver.h_abs > STIFF)

    def velocity(self, vector: Any) -> Any:
        """−∇ of the objective."""
        return -self.packed(self.problem.gradient(self.unpacked(vector), self.weight_decay))

    def jacobian(self, vector: Any) -> Any:
        """−∇∇ of the objective; tied outputs are penalised twice."""
        decay = self.weight_decay * (2.0 if self.problem.network.output == "tied" else 1.0)
        return -self.problem.hessian(self.unpacked(vector)) - decay * np.eye(len(vector))

    def is_at_rest(self, vector: Any, duration: float) -> bool:
        """Whether the objective falls by less than `AT_REST` of the loss, or than its rounding, in this time: with v
        the velocity and μ the Hessian's eigenvalues, by Σ v_i² (1 − e^(−2μ_i t))/(2μ_i), the linear flow's fall."""
        weights = self.unpacked(vector)
        least = AT_REST * float(self.problem.loss(weights)) + float(self.problem.rounding(weights))
        velocity, matrix = self.velocity(vector), self.jacobian(vector)
        if not (np.isfinite(velocity).all() and np.isfinite(matrix).all()):
            return False
        return linear_fall(velocity, matrix, duration) <= least


def linear_fall(velocity: Any, jacobian: Any, duration: float) -> float:
    """How far the objective falls in a time by the linear flow, Σ v_i² (1 − e^(−2μ_i t))/(2μ_i): v the velocity, μ the
    eigenvalues of the Hessian, which is minus the velocity's Jacobian."""
    values, vectors = np.linalg.eigh(-0.5 * (jacobian + jacobian.T))
    exponents = 2.0 * duration * values
    steep = np.where(exponents == 0, 1.0, exponents)
    with np.errstate(over="ignore"):
        share = np.where(exponents == 0, 1.0, -np.expm1(-steep) / steep)
        return duration * float(np.sum(share * (velocity @ vectors) ** 2))
