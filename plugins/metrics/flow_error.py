"""flow_error: how far the loss of a flow is from that of the exact flow, by a second, much finer run."""

from __future__ import annotations

from typing import Any

import numpy as np

from twolayer import EmpiricalProblem, Problem, Weights, metric
from twolayer.core.trajectory import Trajectory

FINER, LEAST = 1e-3, 2.5e-14
"""The second run's tolerance as a share of the first's, and the smallest that a flow takes. At a tenth the error is
often no smaller: what is left of Newton's iterations in it does not follow rtol."""


def has_tolerance(problem: EmpiricalProblem, trajectory: Trajectory) -> bool:
    """Whether the dynamics has a relative tolerance."""
    return trajectory.dynamics is not None and trajectory.dynamics.finer(FINER, LEAST) is not None


@metric(
    "flow_error",
    ("time",),
    "relative error of the loss, first seed, by a run at a thousandth of the tolerance",
    applies=has_tolerance,
    by_default=False,
)
def flow_error(problem: EmpiricalProblem, trajectory: Trajectory) -> Any:
    """|L − L'|/L' of the first seed, (time,), where L' is the loss of the same flow with rtol/1000, or 2.5e-14.

    NaN after `trusted_until` and after a stop rule was met, where L' is 0, and everywhere where rtol is below
    2.5e-13, which no run can judge.
    """
    from twolayer.population.numba_descent import CompiledPopulationProblem

    dynamics, clock, weights = trajectory.dynamics, trajectory.clock, trajectory.weights
    data = problem.data.mapped(lambda array: array[0]) if problem.data.per_seed else problem.data
    alone: Problem = data.problem(problem.network)
    again = CompiledPopulationProblem(alone.data, alone.network) if alone.on_population else alone
    start = Weights(weights.hidden[:1, 0], weights.output[:1, 0])
    finer, share = dynamics.finer(FINER, LEAST)
    path = finer.trajectory(again, start, clock, ())
    exact = np.stack([alone.loss(frame)[0] for frame in path])
    loss = alone.loss(Weights(weights.hidden[0], weights.output[0]))
    error = np.abs(loss - exact) / np.where(exact > 0, exact, np.nan)
    if share > 0.1:
        error = np.full_like(error, np.nan)
    stop = np.inf if trajectory.stop_time is None else trajectory.stop_time[0]  # NaN: it went to the end
    known = (clock.time <= trajectory.trusted_until[0]) & ~(clock.time > stop)
    return np.where(known, error, np.nan)
