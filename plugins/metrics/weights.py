"""The weights and the data themselves, for figures that draw them: measured only where asked for."""

from __future__ import annotations

from typing import Any

from twolayer import Problem, metric
from twolayer.core.arrays import norm
from twolayer.core.trajectory import Trajectory


def of_sample(problem: Problem, trajectory: Trajectory) -> bool:
    """Whether there are finite data, which all seeds share."""
    return not problem.on_population and not problem.data.per_seed


def of_seed(problem: Problem, trajectory: Trajectory) -> bool:
    """Whether each seed has another data set."""
    return not problem.on_population and problem.data.per_seed


@metric("hidden_norm", ("seed", "time", "neuron"), "norm |w|", by_default=False)
def hidden_norm(problem: Problem, trajectory: Trajectory) -> Any:
    """|w_j|, (seed, time, neuron)."""
    return norm(trajectory.weights.hidden)


@metric("hidden", ("seed", "time", "neuron", "feature"), "hidden weights w", by_default=False)
def hidden(problem: Problem, trajectory: Trajectory) -> Any:
    """W, (seed, time, neuron, feature)."""
    return trajectory.weights.hidden


@metric("output", ("seed", "time", "neuron"), "output weights a", by_default=False)
def output(problem: Problem, trajectory: Trajectory) -> Any:
    """a, (seed, time, neuron)."""
    return trajectory.weights.output


@metric("initial_hidden", ("seed", "neuron", "feature"), "first hidden weights", by_default=False)
def initial_hidden(problem: Problem, trajectory: Trajectory) -> Any:
    """W at the start, (seed, neuron, feature)."""
    return trajectory.weights.hidden[:, 0]


@metric("initial_output", ("seed", "neuron"), "first output weights", by_default=False)
def initial_output(problem: Problem, trajectory: Trajectory) -> Any:
    """a at the start, (seed, neuron)."""
    return trajectory.weights.output[:, 0]


@metric("final_hidden", ("seed", "neuron", "feature"), "last hidden weights", by_default=False)
def final_hidden(problem: Problem, trajectory: Trajectory) -> Any:
    """W at the last saved time, (seed, neuron, feature)."""
    return trajectory.weights.hidden[:, -1]


@metric("final_output", ("seed", "neuron"), "last output weights", by_default=False)
def final_output(problem: Problem, trajectory: Trajectory) -> Any:
    """a at the last saved time, (seed, neuron)."""
    return trajectory.weights.output[:, -1]


@metric("inputs", ("sample", "feature"), "inputs x", applies=of_sample, by_default=False)
def inputs(problem: Problem, trajectory: Trajectory) -> Any:
    """x, (sample, feature)."""
    return problem.data.inputs


@metric("targets", ("sample",), "targets y", applies=of_sample, by_default=False)
def targets(problem: Problem, trajectory: Trajectory) -> Any:
    """y, (sample,)."""
    return problem.data.targets


@metric("seed_inputs", ("seed", "sample", "feature"), "inputs x", applies=of_seed, by_default=False)
def seed_inputs(problem: Problem, trajectory: Trajectory) -> Any:
    """x of each seed, (seed, sample, feature)."""
    return problem.data.inputs


@metric("seed_targets", ("seed", "sample"), "targets y", applies=of_seed, by_default=False)
def seed_targets(problem: Problem, trajectory: Trajectory) -> Any:
    """y of each seed, (seed, sample)."""
    return problem.data.targets
