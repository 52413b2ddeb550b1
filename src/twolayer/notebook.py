"""An experiment in memory, and a paper's figure from datasets: the way through the house without files."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.analysis.drawing import space_labels
from twolayer.analysis.figures import Drawing, letter_panels, style_file, styled
from twolayer.core.times import Times
from twolayer.errors import ConfigError, DataError
from twolayer.stages.gather import gather
from twolayer.stages.generate import generate
from twolayer.stages.measure import measure
from twolayer.stages.train import train
from twolayer.storage import netcdf
from twolayer.study.job import Job
from twolayer.study.registry import load
from twolayer.study.runs import make_experiment
from twolayer.training.progress import Meter, in_notebook, on_line, wanted

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["figure", "run"]


def run(
    experiment: Mapping[str, Any] | str | xr.DataArray,
    backend: str = "numba",
    *,
    weights: bool = False,
    threads: int | None = None,
    plugin_paths: Sequence[Path | str] | Path | str | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Run an experiment, written as in config.yaml, and return its metrics as a labelled dataset.

    experiment: a mapping, in which NumPy's numbers and arrays, tuples and ranges stand for numbers and lists; or a
    point of the variable `run` of a dataset, the run as JSON. Plugins are as their files are now.
    threads: how many seeds are worked on at once; by default as many as there are cores.
    weights: add `hidden` (…, seed, time, neuron, feature) and `output` (…, seed, time, neuron).
    progress: show time reached, loss and time left in one line; by default on a terminal and in a notebook.
    Raises ConfigError where the experiment is wrong, with the place in it.
    """
    import xarray as xr

    threads = threads or cores()
    progress = wanted(sys.stderr) if progress is None else progress
    registry = load(folders(plugin_paths))
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
        for remark in job.problem.remarks():
            warnings.warn(f"experiment.problem.{remark}", stacklevel=2)
        problem, attributes = generate(
            job.problem, job.network, described, job.initialization.in_reduced_coordinates
        )
        loss = job.loss(problem, attributes)
        placed, chosen = job.placed(backend)
        with shown(job, one.name) if progress else contextlib.nullcontext():
            trajectory, messages = train(
                problem,
                attributes,
                job.network,
                described,
                job.initialization,
                job.dynamics,
                chosen,
                threads,
                loss,
                parted=not weights,
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
            threads,
        )
        notes += left_out
        if weights:
            measured |= {name: trajectory[name] for name in ("hidden", "output")}
        runs.append(described)
        files.append(measured)
        notes += messages
        trained_on |= {placed.backend: None}
    gathered: netcdf.Variables = gather(runs, files)
    dataset = xr.Dataset({name: variable for name, variable in gathered.items() if name not in ("seed",)})
    coordinates = [name for name in ("seed", "time", "step", *runs[0]["swept"]) if name in gathered]
    dataset = dataset.assign_coords({name: gathered[name] for name in coordinates})
    return dataset.assign_attrs(backend="\n".join(trained_on), notes="\n".join(notes))


@contextlib.contextmanager
def shown(job: Job, name: str) -> Iterator[None]:
    """While a run is trained, how far it is."""
    clock = job.dynamics.clock(Times(**job.run["times"]))
    stream = sys.stdout if in_notebook() else sys.stderr  # which a notebook shows as a warning
    with on_line(stream, "" if name == "default" else name) as show:
        meter = Meter(len(job.run["seeds"]), clock.time.tolist(), clock.step is not None, show)
        with meter.listening():
            yield


def folders(plugin_paths: Sequence[Path | str] | Path | str | None) -> Sequence[Path | str]:
    """The folders of plugins, of which one may stand alone."""
    return [plugin_paths] if isinstance(plugin_paths, str | Path) else plugin_paths or ()


def figure(
    name: str,
    *datasets: xr.Dataset,
    style: Path | str | None = None,
    plugin_paths: Sequence[Path | str] | Path | str | None = None,
) -> Figure:
    """The figure `<paper>.<figure>`, drawn from datasets: `twolayer.figure("xu2023.toys", mirrored, exact_rank)`.

    datasets: one for each experiment that it is drawn from, in their order (the error says which), as a workflow's
    dataset.nc or `twolayer.run` has them. style: of matplotlib; default: the house style.
    Of a film the last frame. ConfigError for a name that is not known, DataError where the datasets do not have what
    the figure shows.
    """
    import xarray as xr

    registry = load(folders(plugin_paths), ("figures",))
    found = registry.find("figures", name, "figure")
    drawing: Drawing = found.plugin
    if len(datasets) != len(drawing.experiments) or not all(isinstance(one, xr.Dataset) for one in datasets):
        given = ", ".join(type(one).__name__ for one in datasets) or "nothing"
        raise DataError(
            f"{name}: takes a dataset of each of {', '.join(drawing.experiments)}; was given {given}"
        )
    data = dict(zip(drawing.experiments, datasets, strict=True))
    for experiment, dataset in data.items():
        if "run" not in dataset:
            raise DataError(
                f"{name}: the dataset of {experiment} has no variable 'run', which says what was run"
            )
    try:
        drawing.validate(
            {experiment: (runs_in(dataset), list(map(str, dataset))) for experiment, dataset in data.items()}
        )
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    for file in drawing.files:
        path = (found.file or Path()).parent / file
        data[path.stem] = xr.load_dataset(path)
    with styled(Path(style) if style else style_file()):
        canvas = drawing.canvas(drawing.face(name, data))
        drawn = drawing.draw(canvas, data)
        if drawing.animated:
            for _ in drawn:
                pass
        letter_panels(canvas)
        space_labels(canvas)
    return canvas


def runs_in(dataset: xr.Dataset) -> list[dict[str, Any]]:
    """The runs that a dataset carries."""
    return [json.loads(text) for text in dataset["run"].values.ravel() if text]


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def experiment_of(given: Any) -> dict[str, Any]:
    """The experiment that `run` is given, as config.yaml has it; of a run as JSON the sections that describe it."""
    found = plain(given)
    if isinstance(found, str) and (isinstance(given, PurePath) or not found.lstrip().startswith("{")):
        raise ConfigError(
            f"experiment: {found!r} is a path or a name; must be {MUST_BE}. `yaml.safe_load(open(path))` reads a "
            "config file; an experiment is one of its papers.<paper>.experiments"
        )
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
    """Numbers, text, lists and mappings for NumPy's numbers and arrays, labelled arrays, tuples, ranges, paths and
    NumPy's types. ConfigError for what is read but once, and for arrays with masked entries."""
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    if isinstance(value, Iterator):
        raise ConfigError(
            f"experiment: has a {type(value).__name__}, which can be read but once; make a list of it"
        )
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).name
    if np.ma.is_masked(value):
        raise ConfigError("experiment: has an array with masked entries; every entry must be a number")
    if hasattr(value, "__array__") and not isinstance(
        value, type
    ):  # NumPy's numbers and arrays, and labelled ones
        return plain(np.asarray(value).tolist())
    return str(value) if isinstance(value, PurePath) else value
