"""Networks and closed forms for tests, with activations by name."""

from __future__ import annotations

from typing import Any

import pytest

from twolayer import Activation, Network
from twolayer.population import closed_form
from twolayer.population.closed_form import Factors
from twolayer.study.registry import load

__all__ = ["TWO_SLOPES", "activation_of", "factors_of", "network_of", "of_two_slopes"]

ACTIVATIONS = load(kinds=["activations"])


def activation_of(name: str, **parameters: float) -> Activation:
    """The activation of that name."""
    built: Activation = ACTIVATIONS.find("activations", name).plugin(**parameters)
    return built


TWO_SLOPES = {
    "-".join([name, *map(str, parameters.values())]): activation_of(name, **parameters)
    for name, parameters in [
        ("relu", {}),
        ("abs", {}),
        ("leaky_relu", {"slope": 0.3}),
        ("leaky_relu", {"slope": -0.4}),
        ("linear", {}),
    ]
}
"""Activations of two slopes, by what a test calls them."""

of_two_slopes = pytest.mark.parametrize("activation", TWO_SLOPES.values(), ids=TWO_SLOPES)
"""For tests that hold for each of them."""


def network_of(neurons: int, activation: str | Activation = "relu", *fields: Any, **named: Any) -> Network:
    """The network with an activation by name, or as it is."""
    return Network(
        neurons, activation_of(activation) if isinstance(activation, str) else activation, *fields, **named
    )


def factors_of(activation: str | Activation, profile: str = "none") -> Factors:
    """The constants of the closed form for an activation by name, or as it is."""
    return closed_form.factors(
        activation_of(activation) if isinstance(activation, str) else activation, profile
    )
