"""When a trajectory is saved: the `times` section of an experiment, and the clock it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from twolayer.core.trajectory import Clock

__all__ = ["Times"]

MOST_STEPS = 10**13
"""Weeks of the fastest kernel, for the smallest network."""

MOST_TIMES = 1_000_000
"""Saved times of a run."""


@dataclass(frozen=True)
class Times:
    """Saved times: `start, stop, count, spacing` (log or linear), or `values`, or `steps` of a descent.

    Time 0 is always kept. A descent with step size η is at time η·step; times are rounded to its nearest step.
    """

    start: float | None = None
    stop: float | None = None
    count: int | None = None
    spacing: Literal["log", "linear"] | None = None
    values: list[float] | None = None
    steps: list[int] | None = None

    def __post_init__(self) -> None:
        grid = [self.start, self.stop, self.count, self.spacing]
        given = [any(part is not None for part in grid), self.values is not None, self.steps is not None]
        if sum(given) != 1:
            raise ValueError("give either start, stop, count and spacing, or values, or steps")
        if given[0]:
            self._check_grid()
        saved = self.values if self.values is not None else self.steps
        if saved is not None:
            if not saved:
                raise ValueError("at least one time is needed")
            if len(saved) > MOST_TIMES:
                raise ValueError(f"{len(saved)} times; a run saves at most {MOST_TIMES}")
            if saved[0] < 0:
                raise ValueError(f"times begin at 0 or later, not at {saved[0]!r}")
            for earlier, later in pairwise(saved):
                if not later > earlier:
                    raise ValueError(f"times must increase strictly; {later!r} follows {earlier!r}")

    def _check_grid(self) -> None:
        if self.start is None or self.stop is None or self.count is None or self.spacing is None:
            missing = [key for key in ("start", "stop", "count", "spacing") if getattr(self, key) is None]
            raise ValueError(f"{', '.join(missing)} missing")
        if self.count < 2:
            raise ValueError(f"count: at least 2 times, not {self.count}")
        if self.count > MOST_TIMES:
            raise ValueError(f"count: at most {MOST_TIMES} times, not {self.count}")
        if not self.stop > self.start:
            raise ValueError(f"stop: must be later than start ({self.start!r}), is {self.stop!r}")
        if self.start < 0 or (self.spacing == "log" and self.start == 0):
            raise ValueError(f"start: must be above 0 for spacing '{self.spacing}', is {self.start!r}")

    def clock(self, step_size: float | None = None) -> Clock:
        """The saved times, or steps and their times for a descent with the given step size."""
        if step_size is None:
            if self.steps is not None:
                raise ValueError("steps: only a descent has steps; give times to a flow")
            return Clock(with_zero(self._moments()))
        if self.steps is not None:
            if not self.steps[-1] < MOST_STEPS:
                raise ValueError(
                    f"steps: {self.steps[-1]} are more than can be run, which is {MOST_STEPS:.0e}"
                )
            step = np.asarray(self.steps, dtype=np.int64)
        else:
            with np.errstate(over="ignore"):  # is refused
                step = np.rint(self._moments() / step_size)
            if not step[-1] < MOST_STEPS:
                raise ValueError(
                    f"{step[-1]:.3g} steps of {step_size!r} until the last time: more than can be run, which is "
                    f"{MOST_STEPS:.0e}"
                )
            step = np.unique(step.astype(np.int64))
        step = with_zero(step)
        return Clock(step_size * step, step)

    def _moments(self) -> Any:
        if self.values is not None:
            return np.asarray(self.values, dtype=np.float64)
        space = np.geomspace if self.spacing == "log" else np.linspace
        return space(self.start, self.stop, self.count)  # type: ignore[arg-type]


def with_zero(values: Any) -> Any:
    """The values with 0 in front, where it is missing."""
    return values if values[0] == 0 else np.concatenate([np.zeros(1, dtype=values.dtype), values])
