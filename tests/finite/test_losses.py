"""Losses as plugins: the logistic one against differences, a direct minimisation, and as the config names it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from namespaces import NAMESPACES, namespace
from networks import network_of

import twolayer
from twolayer import EmpiricalProblem, FiniteData, Weights
from twolayer.core.arrays import to_host
from twolayer.errors import ConfigError, DataError, TrainingError
from twolayer.study.registry import load
from twolayer.study.runs import make_experiment

LOSSES = load(kinds=["losses"])
NAMES = LOSSES.names("losses")


def loss_named(name: str) -> Any:
    return LOSSES.find("losses", name).plugin


def problem_of(activation: str, output: str = "trained", loss: str = "logistic", m: int = 3) -> Any:
    """Two seeds of five labelled points each, and weights."""
    random = np.random.default_rng(3)
    targets = random.choice([-1.0, 1.0], (2, 5))
    data = FiniteData(random.standard_normal((2, 5, 2)), targets, loss, loss_function=loss_named(loss))
    network = network_of(m, activation, output)
    weights = Weights(random.standard_normal((2, m, 2)), random.standard_normal((2, m)))
    return EmpiricalProblem(data, network), network.with_tied_outputs(weights)


def vector_of(network: Any, weights: Weights) -> Any:
    parts = [weights.hidden.ravel(), *([weights.output.ravel()] if network.output == "trained" else [])]
    return np.concatenate(parts)


def weights_at(network: Any, vector: Any, like: Weights) -> Weights:
    size = like.hidden.size
    output = vector[size:] if network.output == "trained" else like.output
    return network.with_tied_outputs(Weights(vector[:size].reshape(like.hidden.shape), output))


def section(**changed: Any) -> dict[str, Any]:
    """Five labelled points that no line through 0 separates."""
    problem = {
        "name": "points",
        "inputs": [[1.0, 0.5], [-0.5, 1.0], [-1.0, -0.2], [0.3, -1.0], [0.9, 0.6]],
        "targets": [1, -1, 1, 1, -1],
        "loss": "logistic",
    }
    return {
        "problem": problem,
        "network": {"neurons": 1, "activation": "linear", "output": "fixed"},
        "initialization": {"name": "gaussian", "scale": 0.1},
        "dynamics": {"name": "gradient_descent", "step_size": 0.5},
        "times": {"steps": [1, 2000]},
        "seeds": 2,
        **changed,
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", [-1.0, 1.0])
def test_derivatives_are_those_of_the_value(name: str, target: float) -> None:
    loss, step = loss_named(name), 1e-4
    prediction = np.array([-3.0, -0.4, 0.0, 0.9, 5.0])
    aim = np.full(5, target)
    for value, derivative in (
        (loss.value, loss.derivative),
        (loss.derivative, loss.second_derivative),
    ):
        ahead, behind = value(prediction + step, aim), value(prediction - step, aim)
        assert (ahead - behind) / (2 * step) == pytest.approx(derivative(prediction, aim), abs=1e-8)


@pytest.mark.parametrize("name", NAMESPACES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_logistic_loss_stays_in_range_and_in_its_namespace(name: str, dtype: str) -> None:
    """At margins of ±1000: 1000 and 0, slopes −y and 0."""
    xp, loss = namespace(name), loss_named("logistic")
    kind = getattr(xp, dtype)
    prediction = xp.asarray([-1000.0, 1000.0, -1000.0, 1000.0, 0.0], dtype=kind)
    target = xp.asarray([1.0, 1.0, -1.0, -1.0, 1.0], dtype=kind)
    expected = {
        "value": [1000.0, 0.0, 0.0, 1000.0, np.log(2.0)],
        "derivative": [-1.0, 0.0, 0.0, 1.0, -0.5],
        "second_derivative": [0.0, 0.0, 0.0, 0.0, 0.25],
    }
    for what, numbers in expected.items():
        found = getattr(loss, what)(prediction, target)
        assert found.dtype == kind
        assert to_host(found) == pytest.approx(numbers, rel=1e-6)


@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@pytest.mark.parametrize("activation", ["relu", "linear", "abs"])
def test_gradient_and_hessian_by_differences(activation: str, output: str) -> None:
    """By central differences of the loss and of the gradient: 1e-8; sharpness: the Gauss–Newton matrix."""
    problem, weights = problem_of(activation, output)
    gradient, hessian = problem.gradient(weights), problem.hessian(weights)
    for seed in range(2):
        one = replace(problem, data=problem.data.of_seed(seed))
        here = Weights(weights.hidden[seed], weights.output[seed])
        point, step = vector_of(one.network, here), 1e-5
        slopes, bends = [], []
        for axis in np.eye(len(point)):
            both = [weights_at(one.network, point + sign * step * axis, here) for sign in (1, -1)]
            slopes.append((one.loss(both[0]) - one.loss(both[1])) / (2 * step))
            ahead, behind = (vector_of(one.network, one.gradient(each)) for each in both)
            bends.append((ahead - behind) / (2 * step))
        found = vector_of(one.network, Weights(gradient.hidden[seed], gradient.output[seed]))
        assert found == pytest.approx(np.array(slopes), abs=1e-8)
        assert hessian[seed] == pytest.approx(np.array(bends), abs=1e-8)
        values = np.linalg.eigvalsh(hessian[seed])
        assert one.sharpness(here) > 0
        if activation == "linear" and output == "fixed":  # the predictions have no second derivative
            assert problem.sharpness(weights)[seed] == pytest.approx(values[-1], rel=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_logistic_regression_ends_at_its_minimum(backend: str) -> None:
    """One linear neuron of fixed output is logistic regression: descent, flow and Newton's method agree."""
    inputs = np.array(section()["problem"]["inputs"])
    targets = np.array(section()["problem"]["targets"], dtype=float)
    point = np.zeros(2)
    for _ in range(30):  # Newton
        share = 1 / (1 + np.exp(targets * (inputs @ point)))
        slope = -(inputs.T @ (targets * share)) / 5
        bend = inputs.T @ (inputs * (share * (1 - share))[:, None]) / 5
        point = point - np.linalg.solve(bend, slope)
    least = float(np.log1p(np.exp(-targets * (inputs @ point))).mean())
    assert least == pytest.approx(
        scipy.optimize.minimize(lambda w: np.log1p(np.exp(-targets * (inputs @ w))).mean(), np.zeros(2)).fun,
        rel=1e-9,
    )
    descent = twolayer.run(section(), backend, weights=True)
    flow = twolayer.run(
        section(dynamics={"name": "gradient_flow"}, times={"values": [1.0, 1000.0]}), backend, weights=True
    )
    for found in (descent, flow):
        end = found.isel(time=-1)
        np.testing.assert_allclose(end["loss"], least, rtol=1e-12)
        np.testing.assert_allclose(end["hidden"][..., 0, :], np.stack([point] * 2), rtol=1e-6)


