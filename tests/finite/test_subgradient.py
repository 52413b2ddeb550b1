"""gradient_norm of flows is that of their velocity, also where neurons slide or rest on activation boundaries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import twolayer
from twolayer import Weights
from twolayer.core.network import Network
from twolayer.errors import ConfigError
from twolayer.finite.problem import FiniteData
from twolayer.study.registry import load

REGISTRY = load()

SLIDING: dict[str, Any] = {
    "problem": {"name": "points", "inputs": [[1.0, 0.0], [0.6, 0.8]], "targets": [1.0, -5.0]},
    "network": {"neurons": 3, "output": "fixed"},
    "initialization": {"name": "gaussian", "scale": 0.3},
    "dynamics": {"name": "gradient_flow"},
    "times": {"values": np.linspace(0.05, 3.0, 60)},
    "seeds": 4,
    "metrics": ["loss", "gradient_norm"],
}


def test_a_flow_at_rest_on_a_kink_has_gradient_zero() -> None:
    """relu at x₁ = (1, 0), y₁ = 1 and x₂ = (3, 4)/5, y₂ = −5: neurons slide along w·x₂ = 0 until f(x₁) = 1. There the
    gradient of one side of the kink has the norm 5/2; the least element of the subdifferential is 0."""
    dataset = twolayer.run({**SLIDING, "times": {"values": [1000.0]}}, "numpy", weights=True)
    end = dataset.isel(time=-1)
    active = (end["hidden"].values[..., 0] > 0.01).any(-1)
    assert active.any()
    np.testing.assert_allclose(end["loss"].values[active], 6.25, rtol=1e-12)
    assert end["gradient_norm"].values[active].max() < 1e-10


@pytest.mark.parametrize("output", ["fixed", "trained", "tied"])
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_the_loss_falls_by_the_square_of_it(activation: str, output: str) -> None:
    """dL/dt = −|velocity|² at every time but those of an event, by central differences over 0.002: to 1e-3 at all
    but a fiftieth of the times, which are those next to events."""
    times = np.linspace(1e-3, 3.0, 3000)
    experiment = {
        **SLIDING,
        "network": {"neurons": 3, "activation": activation, "output": output},
        "times": {"values": times},
    }
    dataset = twolayer.run(experiment, "numpy").isel(time=slice(1, None))
    rate = -np.gradient(dataset["loss"].values, times, axis=-1)[:, 1:-1]
    square = dataset["gradient_norm"].values[:, 1:-1] ** 2
    error = np.abs(rate - square) / np.maximum(square, 1e-6)
    assert np.quantile(error, 0.98) < 1e-3  # but for a few times next to events


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_the_least_element_is_that_of_a_general_minimizer(activation: str) -> None:
    """One neuron that touches three boundaries of five: over the slopes of the convex ones, by L-BFGS."""
    random = np.random.default_rng(3)
    inputs = random.normal(size=(6, 5))
    hidden = np.linalg.svd(inputs[:3])[2][-1]  # orthogonal to the first three inputs
    data = FiniteData(inputs, random.normal(size=6))
    sigma = REGISTRY.find("activations", activation).plugin()
    problem = data.problem(Network(1, sigma, "fixed"))
    weights = Weights(hidden[None, None], np.ones((1, 1)))
    found = problem.least_gradient(weights, 0.01).hidden[0, 0]
    residual = (problem.predict(weights)[0] - data.targets) / 6
    convex = [k for k in range(3) if residual[k] > 0]
    assert convex
    slope = np.array([0.0 if k < 3 else float(sigma.derivative(inputs[k] @ hidden)) for k in range(6)])
    touching = inputs[:3] @ hidden
    assert np.abs(touching).max() < 1e-14
    for k in range(3):
        slope[k] = float(sigma.derivative(touching[k]))
    low = -1.0 if activation == "abs" else 0.0

    def element(values: Any) -> Any:
        slopes = slope.copy()
        slopes[convex] = values
        return 0.01 * hidden + (residual * slopes) @ inputs

    best = minimize(
        lambda values: float(element(values) @ element(values)),
        np.full(len(convex), 0.5),
        bounds=[(low, 1.0)] * len(convex),
        tol=1e-16,
    )
    assert found @ found <= best.fun * (1 + 1e-9)
    np.testing.assert_allclose(found @ found, best.fun, rtol=1e-6)


def test_descents_and_smooth_points_keep_the_gradient() -> None:
    """Away from kinks the least element is the gradient, bit by bit."""
    random = np.random.default_rng(0)
    data = FiniteData(random.normal(size=(7, 4)), random.normal(size=7))
    problem = data.problem(Network(3, REGISTRY.find("activations", "relu").plugin()))
    weights = Weights(random.normal(size=(2, 3, 4)), random.normal(size=(2, 3)))
    gradient, least = problem.gradient(weights, 0.1), problem.least_gradient(weights, 0.1)
    np.testing.assert_array_equal(least.hidden, gradient.hidden)
    np.testing.assert_array_equal(least.output, gradient.output)


@pytest.mark.parametrize(("key", "value"), [("atol", 1e300), ("rtol", 0.999), ("atol", 0.1), ("rtol", 0.02)])
def test_tolerances_at_which_nothing_is_followed_are_refused(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^experiment\.dynamics\.{key}: must lie in .*0\.01\], .*; is "):
        twolayer.run({**SLIDING, "dynamics": {"name": "gradient_flow", key: value}}, "numpy")
