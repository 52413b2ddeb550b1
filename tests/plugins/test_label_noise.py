"""`noise` of gaussian_teacher: labels of samples and batches, files, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import twolayer
from twolayer import Teacher, Weights
from twolayer.core.network import Network
from twolayer.errors import ConfigError
from twolayer.population.numba_descent import CompiledPopulationProblem
from twolayer.study.registry import load

RELU = load(kinds=["activations"]).find("activations", "relu").plugin()
NETWORK = Network(1, RELU, "fixed")


def experiment(**problem: Any) -> dict[str, Any]:
    return {
        "problem": {"name": "gaussian_teacher", "dimension": 3, "teachers": 1, **problem},
        "network": {"neurons": 2, "output": "fixed"},
        "initialization": {"name": "gaussian", "scale": 0.5},
        "dynamics": {"name": "gradient_descent", "step_size": 0.1},
        "times": {"steps": [10]},
        "seeds": 2,
    }


def test_batches_have_noisy_labels() -> None:
    """The residual of a network that is the teacher has mean 0 and variance Δ, to 5 standard errors of 1e5 samples."""
    data = Teacher(np.eye(1, 3), np.ones(1), noise=0.09)
    weights = Weights(np.eye(1, 3)[None], np.ones((1, 1)))
    for problem in (data.problem(NETWORK), CompiledPopulationProblem(data, NETWORK)):
        assert problem.loss(weights) == 0
        batch = problem.batch(weights, 10**5, [np.random.default_rng(1)])
        residual = (batch.data.targets - batch.predict(weights)).ravel()
        assert abs(residual.mean()) < 5 * 0.3 / np.sqrt(1e5)
        assert abs(residual.var() - 0.09) < 5 * 0.09 * np.sqrt(2 / 1e5)


def test_inputs_are_those_without_noise() -> None:
    weights = Weights(np.eye(1, 3)[None], np.ones((1, 1)))
    batches = [
        Teacher(np.eye(1, 3), np.ones(1), noise=noise)
        .problem(NETWORK)
        .batch(weights, 20, [np.random.default_rng(1)])
        .data
        for noise in (0.0, 0.5)
    ]
    assert (batches[0].inputs == batches[1].inputs).all()
    assert (batches[0].targets != batches[1].targets).all()


def test_compiled_descent_draws_noise_too() -> None:
    """From the teacher, where without noise nothing moves; and as the array code."""
    data = Teacher(np.eye(1, 3), np.ones(1), noise=0.09)
    weights = Weights(np.eye(1, 3)[None], np.ones((1, 1)))
    ends = [
        problem.descend_on_batches(weights, 0.1, 4, 5, [np.random.default_rng(1)]).hidden
        for problem in (data.problem(NETWORK), CompiledPopulationProblem(data, NETWORK))
    ]
    assert abs(ends[0] - weights.hidden).max() > 1e-3
    assert (ends[0] == ends[1]).all()


def test_a_sample_has_noisy_labels_and_its_teacher_remembers() -> None:
    found: xr.Dataset = twolayer.run(experiment(samples=50, noise=0.25))
    plain = twolayer.run(experiment(samples=50))
    assert (found.loss.isel(time=0) != plain.loss.isel(time=0)).all()
    assert (found.population_loss.isel(time=0) == plain.population_loss.isel(time=0)).all()
    for data in (Teacher(np.eye(1, 3), np.ones(1), noise=0.5), Teacher(np.eye(1, 3), np.ones(1))):
        arrays = {name: values for name, (_, values, _) in data.arrays().items()}
        assert Teacher.read(arrays, data.attributes) == data


@pytest.mark.parametrize("noise", [-0.1, float("inf"), "much"])
def test_what_is_no_variance_is_refused(noise: Any) -> None:
    with pytest.raises(ConfigError, match="noise"):
        twolayer.run(experiment(noise=noise))