def test_flow_is_the_limit_of_small_steps() -> None:
    """On the logistic loss of linear networks: errors of descent halve with its step, within 10 %."""
    smooth = section(network={"neurons": 3, "activation": "linear"})
    flow = twolayer.run(smooth | {"dynamics": {"name": "gradient_flow"}, "times": {"values": [2.0]}})
    errors = []
    for step in (0.02, 0.01):
        descent = twolayer.run(
            smooth | {"dynamics": {"name": "gradient_descent", "step_size": step}, "times": {"values": [2.0]}}
        )
        errors.append(abs(descent["loss"].values[:, -1] - flow["loss"].values[:, -1]).max())
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)


def test_batches_have_the_loss_of_their_data() -> None:
    """A batch of all samples is descent; of fewer the mean gradient is ∇L, within 4 standard errors."""
    problem, weights = problem_of("relu")
    randoms = [np.random.default_rng(seed) for seed in range(2)]
    np.testing.assert_allclose(
        problem.batch(weights, 5, randoms).gradient(weights).hidden,
        problem.gradient(weights).hidden,
        rtol=1e-12,
    )
    drawn = np.stack([problem.batch(weights, 2, randoms).gradient(weights).hidden for _ in range(2000)])
    error = drawn.std(0) / np.sqrt(len(drawn))
    assert (abs(drawn.mean(0) - problem.gradient(weights).hidden) < 4 * error + 1e-12).all()
    assert np.isfinite(
        twolayer.run(
            section(dynamics={"name": "stochastic_gradient_descent", "step_size": 0.1, "batch_size": 2})
        )["loss"]
    ).all()


