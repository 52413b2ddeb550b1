"""The hooks: one for each kind of plugin, which is handed `register(name, plugin)`.

`core.registration` has the decorators that a file's hooks are made of.
"""

from __future__ import annotations

import functools
from typing import Any

import pluggy

from twolayer.core.registration import marked_kinds

__all__ = ["HOOK", "KINDS", "hooks_of", "plugin_manager", "written_hooks"]

hookspec = pluggy.HookspecMarker("twolayer")

HOOK = "register_"
"""What the name of every hook begins with."""

KINDS = (
    "backends",
    "activations",
    "losses",
    "problems",
    "initializations",
    "dynamics",
    "metrics",
    "figures",
    "claims",
)


class Hooks:
    """What a plugin can register; `register(name, plugin)` may be called any number of times."""

    @hookspec
    def register_backends(self, register: Any) -> None:
        """Where training runs: an instance of `twolayer.core.backend.Backend`."""

    @hookspec
    def register_activations(self, register: Any) -> None:
        """What a neuron computes: a dataclass derived from `Activation`, or from `TwoSlope`."""

    @hookspec
    def register_losses(self, register: Any) -> None:
        """What is minimised on finite data: an instance of `Loss`; its name is that of data and of a config."""

    @hookspec
    def register_problems(self, register: Any) -> None:
        """What is learnt: a dataclass derived from `ProblemSpec`."""

    @hookspec
    def register_initializations(self, register: Any) -> None:
        """Where weights start: a dataclass derived from `InitializationSpec`."""

    @hookspec
    def register_dynamics(self, register: Any) -> None:
        """How weights move: a dataclass derived from `Dynamics`, or from `Descent`, `Flow` or `InstantUpdate`."""

    @hookspec
    def register_metrics(self, register: Any) -> None:
        """What is measured: an instance of `Metric`; its name is the variable's."""

    @hookspec
    def register_figures(self, register: Any) -> None:
        """What is drawn: a function marked `@figure`, registered as "<paper>.<figure>"."""

    @hookspec
    def register_claims(self, register: Any) -> None:
        """What is compared with a measurement: a function marked `@claim`, registered as "<paper>.<claim>"."""


class PluginManager(pluggy.PluginManager):
    """pluggy's, which looks at the names of hooks alone: to look at all that a module imports takes longer than to
    load it."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        return super().parse_hookimpl_opts(plugin, name) if name.startswith(HOOK) else None

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:
        return super().parse_hookspec_opts(module_or_class, name) if name.startswith(HOOK) else None


@functools.cache
def plugin_manager() -> PluginManager:
    """pluggy's manager with our hooks; of plugins it has one at a time, that which is being added."""
    manager = PluginManager("twolayer")
    manager.add_hookspecs(Hooks)
    return manager


def hooks_of(module: Any) -> set[str]:
    """The names of a plugin's hooks: those written there, and one for each kind of what is marked."""
    return written_hooks(module) | {f"{HOOK}{kind}" for kind in marked_kinds(module)}


def written_hooks(module: Any) -> set[str]:
    """The names of the functions of a plugin that are marked with @hookimpl."""
    return {name for name in dir(module) if hasattr(getattr(module, name, None), "twolayer_impl")}
