"""Metrics: observables of a trajectory, each an array with named dimensions, a long name and units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.datasets import Variables
from twolayer.errors import PluginError
from twolayer.model import EmpiricalProblem, Weights
from twolayer.trajectory import Trajectory

__all__ = ["Metric", "each_frame", "frames", "measure"]


def always(problem: EmpiricalProblem, trajectory: Trajectory) -> bool:
    """A metric that applies to every run."""
    return True


@dataclass(frozen=True)
class Metric:
    """An observable, registered under the name of its variable.

    measure: (problem, trajectory) -> array with `dimensions`, computed in float64 on the host.
    applies: whether it has a meaning for this run; where not, it is left out.
    by_default: whether it is measured where an experiment names no metrics.
    """

    measure: Callable[[EmpiricalProblem, Trajectory], Any]
    dimensions: tuple[str, ...]
    long_name: str
    units: str = "1"
    applies: Callable[[EmpiricalProblem, Trajectory], bool] = always
    by_default: bool = True


def each_frame(
    observe: Callable[[EmpiricalProblem, Weights], Any],
) -> Callable[[EmpiricalProblem, Trajectory], Any]:
    """A measure over (seed, time, …) from one of a single moment: (problem, weights) -> (seed, …)."""

    def measure(problem: EmpiricalProblem, trajectory: Trajectory) -> Any:
        return np.stack([observe(problem, frame) for frame in frames(trajectory)], axis=1)

    return measure


def frames(trajectory: Trajectory) -> list[Weights]:
    """The weights at each saved moment: hidden (seed, neuron, feature), output (seed, neuron)."""
    weights = trajectory.weights
    return [
        Weights(weights.hidden[:, moment], weights.output[:, moment])
        for moment in range(weights.hidden.shape[1])
    ]


def measure(problem: EmpiricalProblem, trajectory: Trajectory, metrics: Mapping[str, Metric]) -> Variables:
    """Each metric that applies, and the clock; where a run diverged, NaN (integers −1)."""
    variables: Variables = {}
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        for name, metric in metrics.items():
            if metric.applies(problem, trajectory):
                described = {"long_name": metric.long_name, "units": metric.units}
                values = np.asarray(metric.measure(problem, trajectory))
                if values.ndim != len(metric.dimensions):
                    raise PluginError(
                        f"metric '{name}' is an array of shape {values.shape}; its dimensions are {metric.dimensions}"
                    )
                variables[name] = (metric.dimensions, values, described)
    return variables
