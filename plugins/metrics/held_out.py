"""The loss on samples that nothing is trained on."""

from __future__ import annotations

from typing import Any

from twolayer import Problem, Weights, metric
from twolayer.core.trajectory import Trajectory


def has_held_out(problem: Any, trajectory: Trajectory) -> bool:
    """Whether there are samples that are held out (`split_data`)."""
    return not problem.on_population and "held_out" in problem.data.further


def has_off_distribution(problem: Any, trajectory: Trajectory) -> bool:
    """Whether there are samples of another law (`split_data`)."""
    return not problem.on_population and "off_distribution" in problem.data.further


@metric("held_out_loss", ("seed", "time"), "loss L on samples held out", applies=has_held_out, per_frame=True)
def held_out_loss(problem: Problem, weights: Weights) -> Any:
    """L of the samples that are held out, (seed,): the training's loss, without penalty."""
    return problem.data.further["held_out"].problem(problem.network).loss(weights)


@metric(
    "off_distribution_loss",
    ("seed", "time"),
    "loss L on samples of another law",
    applies=has_off_distribution,
    per_frame=True,
)
def off_distribution_loss(problem: Problem, weights: Weights) -> Any:
    """L of the samples of another law, (seed,): the training's loss, without penalty."""
    return problem.data.further["off_distribution"].problem(problem.network).loss(weights)
