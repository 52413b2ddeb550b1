"""An experiment in memory: the way through the house without files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twolayer.errors import ConfigError
from twolayer.stages.gather import gather
from twolayer.stages.generate import generate
from twolayer.stages.measure import measure
from twolayer.stages.train import train
from twolayer.storage import netcdf
from twolayer.study.job import Job
from twolayer.study.registry import load
from twolayer.study.runs import make_experiment

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["run"]


def run(
    experiment: Mapping[str, Any],
    backend: str = "numba",
    *,
    weights: bool = False,
    threads: int = 1,
    plugin_paths: list[str] | None = None,
) -> xr.Dataset:
    """Run an experiment, written as in config.yaml, and return its metrics as a labelled dataset.

    weights: add `hidden` (…, seed, time, neuron, feature) and `output` (…, seed, time, neuron).
    Raises ConfigError where the experiment is wrong, with the place in it.
    """
    import xarray as xr

    registry = load(plugin_paths or ())
    checked = make_experiment("notebook", "run", experiment, registry, "experiment")
    registry.find("backends", backend, "backend")
    swept = next(iter(checked.runs.values())).swept
    for name in ("hidden", "output"):
        if weights and name in swept:
            raise ConfigError(
                f"experiment.sweep: '{name}' is a variable with weights=True and cannot be swept"
            )
    runs: list[dict[str, Any]] = []
    files: list[netcdf.Variables] = []
    notes: list[str] = []
    trained_on: dict[str, None] = {}
    for one in checked.runs.values():
        described = one.as_dict()
        job = Job(described, registry)
        problem, attributes = generate(
            job.problem, job.network, described, job.initialization.in_reduced_coordinates
        )
        loss = job.loss(problem, attributes)
        placed, chosen = job.placed(backend)
        trajectory, told = train(
            problem,
            attributes,
            job.network,
            described,
            job.initialization,
            job.dynamics,
            chosen,
            threads,
            loss,
        )
        measured, left_out = measure(
            problem,
            attributes,
            trajectory,
            job.network,
            described,
            job.metrics(checked.metrics),
            job.dynamics,
            loss,
        )
        notes += left_out
        if weights:
            measured |= {name: trajectory[name] for name in ("hidden", "output")}
        runs.append(described)
        files.append(measured)
        notes += told
        trained_on |= {placed.backend: None}
    gathered: netcdf.Variables = gather(runs, files)
    dataset = xr.Dataset({name: variable for name, variable in gathered.items() if name not in ("seed",)})
    coordinates = [name for name in ("seed", "time", "step", *runs[0]["swept"]) if name in gathered]
    dataset = dataset.assign_coords({name: gathered[name] for name in coordinates})
    return dataset.assign_attrs(backend="\n".join(trained_on), notes="\n".join(notes))
