"""Whether a flow is at rest: nothing has changed while the time doubled."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from twolayer.finite.flow.clock import FlowClock
from twolayer.finite.flow.neurons import Neurons
from twolayer.finite.flow.problem import Floats, FlowProblem

__all__ = ["RestWatch", "decay_resting"]

CHANGE = 1e-12
"""A direction, or the logarithm of a length, that has changed by less has not changed."""

ROUNDING = 2.0**-50
"""Of a force, as a share of its largest part."""

GONE = -380.0
"""ρ of a neuron whose mass e^(2ρ) is 0 as a float."""

RESIDUAL_CHANGE = 1e-6
"""Without weight decay residuals are followed however small: one that changes by this share still moves."""


@dataclass(frozen=True)
class Snapshot:
    """The state at a time: directions, gains, logarithms of lengths, and residuals."""

    time: float
    projection: Floats
    gain: Floats
    log_scale: Floats
    residual: Floats


@dataclass
class RestWatch:
    """The states of a flow now and then, of which those are kept that may be compared with later ones."""

    problem: FlowProblem
    past: list[Snapshot] = field(default_factory=list)

    def is_at_rest(self, neurons: Neurons, clock: FlowClock) -> bool:
        """Whether no neuron that moves, and no residual, has changed since half of the time or before."""
        now = self.note(neurons, clock)
        before = self.past[0]
        if not 0.0 < before.time <= 0.5 * now.time:
            return False
        return self.unchanged(before, now, neurons.moving & ~gone(now.log_scale), clock)

    def note(self, neurons: Neurons, clock: FlowClock) -> Snapshot:
        """Keep the state for later comparisons, unless one of the same time is there."""
        if self.past and self.past[-1].time == clock.times[0]:
            return self.past[-1]
        now = Snapshot(
            float(clock.times[0]),
            neurons.projection / self.problem.norm if len(self.problem.norm) else neurons.projection.copy(),
            neurons.gain.copy(),
            neurons.log_scale.copy(),
            clock.residual.copy(),
        )
        while len(self.past) > 1 and self.past[1].time <= 0.5 * now.time:
            self.past.pop(0)
        self.past.append(now)
        return now

    def unchanged(
        self, before: Snapshot, now: Snapshot, moving: npt.NDArray[np.bool_], clock: FlowClock
    ) -> bool:
        """Whether two states are the same to rounding."""
        sizes = np.maximum(1.0, np.abs(now.projection[moving]).max(initial=0.0))
        changes = [
            (now.projection - before.projection)[moving] / sizes,
            (now.gain - before.gain)[moving],
            (now.log_scale - before.log_scale)[moving],
        ]
        force = np.max(self.problem.rate * self.problem.response_norm * clock.scale, initial=0.0)
        allowed = CHANGE + ROUNDING * force * (now.time - before.time)  # lengths drift as forces are rounded
        if not all(np.abs(change).max(initial=0.0) <= allowed for change in changes):
            return False
        moved = np.abs(now.residual - before.residual)
        if self.problem.weight_decay > 0.0:
            return bool((moved <= allowed * clock.scale).all())
        return bool((moved <= RESIDUAL_CHANGE * np.abs(now.residual)).all())


def gone(log_scale: Floats) -> npt.NDArray[np.bool_]:
    """Which neurons have a mass of 0 as a float, (neuron,)."""
    return log_scale < GONE


def decay_resting(problem: FlowProblem, neurons: Neurons, passed: float) -> None:
    """Let the neurons that no force moves, and those that are gone, shrink by weight decay for some time."""
    still = ~neurons.moving | gone(neurons.log_scale)
    if problem.radial > 0:
        neurons.log_scale[still] -= problem.weight_decay * passed
    else:
        neurons.outside[still] *= np.exp(-problem.weight_decay * passed)
