"""What a training run leaves: the saved moments and the weights at each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twolayer.model import Weights

__all__ = ["Clock", "Trajectory"]


@dataclass(frozen=True)
class Clock:
    """The saved moments of a run: `time` (time,), and `step` (time,) where the dynamics is a descent."""

    time: Any
    step: Any = None


@dataclass(frozen=True)
class Trajectory:
    """Weights over time on the host: hidden (seed, time, neuron, feature), output (seed, time, neuron).

    weight_decay: λ (time,) of the objective. diverged_step: for each seed the first step after which a
    number is no longer finite, −1 where there is none (then later frames are NaN). trusted_until: for each seed
    the time up to which the loss has two digits (`trust`). notes: what to tell. dynamics: what made it, for metrics.
    """

    clock: Clock
    weights: Weights
    weight_decay: Any
    diverged_step: Any
    trusted_until: Any = None
    notes: tuple[str, ...] = ()
    dynamics: Any = None
