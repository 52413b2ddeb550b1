"""Metrics: observables of a trajectory, each an array with named dimensions, a long name and units."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from twolayer.core.network import Weights
from twolayer.core.problem import Problem
from twolayer.core.registration import mark
from twolayer.core.trajectory import Trajectory
from twolayer.core.wording import counted
from twolayer.errors import PluginError
from twolayer.storage.netcdf import Variables
from twolayer.storage.scratch import ScratchArray
from twolayer.training.precision import of_seeds

__all__ = ["ALWAYS", "Metric", "always", "each_decay", "each_frame", "frames", "measure", "metric", "needs"]

ALWAYS = ("loss", "gradient_norm")
"""Metrics of every run."""

Measuring = TypeVar("Measuring", bound=Callable[..., Any])


def always(problem: Problem, trajectory: Trajectory) -> bool:
    """A metric that applies to every run."""
    return True


@dataclass(frozen=True)
class Metric:
    """An observable, registered under the name of its variable.

    measure: (problem, trajectory) -> array with `dimensions`, computed in float64 on the host.
    applies: whether it has a meaning for this run; where not, it is left out.
    across_seeds: whether it compares seeds: it is then measured once for all, with the first seed's problem where
    teachers differ.
    by_default: whether it is measured where an experiment names no metrics.
    required, source: set for a run: whether a failure is an error, as for a metric that the config names, and the file
    of the plugin.
    """

    measure: Callable[[Any, Trajectory], Any]
    dimensions: tuple[str, ...]
    long_name: str
    units: str = "1"
    applies: Callable[[Any, Trajectory], bool] = always
    by_default: bool = True
    across_seeds: bool = False
    required: bool = False
    source: str = ""


def metric(
    name: str,
    dimensions: tuple[str, ...],
    long_name: str,
    *,
    units: str = "1",
    applies: Callable[[Any, Trajectory], bool] = always,
    by_default: bool = True,
    across_seeds: bool = False,
    per_frame: bool = False,
) -> Callable[[Measuring], Measuring]:
    """Register a function (problem, trajectory) -> array as the metric `name`; see `Metric`.

    per_frame: whether it is a function (problem, weights) of a single frame, as `each_frame` takes.
    """

    def register(function: Measuring) -> Measuring:
        measured = each_frame(function, across_seeds) if per_frame else function
        made = Metric(measured, dimensions, long_name, units, applies, by_default, across_seeds)
        mark(function, "metrics", name, made, function.__module__)
        return function

    return register


AT_ONCE = 2**18
"""Numbers in the weights, or in the activations on samples, of the networks that are measured in one call."""


def each_frame(
    observe: Callable[[Any, Weights], Any], together: bool = False
) -> Callable[[Any, Trajectory], Any]:
    """A measure over (seed, time, …) from one of a single frame: (problem, weights) -> (seed, …).

    Seeds and frames are networks alike, so that `observe` gets many of them along its axis of seeds; frame by frame
    only where it looks at seeds `together`, or where seeds have different data.
    """

    def measure(problem: Problem, trajectory: Trajectory) -> Any:
        if together or problem.data.per_seed:
            return np.stack([observe(problem, frame) for frame in frames(trajectory)], axis=1)
        hidden, output = trajectory.weights.hidden, trajectory.weights.output
        lead = hidden.shape[:2]
        networks = Weights(hidden.reshape(-1, *hidden.shape[2:]), output.reshape(-1, output.shape[-1]))
        count = networks_at_once(problem, hidden.shape)
        parts = []
        for first in range(0, len(networks.hidden), count):
            some = Weights(networks.hidden[first : first + count], networks.output[first : first + count])
            found = np.asarray(observe(problem, some))
            if found.shape[:1] != some.output.shape[:1]:
                raise ValueError(
                    f"it is an array of shape {found.shape} for {counted(len(some.output), 'network')}; must lead "
                    "with that number"
                )
            parts.append(found)
        values = np.concatenate(parts)
        return values.reshape(*lead, *values.shape[1:])

    measure.__doc__ = observe.__doc__
    return measure


def networks_at_once(problem: Problem, shape: tuple[int, ...]) -> int:
    """How many networks of a trajectory of hidden weights of this shape are measured in one call."""
    *_, neurons, features = shape
    longest = max((np.shape(values)[0] for _, values, _ in problem.data.arrays().values()), default=1)
    return max(1, AT_ONCE // (neurons * max(features, longest)))


def each_decay(
    observe: Callable[[Any, Weights, float], Any], problem: Problem, trajectory: Trajectory
) -> Any:
    """Values (seed, time) of a measure (problem, weights, λ) -> (seed,), with the λ of each time."""
    decays = np.asarray(trajectory.weight_decay)
    found = np.empty(trajectory.weights.hidden.shape[:2])
    for decay in np.unique(decays).tolist():
        chosen = decays == decay
        weights = trajectory.weights
        if not chosen.all():
            weights = Weights(weights.hidden[:, chosen], weights.output[:, chosen])

        def of_decay(problem: Any, networks: Weights, decay: float = decay) -> Any:
            return observe(problem, networks, decay)

        found[:, chosen] = each_frame(of_decay)(problem, replace(trajectory, weights=weights))
    return found


def frames(trajectory: Trajectory) -> list[Weights]:
    """The weights at each saved time: hidden (seed, neuron, feature), output (seed, neuron)."""
    weights = trajectory.weights
    return [
        Weights(weights.hidden[:, time], weights.output[:, time]) for time in range(weights.hidden.shape[1])
    ]


def measure(
    problems: Sequence[Problem],
    trajectory: Trajectory,
    metrics: Mapping[str, Metric],
    swept: bool = False,
    folder: Path | None = None,
) -> tuple[Variables, tuple[str, ...]]:
    """Each metric that applies, NaN (integers −1) where a run diverged or a value leaves the range of floats; and a
    note on each that could not be measured, or not everywhere.

    problems: the run's, or one for each seed where their teachers differ: each seed is then measured alone, and a
    metric without `seed` among its dimensions gets it where the seeds disagree. A required metric that fails is a
    PluginError; so is one that does not apply, unless the run is one of a sweep, others of which it may apply to.
    Weights may be `PartedArray`s. Of many seeds some are measured at a time, but by metrics that compare seeds, or
    have no `seed`. folder: for files that take values of more than `IN_MEMORY` bytes; None keeps all in memory.
    """
    found: dict[str, Values] = {}
    variables: Variables = {}
    notes: dict[str, str] = {}
    parts = seeds_at_once(problems, trajectory)

    def failed(name: str, error: Exception) -> None:
        notes[name] = f"{named(name)} failed: {type(error).__name__}: {error}{line_of(error)}"
        if metrics[name].required:
            raise PluginError(notes[name]) from error
        found.pop(name, None)

    def named(name: str) -> str:
        return f"metric '{name}'" + (f" ({metrics[name].source})" if metrics[name].source else "")

    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        for place, seeds in enumerate(parts):
            path = in_float64(trajectory.of_seeds(seeds) if len(parts) > 1 else trajectory)
            problem = (
                problems[place]
                if len(problems) > 1
                else of_seeds(problems[0], np.arange(seeds.start, seeds.stop))
            )
            for name, metric in metrics.items():
                try:
                    if place == 0 and metric.applies(problem, path):
                        found[name] = Values(metric, trajectory.weights.hidden.shape[0], folder)
                    if name not in found:
                        continue
                    if not (metric.across_seeds or (len(problems) == 1 and "seed" not in metric.dimensions)):
                        found[name].add(seeds, metric.measure(problem, path))
                    elif place == 0:
                        whole = in_float64(trajectory.of_seeds(slice(None))) if len(parts) > 1 else path
                        found[name].add(slice(None), metric.measure(problems[0], whole))
                except Exception as error:
                    failed(name, error)
            for name in metrics if place == 0 else ():
                if metrics[name].required and name not in found and name not in notes:
                    notes[name] = f"{named(name)} does not apply to this run{needs(metrics[name])}"
                    if not swept:
                        raise PluginError(notes[name])
    for name, values in list(found.items()):
        try:
            variables[name] = values.variable()
        except ValueError as error:
            failed(name, error)
    overflows = [
        f"{named(name)} leaves the range of floats in {found[name].infinite} of its values, which are NaN"
        for name in variables
        if found[name].infinite
    ]
    return variables, (
        *(f"{notes[name]}; it is left out" for name in metrics if name in notes), *overflows
    )  # fmt: skip


SEEDS_AT_ONCE = 8 * AT_ONCE
"""Numbers in the weights of the seeds that are measured at a time: so few that what one metric finds of them is still
there for the next (`numba_measures.KEPT`)."""

IN_MEMORY = 2**24
"""Bytes of a metric's values, up to which they stay in memory where a file could be had."""


