"""Neurons at rest at w = 0: 0 is the least element of the subdifferential there, also where σ'(0) is not 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import activation_of, network_of

import twolayer
from twolayer import FiniteData, Weights
from twolayer.finite.rest_at_zero import at_rest, rays_of

LEAKY = {"name": "leaky_relu", "slope": 0.3}
SHRINKING: dict[str, Any] = {
    "network": {"neurons": 2, "activation": LEAKY, "output": "fixed"},
    "initialization": {"name": "gaussian", "scale": 0.5},
    "dynamics": {"name": "gradient_flow"},
    "times": {"values": [0.1, 100]},
    "seeds": 3,
    "metrics": ["loss", "gradient_norm"],
}
"""Positive outputs that negative labels take to 0."""
LABELS = {
    "a line": {"name": "points", "inputs": [1.0, -1.0], "targets": [-1, -0.8]},
    "a plane": {"name": "points", "inputs": [[1, 0], [-0.5, 0.9], [-0.5, -0.8]], "targets": [-1, -0.8, -0.9]},
    "teachers": {"name": "gaussian_teacher", "dimension": 2, "angles": [0, 170], "coefficients": [-1, -1.2]},
}


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        *(("a line", "numpy"), ("a plane", "numpy")),
        *((name, "numba") for name in LABELS),
        # measured as with numba; test_leaving_zero.py has shorter flows of the array code that end at zero
        pytest.param("teachers", "numpy", marks=pytest.mark.slow),
    ],
)
def test_a_flow_that_ends_at_zero_has_gradient_zero(name: str, backend: str) -> None:
    """By σ'(0) = 0.3 it would read 0.02 to 0.08."""
    found = twolayer.run({**SHRINKING, "problem": LABELS[name]}, backend, weights=True)
    assert (found["hidden"].isel(time=-1) == 0).all()
    assert found["gradient_norm"].isel(time=1).min() > 0.1
    assert (found["gradient_norm"].isel(time=-1) == 0).all()


@pytest.mark.parametrize("features", [1, 2, 3, 4])
def test_rest_is_that_no_direction_leads_down(features: int) -> None:
    """Against φ on 20,000 random directions, of forces that mostly lead up: both answers occur."""
    answers, slopes = set(), (0.3, 0.3, 1.0)
    for seed in range(40):
        random = np.random.default_rng([features, seed])
        inputs = random.normal(size=(4 * features + 2, features))
        if seed % 4 == 0:
            inputs[1], inputs[2], inputs[3] = 2.0 * inputs[0], -inputs[0], 0.0
        forces = random.uniform(-0.05, 1.0, size=(1, len(inputs)))
        rays = rays_of(inputs)
        rests = bool(at_rest(forces, rays, slopes, np.linalg.norm(inputs, axis=-1))[0])
        projection = random.normal(size=(20_000, features)) @ inputs.T
        lowest = (np.where(projection > 0, projection, 0.3 * projection) @ forces[0]).min()
        on_rays = (np.where(rays > 0, rays, 0.3 * rays) @ forces[0]).min()
        assert rests == (on_rays >= -1e-12)
        assert not rests or lowest >= -1e-12
        answers.add(rests)
    assert answers == {True, False}


def test_rays_are_directions_in_which_boundaries_meet() -> None:
    inputs = np.random.default_rng(0).normal(size=(5, 3))
    rays = rays_of(inputs)
    assert rays.shape == (20, 5)
    assert ((rays == 0).sum(-1) == 2).all()
    directions = np.linalg.lstsq(inputs, rays.T, rcond=None)[0]
    np.testing.assert_allclose(inputs @ directions, rays.T, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=0), 1.0, rtol=1e-12)
    assert rays_of(np.zeros((3, 2))).shape == (0, 3)
    assert rays_of(np.random.default_rng(0).normal(size=(100, 10))) is None


def test_a_neuron_at_zero_that_may_leave_keeps_its_gradient() -> None:
    """y = 1 > f = 0 on one line: 0 is no minimum."""
    problem = FiniteData(np.array([[1.0]]), np.array([1.0])).problem(
        network_of(1, activation_of("leaky_relu", slope=0.3), "fixed")
    )
    weights = Weights(np.zeros((1, 1)), np.ones(1))
    np.testing.assert_array_equal(problem.least_gradient(weights).hidden, problem.gradient(weights).hidden)
    assert problem.gradient_norm(weights, least=True) == pytest.approx(0.3)
    other = FiniteData(np.array([[1.0], [-1.0]]), -np.ones(2)).problem(
        network_of(1, activation_of("leaky_relu", slope=0.3), "fixed")
    )
    assert other.gradient_norm(weights, least=True) == 0.0