def test_wrong_names_labels_and_flows_say_what_is_wrong() -> None:
    points = section()["problem"]
    with pytest.raises(
        ConfigError, match=r"problem\.loss: there is no loss 'logstic'\. Did you mean 'logistic'"
    ):
        twolayer.run(section(problem=points | {"loss": "logstic"}))
    with pytest.raises(DataError, match=r"loss 'logistic': targets\[1\] is 0\.5; labels must be -1 or 1"):
        twolayer.run(section(problem=points | {"targets": [1, 0.5, -1, 1, 1]}))
    with pytest.raises(
        TrainingError, match=r"there is no loss 'logistic'\..* Known: half_mean_square, mean_square"
    ):
        FiniteData(np.ones((1, 1)), np.ones(1), "logistic").problem(network_of(1)).loss(
            Weights(np.ones((1, 1)), np.ones(1))
        )


SQUARE_ONLY: dict[str, tuple[Any, str, str]] = {
    "flow of relu": ({"name": "gradient_flow"}, "relu", r"dynamics: the exact flow .* square losses, not 'logistic'"),
    "flow of leaky relu": (
        {"name": "gradient_flow"}, {"name": "leaky_relu", "slope": 0.2}, r"dynamics: the exact flow .* not 'logistic'"
    ),
    "fit": ({"name": "output_fit"}, "tanh", r"dynamics: output_fit knows square losses, not 'logistic'"),
    "flow in a later stage": (
        {
            "name": "sequence",
            "stages": [
                {"name": "gradient_descent", "step_size": 0.1, "until": 1},
                {"name": "gradient_flow"},
            ],
        },
        "relu",
        r"dynamics\.stages\[1\]: the exact flow .* not 'logistic'",
    ),
    "outputs alone": (
        {"name": "sequence", "stages": [{"name": "gradient_descent", "step_size": 0.1, "layers": "output"}]},
        "tanh",
        r"dynamics\.stages\[0\]: layers: output knows square losses, not 'logistic'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SQUARE_ONLY)
def test_what_knows_square_losses_only_is_refused_with_the_config(case: str) -> None:
    dynamics, activation, message = SQUARE_ONLY[case]
    chosen = section(
        network={"neurons": 2, "activation": activation}, dynamics=dynamics, times={"values": [2.0]}
    )
    make_experiment("p", "run", chosen | {"problem": square(chosen["problem"])}, load(), "experiment")
    with pytest.raises(ConfigError, match=message):
        make_experiment("p", "run", chosen, load(), "experiment")


def square(problem: dict[str, Any]) -> dict[str, Any]:
    """The points with a square loss."""
    return problem | {"loss": "mean_square"}


@pytest.mark.parametrize("activation", ["linear", "tanh"])
def test_a_flow_without_kinks_takes_any_loss(activation: str) -> None:
    chosen = section(
        network={"neurons": 2, "activation": activation},
        dynamics={"name": "gradient_flow"},
        times={"values": [2.0]},
    )
    make_experiment("p", "run", chosen, load(), "experiment")


def test_a_problem_file_that_names_another_loss_is_refused() -> None:
    from twolayer.stages.generate import generate
    from twolayer.study.job import Job

    registry = load()
    one = next(iter(make_experiment("p", "run", section(), registry, "experiment").runs.values())).as_dict()
    job = Job(json.loads(json.dumps(one)), registry)
    variables, attributes = generate(job.problem, job.network, one)
    assert job.loss(variables, attributes) is registry.find("losses", "logistic").plugin
    with pytest.raises(ConfigError, match="there is no loss 'hinge'"):
        job.loss(variables, attributes | {"loss": "hinge"})
    with pytest.raises(DataError, match="its data have the loss 'mean_square'; must be 'logistic'"):
        job.loss(variables, attributes | {"loss": "mean_square"})


def test_the_code_of_training_and_measuring_counts_the_loss() -> None:
    from twolayer.study.job import Job

    registry = load()
    codes = {}
    for loss in ("logistic", "half_mean_square"):
        chosen = section(problem=section()["problem"] | {"loss": loss})
        run = next(iter(make_experiment("p", "run", chosen, registry, "experiment").runs.values())).as_dict()
        codes[loss] = {stage: Job(run, registry).code(stage) for stage in ("generate", "train", "measure")}
    same = {
        stage: codes["logistic"][stage] == codes["half_mean_square"][stage] for stage in codes["logistic"]
    }
    assert same == {"generate": True, "train": False, "measure": False}
