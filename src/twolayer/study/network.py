"""The section `network`: its activation is a plugin, named alone or in a section with its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twolayer.core.network import Network
from twolayer.errors import ConfigError
from twolayer.study.elementwise import refuse_activation
from twolayer.study.registry import Registered, Registry
from twolayer.study.schema import build, canonical

__all__ = ["activation_of", "build_network", "described"]

DEFAULT = "relu"
"""The activation of a section that names none."""


def activation_of(section: Mapping[str, Any], registry: Registry, where: str) -> tuple[Registered, Any]:
    """The activation that the section asks for: the plugin, and its instance."""
    asked, place = section.get("activation", DEFAULT), f"{where}.activation"
    if isinstance(asked, str):
        found = registry.find("activations", asked, place)
        return found, build(found.plugin, {}, place)
    return registry.build("activations", asked, place)


def build_network(section: object, registry: Registry, where: str) -> Network:
    """The network that the section describes, or a ConfigError that names the place."""
    if not isinstance(section, Mapping):
        raise ConfigError(f"{where}: must be a section with keys, is {section!r}")
    _, activation = activation_of(section, registry, where)
    refuse_activation(activation, f"{where}.activation")
    return build(Network, {**section, "activation": activation}, where)


def described(network: Network, section: Mapping[str, Any], registry: Registry, where: str) -> dict[str, Any]:
    """The section with its defaults filled in; an activation without parameters is its name alone."""
    found, activation = activation_of(section, registry, where)
    parameters = canonical(activation)
    return {
        **canonical(network),
        "activation": {"name": found.name, **parameters} if parameters else found.name,
    }
