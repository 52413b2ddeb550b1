"""Compiled measures against the array code, far from solutions and near them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import network_of, of_two_slopes
from test_digits import near_solution

import twolayer
from twolayer import PopulationProblem, Teacher, Weights
from twolayer.analysis.metric import measure
from twolayer.core.trajectory import Clock, Trajectory
from twolayer.population import problem as population
from twolayer.population.closest import student_angles
from twolayer.population.numba_measures import MeasuredPopulationProblem
from twolayer.study.registry import load


def assert_same_measures(problem: PopulationProblem, weights: Weights, weight_decay: float) -> None:
    """Loss to 1e-11 and its rounding, gradient norm to 1e-9, what is close to which teacher to rounding."""
    fast = MeasuredPopulationProblem(problem.data, problem.network)
    exact, rounding = problem.loss(weights), problem.rounding(weights)
    assert (np.abs(fast.loss(weights) - exact) <= 1e-11 * exact + rounding).all()
    np.testing.assert_allclose(fast.rounding(weights), rounding, rtol=1e-9)
    norm = problem.gradient_norm(weights, weight_decay)
    np.testing.assert_allclose(fast.gradient_norm(weights, weight_decay), norm, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(fast.hidden_norms(weights), problem.hidden_norms(weights), rtol=1e-14)
    index, *others = fast.closest_teachers(weights)
    expected, *rest = problem.closest_teachers(weights)
    np.testing.assert_array_equal(index < 0, expected < 0)
    angles = student_angles(weights.hidden, problem.data.hidden, problem.network.activation.even)
    found, wanted = (
        np.take_along_axis(angles, np.maximum(each, 0)[..., None], -1) for each in (index, expected)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)  # of teachers at one angle it is either
    for one, other in zip(others, rest, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("wanted", [1e-2, 1e-6, 1e-10, 1e-14, 1e-18, 1e-22])
def test_near_solutions_are_measured_as_by_the_array_code(wanted: float) -> None:
    for seed in range(40):
        problem, weights = near_solution(seed, wanted)
        lead = (1,) if weights.hidden.ndim == 2 else ()
        weights = Weights(
            weights.hidden.reshape(*lead, *weights.hidden.shape),
            weights.output.reshape(*lead, *weights.output.shape),
        )
        assert_same_measures(problem, weights, 0.0)


@of_two_slopes
@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@pytest.mark.parametrize("profile", ["none", "constant", "linear"])
@pytest.mark.parametrize("orthogonal", [False, True])
def test_any_network_is_measured_as_by_the_array_code(
    output: Any, activation: Any, profile: str, orthogonal: bool
) -> None:
    """Students at 0, on teachers, opposite to each other and of extreme lengths, in batches that are not full."""
    random = np.random.default_rng(0)
    network = network_of(5, activation, output)
    teachers = random.standard_normal((3, 6))
    if orthogonal:
        teachers = np.linalg.qr(random.standard_normal((6, 6)))[0][:3] * np.array([[1.0], [2.0], [0.5]])
    problem = PopulationProblem(Teacher(teachers, np.array([1.0, -0.5, 2.0]), profile), network)
    hidden = random.standard_normal((13, 5, 6))
    hidden[0, 0] = 0.0
    hidden[1] *= 1e-30
    hidden[2, 1], hidden[3, 1] = -hidden[2, 2], hidden[3, 2]
    hidden[4, 0], hidden[4, 1] = teachers[0], -teachers[1]
    hidden[5] *= 1e30
    weights = network.with_tied_outputs(Weights(hidden, random.standard_normal((13, 5))))
    assert_same_measures(problem, weights, 0.1)


def test_what_is_not_finite_has_no_loss_and_no_teacher() -> None:
    network = network_of(2)
    problem = MeasuredPopulationProblem(Teacher(np.eye(2, 3), np.ones(2)), network)
    hidden = np.ones((2, 2, 3))
    hidden[0, 0, 1] = np.nan
    weights = Weights(hidden, np.ones((2, 2)))
    assert not np.isfinite(problem.loss(weights)[0])
    assert np.isfinite(problem.loss(weights)[1])
    index, angle, _ = problem.closest_teachers(weights)
    assert index[0, 0] == -1
    assert np.isnan(angle[0, 0])
    assert index[0, 1] >= 0


def test_metrics_of_a_trajectory_are_the_same() -> None:
    """All default metrics, where λ changes on the way; what one metric finds serves the others."""
    network = network_of(4)
    random = np.random.default_rng(1)
    weights = Weights(random.standard_normal((3, 7, 4, 5)), random.standard_normal((3, 7, 4)))
    decay = np.array([0.0, 0.1, 0.1, 0.1, 0.0, 0.0, 0.2])
    path = Trajectory(Clock(np.arange(7.0)), weights, decay, np.full(3, -1))
    slow = PopulationProblem(Teacher(np.eye(2, 5), np.ones(2)), network)
    fast = MeasuredPopulationProblem(slow.data, network)
    registry = load(())
    metrics = {name: registry.find("metrics", name).plugin for name in registry.names("metrics")}
    metrics = {name: metric for name, metric in metrics.items() if metric.by_default}
    expected, _ = measure([slow], path, metrics)
    found, _ = measure([fast], path, metrics)
    assert {"loss", "objective", "gradient_norm", "teacher_deficit"} <= expected.keys() == found.keys()
    for name, (dimensions, values, _) in expected.items():
        assert dimensions == found[name][0]
        np.testing.assert_allclose(found[name][1], values, rtol=1e-12, atol=1e-15)


def test_a_large_run_is_measured_by_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = {
        "problem": {"name": "gaussian_teacher", "dimension": 4, "teachers": 2},
        "network": {"neurons": 3, "activation": "relu"},
        "initialization": {"name": "gaussian", "scale": 0.1},
        "dynamics": {"name": "gradient_descent", "step_size": 0.05},
        "times": {"steps": [10, 200]},
        "seeds": 5,
    }
    slow = twolayer.run(experiment)
    monkeypatch.setattr(population, "COMPILED", 0)
    fast = twolayer.run(experiment)
    for name in slow.variables:
        if slow[name].dtype.kind in "fi":
            np.testing.assert_allclose(fast[name], slow[name], rtol=1e-9, atol=1e-14)
