"""Where digits of smooth activations end: quadrature of long neurons says its error, and losses their trust."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from networks import activation_of

import twolayer
from twolayer.population.gaussian_kernel import QuadraturePairs


def square_mean(activation: Any, length: float) -> float:
    """E σ(|w| z)² by a sum over a million nodes, 1.72e-5 apart."""
    nodes = np.linspace(-8.6, 8.6, 1_000_001)
    weights = np.exp(-0.5 * nodes**2) * 17.2e-6 / math.sqrt(2.0 * math.pi)
    return float((activation.value(length * nodes) ** 2 * weights).sum())


@pytest.mark.parametrize("length", [0.5, 4.0, 16.0, 24.0, 60.0, 200.0])
@pytest.mark.parametrize("name", ["tanh", "softplus"])
def test_the_error_of_quadrature_is_no_larger_than_it_says(name: str, length: float) -> None:
    """To a length of 16 to rounding, beyond within its bound, which counts from there on."""
    activation = activation_of(name)
    neuron = np.array([[length, 0.0]])
    pairs = QuadraturePairs(activation, neuron, neuron)
    exact = square_mean(activation, length)
    assert abs(float(pairs.values()[0, 0]) / exact - 1) <= pairs.error + 1e-14  # of the sum
    assert (pairs.error < 1e-13) == (length <= 16.0)


def test_a_loss_of_long_neurons_is_not_trusted_beyond_the_error_of_quadrature() -> None:
    """Two equal students that make up a teacher of length 1000, but for 1e-9: L = 0.0 to all digits that there are."""
    experiment = {
        "problem": {"name": "gaussian_teacher", "dimension": 2, "vectors": [[1000.0, 0.0]]},
        "network": {"neurons": 2, "activation": "tanh", "output": "fixed", "output_values": 0.5},
        "initialization": {"name": "aligned", "projections": [[1000.0, 1000.0 * (1 + 1e-9)]]},
        "dynamics": {"name": "gradient_descent", "step_size": 1e-9},
        "times": {"steps": [1]},
    }
    found = twolayer.run(experiment)
    assert (found["loss"] >= 0).all()
    assert (found["trusted_until"] == 0).all()
    assert "two digits of the loss" in found.attrs["notes"]


@pytest.mark.parametrize("rtol", [1e-10, 1e-13])
def test_a_flow_of_gelu_goes_on_to_a_million(rtol: float) -> None:
    """Two students of one teacher, whose loss has lost its digits long before: no frame is lost."""
    experiment = {
        "problem": {"name": "gaussian_teacher", "dimension": 4, "teachers": 1},
        "network": {"neurons": 2, "activation": "gelu"},
        "initialization": {"name": "gaussian", "scale": 0.5},
        "dynamics": {"name": "gradient_flow", "rtol": rtol},
        "times": {"values": [1e3, 1e4, 1e6]},
    }
    found = twolayer.run(experiment, weights=True)
    assert np.isfinite(found["hidden"]).all()
    assert found["loss"][0, -1] < 1e-14
    assert 100 < found["trusted_until"][0] < 1e6
