"""How many steps and seconds the flow of one seed may take, so that none goes on without end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["AT_A_TIME", "Budget", "pause", "reason_of"]

AT_A_TIME = 1000
"""Compiled code comes back after so many steps, for the clock to be looked at."""

MARK = "the budget "
"""What the message of a flow begins with that has spent its budget, and then `steps` or `seconds`."""


@dataclass
class Budget:
    """At most so many `steps` of an integrator, and so many `seconds` of time on the wall."""

    steps: int
    seconds: float
    taken: int = field(default=0, repr=False)
    """Steps so far."""
    begin: float = field(default_factory=time.monotonic, repr=False)

    def spend(self, steps: int, reached: float) -> str:
        """Count further steps, to the time that they have reached: why the flow ends there, or ""."""
        self.taken += steps
        if self.taken >= self.steps:
            return f"{MARK}max_steps: {self.steps} is spent at time {reached:.6g}"
        if time.monotonic() - self.begin > self.seconds:
            return f"{MARK}max_seconds: {self.seconds:g} is spent at time {reached:.6g}"
        return ""

    def used(self) -> list[float]:
        """Steps and seconds so far."""
        return [self.taken, time.monotonic() - self.begin]

    def go_on(self, used: Sequence[float]) -> None:
        """Count from what `used` was before a crash."""
        self.taken, self.begin = int(used[0]), time.monotonic() - used[1]


def pause(budget: Budget | None, most: int) -> int:
    """After how many steps to look at the budget again: no more than `most`, or than are left."""
    return most if budget is None else max(1, min(most, budget.steps - budget.taken))


def reason_of(stall: str) -> str:
    """The part of the budget that a message of `Budget.spend` names, or ""."""
    return stall[len(MARK) :].partition(":")[0] if stall.startswith(MARK) else ""
