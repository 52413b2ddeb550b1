"""The start by non-negative least squares: its optimality conditions, its scaling, and its subspace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import network_of

import twolayer
from twolayer import FiniteData, Network, Teacher, Weights
from twolayer.errors import ConfigError
from twolayer.study.registry import load

START = load(kinds=["initializations"]).find("initializations", "nonnegative_least_squares").plugin
TEACHER = Teacher(np.array([[1.0, 0.2, 0.0, 0.0], [-0.4, 0.9, 0.0, 0.0]]), np.array([1.0, 0.6]))


def finite(samples: int = 300) -> FiniteData:
    x = np.random.default_rng(5).standard_normal((samples, 4))
    return FiniteData(x, np.abs(x @ TEACHER.hidden.T) @ TEACHER.output)


def slopes(data: Any, network: Network, weights: Weights) -> tuple[Any, Any]:
    """z of a start, and the derivative of the loss by each z, of unit directions."""
    problem = data.problem(network)
    length = np.linalg.norm(weights.hidden, axis=1)
    gradient = problem.gradient(weights)
    return length**2, gradient.output / np.where(length > 0, length, 1.0)


@pytest.mark.parametrize("activation", ["abs", "relu"])
@pytest.mark.parametrize("data", [TEACHER, finite()], ids=["population", "finite"])
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_it_is_optimal(data: Any, activation: Any, scale: float) -> None:
    """Karush, Kuhn and Tucker: z ≥ 0, no slope where z > 0, none below 0 elsewhere. And |a_j| = |w_j|."""
    network = network_of(12, activation, output_scale=scale)
    weights = START().draw(data, network, np.random.default_rng(2))
    np.testing.assert_allclose(weights.output, np.linalg.norm(weights.hidden, axis=1), rtol=1e-14)
    mass, slope = slopes(data, network, weights)
    assert 0 < (mass > 0).sum() < 12
    assert np.abs(slope[mass > 0]).max() < 1e-12
    # directions with z = 0 are at 0: take their slope from the draw
    drawn = np.random.default_rng(2).standard_normal((12, 4))
    for j in np.flatnonzero(mass == 0):
        nudged = Weights(weights.hidden.copy(), weights.output)
        nudged.hidden[j] = drawn[j] / np.linalg.norm(drawn[j])
        assert data.problem(network).gradient(nudged).output[j] > -1e-12


def test_kept_neurons_point_where_they_were_drawn() -> None:
    weights = START().draw(TEACHER, network_of(9, "abs", "tied"), np.random.default_rng(0))
    drawn = np.random.default_rng(0).standard_normal((9, 4))
    length = np.linalg.norm(weights.hidden, axis=1)
    for j in np.flatnonzero(length):
        cosine = weights.hidden[j] @ drawn[j] / (length[j] * np.linalg.norm(drawn[j]))
        assert cosine == pytest.approx(1.0, abs=1e-14)


def test_many_samples_are_the_population() -> None:
    few = START().draw(finite(40_000), network_of(8, "abs"), np.random.default_rng(1))
    many = START().draw(TEACHER, network_of(8, "abs"), np.random.default_rng(1))
    assert np.abs(few.output**2 - many.output**2).max() < 0.05


@pytest.mark.parametrize(
    ("data", "tolerance"), [(TEACHER, 1e-14), (finite(20_000), 0.1)], ids=["population", "finite"]
)
def test_a_subspace_is_the_teachers(data: Any, tolerance: float) -> None:
    weights = START(subspace=2).draw(data, network_of(20, "abs"), np.random.default_rng(1))
    kept = weights.hidden[weights.output > 0]
    assert np.abs(kept[:, 2:]).max() < tolerance
    problem = TEACHER.problem(network_of(20, "abs"))
    plain = START().draw(data, network_of(20, "abs"), np.random.default_rng(1))
    assert problem.loss(weights) < 0.3 * problem.loss(plain)


def test_it_starts_a_run() -> None:
    experiment: dict[str, Any] = {
        "problem": {"name": "gaussian_teacher", "dimension": 3, "teachers": 2},
        "network": {"neurons": 10, "activation": "abs", "output": "tied"},
        "initialization": {"name": "nonnegative_least_squares", "subspace": 2},
        "dynamics": {"name": "gradient_descent", "step_size": 0.05},
        "times": {"steps": [1, 100]},
        "seeds": 2,
    }
    dataset = twolayer.run(experiment)
    assert float(dataset["loss"].isel(time=0).max()) < 0.02
    assert (dataset["loss"].diff("time") < 0).all()
    fixed = {**experiment, "network": {"neurons": 10, "output": "fixed"}}
    with pytest.raises(ConfigError, match=r"initialization: sets .* outputs of this network are fixed"):
        twolayer.run(fixed)
    wide = {**experiment, "initialization": {"name": "nonnegative_least_squares", "subspace": 4}}
    with pytest.raises(ConfigError, match=r"initialization\.subspace: 4 directions in dimension 3"):
        twolayer.run(wide)
    smooth = {**experiment, "network": {"neurons": 10, "activation": "tanh"}}
    with pytest.raises(ConfigError, match=r"needs σ\(cz\) = cσ\(z\) for c > 0, .*; Tanh is not so"):
        twolayer.run(smooth)
    stages = [{"name": "gradient_descent", "step_size": 0.05, "until": 1}, {"name": "balancing"}]
    balanced = {
        **smooth,
        "initialization": {"name": "gaussian", "scale": 0.1},
        "dynamics": {
            "name": "sequence",
            "stages": [*stages, {"name": "gradient_descent", "step_size": 0.05}],
        },
        "times": {"values": [0.5, 2.0]},
    }
    with pytest.raises(ConfigError, match=r"keeps the function where .*; Tanh is not so"):
        twolayer.run(balanced)
