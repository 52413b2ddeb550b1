"""Networks and closed forms for tests, with activations by name."""

from __future__ import annotations

from typing import Any

from twolayer import Activation, Network
from twolayer.population import closed_form
from twolayer.population.closed_form import Factors
from twolayer.study.registry import load

__all__ = ["activation_of", "factors_of", "network_of"]

ACTIVATIONS = load(kinds=["activations"])


def activation_of(name: str, **parameters: float) -> Activation:
    """The activation of that name."""
    built: Activation = ACTIVATIONS.find("activations", name).plugin(**parameters)
    return built


def network_of(neurons: int, activation: str | Activation = "relu", *fields: Any, **named: Any) -> Network:
    """The network with an activation by name, or as it is."""
    return Network(
        neurons, activation_of(activation) if isinstance(activation, str) else activation, *fields, **named
    )


def factors_of(activation: str, profile: str = "none") -> Factors:
    """The constants of the closed form for an activation by name."""
    return closed_form.factors(activation_of(activation), profile)
