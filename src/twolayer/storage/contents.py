"""What the files between stages hold: a problem, a trajectory, and what made them, as `netcdf.Variables`, attributes.

Files that other programs wrote hold arrays under the same names: these are read by `netcdf.read_arrays`.
"""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from twolayer.core.data import Data, law_of
from twolayer.core.loss import Loss
from twolayer.core.network import Weights
from twolayer.core.trajectory import STOP_REASONS, Clock, Trajectory
from twolayer.errors import DataError
from twolayer.storage import checksum
from twolayer.storage.layout import experiment_of
from twolayer.storage.netcdf import Variables, read

__all__ = [
    "checksums_of",
    "coordinates",
    "in_coordinates_of",
    "made_from",
    "pack_problem",
    "pack_trajectory",
    "provenance",
    "read_run",
    "unpack_problem",
    "unpack_trajectory",
    "versions",
]

RULE_AT_ZERO = (
    "The flow is the limit of explicit descent with steps to 0 and derivative 0 of relu and abs at 0. A neuron "
    "that reaches w = 0 stays until a direction of descent opens there, and leaves along the steepest; one that "
    "starts at exactly 0 stays. Where several limits exist, one is followed and the point is counted here."
)

RUN_KEYS = {
    "paper",
    "experiment",
    "name",
    "swept",
    "problem",
    "network",
    "initialization",
    "dynamics",
    "times",
} | {
    "seeds",
    "dtype",
}
"""What the run that a file carries says."""

LIBRARIES = ("twolayer", "numpy", "scipy", "numba", "array-api-compat", "netCDF4")


def described(long_name: str, units: str = "1") -> dict[str, Any]:
    """The attributes that every variable has."""
    return {"long_name": long_name, "units": units}


def provenance(stage: str, run: Mapping[str, Any], code: str) -> dict[str, Any]:
    """What made a file: nothing here changes between two identical runs."""
    return {
        "title": f"twolayer {stage} of {run['paper']}/{run['experiment']}/{run['name']}",
        "run": json.dumps(run),
        "code": code,
        "versions": json.dumps(versions(), sort_keys=True),
    }


@functools.cache
def versions() -> dict[str, str]:
    """The versions of Python and of the libraries."""
    return {"python": platform.python_version(), **{library: version(library) for library in LIBRARIES}}


