"""A sweep's dataset as runs: labelled arrays without padding, each with the config that made it.

What was run is the only source of what was run: claims, figures and captions read step size, sizes and swept
values here, never from a copy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from twolayer.analysis.sweeps import unpadded
from twolayer.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Config", "Run", "RunConfigs", "Varied", "runs_of"]

Select = Mapping[str, Any]

EACH = ("run",)
"""Stands for the swept words that distinguish a sweep's runs."""


class Varied:
    """A setting that differs between the runs that are taken together: its distinct values, in order."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = list(values)

    def __format__(self, spec: str) -> str:
        parts = [format(value, spec) for value in self.values]
        return ", ".join(parts) if len(parts) < 5 else f"{parts[0]}, …, {parts[-1]}"

    def __repr__(self) -> str:
        return f"a setting that differs between runs ({self})"


class Config:
    """The sections of one or more runs by attribute: `config.dynamics.step_size`.

    A setting on which the runs differ is `Varied`; one that no run has is a DataError.
    """

    def __init__(self, sections: Sequence[Mapping[str, Any]], path: str = "") -> None:
        self._sections = sections
        self._path = path

    def __getattr__(self, key: str) -> Any:
        path = f"{self._path}.{key}".lstrip(".")
        found = [section[key] for section in self._sections if key in section]
        if not found or key.startswith("__"):
            if key.startswith("__"):
                raise AttributeError(key)
            known = dict.fromkeys(name for section in self._sections for name in section)
            raise DataError(f"the run has no setting '{path}'; it has {', '.join(known)}")
        if all(isinstance(value, Mapping) for value in found):
            return Config(found, path)
        distinct = [value for index, value in enumerate(found) if value not in found[:index]]
        return distinct[0] if len(distinct) == 1 else Varied(distinct)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self._sections == other._sections

    __hash__ = None  # type: ignore[assignment]

    def __contains__(self, key: str) -> bool:
        return any(key in section for section in self._sections)

    def __str__(self) -> str:
        """`leaky_relu (slope 0.2)`: the distinct sections, each by its name and its other settings."""
        return " and ".join(dict.fromkeys(map(in_words, self._sections)))


class RunConfigs:
    """Runs by their config, before there is anything else of them: what a figure's `check` gets.

    config: the sections. swept: the swept words that have one value here.
    """

    def __init__(self, experiment: str, descriptions: Sequence[Mapping[str, Any]]) -> None:
        self.experiment = experiment
        self.config = Config(descriptions)
        self.swept = {
            word: value
            for word, value in descriptions[0]["swept"].items()
            if all(description["swept"][word] == value for description in descriptions)
        }
        self._descriptions = descriptions

    @property
    def count(self) -> int:
        """The number of runs taken together."""
        return len(self._descriptions)

    def by(self, *words: str, **select: Any) -> Iterator[RunConfigs]:
        """The runs grouped by swept words: see `runs_of`."""
        for members in grouped(self.experiment, self._descriptions, words, select):
            yield RunConfigs(self.experiment, [self._descriptions[member] for member in members])

    def one(self, **select: Any) -> Any:
        """The single run with these swept values; a DataError where there is none, or more than one."""
        found = list(self.by("run", **select))
        if len(found) != 1:
            wanted = " with " * bool(select) + ", ".join(
                f"{word} = {value}" for word, value in select.items()
            )
            raise DataError(f"the experiment '{self.experiment}' has {len(found)} runs{wanted}, not one")
        return found[0]


class Run(RunConfigs):
    """One run of a sweep, or those that a claim or a figure takes together, as labelled arrays.

    An attribute is a swept word's value where all runs share it (`run.neurons`), else a variable of the dataset as
    an xarray.DataArray (`run.loss`, `run.time`). config: the sections. swept: the swept words that are fixed here.
    A single run is without padding.
    """

    def __init__(
        self, experiment: str, dataset: xr.Dataset, descriptions: Sequence[Mapping[str, Any]]
    ) -> None:
        super().__init__(experiment, descriptions)
        self.dataset = dataset

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self.swept:
            return self.swept[name]
        if name in self.dataset.variables:
            return self.dataset[name]
        raise DataError(
            f"the experiment '{self.experiment}' has no '{name}'; it has "
            f"{', '.join(map(str, self.dataset.data_vars))}: see its `metrics`, and `on` of a figure"
        )

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return int(self.dataset.sizes["seed"])

    def range_over_seeds(self, values: Any, digits: str) -> str:
        """`median of 16 seeds from 0.5 to 0.9`, of a single one `one seed`: what values of each seed, of which the
        median is given, range over; digits: how they are written, `.3g`."""
        if self.seeds == 1:
            return "one seed"
        low, high = (format(float(value), digits) for value in (values.min(), values.max()))
        return f"median of {self.seeds} seeds from {low} to {high}"

    def with_dataset(self, dataset: xr.Dataset, **labels: Any) -> Run:
        """The same run with another dataset: a selection of this one, or more variables.

        labels: names and values added to `swept`, by which a claim's case is named.
        """
        other = Run.__new__(Run)
        other.experiment, other.dataset, other.config = self.experiment, dataset, self.config
        other.swept, other._descriptions = {**self.swept, **labels}, self._descriptions
        return other

    def sel(self, **labels: Any) -> Run:
        """A part of the run by labels, as `xarray.Dataset.sel`."""
        self._refuse_missing(labels)
        return self.with_dataset(self.dataset.sel(labels))

    def isel(self, **indices: Any) -> Run:
        """A part of the run by indices, as `xarray.Dataset.isel`."""
        self._refuse_missing(indices)
        return self.with_dataset(self.dataset.isel(indices))

    def _refuse_missing(self, names: Iterable[str]) -> None:
        """A DataError where no variable has a dimension."""
        for name in names:
            if name not in self.dataset.dims:
                raise DataError(
                    f"nothing that the experiment '{self.experiment}' measures has a dimension '{name}'; it measures "
                    f"{', '.join(map(str, self.dataset.data_vars))}"
                )

    def by(self, *words: str, **select: Any) -> Iterator[Run]:
        """The runs taken together here, grouped by swept words: see `runs_of`."""
        return runs_of(self.experiment, self.dataset, words, select)

    def varying(self, word: str) -> Iterator[Run]:
        """The runs in groups in which they differ in one swept word alone; where it is not swept, each alone."""
        return self.by(*(swept for swept in swept_words(self.dataset) if swept != word))

    @overload
    def along(self, word: str) -> list[Run]: ...

    @overload
    def along(self, word: str, measure: Callable[[Run], xr.DataArray]) -> xr.DataArray: ...

    def along(
        self, word: str, measure: Callable[[Run], xr.DataArray] | None = None
    ) -> list[Run] | xr.DataArray:
        """The single runs along a swept word, one for each of its values; with `measure`, its values along the word.

        A DataError where the runs differ in another word too, so that a value of this one has several.
        """
        runs = list(self.by(word))
        for run in runs:
            if others := [name for name in map(str, run.dataset["run"].dims) if run.dataset.sizes[name] > 1]:
                raise DataError(
                    f"the experiment '{self.experiment}' sweeps {' and '.join(others)} too; along '{word}' one run "
                    "for each value can be shown"
                )
        if measure is None:
            return runs
        import xarray as xr

        found = [measure(run) for run in runs]
        found = [
            value.drop_vars([name for name in value.coords if name not in value.dims]) for value in found
        ]
        return xr.concat(found, xr.DataArray([run.swept[word] for run in runs], dims=word, name=word))

    def at_time(self, time: float) -> Run:
        """The run at the saved time nearest to one above 0, by the ratio; a DataError where it ends before it."""
        if not 0 < time <= float(self.time[-1]):
            raise DataError(
                f"the experiment '{self.experiment}' ends at {float(self.time[-1]):.3g}, before {time:.3g}"
            )
        known = self.time.values > 0
        apart = np.abs(np.log(np.where(known, self.time.values, math.inf) / time))
        return self.isel(time=int(np.argmin(apart)))


def in_words(section: Mapping[str, Any]) -> str:
    """A section in words: `leaky_relu (slope 0.2)`."""
    others = ", ".join(f"{key} {value}" for key, value in section.items() if key != "name")
    return " ".join([str(section["name"])] * ("name" in section) + [f"({others})"] * bool(others))


def runs_of(
    experiment: str, dataset: xr.Dataset, by: Sequence[str] = (), select: Select | None = None
) -> Iterator[Run]:
    """The runs of a sweep, grouped by the swept words `by`, of those that `select` (word -> value or values) keeps.

    With no words all kept runs come as one; with the word "run" each comes alone, whatever was swept. Groups come in
    the order of the dataset; where `select` lists values of a word in `by`, a value that no run has is a DataError
    (raised when that group is reached).
    """
    stored = dataset["run"]
    indices = [tuple(map(int, index)) for index in np.argwhere(stored.values != "")]
    described = [json.loads(str(stored.values[index])) for index in indices]
    for members in grouped(experiment, described, by, select or {}):
        chosen = {
            dimension: sorted({indices[member][axis] for member in members})
            for axis, dimension in enumerate(stored.dims)
        }
        if len(members) == 1:
            part = unpadded(dataset.isel({dimension: found[0] for dimension, found in chosen.items()}))
        else:
            part = dataset.isel(chosen)
        yield Run(experiment, part, [described[member] for member in members])


def grouped(
    experiment: str, described: Sequence[Mapping[str, Any]], by: Sequence[str], select: Select
) -> list[list[int]]:
    """The positions of the runs in each group: see `runs_of`."""
    by = distinguishing(described) if tuple(by) == EACH else by
    known = described[0]["swept"]
    for word in (*by, *select):
        if word not in known:
            raise DataError(
                f"the experiment '{experiment}' does not sweep '{word}', but {', '.join(known) or 'nothing'}"
            )
    for word, values in select.items():
        for value in listed(values):
            if not any(description["swept"][word] == value for description in described):
                raise DataError(f"the experiment '{experiment}' has no run with {word} = {value}")
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, description in enumerate(described):
        swept = description["swept"]
        if all(swept[word] in listed(values) for word, values in select.items()):
            groups.setdefault(tuple(swept[word] for word in by), []).append(index)
    if not groups:
        wanted = ", ".join(f"{word} = {value}" for word, value in select.items())
        raise DataError(f"the experiment '{experiment}' has no run with {wanted}")
    return list(groups.values())


def swept_words(dataset: xr.Dataset) -> list[str]:
    """The words that a sweep sweeps, in the order of its config."""
    described = next(text for text in dataset["run"].values.ravel() if text)
    return list(json.loads(described)["swept"])


def distinguishing_words(dataset: xr.Dataset) -> list[str]:
    """The fewest of a sweep's first words that distinguish its runs: of a zip the label alone."""
    return distinguishing([json.loads(text) for text in dataset["run"].values.ravel() if text])


def distinguishing(described: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same of runs as they are described."""
    words = list(described[0]["swept"])
    for count in range(len(words)):
        if len({tuple(run["swept"][word] for word in words[:count]) for run in described}) == len(described):
            return words[:count]
    return words


def listed(values: Any) -> list[Any]:
    """One value or several, as a list."""
    return list(values) if isinstance(values, list | tuple) else [values]
