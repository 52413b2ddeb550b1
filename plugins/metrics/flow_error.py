"""flow_error: how far the loss of a flow is from that of the exact flow, by a second run with half the tolerance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from twolayer import EmpiricalProblem, Flow, Metric, PopulationProblem, Weights, hookimpl
from twolayer.trajectory import Trajectory


def flow_error(problem: EmpiricalProblem, trajectory: Trajectory) -> Any:
    """2 |L − L'|/L' of the first seed, the largest of a saved time and its two neighbours, (time,), where L' is the
    loss of the same flow with rtol halved.

    An error in proportion to rtol is twice the difference; as that changes sign now and then, neighbours are asked
    too. NaN after `trusted_until`, and where L' is 0.
    """
    from twolayer.compiled_population import (
        CompiledPopulationProblem,  # the compiler, for those who flow again
    )

    dynamics, clock, weights = trajectory.dynamics, trajectory.clock, trajectory.weights
    data = problem.data.mapped(lambda array: array[0]) if problem.data.per_seed else problem.data
    own = data.problem(problem.network)
    again = CompiledPopulationProblem(own.data, own.network) if isinstance(own, PopulationProblem) else own
    start = Weights(weights.hidden[:1, 0], weights.output[:1, 0])
    path = replace(dynamics, rtol=0.5 * dynamics.rtol).trajectory(again, start, clock, ())
    halved = np.stack([own.loss(frame)[0] for frame in path])
    loss = own.loss(Weights(weights.hidden[0], weights.output[0]))
    error = 2.0 * np.abs(loss - halved) / np.where(halved > 0, halved, np.nan)
    error = np.where(clock.time <= trajectory.trusted_until[0], error, np.nan)
    beside = np.pad(np.nan_to_num(error), 1)
    return np.where(np.isnan(error), np.nan, np.maximum(beside[1:-1], np.maximum(beside[:-2], beside[2:])))


def has_tolerance(problem: EmpiricalProblem, trajectory: Trajectory) -> bool:
    """Whether the run is a flow with a relative tolerance."""
    return isinstance(trajectory.dynamics, Flow) and hasattr(trajectory.dynamics, "rtol")


@hookimpl
def register_metrics(register: Any) -> None:
    metric = Metric(
        flow_error,
        ("time",),
        "relative error of the loss, first seed, estimated with half the tolerance",
        applies=has_tolerance,
        by_default=False,
    )
    register("flow_error", metric)
