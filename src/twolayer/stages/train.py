"""train: the weights of all seeds of a run over time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twolayer.core.backend import Backend
from twolayer.core.dynamics import Dynamics
from twolayer.core.initialization import InitializationSpec
from twolayer.core.loss import Loss
from twolayer.core.network import Network
from twolayer.core.times import Times
from twolayer.storage.contents import in_coordinates_of, pack_trajectory, unpack_problem
from twolayer.storage.netcdf import Variables
from twolayer.training.checkpoint import Log
from twolayer.training.stop import StopRule
from twolayer.training.train import train as run_dynamics

__all__ = ["train"]


def train(
    problem: Variables,
    attributes: Mapping[str, Any],
    network: Network,
    run: Mapping[str, Any],
    initialization: InitializationSpec,
    dynamics: Dynamics,
    backend: Backend,
    threads: int = 1,
    loss: Loss | None = None,
    log: Log | None = None,
    folder: Path | None = None,
    parted: bool = False,
) -> tuple[Variables, tuple[str, ...]]:
    """The variables of `trajectory.nc`, and notes for the user (a descent that diverged, say).

    loss: the plugin of the loss that the problem names; None is enough for square losses. log, folder, parted: as
    of `training.train`.
    """
    data = unpack_problem(problem, attributes, loss)
    trajectory = run_dynamics(
        data,
        network,
        initialization,
        dynamics,
        Times(**run["times"]),
        run["seeds"],
        backend,
        run["dtype"],
        threads,
        StopRule(**run["stop"]) if "stop" in run else None,
        log,
        folder,
        parted,
    )
    return in_coordinates_of(data, pack_trajectory(trajectory, run["seeds"])), trajectory.notes