def seeds_at_once(problems: Sequence[Problem], trajectory: Trajectory) -> list[slice]:
    """Which seeds are measured at a time: one each where their teachers differ, else as many as `SEEDS_AT_ONCE`."""
    seeds, times, neurons, features = trajectory.weights.hidden.shape
    count = 1 if len(problems) > 1 else max(1, SEEDS_AT_ONCE // max(1, times * neurons * features))
    return [slice(first, min(first + count, seeds)) for first in range(0, seeds, count)]


def in_float64(path: Trajectory) -> Trajectory:
    """The trajectory with its weights in memory in float64, as metrics take them: none can change them for others."""
    parts = [np.asarray(part, dtype=np.float64).view() for part in (path.weights.hidden, path.weights.output)]
    for part in parts:
        part.flags.writeable = False
    return replace(path, weights=Weights(*parts))


class Values:
    """The values of a metric, as they come for some seeds after others."""

    def __init__(self, metric: Metric, seeds: int, folder: Path | None) -> None:
        self.metric, self.seeds, self.folder = metric, seeds, folder
        self.parts: list[Any] = []
        self.file: ScratchArray | None = None
        self.infinite = 0
        """How many of the values leave the range of floats."""

    def add(self, seeds: slice, values: Any) -> None:
        """The values of some seeds, after those before them."""
        values, dimensions = np.asarray(values), self.metric.dimensions
        if values.ndim != len(dimensions):
            raise ValueError(f"it is an array of shape {values.shape}; its dimensions are {dimensions}")
        if values.dtype.kind not in "biuf":
            raise ValueError(f"it is an array of {values.dtype.name}; must be of real numbers")
        if values.dtype.kind == "f" and (infinite := np.isinf(values)).any():
            values, self.infinite = np.where(infinite, np.nan, values), self.infinite + int(infinite.sum())
        rows = len(range(*seeds.indices(self.seeds)))
        large = values.nbytes // rows * self.seeds > IN_MEMORY and rows < self.seeds
        if self.folder is not None and large and dimensions[0] == "seed" and values.ndim > 1:
            if self.file is None:
                self.file = ScratchArray((self.seeds, *values.shape[1:]), values.dtype, self.folder)
            if (values.shape[1:], values.dtype) != (self.file.shape[1:], self.file.dtype):
                raise ValueError(
                    f"it has {values.dtype} numbers of shape {values.shape[1:]} for one seed, "
                    f"{self.file.dtype} of shape {self.file.shape[1:]} for another"
                )
            self.file[seeds, :] = values
        else:
            self.parts.append(values)

    def variable(self) -> tuple[tuple[str, ...], Any, dict[str, Any]]:
        """Dimensions, values and attributes over all seeds."""
        dimensions, long_name = self.metric.dimensions, self.metric.long_name
        values = self.file if self.file is not None else self.parts[0]
        if self.file is None and "seed" in dimensions:
            values = np.concatenate(self.parts, axis=dimensions.index("seed"))
        elif not all(alike(values, other) for other in self.parts):
            dimensions, values = ("seed", *dimensions), np.stack(self.parts)
            long_name += ", for each seed's teacher"
        return dimensions, values, {"long_name": long_name, "units": self.metric.units}


def needs(metric: Metric) -> str:
    """What `applies` asks for, as its docstring says it."""
    summary = (metric.applies.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    return f" ({summary[:1].lower()}{summary[1:]}: no)" if summary else ""


def line_of(error: BaseException) -> str:
    """The file and line where an exception was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f" ({last.filename}, line {last.lineno})"


def alike(values: Any, other: Any) -> bool:
    """Whether two arrays are the same, NaN where the other is."""
    return values.shape == other.shape and bool(
        ((values == other) | ((values != values) & (other != other))).all()
    )
