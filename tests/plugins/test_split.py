"""Starts written out or split from a file, and what metrics say of the curvature there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import twolayer
from twolayer.errors import TwolayerError

ROWS = np.random.default_rng(7).standard_normal((2, 3, 4))


def run(start: dict[str, Any], metrics: list[str], **changed: Any) -> xr.Dataset:
    """A run of almost no length on three orthonormal teachers in four dimensions."""
    return twolayer.run(
        {
            "problem": {"name": "gaussian_teacher", "dimension": 4, "teachers": 3},
            "network": {"neurons": len(start["hidden"]) if "hidden" in start else 4, "output": "fixed"},
            "initialization": start,
            "dynamics": {"name": "gradient_descent", "step_size": 1e-12},
            "times": {"steps": [1]},
            "metrics": ["loss", *metrics],
            **changed,
        }
    )


@pytest.fixture
def stored(tmp_path: Path) -> str:
    """A file with two starts of three neurons."""
    path = tmp_path / "starts.nc"
    xr.Dataset({"initial_hidden": (("seed", "neuron", "feature"), ROWS)}).to_netcdf(path)
    return str(path)


def matrix(hidden: Any, **more: Any) -> dict[str, Any]:
    """A start that is written out."""
    return {"name": "matrix", "hidden": np.asarray(hidden).tolist(), **more}


def test_a_written_start() -> None:
    dataset = run(matrix(ROWS[0]), ["initial_hidden"], seeds=2)
    np.testing.assert_array_equal(dataset["initial_hidden"], ROWS[[0, 0]])


@pytest.mark.parametrize(
    ("start", "network", "message"),
    [
        (matrix(ROWS[0][:2]), {"neurons": 3, "output": "fixed"}, "2 lists for 3 neurons"),
        (matrix(ROWS[0][:, :3]), {"neurons": 3, "output": "fixed"}, "has 3 entries; an input has 4"),
        (matrix(ROWS[0]), {"neurons": 3}, "trained outputs need a start"),
        (matrix(ROWS[0], output=[1.0]), {"neurons": 3}, "1 number for 3 neurons"),
    ],
)
def test_a_written_start_that_does_not_fit(start: Any, network: Any, message: str) -> None:
    with pytest.raises(TwolayerError, match=message):
        run(start, [], network=network)


def test_a_split_neuron_leaves_the_function(stored: str) -> None:
    split = {"name": "split", "path": stored, "neuron": 1, "share": 0.3}
    dataset = run(split, ["initial_hidden"], seeds=2)
    expected = np.concatenate([ROWS, 0.7 * ROWS[:, 1:2]], axis=1)
    expected[:, 1] *= 0.3
    np.testing.assert_array_equal(dataset["initial_hidden"], expected)
    for seed in range(2):
        whole = run(matrix(ROWS[seed]), [])["loss"].isel(seed=0, time=0)
        np.testing.assert_allclose(dataset["loss"].isel(seed=seed, time=0), whole, rtol=1e-13)


def test_noise_is_each_seeds_own(stored: str) -> None:
    split = {"name": "split", "path": stored, "neuron": 0, "noise": 1e-3, "row": 1}
    hidden = run(split, ["initial_hidden"], seeds=100)["initial_hidden"].values
    clean = run({**split, "noise": 0.0}, ["initial_hidden"])["initial_hidden"].values
    drawn = (hidden - clean) / 1e-3
    assert len(np.unique(drawn[:, 0, 0])) == 100
    # 1600 standard normal numbers: the mean square is 1 ± 0.035
    assert np.mean(drawn**2) == pytest.approx(1.0, abs=0.18)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"neuron": 3}, "has 3 neurons, and none of number 3"),
        ({"neuron": 0, "row": 2}, r"has the seeds \[0, 1\]"),
        ({"neuron": -1}, "from 0 on"),
        ({"neuron": 0, "share": 1.0}, "between 0 and 1"),
        ({"neuron": 0, "noise": -1.0}, "0 or above"),
    ],
)
def test_a_split_that_cannot_be(stored: str, start: dict[str, Any], message: str) -> None:
    with pytest.raises(TwolayerError, match=message):
        run({"name": "split", "path": stored, **start}, [])


def test_a_split_of_another_size(stored: str) -> None:
    with pytest.raises(TwolayerError, match="a network of 3 neurons is split from"):
        run({"name": "split", "path": stored, "neuron": 0}, [], network={"neurons": 3, "output": "fixed"})


def losses(hidden: Any) -> Any:
    """L of several networks (network, neuron, feature), as differences need it."""
    dataset = run(matrix(hidden), [])
    return float(dataset["loss"].isel(seed=0, time=0))


def test_curvature_in_one_neuron_against_differences() -> None:
    hidden, step = ROWS[0], 1e-3
    found = run(matrix(hidden), ["final_neuron_curvature"])["final_neuron_curvature"].isel(seed=0)
    block, axes = np.zeros((4, 4)), step * np.eye(4)
    for i in range(4):
        for j in range(4):
            for sign, a, b in ((1, axes[i], axes[j]), (-1, axes[i], -axes[j])):
                for side in (1, -1):
                    moved = hidden.copy()
                    moved[2] += side * (a + b)
                    block[i, j] += sign * losses(moved) / (4 * step**2)
    # differences of second order: an error of step² times fourth derivatives of order one
    assert float(found.isel(neuron=2)) == pytest.approx(np.linalg.eigvalsh(block)[0], abs=1e-5)


def test_curvature_after_a_split_is_that_of_the_split_network(stored: str) -> None:
    dataset = run(matrix(ROWS[1]), ["final_split_curvature"])["final_split_curvature"].isel(seed=0)
    for place, share in enumerate((0.5, 0.1, 0.01)):
        split = {"name": "split", "path": stored, "neuron": 2, "share": share, "row": 1}
        whole = run(split, ["final_hessian_eigenvalues"])["final_hessian_eigenvalues"].isel(seed=0, extreme=0)
        np.testing.assert_allclose(dataset.isel(neuron=2, share=place), whole, atol=1e-10)


def test_curvature_along_deviations_against_differences() -> None:
    off = np.array([[0.0, 0.02, -0.01, 0.03], [0.01, 0.0, 0.02, -0.02], [0.03, 0.01, 0.0, 0.01]])
    base, step = 0.9 * np.eye(3, 4), 0.05
    found = run(matrix(base + off), ["deviation_curvature"])["deviation_curvature"].isel(seed=0, time=0)
    up, at, down = (losses(base + (1 + shift) * off) for shift in (step, 0.0, -step))
    second = (up - 2 * at + down) / (step**2 * (off**2).sum())
    assert float(found) == pytest.approx(second, rel=1e-3)
