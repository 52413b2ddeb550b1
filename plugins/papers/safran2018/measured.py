"""How runs are read for the claims and figures of Safran and Shamir 2018."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer import Run
from twolayer.analysis.intervals import chance_interval, standard_score
from twolayer.core.wording import counted
from twolayer.errors import DataError

from . import theory

if TYPE_CHECKING:
    import xarray as xr

COUNTS, CLASSES = "data/authors_counts.nc", "data/authors_classes.nc"
"""The authors' counts by pair (k, n), and the classes of their ends."""


def pair(run: Run) -> tuple[int, int]:
    """k and n."""
    return int(run.config.problem.teachers), int(run.config.network.neurons)


def named(run: Run) -> str:
    """`(8, 9)`."""
    return "({}, {})".format(*pair(run))


def of_pair(table: xr.Dataset, run: Run) -> xr.Dataset:
    """The rows of a table of the authors' for the pair of a run; a DataError where there is none."""
    teachers, students = pair(run)
    (dimension,) = table["teachers"].dims
    rows = np.flatnonzero((table["teachers"].values == teachers) & (table["students"].values == students))
    if not len(rows):
        raise DataError(f"no number of the authors' for k = {teachers}, n = {students} is at hand")
    return table.isel({dimension: rows})


def of_ends(table: xr.Dataset, run: Run) -> xr.Dataset:
    """The rows of the classes that the ends of a run are of: seed s begins at the s-th stored end of its pair."""
    rows = of_pair(table, run)
    (dimension,) = table["teachers"].dims
    seeds = run.dataset["seed"].values
    if max(seeds) >= rows.sizes[dimension]:
        raise DataError(
            f"{counted(rows.sizes[dimension], 'end')} stored for {named(run)}, not one for seed {max(seeds)}"
        )
    return rows.isel({dimension: seeds})


def end(run: Run, name: str = "loss") -> xr.DataArray:
    """A metric at the end of a run, (seed,)."""
    return run.dataset[name].isel(time=-1, drop=True)


def curvature(run: Run) -> xr.DataArray:
    """The smallest eigenvalue of the Hessian at the end, (seed,)."""
    return run.final_hessian_eigenvalues.isel(extreme=0, drop=True)


def spurious(run: Run) -> xr.DataArray:
    """Whether an end is away from the global minimum, (seed,)."""
    return end(run) >= theory.SPURIOUS


def at_minimum(run: Run) -> xr.DataArray:
    """Whether an end is away from the global minimum and near no saddle, (seed,)."""
    return spurious(run) & (curvature(run) > 0)


def settled(run: Run) -> xr.DataArray:
    """Whether the gradient is so small that the loss is that of the stationary point, (seed,)."""
    return end(run, "gradient_norm") <= theory.SETTLED


def share(hits: Any) -> tuple[float, float, float]:
    """The share of true entries with its exact 95 % interval."""
    values = np.ravel(hits)
    return chance_interval(int(values.sum()), len(values))


def theirs(run: Run, counts: xr.Dataset) -> tuple[int, int]:
    """The authors' spurious ends, without those near a saddle, and their starts, for the pair of a run."""
    row = of_pair(counts, run).isel(pair=0)
    return int(row["authors_spurious"]), int(row["authors_runs"])


def score(run: Run, hits: Any, counts: xr.Dataset) -> float:
    """z of our count against the authors'."""
    return float(standard_score(int(hits.sum()), hits.size, *theirs(run, counts)))


def nearest_class(run: Run, classes: xr.Dataset) -> tuple[Any, Any]:
    """For each end the place of the class of its pair whose loss is nearest, and the difference, (seed,)."""
    known = of_pair(classes, run)["loss"].values
    apart = end(run).values[:, None] - known
    place = np.abs(apart).argmin(1)
    return place, np.take_along_axis(apart, place[:, None], 1)[:, 0]
