"""How long the jobs of a run take at most, about, estimated from its sizes: the time that a cluster keeps for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twolayer.core.dynamics import Dynamics
from twolayer.core.problem_spec import ProblemSpec
from twolayer.core.times import Times

__all__ = ["longest"]

MULTIPLICATIONS = 5e8
"""Of a descent, that a core does in a second at least: a third of what `training.recorded` counts on."""

STEP = 1e-5
"""Seconds of a step, at least: ten times a compiled one, a fifth of one in array code."""

NETWORKS = 1e4
"""Saved networks that a core measures in a second at least: a tenth of the usual."""

FLOW = 600.0
"""Seconds of one seed of a dynamics that does not say how many steps it takes, if its budget is not less: a flow takes
seconds as a rule, and one that takes longer is started again with more time, from its checkpoint."""


def longest(
    run: Mapping[str, Any], problem: ProblemSpec, dynamics: Dynamics, frames: int, threads: int
) -> dict[str, float]:
    """Seconds by stage (generate, train, measure), for `frames` saved times of each seed on so many cores.

    Without what a job takes to start. A descent takes its steps; the error of a flow is measured by another one.
    """
    rounds = -(-len(run["seeds"]) // max(1, threads))  # of seeds, one after another
    steps = dynamics.step_count(Times(**run["times"]))
    if steps is not None:
        training = rounds * steps * max(STEP, multiplications(run, problem, dynamics) / MULTIPLICATIONS)
    else:
        training = rounds * min(FLOW, dynamics.most_seconds)
    measuring = rounds * frames / NETWORKS + (training if "flow" in dynamics.kinds else 0.0)
    return {"generate": 0.0, "train": training, "measure": measuring}


def multiplications(run: Mapping[str, Any], problem: ProblemSpec, dynamics: Dynamics) -> float:
    """Multiplications of one step of one seed, about; sizes that are not known count as 1."""
    neurons, (samples, features) = int(run["network"]["neurons"]), problem.size
    samples = dynamics.samples_per_step or samples
    if samples is None:
        units = neurons + len(problem.teacher_outputs)
        return float(neurons * units * min(features or units, units))
    return float(neurons * samples * (features or 1))