def made_from(sources: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The attribute that says which files a file was made from: their names with the checksums that they carry."""
    carried = {name: str(attributes.get(checksum.KEY, "")) for name, attributes in sources.items()}
    return {checksum.SOURCES: json.dumps(carried)}


def checksums_of(datasets: Iterable[Path], files: Iterable[Path] = (), paper: str = "") -> dict[str, str]:
    """The checksums of what a figure or a claim is made from: those that datasets carry, by their experiment
    (`experiment_of`, of a figure of `paper`), and those of further files, by their stem."""
    found = {}
    for path in datasets:
        _, attributes = read(path, ())
        name = experiment_of(path, paper) if paper else path.parent.name
        found[name] = str(attributes.get(checksum.KEY, ""))
    return found | {path.stem: checksum.of_file(path) for path in files}


def coordinates(variables: Variables, swept: Iterable[str] = ()) -> dict[str, str]:
    """The attribute that tells readers which variables are coordinates, where their names do not."""
    names = [name for name in ("time", "step", *swept) if name in variables and variables[name][0] != (name,)]
    return {"coordinates": " ".join(names)} if names else {}


def pack_problem(data: Data, seeds: list[int]) -> Variables:
    """The arrays of a law of data, and the seeds where their data differ."""
    variables: Variables = {}
    if data.per_seed:
        variables["seed"] = (("seed",), np.asarray(seeds, dtype=np.int64), described("seed"))
    return variables | {
        name: (dimensions, values, described(what))
        for name, (dimensions, values, what) in data.arrays().items()
    }


def in_coordinates_of(data: Data, variables: Variables) -> Variables:
    """The variables, those over `feature` labelled where the data's features are reduced coordinates."""
    dimension = data.dimension
    if dimension is None:
        return variables
    note = f", in reduced coordinates: teachers first, then students; the input dimension is {dimension}"
    return {
        name: (
            dimensions,
            values,
            {**described_as, "long_name": described_as["long_name"] + note, "input_dimension": dimension}
            if "feature" in dimensions
            else described_as,
        )
        for name, (dimensions, values, described_as) in variables.items()
    }


def unpack_problem(variables: Variables, attributes: Mapping[str, Any], loss: Loss | None = None) -> Data:
    """The data of a problem file, with the plugin of its loss; DataError where a number is not finite."""
    place = attributes.get("title", "problem")
    for name, (_, values, _) in variables.items():
        if np.asarray(values).dtype.kind not in "fiu":
            raise DataError(f"{place}: {name} does not hold numbers")
        if not np.isfinite(values).all():
            spot = np.argwhere(~np.isfinite(values))[0].tolist()
            raise DataError(f"{place}: {name}{spot} is {values[tuple(spot)]}; every number must be finite")
    law = law_of(attributes, str(place))
    data = law.read({name: values for name, (_, values, _) in variables.items()}, attributes)
    return data if loss is None else data.with_loss(loss)


def pack_trajectory(trajectory: Trajectory, seeds: list[int]) -> Variables:
    """Weights over time: `hidden(seed, time, neuron, feature)`, `output(seed, time, neuron)`."""
    hidden, output = trajectory.weights.hidden, trajectory.weights.output
    variables: Variables = {
        "hidden": (("seed", "time", "neuron", "feature"), hidden, described("hidden weights w")),
        "output": (("seed", "time", "neuron"), output, described("output weights a")),
        "seed": (("seed",), np.asarray(seeds, dtype=np.int64), described("seed")),
        "time": (("time",), trajectory.clock.time, described("time t (step size × step for descents)")),
        "weight_decay": (("time",), trajectory.weight_decay, described("weight decay λ of the objective")),
    }
    if trajectory.trusted_until is not None:
        described_as = described("time up to which the weights carry two digits of the loss")
        variables["trusted_until"] = (("seed",), trajectory.trusted_until, described_as)
    if trajectory.path_trusted_until is not None:
        described_as = described("time up to which the path does not depend on rounding")
        variables["path_trusted_until"] = (("seed",), trajectory.path_trusted_until, described_as)
    if trajectory.stop_time is not None:
        described_as = described(
            "time at which the seed met the stop rule or had spent its budget; NaN: neither"
        )
        variables["stop_time"] = (("seed",), trajectory.stop_time, described_as)
        codes = ", ".join(f"{code} {name}" for code, name in enumerate(STOP_REASONS, start=1))
        described_as = described(
            f"part of the stop rule, or of the budget, that ended the seed: {codes}; 0: none"
        )
        variables["stop_reason"] = (("seed",), trajectory.stop_reason, described_as)
    if trajectory.flow_forks is not None:
        described_as = described(
            "points of the path of the flow at which the limit of small descent steps is not unique"
        )
        described_as["comment"] = RULE_AT_ZERO
        variables["flow_forks"] = (("seed",), trajectory.flow_forks, described_as)
    if trajectory.clock.step is not None:
        variables["step"] = (("time",), trajectory.clock.step, described("step"))
        variables["diverged_step"] = (
            ("seed",),
            trajectory.diverged_step,
            described("first step with a number that is not finite; −1: none"),
        )
    return variables


def unpack_trajectory(variables: Variables) -> Trajectory:
    """The trajectory of a trajectory file."""
    step = variables["step"][1] if "step" in variables else None
    weights = Weights(variables["hidden"][1], variables["output"][1])
    none = np.full(weights.hidden.shape[0], -1, dtype=np.int64)
    diverged = variables["diverged_step"][1] if "diverged_step" in variables else none
    clock = Clock(variables["time"][1], step)
    trusted = variables["trusted_until"][1] if "trusted_until" in variables else None
    forks = variables["flow_forks"][1] if "flow_forks" in variables else None
    path = variables["path_trusted_until"][1] if "path_trusted_until" in variables else None
    stop_time = variables["stop_time"][1] if "stop_time" in variables else None
    stop_reason = variables["stop_reason"][1] if "stop_reason" in variables else None
    return Trajectory(
        clock,
        weights,
        variables["weight_decay"][1],
        diverged,
        trusted,
        flow_forks=forks,
        path_trusted_until=path,
        stop_time=stop_time,
        stop_reason=stop_reason,
    )


def read_run(attributes: Mapping[str, Any], path: Path | str, stage: str) -> dict[str, Any]:
    """The run that a file of ours carries, which `stage` (problem, trajectory or metrics) must have made."""
    text = attributes.get("run")
    if not str(attributes.get("title")).startswith(f"twolayer {stage} of ") or not isinstance(text, str):
        raise DataError(
            f"{path}: is no {stage} file made by twolayer; its title is {attributes.get('title')!r}"
        )
    try:
        run = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: its run is not JSON: {error}") from error
    if not isinstance(run, dict) or not run.keys() >= RUN_KEYS:
        raise DataError(f"{path}: its run must be a mapping with {', '.join(sorted(RUN_KEYS))}")
    return run
