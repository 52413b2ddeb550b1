"""Runs that a command line cannot describe travel by file, from the config to the dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr
from snakemake_project import Project


def test_data_of_many_numbers_and_thousands_of_seeds(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    random = np.random.default_rng(0)
    inputs = random.normal(size=(75, 150)).tolist()
    rest = {
        "network": {"neurons": 1},
        "initialization": {"name": "gaussian", "scale": 0.1},
        "dynamics": {"name": "gradient_descent", "step_size": 0.01},
        "times": {"steps": [1]},
        "metrics": ["loss"],
    }
    many = {"name": "points", "inputs": inputs, "targets": random.normal(size=75).tolist()}
    few = {"name": "points", "inputs": [[1.0]], "targets": [1.0]}
    experiments = {"numbers": {"problem": many, **rest}, "seeds": {"problem": few, **rest, "seeds": 20_000}}
    project.write(
        "config.yaml", json.dumps({"backend": "numpy", "papers": {"long": {"experiments": experiments}}})
    )
    project.snakemake("long")
    with xr.open_dataset(project.result("long/seeds/dataset.nc")) as dataset:
        assert dataset.sizes["seed"] == 20_000
        assert np.isfinite(dataset["loss"]).all()
    with xr.open_dataset(project.result("long/numbers/default/problem.nc")) as problem:
        np.testing.assert_array_equal(problem["inputs"], inputs)
    assert "Nothing to be done" in project.snakemake("long")
