"""How runs are read for the claims and figures of Safran, Yehudai and Shamir 2021."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run
from twolayer.core.wording import counted
from twolayer.errors import DataError

from . import theory

if TYPE_CHECKING:
    import xarray as xr

CLASSES = "data/authors_classes.nc"
"""The classes of the authors' ends, for each k."""


def end(run: Run, name: str = "loss") -> xr.DataArray:
    """A metric at the end of a run, (seed,) and what else it has."""
    return run.dataset[name].isel(time=-1, drop=True)


def teachers(run: Run) -> int:
    """k."""
    return int(run.config.problem.teachers)


def norm_sum(run: Run) -> xr.DataArray:
    """Σ|w| at the end, (seed,)."""
    return end(run, "hidden_norm").sum("neuron")


def away(run: Run) -> xr.DataArray:
    """Whether an end is away from the global minimum, (seed,)."""
    return end(run) >= theory.GLOBAL


def reduced_block_curvature(run: Run) -> xr.DataArray:
    """The smallest eigenvalue of H'_ii, (seed, neuron)."""
    return run.final_neuron_curvature - theory.BLOCK_SHIFT


def of_size(classes: xr.Dataset, size: int) -> xr.Dataset:
    """The authors' classes for a number of teachers; a DataError where there are none."""
    rows = np.flatnonzero(classes["teachers"].values == size)
    if not len(rows):
        raise DataError(f"no ends of the authors' for k = {size} are at hand")
    return classes.isel(minimum=rows)


def of_ends(classes: xr.Dataset, run: Run) -> xr.Dataset:
    """The authors' classes that the ends of a run are of: seed s begins at the s-th that is stored for its k."""
    rows, seeds = of_size(classes, teachers(run)), run.dataset["seed"].values
    if max(seeds) >= rows.sizes["minimum"]:
        raise DataError(
            f"{counted(rows.sizes['minimum'], 'end')} stored for k = {teachers(run)}, not one for seed {max(seeds)}"
        )
    return rows.isel(minimum=seeds)


def spurious(classes: xr.Dataset) -> xr.Dataset:
    """The classes that are no global minimum."""
    return classes.isel(minimum=np.flatnonzero(classes["loss"].values >= theory.GLOBAL))


def ends_of(classes: xr.Dataset, size: int) -> tuple[Any, Any]:
    """Σ|w| of the authors' classes away from the global minimum, and how many ends each has."""
    rows = spurious(of_size(classes, size))
    return rows["norm_sum"].values, rows["count"].values


def displacements(runs: Any, name: str) -> list[tuple[float, Any]]:
    """ε and the run, from the largest ε on, of the runs (or their configs) of `shared` in which one half of the last
    teacher (`one`) or each of both (`both`) is moved, by ε along the first teacher."""
    found = []
    for run in runs.by("run"):
        first, second = (float(row[0]) for row in run.config.initialization.hidden[1:3])
        if name == ("both" if second else "one"):
            found.append((abs(first), run))
    if not found:
        moved = {"one": "one half is", "both": "both halves are"}[name]
        raise DataError(f"the experiment '{runs.experiment}' has no run in which {moved} moved")
    return sorted(found, key=lambda pair: -pair[0])


def deviations(run: Run) -> Any:
    """What students have at right angles to the teachers along axes that they stand by, (seed, neuron,
    feature)."""
    size = teachers(run)
    hidden = run.initial_hidden.values
    off = hidden.copy()
    neurons = np.arange(hidden.shape[1])
    off[:, neurons, neurons % size] = 0.0
    return off


def margins(run: Run) -> xr.DataArray:
    """Conjecture 12: (left − right)/|g|² at the start, (seed,)."""
    left = run.deviation_curvature.isel(time=0, drop=True)
    right = [theory.one_point_bound(each, teachers(run)) for each in deviations(run)]
    return left - left.copy(data=right)
