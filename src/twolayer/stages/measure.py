"""measure: the observables of a run, from its problem and its trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from twolayer.analysis import metric
from twolayer.analysis.metric import Metric
from twolayer.core.loss import Loss
from twolayer.core.network import Network
from twolayer.core.trajectory import MARKS
from twolayer.storage.contents import in_coordinates_of, unpack_problem, unpack_trajectory
from twolayer.storage.netcdf import Variables
from twolayer.training.measuring import for_measuring

__all__ = ["measure"]

KEPT = ("seed", "time", "step", *MARKS)


def measure(
    problem: Variables,
    attributes: Mapping[str, Any],
    trajectory: Variables,
    network: Network,
    run: Mapping[str, Any],
    metrics: Mapping[str, Metric],
    dynamics: Any = None,
    loss: Loss | None = None,
    threads: int = 1,
    folder: Path | None = None,
) -> tuple[Variables, tuple[str, ...]]:
    """The variables of `metrics.nc`, in float64 whatever the run's precision, and notes on those left out.

    dynamics: the run's, for metrics that run it once more. loss: the plugin of the loss that the problem names; None
    is enough for square losses. threads: how many batches of networks compiled code measures at once. folder: for
    files that take values which are too many for memory; None keeps all there.
    """
    data = unpack_problem(problem, attributes, loss)
    path = replace(unpack_trajectory(trajectory), dynamics=dynamics)
    parts = data.by_teacher()
    seeds, times = path.weights.hidden.shape[:2]
    problems = [for_measuring(part.problem(network), seeds * times // len(parts), threads) for part in parts]
    measured, notes = metric.measure(problems, path, metrics, bool(run["swept"]), folder)
    kept = {name: trajectory[name] for name in KEPT if name in trajectory}
    return in_coordinates_of(data, measured) | kept, notes
