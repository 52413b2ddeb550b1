"""An experiment in memory: the way through the house without files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

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
    experiment: Mapping[str, Any] | str | xr.DataArray,
    backend: str = "numba",
    *,
    weights: bool = False,
    threads: int = 1,
    plugin_paths: list[str] | None = None,
) -> xr.Dataset:
    """Run an experiment, written as in config.yaml, and return its metrics as a labelled dataset.

    experiment: a mapping, in which NumPy's numbers and arrays, tuples and ranges stand for numbers and lists; or a
    point of the variable `run` of a dataset, the run as JSON. Plugins are as their files are now.
    weights: add `hidden` (…, seed, time, neuron, feature) and `output` (…, seed, time, neuron).
    Raises ConfigError where the experiment is wrong, with the place in it.
    """
    import xarray as xr

    registry = load(plugin_paths or ())
    checked = make_experiment("notebook", "run", experiment_of(experiment), registry, "experiment")
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


def experiment_of(given: Any) -> dict[str, Any]:
    """The experiment that `run` is given, as config.yaml has it; of a run as JSON the sections that describe it."""
    found = plain(given)
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError as error:
            raise ConfigError(f"experiment: is no JSON of a run: {error}; must be {MUST_BE}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"experiment: is {type(given).__name__}; must be {MUST_BE}")
    if found.keys() >= HEAD:
        return {key: value for key, value in found.items() if key not in HEAD}
    return found


MUST_BE = "a mapping with problem, network, …, as in config.yaml, or one point of a dataset's variable `run`"

HEAD = {"paper", "experiment", "name", "swept"}
"""What a run says before its sections."""


def plain(value: Any) -> Any:
    """Numbers, text, lists and mappings for NumPy's numbers and arrays, labelled arrays, tuples, ranges and paths."""
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    if hasattr(value, "__array__"):  # NumPy's numbers and arrays, and labelled ones
        return plain(np.asarray(value).tolist())
    return str(value) if isinstance(value, PurePath) else value
