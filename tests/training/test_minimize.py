"""minimize: it ends at known minima, with no gradient left, or says what it did not reach."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from namespaces import backend
from networks import network_of
from scipy.optimize import minimize, rosen, rosen_der, rosen_hess

import twolayer
from twolayer import Activation, FiniteData, InitializationSpec, Teacher, Weights
from twolayer.core.times import Times
from twolayer.errors import ConfigError
from twolayer.population.optimum import optima
from twolayer.study.registry import load
from twolayer.training.stop import StopRule
from twolayer.training.train import train

REGISTRY = load()
RANDOM = np.random.default_rng(5)
INPUTS = RANDOM.standard_normal((3, 20, 4))
SAMPLES = FiniteData(INPUTS, np.abs(INPUTS[..., 0]) - 0.5 * INPUTS[..., 1])
NEAR = np.array([-0.6, 0.22, 0.99, 0.31, -0.05])
"""Of the flipped student on its axis and the others', of another on its axis, the flipped one's and the others'."""


class Tanh(Activation):
    """tanh z."""

    def value(self, preactivation: Any) -> Any:
        """tanh z."""
        return np.tanh(preactivation)

    def derivative(self, preactivation: Any) -> Any:
        """1 − tanh² z."""
        return 1.0 - np.tanh(preactivation) ** 2

    def second_derivative(self, preactivation: Any) -> Any:
        """−2 tanh z (1 − tanh² z)."""
        return -2.0 * np.tanh(preactivation) * (1.0 - np.tanh(preactivation) ** 2)


def built(kind: str, name: str, **fields: Any) -> Any:
    return REGISTRY.build(kind, {"name": name, **fields}, kind)[1]


class At(InitializationSpec):
    """Given weights."""

    def __init__(self, hidden: Any) -> None:
        self.hidden = hidden

    def weights(self, data: Any, network: Any, random: Any, seed: int) -> Weights:
        """The same for every seed."""
        return Weights(self.hidden, np.linalg.norm(self.hidden, axis=-1))


def ended(data: Any, network: Any, dynamics: Any, start: Any = None, times: Any = (1.0,), **more: Any) -> Any:
    """The path, and for each seed objective and gradient norm at its end."""
    start = start or built("initializations", "gaussian", scale=0.6)
    seeds = list(range(more.pop("seeds", 3)))
    path = train(data, network, start, dynamics, Times(values=list(times)), seeds, backend("numpy"), **more)
    objectives, steep, decay = [], [], float(path.weight_decay[-1])
    for seed in seeds:
        problem = data.of_seed(seed).problem(network)
        weights = Weights(path.weights.hidden[seed, -1], path.weights.output[seed, -1])
        slope = problem.gradient(weights, decay)
        objectives.append(float(problem.loss(weights) + problem.penalty(weights, decay)))
        steep.append(float(np.sqrt((slope.hidden**2).sum() + (slope.output**2).sum())))
    return path, np.asarray(objectives), np.asarray(steep)


@pytest.mark.parametrize("output", ["fixed", "tied", "trained"])
def test_students_that_can_become_their_teachers_do(output: str) -> None:
    """As many relu students as orthogonal teachers, two: all minima have loss 0."""
    path, loss, steep = ended(
        Teacher(np.eye(5)[:2], np.ones(2)),
        network_of(2, "relu", output=output),
        built("dynamics", "minimize"),
    )
    assert (loss < 1e-24).all()
    assert (steep < 1e-12).all()
    assert not any("minimize" in note for note in path.notes)


def test_the_spurious_minimum_of_six_students_and_six_teachers() -> None:
    """One student is turned away (Safran and Shamir 2018). By symmetry it is a minimum over five numbers, found here
    from losses alone: equal to 1e-10."""
    network, teacher = network_of(6, "relu", output="fixed"), Teacher(np.eye(6), np.ones(6))
    problem = teacher.problem(network)

    def matrix(numbers: Any) -> Any:
        diagonal, others, near, back, aside = numbers
        hidden = np.full((6, 6), aside)
        hidden[0, :], hidden[:, 0] = others, back
        np.fill_diagonal(hidden, near)
        hidden[0, 0] = diagonal
        return hidden

    guess = np.array([-0.7, 0.22, 1.004, 0.0, 0.0])
    known = minimize(
        lambda numbers: float(problem.loss(Weights(matrix(numbers), np.ones(6)))), NEAR, method="BFGS"
    )
    path, loss, steep = ended(teacher, network, built("dynamics", "minimize"), At(matrix(guess)), seeds=1)
    assert loss[0] == pytest.approx(known.fun, abs=1e-10)
    assert loss[0] > 0.01
    assert steep[0] < 1e-12
    end = Weights(path.weights.hidden[0, -1], path.weights.output[0, -1])
    assert np.linalg.eigvalsh(problem.hessian(end))[0] > 1e-3


