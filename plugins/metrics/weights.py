"""The weights and the data themselves, for figures that draw them: measured only where asked for."""

from __future__ import annotations

from typing import Any

from twolayer import Metric, Problem, hookimpl
from twolayer.core.arrays import norm
from twolayer.core.trajectory import Trajectory


def of_sample(problem: Problem, trajectory: Trajectory) -> bool:
    """Whether there are finite data, which all seeds share."""
    return not problem.on_population and not problem.data.per_seed


def of_seed(problem: Problem, trajectory: Trajectory) -> bool:
    """Whether each seed has a data set of its own."""
    return not problem.on_population and problem.data.per_seed


@hookimpl
def register_metrics(register: Any) -> None:
    neuron, feature = ("neuron",), ("neuron", "feature")

    def add(
        name: str, measure: Any, dimensions: tuple[str, ...], long_name: str, applies: Any = None
    ) -> None:
        extra = {"applies": applies} if applies else {}
        register(name, Metric(measure, dimensions, long_name, by_default=False, **extra))

    add("hidden_norm", lambda _, path: norm(path.weights.hidden), ("seed", "time", *neuron), "norm |w|")
    add("hidden", lambda _, path: path.weights.hidden, ("seed", "time", *feature), "hidden weights w")
    add("output", lambda _, path: path.weights.output, ("seed", "time", *neuron), "output weights a")
    add(
        "initial_hidden",
        lambda _, path: path.weights.hidden[:, 0],
        ("seed", *feature),
        "first hidden weights",
    )
    add(
        "initial_output", lambda _, path: path.weights.output[:, 0], ("seed", *neuron), "first output weights"
    )
    add("final_hidden", lambda _, path: path.weights.hidden[:, -1], ("seed", *feature), "last hidden weights")
    add("final_output", lambda _, path: path.weights.output[:, -1], ("seed", *neuron), "last output weights")
    add("inputs", lambda problem, _: problem.data.inputs, ("sample", "feature"), "inputs x", of_sample)
    add("targets", lambda problem, _: problem.data.targets, ("sample",), "targets y", of_sample)
    own = ("seed", "sample")
    add("seed_inputs", lambda problem, _: problem.data.inputs, (*own, "feature"), "inputs x", of_seed)
    add("seed_targets", lambda problem, _: problem.data.targets, own, "targets y", of_seed)
