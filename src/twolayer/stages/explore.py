"""explore: the neurons of a paper's runs over time as one page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from twolayer.analysis.explorer import FEWEST_FRAMES, explorer, scene, seeds_shown
from twolayer.errors import DataError
from twolayer.storage import atomic, checksum
from twolayer.storage.netcdf import store_of

__all__ = ["explore"]

SEEDS = 4
"""Seeds of a run, at most."""

BUDGET = 3_500_000
"""Bytes of positions on a page, about."""


def explore(datasets: Sequence[Path], output: Path, code: str = "") -> None:
    """Write the page of the experiments whose datasets are given; their runs' trajectories lie below their folders.

    code: the fingerprint of the code that makes it, which it carries.
    """
    runs = {dataset.parent.name: list(runs_of(dataset)) for dataset in datasets}
    filmed = {name: found for name, found in runs.items() if found}
    sizes = [size for found in filmed.values() for _, _, size in found]
    seeds = seeds_shown(sizes, SEEDS, BUDGET)
    experiments = {
        name: [{"swept": run["swept"], "seeds": scenes(folder, seeds)} for run, folder, _ in found]
        for name, found in filmed.items()
    }
    text = explorer(output.parent.name, experiments, "../index.html")
    sources = {dataset.parent.name: checksum_of(dataset) for dataset in datasets}
    atomic.write_text(output, checksum.signed_page(text, sources, code))


def checksum_of(path: Path) -> str:
    """The checksum that a dataset carries; empty where it carries none."""
    with opened(path) as dataset:
        return str(dataset.attrs.get(checksum.KEY, ""))


def runs_of(dataset: Path) -> Iterator[tuple[dict[str, Any], Path, tuple[int, int, int]]]:
    """The runs of an experiment that are films: each with its folder, and its numbers of seeds, times and neurons."""
    with opened(dataset) as gathered:
        runs = [json.loads(text) for text in gathered["run"].values.ravel() if text]
    for run in runs:
        folder = dataset.parent / run["name"]
        with opened(folder / "trajectory.nc") as trajectory:
            sizes = trajectory.sizes
            if sizes["time"] >= FEWEST_FRAMES:
                yield run, folder, (sizes["seed"], sizes["time"], sizes["neuron"])


def scenes(folder: Path, seeds: int) -> dict[str, Any]:
    """The first seeds of a run, as the page shows them."""
    found = {}
    with (
        opened(folder / "trajectory.nc") as trajectory,
        opened(folder / "metrics.nc") as metrics,
        opened(folder / "problem.nc") as problem,
    ):
        for index in range(min(seeds, trajectory.sizes["seed"])):
            weights = trajectory[["hidden", "output"]].isel(seed=index).load()
            found[str(int(trajectory["seed"][index]))] = scene(
                np.asarray(weights["hidden"], dtype=np.float64),
                np.asarray(weights["output"], dtype=np.float64),
                np.asarray(trajectory["time"], dtype=np.float64),
                np.asarray(metrics["loss"].isel(seed=index), dtype=np.float64),
                teachers_of(problem, trajectory.sizes["feature"]),
            )
    return found


def teachers_of(problem: xr.Dataset, features: int) -> Any:
    """The directions of the teachers, where there are some in the same coordinates as the weights."""
    if "teacher_hidden" not in problem or problem["teacher_hidden"].shape[-1] != features:
        return None
    vectors = np.asarray(problem["teacher_hidden"], dtype=np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def opened(path: Path) -> xr.Dataset:
    """A netCDF file that is read where it is used; a DataError where there is none."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        return xr.open_dataset(store_of(path))
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{path}: is not a netCDF file that can be read: {error}") from error