def test_weight_decay_ends_at_the_optimum_of_any_width() -> None:
    teacher = Teacher(np.eye(3)[:2], np.array([1.0, 0.8]))
    network = network_of(4, "relu")
    start = At(np.array([[1.0, 0.1, 0.2], [0.1, 0.9, -0.1], [0.6, 0.5, 0.1], [0.2, 0.3, 0.1]]))
    _, objective, steep = ended(
        teacher, network, built("dynamics", "minimize", weight_decay=0.02), start, seeds=1
    )
    best = optima(teacher, network.activation, [0.02])[0]
    assert objective[0] == pytest.approx(best.objective, rel=1e-9)
    assert steep[0] < 1e-12


@pytest.mark.parametrize("output", ["fixed", "tied", "trained"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_finite_data_end_without_a_gradient_or_with_a_note(activation: str, output: str) -> None:
    network = network_of(3, Tanh() if activation == "tanh" else activation, output=output)
    path, _, steep = ended(SAMPLES, network, built("dynamics", "minimize", weight_decay=0.01))
    noted = [any(f"seed {seed}: minimize" in note for note in path.notes) for seed in range(3)]
    assert [steepness > 1e-12 for steepness in steep] == [
        flag and not any(f"seed {seed}: minimize ends at a saddle" in note for note in path.notes)
        for seed, flag in enumerate(noted)
    ]
    if activation == "tanh":
        assert (steep < 1e-12).all()


def test_what_is_not_reached_is_said() -> None:
    path, _, steep = ended(SAMPLES, network_of(3, Tanh()), built("dynamics", "minimize", gradient_norm=1e-30))
    assert (steep > 1e-30).all()
    for seed in range(3):
        assert any(f"seed {seed}: minimize ends with a gradient of norm" in note for note in path.notes)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("last", [1, -1])
def test_a_loss_without_a_minimum_is_said(last: int, activation: str) -> None:
    """The logistic loss has one where one point has both labels."""
    experiment: dict[str, Any] = {
        "problem": {
            "name": "points",
            "inputs": [[1, 0.5], [-1, 0.5], [1, 0.5]],
            "targets": [1, -1, last],
            "loss": "logistic",
        },
        "network": {"neurons": 3, "activation": activation},
        "initialization": {"name": "gaussian", "scale": 0.5},
        "dynamics": {"name": "minimize"},
        "times": {"values": [1.0]},
        "metrics": ["loss"],
        "seeds": 2,
    }
    found = twolayer.run(experiment)
    fitted = found["loss"].isel(time=-1) < 1e-6
    notes = found.attrs.get("notes", "")
    assert fitted.all() == (last == 1)
    assert all(f"seed {seed}: minimize ends at an objective of" in notes for seed in range(2)) == (last == 1)
    assert "saddle" not in notes or last == -1


def test_a_last_stage_after_a_descent() -> None:
    stages = [
        {"name": "gradient_descent", "step_size": 0.1, "until": 5},
        {"name": "minimize", "gradient_norm": 1e-30},
    ]
    teacher, network = Teacher(np.eye(4)[:2], np.ones(2)), network_of(2, "relu", output="fixed")
    path, loss, steep = ended(
        teacher,
        network,
        built("dynamics", "sequence", stages=stages),
        times=(5.0, 6.0, 7.0),
        stop=StopRule(loss=1e-20),
    )
    assert (loss < 1e-24).all()
    np.testing.assert_array_equal(path.stop_time, np.full(3, 6.0))
    problem = teacher.problem(network)
    assert (problem.loss(Weights(path.weights.hidden[:, 1], path.weights.output[:, 1])) > 1e-12).all()
    said = [seed for seed in range(3) if steep[seed] > 1e-30]
    assert all(any(f"seed {seed}: minimize" in note for note in path.notes) for seed in said)


@pytest.mark.parametrize(
    ("key", "value"), [("weight_decay", -1.0), ("gradient_norm", 0.0), ("iterations", 0)]
)
def test_bad_values_are_refused(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"dynamics.{key}: "):
        built("dynamics", "minimize", **{key: value})


class Rosenbrock:
    """Σ 100 (x_{i+1} − x_i²)² + (1 − x_i)², whose curvature is not positive everywhere."""

    value, slope, curvature = staticmethod(rosen), staticmethod(rosen_der), staticmethod(rosen_hess)


@pytest.mark.parametrize(("exact", "method"), [(True, "trust-exact"), (False, "trust-ncg")])
@pytest.mark.parametrize("seed", range(4))
def test_trust_regions_take_scipys_steps_from_each_of_them(seed: int, exact: bool, method: str) -> None:
    plugins = type(built("dynamics", "minimize")).__module__.rpartition(".")[0]
    regions = sys.modules[f"{plugins}._trust_region"]
    start = np.random.default_rng(seed).uniform(-2.0, 2.0, 6)
    options = {"gtol": 1e-8, "maxiter": 200}
    theirs = minimize(rosen, start, jac=rosen_der, hess=rosen_hess, method=method, options=options)
    reached: list[Any] = []
    ours = regions.trust_region(Rosenbrock, regions.Iterate(start, exact=exact), 1e-8, 200, reached.append)
    assert np.array_equal(ours, theirs.x)
    assert reached[-1].steps == theirs.nit
    for begin in reached[::7]:
        assert np.array_equal(regions.trust_region(Rosenbrock, begin, 1e-8, 200, lambda _: None), ours)
