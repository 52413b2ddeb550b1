"""What several claims on Boursier, Pillaud-Vivien and Flammarion 2022 read: the authors' runs, and small scales."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.errors import DataError

from . import measured

if TYPE_CHECKING:
    import xarray as xr

    from twolayer import Run

NOTEBOOKS = "the authors' notebooks (eboursier/GFdynamics at dc5fce5), re-run with their seeds"

FILES = tuple(f"../data/{file.name}" for file in sorted((Path(__file__).parent / "data").glob("*.nc")))
"""Of the authors' runs, from the files of claims."""

TOO_SHORT = "the loss has not come below half of its start: the run is too short"

FEWEST_FRAMES = 10
"""Of the authors' frames after the start, without which no comparison with them is made."""


def authors_run(run: Run, files: tuple[xr.Dataset, ...]) -> xr.Dataset:
    """The run that the authors saved from the same weights and with the same step size as a descent."""
    for theirs in files:
        if measured.starts_like(run, theirs):
            if run.config.problem.loss != "mean_square":
                raise DataError(f"the authors minimise the mean square, this run {run.config.problem.loss}")
            if not np.isclose(run.config.dynamics.step_size, theirs.attrs["learning_rate"]):
                raise DataError(
                    f"the authors' step size is {theirs.attrs['learning_rate']:g}, this run's "
                    f"{run.config.dynamics.step_size:g}"
                )
            return theirs
    raise DataError("no run that the authors saved has the data and initial weights of this one")


def authors_end(run: Run, files: tuple[xr.Dataset, ...]) -> xr.Dataset:
    """The authors' run, if this one ends at the same iteration; the weights in the file are those of its end."""
    theirs = authors_run(run, files)
    if int(run.step[-1]) != theirs.attrs["n_iterations"]:
        raise DataError(
            f"ends at iteration {int(run.step[-1])}, the authors' at {theirs.attrs['n_iterations']}"
        )
    return theirs


def common_losses(run: Run, theirs: xr.Dataset) -> tuple[Any, Any]:
    """Our losses and the authors', along the iterations that both have."""
    import xarray as xr

    losses = xr.DataArray(run.loss.isel(seed=0).values, {"iteration": run.step.values})
    ours, common = xr.align(losses, theirs["loss"])
    after = int((common.iteration > 0).sum())
    if after < FEWEST_FRAMES:
        frames = f"of the {theirs.sizes['iteration'] - 1} frames that the authors saved after the start"
        raise DataError(f"needs {FEWEST_FRAMES} {frames}; this run saves {after}")
    return ours, common


def starts_large(run: Run) -> str:
    """Why a statement on small scales is not about a run that starts with over 1e-4 of its final mass, or ""."""
    share = float(run.path_norm.isel(time=0).max() / run.path_norm.isel(time=-1).max())
    return (
        f"λ is too large: the run starts with {100 * share:.2g} % of its final mass" if share > 1e-4 else ""
    )


def small_scales(run: Run, largest: float = 1e-10) -> Run:
    """The runs with λ ≤ `largest`, on which statements about λ → 0 are tested."""
    scales = [part.scale for part in measured.up_to(run, largest)]
    if len(scales) < 3:
        raise DataError(f"a statement on λ → 0 needs three or more scales λ ≤ {largest:g}")
    return next(run.by(scale=scales))
