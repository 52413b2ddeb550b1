"""Single runs of a sweep's dataset, without the padding that longer runs made necessary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.analysis.labelled import require_dataset
from twolayer.errors import DataError, unknown_name

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["runs_by", "unpadded"]


def runs_by(dataset: xr.Dataset, word: str) -> dict[str, xr.Dataset]:
    """The runs of a sweep by their label along the swept `word`, without padding.

    A zip may be stored in more dimensions than one: of those, the first that carry the label are taken.
    DataError for a word that was not swept.
    """
    require_dataset(dataset, "runs_by")
    if "run" not in dataset:
        raise DataError("runs_by: the dataset has no variable 'run', which says what was run")
    if word not in dataset["run"].dims:
        raise DataError(f"runs_by: {unknown_name('swept word', word, map(str, dataset['run'].dims))}")
    found = {}
    for label in dataset[word].values:
        run = dataset.sel({word: label})
        filled_in = np.argwhere(run["run"].values != "")
        run = run.isel(dict(zip(run["run"].dims, map(int, filled_in[0]), strict=True)))
        found[str(label)] = unpadded(run)
    return found


def unpadded(run: xr.Dataset) -> xr.Dataset:
    """A single run of a dataset, its dimensions (times, neurons, …) cut to the length they have in it.

    Times that are NaN are padding. Along other dimensions padding is at the end: where no variable has a value (NaN;
    −1 for whole numbers).
    """
    require_dataset(run, "unpadded")
    if "time" in run.sizes:
        run = run.isel(time=np.flatnonzero(np.isfinite(run["time"].values)))
    lengths = {str(dimension): 0 for dimension in run.sizes if dimension != "time"}
    for name in run.data_vars:
        variable = run.variables[
            name
        ]  # without the coordinates, which take longer to carry along than all else
        for axis, dimension in enumerate(map(str, variable.dims)):
            if dimension in lengths:
                length = filled(np.moveaxis(variable.values, axis, 0))
                lengths[dimension] = max(lengths[dimension], length)
    return run.isel({dimension: slice(length) for dimension, length in lengths.items()})


def filled(values: Any) -> int:
    """The length along the first axis up to the last entry with a value."""
    known = values != "" if values.dtype.kind in "OU" else np.isfinite(values)
    if values.dtype.kind == "i":
        known = values != -1
    indices = np.flatnonzero(known.reshape(len(values), -1).any(-1))
    return int(indices[-1]) + 1 if len(indices) else 0
