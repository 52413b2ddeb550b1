"""split_data: held-out samples and those of another law, against a loss taken by hand; files, seeds, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import twolayer
from twolayer.errors import ConfigError
from twolayer.stages.generate import generate
from twolayer.storage.contents import unpack_problem
from twolayer.storage.netcdf import read, write
from twolayer.study.job import Job
from twolayer.study.registry import load
from twolayer.study.runs import make_experiment

RANDOM = np.random.default_rng(2)
INPUTS, TARGETS = RANDOM.standard_normal((10, 2)), RANDOM.standard_normal(10)
POINTS = {"name": "points", "inputs": INPUTS.tolist(), "targets": TARGETS.tolist()}
OTHER = {"name": "points", "inputs": [[3.0, 1.0], [-2.0, 4.0]], "targets": [1.0, -1.0]}


def experiment(problem: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {
        "problem": {"name": "split_data", **problem},
        "network": {"neurons": 3, "activation": "relu"},
        "initialization": {"name": "gaussian", "scale": 0.5},
        "dynamics": {"name": "gradient_descent", "step_size": 0.1},
        "times": {"steps": [1, 5]},
        "seeds": 2,
        **changed,
    }


def run(problem: dict[str, Any], **changed: Any) -> xr.Dataset:
    return twolayer.run(experiment(problem, **changed), "numpy", weights=True, threads=1)


def loss_of(dataset: xr.Dataset, inputs: Any, targets: Any) -> Any:
    """½ mean (f − y)² of the saved weights, (seed, time), by its formula."""
    active = np.maximum(np.einsum("stmd,kd->stmk", dataset["hidden"].values, inputs), 0.0)
    prediction = np.einsum("stm,stmk->stk", dataset["output"].values, active)
    return 0.5 * ((prediction - targets) ** 2).mean(-1)


def test_losses_by_their_formula() -> None:
    found = run({"training": POINTS, "held_out": OTHER, "off_distribution": OTHER})
    wanted = loss_of(found, np.asarray(OTHER["inputs"]), np.asarray(OTHER["targets"]))
    np.testing.assert_allclose(found["held_out_loss"], wanted, rtol=1e-12)
    np.testing.assert_array_equal(found["off_distribution_loss"], found["held_out_loss"])
    np.testing.assert_allclose(found["loss"], loss_of(found, INPUTS, TARGETS), rtol=1e-12)
    alone = twolayer.run({**experiment({}), "problem": POINTS}, "numpy", threads=1)
    np.testing.assert_array_equal(found["loss"], alone["loss"])


@pytest.mark.parametrize("held_out", [3, 0.3])
def test_a_split_of_each_seed(held_out: float) -> None:
    """7 samples are left and 3 held out: 7 L + 3 L_held is 10 times the loss of all, and seeds differ."""
    found = run({"training": POINTS, "held_out": held_out})
    total = 7 * found["loss"] + 3 * found["held_out_loss"]
    np.testing.assert_allclose(total, 10 * loss_of(found, INPUTS, TARGETS), rtol=1e-12)
    splits = {
        seed: run({"training": POINTS, "held_out": held_out}, seeds=[seed])["held_out_loss"].values[0]
        for seed in (0, 1)
    }
    np.testing.assert_array_equal(found["held_out_loss"], [splits[0], splits[1]])
    same = {"name": "matrix", "hidden": [[1.0, 2.0], [0.5, -1.0], [1.0, 0.0]], "output": [1.0, 1.0, -1.0]}
    for shared in (False, True):
        start = run({"training": POINTS, "held_out": held_out, "shared": shared}, initialization=same)
        first, second = start["held_out_loss"].values[:, 0]
        assert (first == second) == shared


def test_a_sample_of_a_teacher_tested_on_other_inputs() -> None:
    teacher = {"name": "gaussian_teacher", "dimension": 2, "teachers": 1, "samples": 8}
    found = run({"training": teacher, "held_out": {**teacher, "samples": 4000}, "off_distribution": OTHER})
    assert {"population_loss", "teacher_angle", "off_distribution_loss"} <= set(found)
    # the mean of 4000 squares, whose relative standard error is below 0.06 for Gaussian tails of residuals
    np.testing.assert_allclose(found["held_out_loss"], found["population_loss"], rtol=0.3)


@pytest.mark.parametrize("held_out", [3, OTHER])
def test_files_keep_all_sets(held_out: Any, tmp_path: Path) -> None:
    registry = load(kinds=["problems", "initializations", "dynamics", "activations", "losses", "metrics"])
    section = experiment({"training": POINTS, "held_out": held_out})
    ((_, planned),) = make_experiment("paper", "e", section, registry).runs.items()
    job = Job(planned.as_dict(), registry)
    variables, attributes = generate(job.problem, job.network, job.run)
    write(tmp_path / "problem.nc", variables, attributes)
    data = unpack_problem(*read(tmp_path / "problem.nc"))
    for name, (_, values, _) in data.arrays().items():
        np.testing.assert_array_equal(values, variables[name][1])
    assert set(data.of_seed(1).further) == {"held_out"}


def test_a_path_within_is_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "data.nc"
    with pytest.raises(ConfigError, match=r"problem.held_out.path: there is no file"):
        run({"training": POINTS, "held_out": {"name": "file", "path": str(path)}})
    xr.Dataset({"inputs": (("sample", "feature"), INPUTS), "targets": ("sample", TARGETS)}).to_netcdf(path)
    found = run({"training": POINTS, "held_out": {"name": "file", "path": str(path)}})
    np.testing.assert_allclose(found["held_out_loss"], found["loss"], rtol=1e-12)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "give held_out or off_distribution"),
    "all of it": ({"held_out": 10}, r"problem.held_out: takes 10 of 10 samples; must be 1 to 9"),
    "less than one": ({"held_out": 0.01}, r"problem.held_out: takes 0 of 10"),
    "a share above 1": ({"held_out": 1.5}, "problem.held_out: a share is below 1"),
    "a population": (
        {"off_distribution": {"name": "gaussian_teacher", "dimension": 2, "teachers": 1}},
        "problem.off_distribution: must have samples",
    ),
    "other features": (
        {"held_out": {"name": "points", "inputs": [1.0], "targets": [1.0]}},
        r"all sets need as many features, and they have \[1, 2\]",
    ),
    "an unknown key within": ({"held_out": {**OTHER, "bas": 1}}, "problem.held_out.bas: there is no key"),
    "nothing to share": ({"held_out": OTHER, "shared": True}, "problem.shared: only where samples"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    section, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message):
        run({"training": POINTS, **section})
