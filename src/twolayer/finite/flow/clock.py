"""Where the integration of a flow stands."""

from __future__ import annotations

import numpy as np

from twolayer.finite.flow.problem import FlowProblem
from twolayer.kernels.record import Integers, Matrix, Record, Vector

__all__ = ["PATIENCE", "FlowClock", "start_clock"]

PATIENCE = 16
"""Taylor steps in a row without an event before a stiff step is tried; doubled where one is not worthwhile."""


class FlowClock(Record):
    """Where the integration stands: times[0] the start of the step, [1] its length, [2] its last event.

    missed: coefficients, about the last event, of a bound on the movement of a direction that the step misses
    because neurons without an event see the change of the others' contributions only at its end.
    """

    times: Vector  # (3,)
    missed: Vector  # (4,)
    counts: (
        Integers  # (6,) events, steps, step in progress, repeated events, neuron and line of the last event
    )
    residual: Vector  # (response,) carried
    scale: Vector  # (response,) of the residuals
    event_time: Vector  # (neuron,) next event since the start of the step
    event_line: Integers  # (neuron,)
    last_event: Vector  # (neuron,) absolute time
    repeats: Integers  # (neuron,)
    forks: Integers  # (1,) points at which the limit of small steps is not unique
    pace: Vector  # (2,) next length of a stiff step, 0 while Taylor steps are taken; length of the last of those
    patience: Integers  # (3,) stiff step in progress, Taylor steps without event, so many before a stiff step
    arrived: Integers  # (1,) whether a neuron has just come to 0
    reach: Vector  # (neuron,) largest size so far, with which sizes are compared to find arrivals at 0
    approach: Matrix  # (neuron, line) direction from which a neuron came to 0
    margin: Vector  # (2,) by how much φ was above 0 for neurons at rest, with positive and negative outputs
    margin_residual: Matrix  # (2, response) the residual at which it was


def start_clock(problem: FlowProblem, neuron_count: int, time: float) -> FlowClock:
    """A clock at the given time, with residuals still to be set."""
    responses, lines = len(problem.targets), len(problem.gram)
    return FlowClock(
        times=np.array([time, 0.0, 0.0]),
        missed=np.zeros(4),
        counts=np.zeros(6, dtype=np.int64),
        residual=np.zeros(responses),
        scale=np.zeros(responses),
        event_time=np.zeros(neuron_count),
        event_line=np.zeros(neuron_count, dtype=np.int64),
        last_event=np.full(neuron_count, -np.inf),
        repeats=np.zeros(neuron_count, dtype=np.int64),
        forks=np.zeros(1, dtype=np.int64),
        pace=np.zeros(2),
        patience=np.array([0, 0, PATIENCE]),
        arrived=np.zeros(1, dtype=np.int64),
        reach=np.zeros(neuron_count),
        approach=np.zeros((neuron_count, lines)),
        margin=np.full(2, -1.0),
        margin_residual=np.zeros((2, responses)),
    )
