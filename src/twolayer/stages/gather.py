"""The sweep: the metrics of all runs of an experiment as one dataset with the swept words as dimensions."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from twolayer.errors import DataError
from twolayer.storage.netcdf import Variables

__all__ = ["gather"]

COORDINATES = ("time", "step")


def gather(runs: Sequence[dict[str, Any]], files: Sequence[Variables]) -> Variables:
    """Lay the runs on the grid of their swept words.

    The shortest prefix of the swept words that tells all runs apart spans the grid, one dimension a word; a word
    that follows from those (the second of a zip, say) is a coordinate along them. Grid points without a run
    and ragged dimensions are NaN, integers −1. Clocks that differ between runs get the grid's dimensions.
    DataError where two runs have one place, or files have a variable over different dimensions.
    """
    grid, place = span([run["swept"] for run in runs])
    refuse_one_place(runs, place)
    sizes: dict[str, int] = {}
    for file in files:
        for dimensions, values, _ in file.values():
            for dimension, size in zip(dimensions, np.shape(values), strict=True):
                sizes[dimension] = max(size, sizes.get(dimension, 0))
    gathered: Variables = {}
    names = list(dict.fromkeys(itertools.chain.from_iterable(files)))
    for name in names:
        members = [(spot, file[name]) for spot, file in zip(place, files, strict=True) if name in file]
        dimensions, first, described = members[0][1]
        refuse_other_dimensions(name, [member for _, member in members])
        if name in sizes and name not in COORDINATES:  # seed and the like: the longest serves all
            gathered[name] = max((member for _, member in members), key=lambda member: len(member[1]))
        elif name in COORDINATES and len(members) == len(files) and alike([m[1] for _, m in members]):
            gathered[name] = (dimensions, first, described)
        else:
            shape = (*map(len, grid.values()), *(sizes[dimension] for dimension in dimensions))
            whole = np.full(shape, padding(first.dtype), dtype=first.dtype)
            for spot, (_, values, _) in members:
                corner = tuple(slice(size) for size in np.shape(values))
                whole[spot + corner] = values
            gathered[name] = ((*grid, *dimensions), whole, described)
    for word, values in grid.items():
        gathered[word] = ((word,), plain(values), {"long_name": f"swept {word}", "units": "1"})
    for word in runs[0]["swept"]:
        if word not in grid:
            gathered[word] = along(grid, place, [run["swept"][word] for run in runs], f"swept {word}")
    lines = [json.dumps(run) for run in runs]
    gathered["run"] = along(grid, place, lines, "the run, as JSON")
    return gathered


def span(swept: Sequence[dict[str, Any]]) -> tuple[dict[str, list[Any]], list[tuple[int, ...]]]:
    """The grid (word -> values in order of appearance) and each run's place on it."""
    names = list(swept[0])
    for length in range(len(names) + 1):
        points = [tuple(point[name] for name in names[:length]) for point in swept]
        if len(set(points)) == len(points):
            break
    grid = {name: list(dict.fromkeys(point[name] for point in swept)) for name in names[:length]}
    return grid, [tuple(grid[name].index(point[name]) for name in grid) for point in swept]


def refuse_one_place(runs: Sequence[dict[str, Any]], place: Sequence[tuple[int, ...]]) -> None:
    """Refuse two runs at one place of the grid: the second would take the first's."""
    seen: dict[tuple[int, ...], str] = {}
    for run, spot in zip(runs, place, strict=True):
        if spot in seen:
            raise DataError(
                f"the runs '{seen[spot]}' and '{run.get('name')}' have the same swept values {run['swept']}"
            )
        seen[spot] = str(run.get("name"))


def refuse_other_dimensions(name: str, members: Sequence[Any]) -> None:
    """Refuse a variable whose dimensions differ between runs."""
    every = list(dict.fromkeys(dimensions for dimensions, _, _ in members))
    if len(every) > 1:
        found = " and ".join(f"({', '.join(dimensions)})" for dimensions in every)
        raise DataError(f"'{name}' has the dimensions {found} in different runs; they must agree")


def along(
    grid: dict[str, list[Any]], place: Sequence[tuple[int, ...]], values: Sequence[Any], long_name: str
) -> tuple[tuple[str, ...], Any, dict[str, Any]]:
    """One value a run, laid on the grid."""
    array = plain(values)
    array = array.astype(object) if array.dtype.kind == "U" else array
    whole = np.full(tuple(map(len, grid.values())), padding(array.dtype), dtype=array.dtype)
    for spot, value in zip(place, array, strict=True):
        whole[spot] = value
    return tuple(grid), whole, {"long_name": long_name, "units": "1"}


def plain(values: Sequence[Any]) -> Any:
    """Swept values as an array: labels among numbers are text, truth values 0 and 1."""
    array = np.asarray(values)
    return array.astype(np.int8) if array.dtype.kind == "b" else array


def alike(arrays: Sequence[Any]) -> bool:
    """Whether all arrays are the same."""
    return all(np.array_equal(array, arrays[0]) for array in arrays)


def padding(dtype: Any) -> Any:
    """What stands where there is nothing: NaN, −1 for integers, no letters for text."""
    return {"f": np.nan, "O": ""}.get(np.dtype(dtype).kind, -1)
