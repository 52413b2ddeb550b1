"""The stop rule: a seed of a run ends where it is met, and its last state stands for later times.

A descent is looked at every 1000 steps, later once for each twentieth of the steps so far (`check_steps`), and at its
saved steps; any other dynamics at its saved times. Loss and gradient are measured on the host in float64, as metrics
are. So where a seed stops depends on no other seed, and on the backend by rounding only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from array_api_compat import device

from twolayer.core.arrays import array_namespace
from twolayer.core.dynamics import Dynamics
from twolayer.core.network import Weights
from twolayer.core.problem import Problem
from twolayer.core.progress import reached
from twolayer.core.seeds import over_seeds
from twolayer.core.trajectory import Clock
from twolayer.training.frames import Frames, kept

__all__ = ["Replay", "StopRule", "StoppedPath", "Watch", "section", "stopped_path"]


@dataclass(frozen=True)
class StopRule:
    """A seed ends where any of these is met.

    gradient_norm: |∇(L + (λ/2)|θ|²)| over the trained parameters is no larger, of a flow that of the least element of
    the subdifferential, as the metric. loss: L is no larger.
    unchanged: since half of the time (the last check at or before it) no weight has changed by more than this, as a
    share of the largest weight.
    every: a descent is looked at every so many steps, where a time of arrival is wanted; 1 is each step.
    """

    gradient_norm: float | None = None
    loss: float | None = None
    unchanged: float | None = None
    every: int | None = None

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 1:
            raise ValueError(f"every: at least 1 step, is {self.every!r}")
        given = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "every"}
        if all(value is None for value in given.values()):
            raise ValueError(f"give one or more of {', '.join(given)}; without a rule leave stop out")
        for name, value in given.items():
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}: must be above 0 and finite, is {value!r}")

    def checks(self, dynamics: Dynamics, clock: Clock) -> Clock:
        """The times at which the rule is looked at."""
        step_size = dynamics.descent_step
        if self.every is None or step_size is None:
            return dynamics.check_clock(clock)
        step = np.union1d(clock.step, np.arange(self.every, clock.step[-1], self.every))
        return Clock(step_size * step, step)


class Judge(Protocol):
    """Says which seeds end at a check."""

    def stopping(self, index: int, weights: Weights) -> Any:
        """The number of the reason why each seed ends, (seed,), 0 where it goes on: index of the check, weights on
        the host of the seeds that are left."""

    def loss(self, weights: Weights) -> Any:
        """The loss of the seeds that are left, (seed,): weights as of `stopping`."""

    def keep(self, going: Any) -> None:
        """Go on with some of the seeds that are left, by their place among them."""


class Watch:
    """A rule, and what it has to remember of the seeds that are left.

    problem: of these seeds on the host in float64. times: of the checks.
    """

    def __init__(
        self, rule: StopRule, dynamics: Dynamics, problem_of: Callable[[Any], Problem], seeds: Any, times: Any
    ) -> None:
        self.rule, self.dynamics, self.problem_of, self.times = rule, dynamics, problem_of, times
        self.seeds = seeds
        self.problem = problem_of(seeds)
        self.begin = max(dynamics.settled_after, 0.0)
        self.past: list[tuple[float, Weights]] = []

    def keep(self, going: Any) -> None:
        """As `Judge.keep`."""
        self.seeds = self.seeds[going]
        self.problem = self.problem_of(self.seeds)
        self.past = [(time, Weights(past.hidden[going], past.output[going])) for time, past in self.past]

    def stopping(self, index: int, weights: Weights) -> Any:
        """As `Judge.stopping`."""
        time = float(self.times[index])
        reason = np.zeros(len(weights.hidden), dtype=np.int8)
        if time <= self.dynamics.settled_after * (1.0 + 1e-12):
            return reason
        wide = Weights(weights.hidden.astype(np.float64), weights.output.astype(np.float64))
        with np.errstate(all="ignore"):  # what is not finite does not stop
            if self.rule.unchanged is not None:
                reason[self.change(time, wide) <= self.rule.unchanged] = 3
            if self.rule.loss is not None:
                reason[self.problem.loss(wide) <= self.rule.loss] = 2
            if self.rule.gradient_norm is not None:
                decay = self.dynamics.weight_decay_at(time)
                last = self.dynamics.last_problem(self.problem, wide)
                flows = (
                    "flow" in self.dynamics.kinds
                )  # which may rest on a boundary between activation patterns
                slope = (last.least_gradient if flows else last.gradient)(wide, decay)
                squares = (slope.hidden**2).sum((-2, -1)) + (slope.output**2).sum(-1)
                reason[np.sqrt(squares) <= self.rule.gradient_norm] = 1
        return reason

    def loss(self, weights: Weights) -> Any:
        """As `Judge.loss`."""
        return self.problem.loss(
            Weights(weights.hidden.astype(np.float64), weights.output.astype(np.float64))
        )

    def change(self, time: float, weights: Weights) -> Any:
        """The largest change of a weight since half of the time, over the largest weight, (seed,); ∞ before a check
        at or before that."""
        half = 0.5 * (time - self.begin)
        while len(self.past) > 1 and self.past[1][0] <= half:
            self.past.pop(0)
        change = np.full(len(weights.hidden), np.inf)
        if self.past and self.past[0][0] <= half:
            moved, size = weights - self.past[0][1], largest(weights)
            change = np.where(size > 0, largest(moved) / np.where(size > 0, size, 1.0), largest(moved))
        self.past.append((time - self.begin, weights))
        return change


def largest(weights: Weights) -> Any:
    """The largest weight of each seed in absolute value, (seed,)."""
    return np.maximum(np.abs(weights.hidden).max((-2, -1)), np.abs(weights.output).max(-1))


class Replay:
    """The stops of another run: a twin ends with it. reasons, checks (seed,): of that run, −1 where it went on."""

    def __init__(self, checks: Any, reasons: Any, seeds: Any) -> None:
        self.checks, self.reasons = checks[seeds], reasons[seeds]

    def keep(self, going: Any) -> None:
        """As `Judge.keep`."""
        self.checks, self.reasons = self.checks[going], self.reasons[going]

    def stopping(self, index: int, weights: Weights) -> Any:
        """As `Judge.stopping`."""
        return np.where(self.checks == index, self.reasons, 0)

    def loss(self, weights: Weights) -> Any:
        """As `Judge.loss`: that of the other run was shown."""
        return np.full(len(weights.hidden), np.nan)


@dataclass(frozen=True)
class StoppedPath:
    """The frames of a run at its saved times, on the host, with what they say (`FlowWeights`) at its end; and for each
    seed the check at which it stopped, −1 where it did not, and the reason."""

    frames: Frames
    forks: Any
    stalls: tuple[str, ...]
    checks: Any
    reasons: Any


def stopped_path(
    dynamics: Dynamics,
    problem_of: Callable[[Any], Problem],
    judge_of: Callable[[Any], Judge],
    weights: Weights,
    clock: Clock,
    saved: Any,
    random: Sequence[np.random.Generator],
    threads: int,
    folder: Path | None = None,
) -> StoppedPath:
    """The run of a dynamics at the checks of `clock`, seed by seed until it stops.

    problem_of, judge_of: of some seeds, by their index. weights: the start of all, on the backend. saved (check,):
    which checks are frames. random: one generator per seed. A dynamics that `restarts` runs all seeds together and
    goes on with those that are left; any other runs each by itself, `threads` at a time, as far as it is needed.
    folder: as of `Frames`.
    """
    seeds = len(random)
    frames = Frames(int(np.sum(saved)), weights, folder)
    if dynamics.restarts():
        return together(dynamics, problem_of, judge_of, weights, clock, saved, random, frames)

    def alone(seed: int) -> tuple[Any, str, int, int, int]:
        """Forks, stall, check, reason and number of frames of one seed, which are kept."""
        one = np.asarray([seed])
        judge, start = judge_of(one), taken(weights, one)
        path = dynamics.trajectory(problem_of(one), start, clock, random[seed : seed + 1])
        forks, stalls, check, reason, count = None, ("",), -1, 0, 0
        for index, frame in enumerate(path):
            state = kept(frame, start, dynamics, index, len(clock.time))
            forks, stalls = frame.forks, frame.stall or stalls
            reached(float(clock.time[index]), 1, partial(judge.loss, state))
            if saved[index]:
                frames.put(count, slice(seed, seed + 1), state)
                count += 1
            reason = int(judge.stopping(index, state)[0])
            if reason:
                check = index
                for later in range(count, count + int(np.sum(saved[index + 1 :]))):
                    frames.put(later, slice(seed, seed + 1), state)
                    count += 1
                break
        return forks, stalls[0], check, reason, count

    every, stalls, ends, reasons, counts = zip(*over_seeds(alone, seeds, threads), strict=True)
    frames.filled = min(counts)
    known = [forks for forks in every if forks is not None]
    zero = np.zeros(1, dtype=np.int64)
    return StoppedPath(
        frames,
        np.concatenate([zero if forks is None else forks for forks in every]) if known else None,
        tuple(stalls),
        np.asarray(ends),
        np.asarray(reasons, dtype=np.int8),
    )


def together(
    dynamics: Dynamics,
    problem_of: Callable[[Any], Problem],
    judge_of: Callable[[Any], Judge],
    weights: Weights,
    clock: Clock,
    saved: Any,
    random: Sequence[np.random.Generator],
    frames: Frames,
) -> StoppedPath:
    """As `stopped_path`, all seeds that are left at once. Between two saved times the path is that of a run without
    a rule."""
    seeds = len(random)
    left, judge = np.arange(seeds), judge_of(np.arange(seeds))
    checks, reasons = np.full(seeds, -1), np.zeros(seeds, dtype=np.int8)
    current = kept(weights, weights, dynamics, 0, len(clock.time))
    state: Any = weights  # of the seeds that are left
    last = len(clock.time) - 1
    path: Any = None
    for index in range(last + 1):
        if len(left) and index > 0:
            if path is None:
                until = index + int(np.argmax(saved[index:]))
                problem = problem_of(left)
                path = dynamics.trajectory(
                    problem, state, section(clock, index - 1, until), [random[seed] for seed in left.tolist()]
                )
                next(path)  # the state it begins with
            start, state = state, next(path, None)
            arrived = kept(state, start, dynamics, index, last + 1)
            current = Weights(current.hidden.copy(), current.output.copy())
            current.hidden[left], current.output[left] = arrived.hidden, arrived.output
        if len(left):
            going_on = Weights(current.hidden[left], current.output[left])
            reached(float(clock.time[index]), seeds, partial(judge.loss, going_on))
            reason = judge.stopping(index, going_on)
            if reason.any():
                checks[left], reasons[left] = np.where(reason > 0, index, -1), reason
                going = np.flatnonzero(reason == 0)
                left, path = left[going], None
                if len(left):
                    state = taken(state, going)
                    judge.keep(going)
        if saved[index]:
            frames.append(current)
        if saved[index] and len(left):
            path = None
    return StoppedPath(frames, None, ("",) * seeds, checks, reasons)


def section(clock: Clock, first: int, last: int) -> Clock:
    """The clock from one of its times to another."""
    chosen = slice(first, last + 1)
    return Clock(clock.time[chosen], None if clock.step is None else clock.step[chosen])


def taken(weights: Weights, seeds: Any) -> Weights:
    """The weights of some seeds, by their index, where they lie."""
    xp = array_namespace(weights.hidden)
    chosen = xp.asarray(seeds, device=device(weights.hidden))
    return Weights(xp.take(weights.hidden, chosen, axis=0), xp.take(weights.output, chosen, axis=0))
