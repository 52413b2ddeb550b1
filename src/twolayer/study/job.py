"""One run with the plugins that its sections describe, each built once: what command line and notebook share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from twolayer.analysis.metric import ALWAYS, Metric, always, needs
from twolayer.core.backend import Backend
from twolayer.core.dynamics import Dynamics
from twolayer.core.initialization import InitializationSpec
from twolayer.core.loss import Loss
from twolayer.core.network import Network, Weights
from twolayer.core.problem import Problem
from twolayer.core.problem_spec import ProblemSpec
from twolayer.core.seeds import random_of
from twolayer.core.times import Times
from twolayer.core.trajectory import Trajectory
from twolayer.errors import ConfigError, DataError
from twolayer.study.duration import longest
from twolayer.study.fingerprint import code_of
from twolayer.study.memory import needed
from twolayer.study.network import activation_of, build_network
from twolayer.study.registry import Registered, Registry
from twolayer.study.schema import nested
from twolayer.training.placement import Placement, placement

__all__ = ["PLUGIN_SECTIONS", "Job", "refuse_inapplicable", "selected_metrics"]

PLUGIN_SECTIONS = {"problem": "problems", "initialization": "initializations", "dynamics": "dynamics"}
"""The sections of a run that name a plugin, and its kind."""

PROBED = 10**5
"""Numbers in data that are made only to ask which metrics apply, at most."""


class Job:
    """A run, as files carry it, and a registry in which the plugins that it names are."""

    def __init__(self, run: Mapping[str, Any], registry: Registry) -> None:
        self.run = run
        self.registry = registry

    @cached_property
    def network(self) -> Network:
        """The network, with its activation."""
        return build_network(self.run["network"], self.registry, f"{self.run['experiment']}.network")

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

    def loss(self, problem: Mapping[str, Any], attributes: Mapping[str, Any]) -> Loss | None:
        """The loss that the variables and attributes of a problem file name, None where they name none.

        ConfigError for a name that is not known, DataError for targets that the loss has no meaning for.
        """
        if "loss" not in attributes:
            return None
        where, name = f"{self.run['paper']}/{self.run['experiment']}: problem", attributes["loss"]
        found: Loss = self.registry.find("losses", name, f"{where}: loss").plugin
        if name != self.problem.loss:
            raise DataError(
                f"{where}: its data have the loss '{name}'; must be '{self.problem.loss}', as its plugin says: "
                "give the class a field `loss`, or a line `loss = …`"
            )
        try:
            found.refuse_targets(problem["targets"][1])
        except ValueError as error:
            raise DataError(f"{where}: loss '{name}': {error}") from error
        return found

    def metrics(self, names: Sequence[str] | None) -> dict[str, Metric]:
        """The metrics to measure by name: see `selected_metrics`."""
        entries = [self.registry.find("metrics", name) for name in selected_metrics(self.registry, names)]
        required = {*ALWAYS, *(names or ())}
        return {
            entry.name: replace(entry.plugin, required=entry.name in required, source=entry.source)
            for entry in entries
        }

    def probe(self) -> tuple[Problem, Trajectory] | None:
        """A problem and a trajectory of zeros in the form that this run's will have, for `Metric.applies`; None where
        the data are not known before they are made, or are large."""
        samples, features = self.problem.size
        if features is None or features * (samples or 1) > PROBED:
            return None
        network, seeds = self.network, self.run["seeds"][:1]
        try:
            data = self.problem.seed_data(network, random_of(seeds[0], "problem"), seeds[0])
            data = data.stacked([]) if self.problem.per_seed else data
            data = data.with_loss(self.registry.find("losses", self.problem.loss).plugin)
            clock = self.dynamics.clock(Times(**self.run["times"]))
            decay = np.asarray([self.dynamics.weight_decay_at(float(time)) for time in clock.time])
            shape = (1, len(clock.time), network.neurons)
            weights = Weights(np.broadcast_to(0.0, (*shape, data.features)), np.broadcast_to(0.0, shape))
            path = Trajectory(clock, weights, decay, np.full(1, -1), clock.time[-1:], dynamics=self.dynamics)
            return data.by_teacher()[0].problem(network), path
        except Exception:  # training says what is wrong with it
            return None

    def placed(self, backend: str, where: str = "backend") -> tuple[Placement, Backend]:
        """Where the run is trained when a backend is asked for, and the backend that does it."""
        asked = self.registry.find("backends", backend, where).plugin
        if not asked.on_device:
            return Placement(backend, False), asked
        placed = placement(backend, self.run, self.problem, self.dynamics)
        return placed, self.registry.find("backends", placed.backend, where).plugin

    def memory(self) -> float:
        """Bytes that the run takes, at most, about (`study.memory`)."""
        return needed(self.run, self.problem, len(self.dynamics.clock(Times(**self.run["times"])).time))

    def longest(self, threads: int) -> dict[str, float]:
        """Seconds that the stages of the run take on so many cores, at most, about (`study.duration`)."""
        frames = len(self.dynamics.clock(Times(**self.run["times"])).time)
        return longest(self.run, self.problem, self.dynamics, frames, threads)

    def code(self, stage: str, metrics: Sequence[str] | None = None) -> str:
        """The fingerprint of the code that a stage of this run executes."""
        activation, _ = activation_of(self.run["network"], self.registry, "network")
        files: list[Path | None] = []
        kinds: frozenset[str] = frozenset()
        loss = [self.registry.find("losses", self.problem.loss).file] if stage in ("train", "measure") else []
        if stage == "generate":
            files = [*(plugin.file for plugin in self._plugins("problem")), activation.file]
        elif stage == "train":
            files = [plugin.file for key in ("initialization", "dynamics") for plugin in self._plugins(key)]
            files.append(activation.file)
            kinds = self.dynamics.kinds
        elif stage == "measure":
            files = [
                self.registry.find("metrics", name).file for name in selected_metrics(self.registry, metrics)
            ]
            files.append(activation.file)
            kinds = self.dynamics.kinds & {"flow"}  # an error of a flow is measured by another one
        return code_of(stage, [*files, *loss], self.problem.laws, kinds)

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
        return [
            name for name in registry.names("metrics") if registry.find("metrics", name).plugin.by_default
        ]
    return list(dict.fromkeys((*ALWAYS, *names)))


def refuse_inapplicable(
    runs: Iterable[Mapping[str, Any]], registry: Registry, names: Sequence[str], where: str
) -> None:
    """Refuse metrics asked for by name of which it is known beforehand that they apply to none of the runs."""
    left = {name: registry.find("metrics", name).plugin for name in names}
    left = {name: metric for name, metric in left.items() if metric.applies is not always}
    for run in runs:
        if not left:
            return
        found = Job(run, registry).probe()
        if found is None:
            return
        left = {name: metric for name, metric in left.items() if not applies(metric, *found)}
    if left:
        lines = [
            f"'{name}' does not apply to any run of this experiment{needs(metric)}"
            for name, metric in left.items()
        ]
        kept = ", ".join(name for name in names if name not in left)
        raise ConfigError(f"{where}: " + "\n  ".join([*lines, f"Those of the list that do: [{kept}]"]))


def applies(metric: Metric, problem: Problem, trajectory: Trajectory) -> bool:
    """Whether a metric applies; true where it fails to say, so that measuring shows why."""
    try:
        return metric.applies(problem, trajectory)
    except Exception:
        return True
