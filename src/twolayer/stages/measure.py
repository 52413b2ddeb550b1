"""measure: the observables of a run, from its problem and its trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from twolayer import measuring
from twolayer.datasets import Variables, in_coordinates_of, unpack_problem, unpack_trajectory
from twolayer.measuring import Metric
from twolayer.model import Network, Weights
from twolayer.trajectory import Trajectory

__all__ = ["measure"]

KEPT = ("seed", "time", "step", "diverged_step")


def measure(
    problem: Variables,
    attributes: Mapping[str, Any],
    trajectory: Variables,
    run: Mapping[str, Any],
    metrics: Mapping[str, Metric],
) -> Variables:
    """The variables of `metrics.nc`, computed in float64 whatever the run's own precision."""
    data = unpack_problem(problem, attributes)
    path = unpack_trajectory(trajectory)
    hidden = np.asarray(path.weights.hidden, dtype=np.float64)
    output = np.asarray(path.weights.output, dtype=np.float64)
    path = Trajectory(path.clock, Weights(hidden, output), path.weight_decay, path.diverged_step)
    measured = measuring.measure(data.problem(Network(**run["network"])), path, metrics)
    kept = {name: trajectory[name] for name in KEPT if name in trajectory}
    return in_coordinates_of(data, measured) | kept
