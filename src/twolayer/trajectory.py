"""What a training run leaves: the saved moments and the weights at each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twolayer.model import Weights

__all__ = ["Clock", "FlowWeights", "Trajectory"]


@dataclass(frozen=True)
class Clock:
    """The saved moments of a run: `time` (time,), and `step` (time,) where the dynamics is a descent."""

    time: Any
    step: Any = None


@dataclass(frozen=True)
class FlowWeights(Weights):
    """Weights of a flow, and what the flow met so far; of one seed, or (seed,) in each field.

    forks: how many times it met a point where the limit of small descent steps is not unique. stall: why it
    could not be carried further, or "".
    """

    forks: Any = 0
    stall: Any = ""


@dataclass(frozen=True)
class Trajectory:
    """Weights over time on the host: hidden (seed, time, neuron, feature), output (seed, time, neuron).

    weight_decay: λ (time,) of the objective. diverged_step: for each seed the first step after which a
    number is no longer finite, −1 where there is none (then later frames are NaN). trusted_until: for each seed
    the time up to which the loss has two digits (`trust`). notes: what to tell. dynamics: what made it, for metrics.
    flow_forks: for each seed the forks of `FlowWeights`, or None where no flow was run.
    """

    clock: Clock
    weights: Weights
    weight_decay: Any
    diverged_step: Any
    trusted_until: Any = None
    notes: tuple[str, ...] = ()
    dynamics: Any = None
    flow_forks: Any = None
