"""Starts from files: one for all seeds, or one for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import twolayer
from twolayer.errors import TwolayerError

SHAPE = (3, 4, 2)
ROWS = np.random.default_rng(5).standard_normal(SHAPE)


def run(path: Path, **changed: Any) -> xr.Dataset:
    """The starts that a run of four neurons in the plane takes from a file."""
    return twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 2, "teachers": 1},
            "network": {"neurons": 4, "output": "fixed"},
            "initialization": {"name": "file", "path": str(path)},
            "dynamics": {"name": "gradient_descent", "step_size": 0.1},
            "times": {"steps": [1]},
            "metrics": [
                "initial_hidden",
                "initial_output",
                "hessian_eigenvalues",
                "final_hessian_eigenvalues",
            ],
            **changed,
        }
    )


def written(path: Path, seed: list[int] | None = None) -> Path:
    """A file with one start for each seed."""
    coordinates = {} if seed is None else {"seed": seed}
    xr.Dataset({"initial_hidden": (("seed", "neuron", "feature"), ROWS)}, coordinates).to_netcdf(path)
    return path


def test_each_seed_has_its_row(tmp_path: Path) -> None:
    dataset = run(written(tmp_path / "starts.nc"), seeds=[2, 0])
    np.testing.assert_array_equal(dataset["initial_hidden"], ROWS[[2, 0]])


def test_rows_by_the_numbers_of_the_file(tmp_path: Path) -> None:
    dataset = run(written(tmp_path / "starts.nc", [7, 3, 11]), seeds=[11, 7])
    np.testing.assert_array_equal(dataset["initial_hidden"], ROWS[[2, 0]])


def test_a_seed_that_the_file_has_not(tmp_path: Path) -> None:
    with pytest.raises(TwolayerError, match=r"has the seeds \[0, 1, 2\]; this run has a seed 3"):
        run(written(tmp_path / "starts.nc"), seeds=4)


def test_outputs_are_needed_where_they_are_trained(tmp_path: Path) -> None:
    with pytest.raises(TwolayerError, match="initial_output"):
        run(written(tmp_path / "starts.nc"), network={"neurons": 4}, seeds=3)


def test_outputs_of_each_seed(tmp_path: Path) -> None:
    path = tmp_path / "starts.nc"
    outputs = np.arange(12.0).reshape(3, 4)
    xr.Dataset(
        {
            "initial_hidden": (("seed", "neuron", "feature"), ROWS),
            "initial_output": (("seed", "neuron"), outputs),
        }
    ).to_netcdf(path)
    dataset = run(path, network={"neurons": 4}, seeds=3)
    np.testing.assert_array_equal(dataset["initial_output"], outputs)


def test_runs_with_other_numbers_of_seeds(tmp_path: Path) -> None:
    path = written(tmp_path / "starts.nc")
    dataset = run(
        path, sweep=[{"dynamics.step_size": 0.1, "seeds": 3}, {"dynamics.step_size": 0.2, "seeds": 2}]
    )
    assert dataset["seeds"].values.tolist() == [3, 2]
    assert dataset.sizes["seed"] == 3
    runs = twolayer.runs_by(dataset, "step_size")
    assert [each.sizes["seed"] for each in runs.values()] == [3, 2]
    np.testing.assert_array_equal(runs["0.2"]["initial_hidden"], ROWS[:2])


def test_a_sweep_of_lists_of_seeds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TwolayerError, match="a sweep takes numbers of seeds"):
        run(written(tmp_path / "starts.nc"), sweep={"seeds": [{"two": [0, 1]}]})


def test_the_last_curvature_is_that_of_all_times(tmp_path: Path) -> None:
    dataset = run(written(tmp_path / "starts.nc"), seeds=3)
    last = dataset["hessian_eigenvalues"].isel(time=-1)
    np.testing.assert_array_equal(dataset["final_hessian_eigenvalues"], last)


def data_run(path: Path, **changed: Any) -> xr.Dataset:
    """A run on the data of a file."""
    return twolayer.run(
        {
            "problem": {"name": "file", "path": str(path)},
            "network": {"neurons": 2},
            "initialization": {"name": "gaussian", "scale": 0.3},
            "dynamics": {"name": "gradient_descent", "step_size": 0.1},
            "times": {"steps": [1, 5]},
            **changed,
        }
    )


def test_each_seed_has_its_data(tmp_path: Path) -> None:
    path = tmp_path / "data.nc"
    targets = np.array([[1.0, -1.0, 0.5, 2.0], [0.0, 1.0, 1.0, -2.0], [3.0, 1.0, 0.0, 1.0]])
    xr.Dataset(
        {"inputs": (("seed", "sample", "feature"), ROWS), "targets": (("seed", "sample"), targets)}
    ).to_netcdf(path)
    dataset = data_run(path, seeds=[2, 0], metrics=["loss", "seed_inputs", "seed_targets"])
    np.testing.assert_array_equal(dataset["seed_inputs"], ROWS[[2, 0]])
    np.testing.assert_array_equal(dataset["seed_targets"], targets[[2, 0]])
    one = tmp_path / "one.nc"
    xr.Dataset({"inputs": (("sample", "feature"), ROWS[2]), "targets": (("sample",), targets[2])}).to_netcdf(
        one
    )
    alone = data_run(one, seeds=[2], metrics=["loss"])
    np.testing.assert_allclose(dataset["loss"].isel(seed=0), alone["loss"].isel(seed=0), rtol=1e-12)
    with pytest.raises(TwolayerError, match=r"has the seeds \[0, 1, 2\]; this run has a seed 5"):
        data_run(path, seeds=[0, 5])


def test_targets_of_each_seed_on_inputs_of_all(tmp_path: Path) -> None:
    path = tmp_path / "data.nc"
    targets = np.arange(12.0).reshape(3, 4)
    xr.Dataset(
        {"inputs": (("sample", "feature"), ROWS[0]), "targets": (("seed", "sample"), targets)},
        {"seed": [5, 6, 8]},
    ).to_netcdf(path)
    dataset = data_run(path, seeds=[8, 5], metrics=["loss", "seed_inputs", "seed_targets"])
    np.testing.assert_array_equal(dataset["seed_inputs"], ROWS[[0, 0]])
    np.testing.assert_array_equal(dataset["seed_targets"], targets[[2, 0]])
