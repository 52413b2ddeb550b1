"""The result of a training run: the saved times and the weights at each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from twolayer.core.network import Weights

__all__ = ["MARKS", "STOP_REASONS", "Clock", "FlowWeights", "Trajectory", "WeightsWithMemory"]

MARKS = ("diverged_step", "trusted_until", "flow_forks", "path_trusted_until", "stop_time", "stop_reason")
"""What a trajectory records of each seed, (seed,), or None."""

STOP_REASONS = ("gradient_norm", "loss", "unchanged", "max_steps", "max_seconds")
"""The parts of a stop rule, and those of a flow's budget: a seed's `stop_reason` is 1 to 5, and 0 where it did not
stop."""


@dataclass(frozen=True)
class Clock:
    """The saved times of a run: `time` (time,), and `step` (time,) where the dynamics is a descent."""

    time: Any
    step: Any = None


@dataclass(frozen=True)
class FlowWeights(Weights):
    """Weights of a flow, and what the flow met so far; of one seed, or (seed,) in each field.

    forks: how many times it met a point where the limit of small descent steps is not unique, or None where no
    flow was run, only descents that were lost. stall: why it could not be carried further, or "".
    resting (neuron,): which neurons came to 0, where they leave when a direction of descent opens, as the flow that
    goes on is to know: 0 for those that do not, and those that start at 0 (`finite.flow.FlowFrame`).
    """

    of_flow = True

    forks: Any = 0
    stall: Any = ""
    resting: Any = None

    @classmethod
    def over_time(cls, frames: Sequence[FlowWeights]) -> FlowWeights:
        """The frames of one seed as one: hidden (time, neuron, feature), output (time, neuron)."""
        hidden, output = (
            np.stack([getattr(frame, part) for frame in frames]) for part in ("hidden", "output")
        )
        return cls(hidden, output, frames[-1].forks)

    @classmethod
    def lost(cls, weights: Weights, resting: Any, forks: int = 0, stall: str = "") -> FlowWeights:
        """NaN in place of weights."""
        hidden, output = (np.full(part.shape, np.nan) for part in (weights.hidden, weights.output))
        return cls(hidden, output, forks, stall, resting)


@dataclass(frozen=True)
class WeightsWithMemory(Weights):
    """Weights of a dynamics that carries more from step to step, such as a velocity.

    memory: by name, arrays that lead with the seeds; with weights and random generators it is all of the state.
    """

    memory: Mapping[str, Any] = field(default_factory=dict)  # type: ignore[misc]

    def mapped(self, function: Callable[[Any], Any]) -> WeightsWithMemory:
        """The same state with a function applied to each of its arrays."""
        memory = {name: function(value) for name, value in self.memory.items()}
        return WeightsWithMemory(function(self.hidden), function(self.output), memory)


@dataclass(frozen=True)
class Trajectory:
    """Weights over time on the host: hidden (seed, time, neuron, feature), output (seed, time, neuron).

    weight_decay: λ (time,) of the objective. diverged_step: for each seed the first step after which a
    number is no longer finite, −1 where there is none (then later frames are NaN). trusted_until: for each seed
    the time up to which the loss has two digits (`trust`). notes: for the user. dynamics: what made it, for metrics.
    flow_forks: for each seed the forks of `FlowWeights`, or None where no flow was run. path_trusted_until: for each
    seed the time up to which its path does not depend on rounding (`chaos`), or None where that is not checked.
    stop_time, stop_reason: for each seed when it met the run's stop rule, NaN where it did not, and which part of it
    (`STOP_REASONS`); None without a rule, unless a flow has spent its budget: then it is the last time it reached.
    """

    clock: Clock
    weights: Weights
    weight_decay: Any
    diverged_step: Any
    trusted_until: Any = None
    notes: tuple[str, ...] = ()
    dynamics: Any = None
    flow_forks: Any = None
    path_trusted_until: Any = None
    stop_time: Any = None
    stop_reason: Any = None

    def of_seed(self, index: int) -> Trajectory:
        """The trajectory of one seed, on a seed axis of length 1."""
        return self.of_seeds(slice(index, index + 1))

    def of_seeds(self, chosen: slice) -> Trajectory:
        """The trajectory of some seeds, whose weights are read where they lie in a file."""
        marks: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name)[chosen] for name in MARKS
        }
        weights = Weights(self.weights.hidden[chosen, :], self.weights.output[chosen, :])
        return replace(self, weights=weights, **marks)

    @classmethod
    def joined(cls, runs: Sequence[Trajectory]) -> Trajectory:
        """Trajectories of different seeds, all on one clock, as one."""
        marks: dict[str, Any] = {
            name: None
            if getattr(runs[0], name) is None
            else np.concatenate([getattr(run, name) for run in runs])
            for name in MARKS
        }
        weights = Weights(
            np.concatenate([run.weights.hidden for run in runs]),
            np.concatenate([run.weights.output for run in runs]),
        )
        notes = tuple(itertools.chain.from_iterable(run.notes for run in runs))
        return replace(runs[0], weights=weights, notes=notes, **marks)
