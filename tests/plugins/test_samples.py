"""A finite sample of a teacher's population: labels, seeds, both losses, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import network_of

import twolayer
from twolayer import FiniteData, Weights
from twolayer.errors import ConfigError
from twolayer.stages.generate import generate
from twolayer.storage.contents import pack_problem, unpack_problem
from twolayer.storage.netcdf import read, write
from twolayer.study.registry import load

PROBLEMS = load(kinds=["problems"])
TEACHER = {"name": "gaussian_teacher", "dimension": 4, "angles": [0.0, 50.0], "coefficients": [1.0, -0.6]}
NETWORK = {"neurons": 5, "output": "fixed"}


def sample(activation: str = "relu", seeds: Any = (3, 5), **fields: Any) -> tuple[Any, Any]:
    """The variables and attributes of problem.nc."""
    section = {**TEACHER, "samples": 30, **fields}
    section.pop("name")
    problem = PROBLEMS.find("problems", "gaussian_teacher").plugin(**section)
    run = {
        "paper": "p", "experiment": "e", "seeds": list(seeds), "problem": {"name": "gaussian_teacher"},
        "network": {**NETWORK, "activation": activation},
    }  # fmt: skip
    return generate(problem, network_of(**run["network"]), run)


def experiment(samples: int | None = 30, **sections: Any) -> dict[str, Any]:
    problem = {**TEACHER, **({} if samples is None else {"samples": samples})}
    return {
        "problem": problem,
        "network": NETWORK,
        "initialization": {"name": "gaussian", "scale": 0.3},
        "dynamics": {"name": "gradient_descent", "step_size": 0.1},
        "times": {"steps": [1, 20]},
        "seeds": [3, 5],
        **sections,
    }


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_labels_are_the_teachers(activation: str) -> None:
    variables, attributes = sample(activation)
    assert attributes == {"law": "finite", "loss": "half_mean_square", "profile": "none"}
    inputs, targets = variables["inputs"][1], variables["targets"][1]
    for part, dimensions in (
        ("inputs", ("seed", "sample", "feature")),
        ("targets", ("seed", "sample")),
        ("teacher_hidden", ("teacher", "feature")),
        ("teacher_output", ("teacher",)),
    ):
        assert variables[part][0] == dimensions
    turned = np.deg2rad(50.0)
    for seed in range(2):
        for x, y in zip(inputs[seed], targets[seed], strict=True):
            first, second = x[0], np.cos(turned) * x[0] + np.sin(turned) * x[1]
            act = abs if activation == "abs" else lambda z: max(z, 0.0)
            assert y == pytest.approx(act(first) - 0.6 * act(second), abs=1e-14)


def test_inputs_are_normal_and_each_seeds_own() -> None:
    both, _ = sample(samples=4000)
    inputs = both["inputs"][1]
    assert not (inputs[0] == inputs[1]).any()
    assert both["seed"][1].tolist() == [3, 5]
    alone, _ = sample(seeds=[5], samples=4000)
    assert (alone["inputs"][1][0] == inputs[1]).all()
    covariance = inputs[0].T @ inputs[0] / 4000
    assert (np.abs(covariance - np.eye(4)) < 4 * np.sqrt((1 + np.eye(4)) / 4000)).all()
    assert (np.abs(inputs.mean(1)) < 4 / np.sqrt(4000)).all()
    assert abs((inputs[0] ** 4).mean() - 3) < 4 * np.sqrt(96 / 16_000)


def test_a_shared_sample_is_one_for_all_seeds() -> None:
    variables, _ = sample(shared=True)
    assert variables["inputs"][0] == ("sample", "feature")
    assert "seed" not in variables
    dataset = twolayer.run(experiment(problem={**TEACHER, "samples": 30, "shared": True}, metrics=["inputs"]))
    assert dataset["inputs"].shape == (30, 4)


def test_a_problem_file_holds_sample_and_teacher(tmp_path: Path) -> None:
    variables, attributes = sample(loss="mean_square")
    write(tmp_path / "problem.nc", variables, attributes)
    data = unpack_problem(*read(tmp_path / "problem.nc"))
    assert isinstance(data, FiniteData)
    assert data.loss == "mean_square"
    assert data.per_seed
    for name, (_, values, _) in pack_problem(data, [3, 5]).items():
        assert np.array_equal(values, variables[name][1])
    assert data.teacher.profile == "none"


def by_hand(variables: Any, weights: Weights, seed: int, factor: float) -> float:
    """κ Σ r² of one seed, relu with a = 1."""
    inputs, targets = variables["inputs"][1][seed], variables["targets"][1][seed]
    prediction = np.maximum(inputs @ weights.hidden.T, 0).sum(1)
    return factor * float(((prediction - targets) ** 2).mean())


@pytest.mark.parametrize(("loss", "factor"), [("half_mean_square", 0.5), ("mean_square", 1.0)])
def test_both_losses_are_measured(loss: str, factor: float) -> None:
    problem = {**TEACHER, "samples": 30, "loss": loss}
    dataset = twolayer.run(experiment(problem=problem), weights=True)
    variables, _ = sample(loss=loss)
    teacher = PROBLEMS.find("problems", "gaussian_teacher").plugin(
        **{key: value for key, value in TEACHER.items() if key != "name"}
    )
    population = teacher.generate(np.random.default_rng(0)).problem(network_of(**NETWORK))
    for seed, moment in np.ndindex(2, 3):
        weights = Weights(*(dataset[part].values[seed, moment] for part in ("hidden", "output")))
        expected = by_hand(variables, weights, seed, factor)
        assert dataset["loss"].values[seed, moment] == pytest.approx(expected, rel=1e-12)
        exact = float(population.loss(weights))
        assert dataset["population_loss"].values[seed, moment] == pytest.approx(exact, rel=1e-12)
    assert (dataset["loss"].values[:, -1] < dataset["loss"].values[:, 0]).all()


def test_the_loss_tends_to_the_populations() -> None:
    """Over 200 seeds the mean loss of the same start is the population's within 4 standard errors, which fall."""
    errors = []
    start = {"name": "aligned", "projections": [[0.3, 0.6], [0.2, 0.3, 0.4]], "angle": 0.4}
    for samples in (25, 400):
        dataset = twolayer.run(
            experiment(
                samples, initialization=start, seeds=200, times={"steps": [0]}, metrics=["population_loss"]
            )
        )
        gap = (dataset["loss"] - dataset["population_loss"]).values[:, 0]
        errors.append(gap.std() / np.sqrt(200))
        assert abs(gap.mean()) <= 4 * errors[-1]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.3)


