"""A run taken out of a ragged sweep is the run alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import twolayer
from twolayer import runs_by, unpadded

BASE: dict[str, Any] = {
    "problem": {"name": "gaussian_teacher", "dimension": 6, "teachers": 1},
    "network": {"neurons": 2, "output": "fixed"},
    "initialization": {"name": "gaussian", "scale": 0.1},
    "dynamics": {"name": "gradient_descent", "step_size": 0.1},
    "times": {"values": [0.5, 1.0]},
    "seeds": 2,
    "metrics": ["loss", "teacher_angles", "closest_teacher", "teacher_deficit"],
}
ROWS: list[dict[str, Any]] = [
    {"problem.teachers": 1, "network.neurons": 2, "times": {"short": {"values": [0.5, 1.0]}}},
    {"problem.teachers": 3, "network.neurons": 5, "times": {"long": {"values": [0.5, 1.0, 2.0, 4.0]}}},
    {"problem.teachers": 2, "network.neurons": 3, "times": {"middle": {"values": [0.3, 1.1, 1.2]}}},
]


def alone(row: dict[str, Any]) -> xr.Dataset:
    (times,) = row["times"].values()
    sections = {
        "problem": {**BASE["problem"], "teachers": row["problem.teachers"]},
        "network": {**BASE["network"], "neurons": row["network.neurons"]},
    }
    return twolayer.run({**BASE, **sections, "times": times})


@pytest.mark.parametrize("word", ["times", "teachers", "neurons"])
def test_runs_of_a_zip_come_back(word: str) -> None:
    zipped = [dict(sorted(row.items(), key=lambda item: item[0].split(".")[-1] != word)) for row in ROWS]
    found = runs_by(twolayer.run({**BASE, "sweep": zipped}), word)
    assert len(found) == 3
    for row, run in zip(ROWS, found.values(), strict=True):
        expected = alone(row)
        for name in ("loss", "teacher_angles", "closest_teacher", "teacher_deficit", "time"):
            assert run[name].dims == expected[name].dims
            np.testing.assert_array_equal(run[name], expected[name])


def test_a_point_of_a_product_is_cut_to_its_size() -> None:
    dataset = twolayer.run({**BASE, "sweep": {"problem.teachers": [1, 3], "network.neurons": [3, 6]}})
    run = unpadded(dataset.sel(teachers=1, neurons=3))
    assert (run.sizes["teacher"], run.sizes["neuron"], run.sizes["time"]) == (1, 3, 3)
    whole = unpadded(dataset.sel(teachers=3, neurons=6))
    assert (whole.sizes["teacher"], whole.sizes["neuron"]) == (3, 6)


def test_a_neuron_that_is_lost_at_times_is_no_padding() -> None:
    dataset = xr.Dataset(
        {"projection": (("time", "neuron"), [[1.0, np.nan, 2.0, np.nan], [1.0, np.nan, np.nan, np.nan]])},
        coords={"time": [0.0, 1.0]},
    )
    assert unpadded(dataset).sizes["neuron"] == 3
