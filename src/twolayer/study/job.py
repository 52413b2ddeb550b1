"""One run with the plugins that its sections describe, each built once: what command line and notebook share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from twolayer.analysis.metric import Metric
from twolayer.core.backend import Backend
from twolayer.core.dynamics import Dynamics
from twolayer.core.initialization import InitializationSpec
from twolayer.core.problem_spec import ProblemSpec
from twolayer.study.fingerprint import code_of
from twolayer.study.registry import Registered, Registry
from twolayer.study.schema import nested
from twolayer.training.placement import Placement, placement

__all__ = ["PLUGIN_SECTIONS", "Job", "selected_metrics"]

PLUGIN_SECTIONS = {"problem": "problems", "initialization": "initializations", "dynamics": "dynamics"}
"""The sections of a run that name a plugin, and its kind."""


class Job:
    """A run, as files carry it, and a registry in which the plugins that it names are."""

    def __init__(self, run: Mapping[str, Any], registry: Registry) -> None:
        self.run = run
        self.registry = registry

    @cached_property
    def problem(self) -> ProblemSpec:
        """The law of data."""
        return self._built("problem")[1]

    @cached_property
    def initialization(self) -> InitializationSpec:
        """Where weights start."""
        return self._built("initialization")[1]

    @cached_property
    def dynamics(self) -> Dynamics:
        """How they move."""
        return self._built("dynamics")[1]

    def metrics(self, names: Sequence[str] | None) -> dict[str, Metric]:
        """The metrics to measure by name: see `selected_metrics`."""
        chosen = selected_metrics(self.registry, names)
        return {name: self.registry.find("metrics", name).thing for name in chosen}

    def placed(self, backend: str, where: str = "backend") -> tuple[Placement, Backend]:
        """Where the run is trained when a backend is asked for, and the backend that does it."""
        asked = self.registry.find("backends", backend, where).thing
        if not asked.on_device:
            return Placement(backend, False), asked
        placed = placement(backend, self.run, self.problem, self.dynamics)
        return placed, self.registry.find("backends", placed.backend, where).thing

    def code(self, stage: str, metrics: Sequence[str] | None = None) -> str:
        """The fingerprint of the code that a stage of this run executes."""
        files: list[Path | None] = []
        kinds: frozenset[str] = frozenset()
        if stage == "generate":
            files = [self._found("problem").file]
        elif stage == "train":
            files = [plugin.file for key in ("initialization", "dynamics") for plugin in self._plugins(key)]
            kinds = self.dynamics.kinds
        elif stage == "measure":
            files = [
                self.registry.find("metrics", name).file for name in selected_metrics(self.registry, metrics)
            ]
            kinds = self.dynamics.kinds & {"flow"}  # an error of a flow is measured by another one
        return code_of(stage, files, self.problem.laws, kinds)

    def _built(self, key: str) -> tuple[Registered, Any]:
        return self.registry.build(PLUGIN_SECTIONS[key], self.run[key], f"{self.run['experiment']}.{key}")

    def _found(self, key: str) -> Registered:
        return self.registry.section(PLUGIN_SECTIONS[key], self.run[key], f"{self.run['experiment']}.{key}")[
            0
        ]

    def _plugins(self, key: str) -> list[Registered]:
        """The plugins that a section names: the section's, then those of the sections within it."""
        inner = nested(getattr(self, key))
        return [self._found(key), *(self.registry.find(part.kind, part.name) for part in inner)]


def selected_metrics(registry: Registry, names: Sequence[str] | None) -> list[str]:
    """The metrics to measure: those named, or all by default; `loss` and `gradient_norm` always."""
    for name in names or ():
        registry.find("metrics", name, "metrics")
    if names is None:
        return [name for name in registry.names("metrics") if registry.find("metrics", name).thing.by_default]
    return list(dict.fromkeys(("loss", "gradient_norm", *names)))
