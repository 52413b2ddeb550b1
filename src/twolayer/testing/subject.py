"""The plugin that is tested, and the small experiments that it is tested in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.core.dynamics import Descent
from twolayer.core.network import Network, Weights
from twolayer.core.problem import Problem
from twolayer.core.seeds import random_of
from twolayer.errors import ConfigError, TrainingError
from twolayer.notebook import run
from twolayer.study.job import Job
from twolayer.study.registry import Registry, load
from twolayer.study.runs import make_experiment

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SEEDS", "Subject", "agree", "nearly"]

SEEDS = (3, 1, 7)

EXPERIMENTS: Mapping[str, Mapping[str, Any]] = {
    "a teacher": {
        "problem": {"name": "gaussian_teacher", "dimension": 4, "teachers": 2},
        "network": {"neurons": 3, "output": "trained"},
    },
    "a data set": {
        "problem": {
            "name": "points",
            "inputs": [[1.0, 0.5], [0.2, 1.0], [-0.7, 0.4]],
            "targets": [1.0, -1.0, 1.0],
        },
        "network": {"neurons": 4, "output": "trained"},
    },
}
"""Small ones, in which outputs are trained; targets are ±1, which every loss knows."""

REST: Mapping[str, Any] = {
    "initialization": {"name": "gaussian", "scale": 0.7},
    "dynamics": {"name": "gradient_descent", "step_size": 0.05},
    "seeds": list(SEEDS),
}

SECTIONS = {"problems": "problem", "initializations": "initialization", "dynamics": "dynamics"}


@dataclass(frozen=True)
class Subject:
    """A plugin of a kind with its parameters; see `checks`."""

    kind: str
    section: Mapping[str, Any]
    plugin_paths: tuple[str, ...]
    experiment: Mapping[str, Any] | None
    order: float | None
    conserved: Mapping[str, float]

    @cached_property
    def registry(self) -> Registry:
        """All plugins, this one among them."""
        return load(list(self.plugin_paths))

    @cached_property
    def plugin(self) -> Any:
        """The plugin with its parameters; of a metric and a backend the plugin itself."""
        if self.kind in ("metrics", "backends", "losses"):
            return self.registry.find(self.kind, self.section["name"], "conformance").plugin
        return self.registry.build(self.kind, self.section, "conformance")[1]

    @cached_property
    def experiments(self) -> dict[str, dict[str, Any]]:
        """The experiments that take it, by name; an AssertionError where none does."""
        found, refused = {}, []
        given = EXPERIMENTS if self.experiment is None else {"the experiment": self.experiment}
        for name, part in given.items():
            experiment = self.placed({**REST, **part})
            try:
                if self.kind == "metrics" and not self.applies(experiment):
                    raise ConfigError("it does not apply")
                self.run(experiment, seeds=list(SEEDS[:1]))
            except (ConfigError, TrainingError) as error:
                refused.append(f"{name}: {error}")
            else:
                found[name] = experiment
        assert found, "no experiment takes it:\n" + "\n".join(refused)
        return found

    def applies(self, experiment: Mapping[str, Any]) -> bool:
        """Whether the metric applies to an experiment."""
        probe = self.job(experiment).probe()
        return probe is None or bool(self.plugin.applies(*probe))

    def placed(self, experiment: Mapping[str, Any]) -> dict[str, Any]:
        """An experiment with the plugin in it, and with times that its dynamics has."""
        placed = dict(experiment)
        if self.kind in SECTIONS:
            placed[SECTIONS[self.kind]] = dict(self.section)
        elif self.kind == "activations":
            placed["network"] = {**placed["network"], "activation": dict(self.section)}
        elif self.kind == "losses":
            placed["problem"] = {**placed["problem"], "loss": self.section["name"]}
        elif self.kind == "metrics":
            placed["metrics"] = [self.section["name"]]
        built = self.registry.build("dynamics", placed["dynamics"], "conformance.dynamics")[1]
        steps = isinstance(built, Descent)
        placed.setdefault("times", {"steps": [1, 2, 7, 20]} if steps else {"values": [0.1, 0.3, 1.0]})
        return placed

    def run(self, experiment: Mapping[str, Any], backend: str = "numpy", **changes: Any) -> xr.Dataset:
        """Its dataset, with the weights."""
        return run(
            {**experiment, **changes},
            backend,
            weights=True,
            plugin_paths=list(self.plugin_paths),
            threads=1,
        )

    @cached_property
    def runs(self) -> list[tuple[str, dict[str, Any], xr.Dataset]]:
        """Each experiment that takes it, with its name and its dataset: run once for all checks."""
        return [(name, experiment, self.run(experiment)) for name, experiment in self.experiments.items()]

    def job(self, experiment: Mapping[str, Any]) -> Job:
        """The job of an experiment."""
        checked = make_experiment("conformance", "run", dict(experiment), self.registry, "experiment")
        return Job(next(iter(checked.runs.values())).as_dict(), self.registry)

    def problem(self, experiment: Mapping[str, Any], seed: int = SEEDS[0]) -> Problem:
        """The reference problem of one seed."""
        job = self.job(experiment)
        data = job.problem.seed_data(job.network, random_of(seed, "problem"), seed)
        return data.with_loss(self.registry.find("losses", job.problem.loss).plugin).problem(job.network)

    def weights(self, network: Network, features: int, seed: int = 0) -> Weights:
        """Weights anywhere, of one seed: hidden (1, neuron, feature), output (1, neuron)."""
        random = np.random.default_rng([seed, 77])
        hidden = random.normal(size=(1, network.neurons, features))
        output = random.normal(size=(1, network.neurons))
        if network.output == "fixed":
            output = np.broadcast_to(np.asarray(network.output_values, dtype=np.float64), output.shape)
        return network.with_tied_outputs(Weights(hidden, output))


def nearly(found: Any, wanted: Any, relative: float, absolute: float = 0.0) -> bool:
    """Whether arrays agree up to a share of the largest number, NaN where the other is."""
    found, wanted = np.asarray(found, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    size = float(np.nanmax(np.abs(wanted), initial=0.0))
    return found.shape == wanted.shape and bool(
        np.allclose(found, wanted, rtol=0, atol=relative * size + absolute, equal_nan=True)
    )


def agree(found: xr.Dataset, wanted: xr.Dataset, relative: float, what: str) -> None:
    """Assert that the weights of two datasets agree."""
    for name in ("hidden", "output"):
        assert nearly(found[name], wanted[name], relative), (
            f"{what}: {name} differs by {float(np.nanmax(np.abs(found[name].values - wanted[name].values))):.3g}"
        )