def test_students_are_measured_against_their_teachers() -> None:
    """All that is said of students of the population is said here, and the same of the same start."""
    names = {"teacher_angle", "closest_teacher", "projection", "teacher_deficit", "residual_norm"}
    finite, exact = twolayer.run(experiment()), twolayer.run(experiment(None))
    assert names | {"population_loss"} <= set(finite)
    assert "population_loss" not in exact
    for name in names:
        np.testing.assert_array_equal(finite[name].isel(time=0), exact[name].isel(time=0))
    np.testing.assert_array_equal(finite["population_loss"].isel(time=0), exact["loss"].isel(time=0))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_many_samples_move_as_the_population_does(backend: str) -> None:
    many = twolayer.run(experiment(10_000, seeds=2), backend, weights=True)
    exact = twolayer.run(experiment(None, seeds=2), backend, weights=True)
    moved = np.abs(exact["hidden"].isel(time=-1) - exact["hidden"].isel(time=0)).max()
    apart = np.abs(many["hidden"].isel(time=-1) - exact["hidden"].isel(time=-1)).max()
    assert apart < 0.06 * moved


def test_the_exact_flow_runs_on_a_sample() -> None:
    """The limit of descents, at first order."""
    flow = twolayer.run(experiment(dynamics={"name": "gradient_flow"}, times={"values": [0.5]}), weights=True)
    errors = []
    for step_size in (0.005, 0.0025):
        descent = twolayer.run(
            experiment(
                dynamics={"name": "gradient_descent", "step_size": step_size}, times={"values": [0.5]}
            ),
            weights=True,
        )
        errors.append(float(np.abs(descent["hidden"] - flow["hidden"]).max()))
    assert errors[0] < 2e-3
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.2)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({"samples": 0}, r"problem\.samples: at least 1"),
    "part": ({"samples": 2.5}, r"problem\.samples: .*whole number"),
    "too many": ({"samples": 10**10}, r"problem\.samples: .*more than memory holds"),
    "profile": ({"samples": 9, "profile": "linear"}, r"problem\.profile: 'linear' is removed from the pop"),
    "shared": ({"shared": True}, r"problem\.shared: .*only with samples"),
    "loss": ({"loss": "mean_square"}, r"problem\.loss: .*only with samples"),
    "other loss": ({"samples": 9, "loss": "square"}, r"problem\.loss: .*mean_square"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_samples_are_reported(case: str) -> None:
    fields, message = BAD[case]
    with pytest.raises(ConfigError, match=message):
        twolayer.run(experiment(problem={**TEACHER, **fields}))
