"""Arrays of `.npz` and `.csv` files, under the names and dimensions that a netCDF file would have.

`.npz`: arrays by name, `numpy.savez("data.npz", inputs=…, targets=…)`; one axis more than a name has is `seed`, the
first.
`.csv`: a line of column names, then a line for each sample, neuron or teacher. The column `target` or `output` has one
number for each; `seed`, where there is one, says whose line it is; all others are features, in their order.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from twolayer.errors import DataError, unknown_name

__all__ = ["is_table", "lacking", "read_table"]

SUFFIXES = (".npz", ".csv")

DIMENSIONS: dict[str, tuple[str, ...]] = {
    "inputs": ("sample", "feature"),
    "targets": ("sample",),
    "initial_hidden": ("neuron", "feature"),
    "initial_output": ("neuron",),
    "teacher_hidden": ("teacher", "feature"),
    "teacher_output": ("teacher",),
    "seed": ("seed",),
}
"""Of the arrays that problems and starts read."""

COLUMNS = {"targets": "target", "initial_output": "output", "teacher_output": "output"}
"""The column of a `.csv` that an array of one number for each line is."""

Array = Any
Variables = dict[str, tuple[tuple[str, ...], Array, dict[str, Any]]]


def is_table(path: Path | str) -> bool:
    """Whether a path is that of such a file, by its end."""
    return Path(path).suffix.lower() in SUFFIXES


def read_table(path: Path | str, names: Iterable[str]) -> Variables:
    """Those of the named arrays that the file has, as `netcdf.read` gives them; DataError where it cannot be read."""
    wanted = [name for name in names if name in DIMENSIONS]
    try:
        if Path(path).suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in wanted if name in file.files}
        else:
            arrays = columns_of(path, wanted)
    except DataError:
        raise
    except Exception as error:  # a zip that is cut, a folder, bytes that are no text, …
        raise DataError(f"{path}: cannot be read: {error}") from error
    found: Variables = {}
    for name, array in arrays.items():
        dimensions = DIMENSIONS[name]
        if array.ndim == len(dimensions) + 1 and name != "seed":
            dimensions = ("seed", *dimensions)
        if array.ndim != len(dimensions):
            raise DataError(
                f"{path}: {name} has {array.ndim} axes; must have {len(DIMENSIONS[name])}, "
                f"{', '.join(DIMENSIONS[name])}, or one more in front, seed"
            )
        found[name] = dimensions, array, {}
    return found


def lacking(path: Path | str, name: str) -> str:
    """What is wrong with a file that has no array of this name."""
    if Path(path).suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return unknown_name("array", name, file.files)
    column = COLUMNS.get(name)
    return (
        f"has no column '{column}', which is {name}" if column else f"has no columns of features, for {name}"
    )


def columns_of(path: Path | str, wanted: Iterable[str]) -> dict[str, Array]:
    """The named arrays of a `.csv`."""
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise DataError(f"{path}: has no lines after that of the column names")
    names = [cell.strip() for cell in rows[0]]
    if len(set(names)) < len(names):
        raise DataError(f"{path}: two columns have one name, among {', '.join(names)}")
    try:
        [float(name) for name in names]
    except ValueError:
        pass
    else:
        raise DataError(
            f"{path}: the first line has numbers, {','.join(names)}; it must name the columns, such as x1,x2,target"
        )
    values = np.empty((len(rows) - 1, len(names)))
    for line, row in enumerate(rows[1:]):
        if len(row) != len(names):
            raise DataError(f"{path}: line {line + 2} has {len(row)} cells; must have {len(names)}")
        for place, cell in enumerate(row):
            try:
                values[line, place] = float(cell)
            except ValueError:
                raise DataError(
                    f"{path}: line {line + 2}, column {names[place]}: {cell!r} is no number"
                ) from None
    features = [place for place, name in enumerate(names) if name not in ("seed", *COLUMNS.values())]
    found: dict[str, Array] = {}
    for name in wanted:
        if name in COLUMNS and COLUMNS[name] in names:
            found[name] = values[:, names.index(COLUMNS[name])]
        elif DIMENSIONS[name][-1] == "feature" and features:
            found[name] = values[:, features]
    if "seed" not in names:
        return found
    seeds = values[:, names.index("seed")]
    known = list(dict.fromkeys(seeds.tolist()))
    counts = {seed: int((seeds == seed).sum()) for seed in known}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} of seed {seed:g}" for seed, count in list(counts.items())[:5])
        raise DataError(f"{path}: seeds must have as many lines each, and there are {listed}")
    grouped = {name: np.stack([array[seeds == seed] for seed in known]) for name, array in found.items()}
    return {**grouped, "seed": np.asarray(known).astype(np.int64)}
