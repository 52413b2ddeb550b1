"""Registration at the plugin: `@dynamics("heavy_ball")` marks a class, and its file's hooks are made of the marks.

A mark says a kind, a name and what is registered under it. It lies on the marked plugin, so nothing here is global;
`hooks_of_marks` collects a module's into an object with a hook `register_<kind>` for each kind that it has.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import pluggy

__all__ = [
    "activation",
    "backend",
    "dynamics",
    "hookimpl",
    "hooks_of_marks",
    "initialization",
    "loss",
    "mark",
    "marked_kinds",
    "problem",
]

hookimpl = pluggy.HookimplMarker("twolayer")

MARKS = "__twolayer_marks__"

Thing = TypeVar("Thing")
Plugin = TypeVar("Plugin", bound=type)


def mark(carrier: Any, kind: str, name: str, plugin: Any, module: str) -> None:
    """Let `carrier`, which stands in the module of that name, say that `plugin` is registered as `name`."""
    marks = [*vars(carrier).get(MARKS, ()), (module, kind, name, plugin)]
    if isinstance(carrier, type):
        setattr(carrier, MARKS, marks)
    else:
        vars(carrier)[MARKS] = marks


def activation(name: str) -> Callable[[Plugin], Plugin]:
    """Register a dataclass as the activation `name`: its fields are the config section."""
    return marking("activations", name)


def problem(name: str) -> Callable[[Plugin], Plugin]:
    """Register a dataclass as the law of data `name`: its fields are the config section."""
    return marking("problems", name)


def initialization(name: str) -> Callable[[Plugin], Plugin]:
    """Register a dataclass as the initialization `name`."""
    return marking("initializations", name)


def dynamics(name: str) -> Callable[[Plugin], Plugin]:
    """Register a dataclass as the dynamics `name`."""
    return marking("dynamics", name)


def backend(name: str) -> Callable[[Plugin], Plugin]:
    """Register a class as the backend `name`; it is made without arguments."""

    def register(plugin: Plugin) -> Plugin:
        mark(plugin, "backends", name, plugin(), plugin.__module__)
        return plugin

    return register


def loss(name: str) -> Callable[[Plugin], Plugin]:
    """Register a class as the loss `name`; it is made without arguments."""

    def register(plugin: Plugin) -> Plugin:
        mark(plugin, "losses", name, plugin(), plugin.__module__)
        return plugin

    return register


def marking(kind: str, name: str) -> Callable[[Plugin], Plugin]:
    """A decorator that registers a class itself."""

    def register(plugin: Plugin) -> Plugin:
        mark(plugin, kind, name, plugin, plugin.__module__)
        return plugin

    return register


def marks_of(module: Any) -> list[tuple[str, str, Any]]:
    """(kind, name, plugin) of all that is marked in a module, in the order of the file; not of what it imports."""
    found = []
    if isinstance(module, ModuleType):
        for carrier in vars(module).values():
            for home, kind, name, plugin in getattr(carrier, "__dict__", {}).get(MARKS, ()):
                if home == module.__name__:
                    found.append((kind, name, plugin))
    return found


def marked_kinds(module: Any) -> set[str]:
    """The kinds of what is marked in a module."""
    return {kind for kind, _, _ in marks_of(module)}


def hooks_of_marks(module: Any) -> Any:
    """A pluggy plugin that registers what is marked in a module."""
    marks = marks_of(module)

    def hook(wanted: str) -> Any:
        def register_marked(register: Any) -> None:
            for kind, name, plugin in marks:
                if kind == wanted:
                    register(name, plugin)

        return staticmethod(hookimpl(register_marked))

    return type("Marked", (), {f"register_{kind}": hook(kind) for kind, _, _ in marks})()
