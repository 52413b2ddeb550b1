"""A dynamics whose trajectories are recorded in the log of a training (`checkpoint`), and go on from it.

A descent that takes many steps between two saved times is cut into pieces of equal numbers of steps, whether it is
logged or not: compiled kernels carry more than the weights from step to step, and the bits of a path depend on where
a call of them ends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from twolayer.core.arrays import array_namespace, to_host
from twolayer.core.budget import Budget
from twolayer.core.dynamics import Dynamics
from twolayer.core.network import Weights
from twolayer.core.problem import Problem
from twolayer.core.saved_state import State, StateStore
from twolayer.core.seeds import over_seeds
from twolayer.core.trajectory import Clock, FlowWeights
from twolayer.training.checkpoint import Log, placed, restore, states

__all__ = ["recorded", "with_logged_flows"]

WORK = 4e10
"""Multiplications of one seed in a piece of a descent, about: half a minute of one core."""

FEWEST, MOST = 1000, 2**19
"""Steps of a piece."""


def recorded(dynamics: Dynamics, log: Log | None) -> Dynamics:
    """The dynamics, with long descents in pieces and, where there is a log, with its trajectories in it."""
    return dynamics.with_trajectories(lambda part: trajectory_of(part, log))


def trajectory_of(dynamics: Dynamics, log: Log | None) -> Callable[..., Iterator[Weights]]:
    """The trajectory of a dynamics that runs no others, in pieces and by way of the log."""

    def trajectory(
        problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        call = TrajectoryCall(dynamics, problem, weights, clock, random)
        if log is None:
            return call.frames()
        if "flow" in dynamics.kinds:
            return dynamics.trajectory(with_logged_flows(problem, log), weights, clock, random)
        if len(random) > 1 and dynamics.seed_by_seed(problem):
            return seed_by_seed(call, log)
        return call.logged(log)

    return trajectory


def in_pieces(dynamics: Dynamics, problem: Problem, weights: Weights, clock: Clock) -> Clock:
    """The clock of a descent with the ends of its pieces among its times: at multiples of a number of steps that
    depends on the sizes of one seed alone. As it is for any other dynamics."""
    step_size = dynamics.descent_step
    if step_size is None or clock.step is None:
        return clock
    neurons, features = weights.hidden.shape[-2:]
    units = dynamics.samples_per_step or problem.data.samples or 2 * neurons
    piece = int(min(max(WORK / (neurons * features * units), FEWEST), MOST))
    first, last = int(clock.step[0]), int(clock.step[-1])
    ends = np.arange((first // piece + 1) * piece, last, piece)
    if not len(ends):
        return clock
    step = np.union1d(clock.step, ends)
    times = dict(zip(clock.step.tolist(), clock.time.tolist(), strict=True))
    return Clock(np.asarray([times.get(one, step_size * one) for one in step.tolist()]), step)


@dataclass(frozen=True)
class TrajectoryCall:
    """A call of a dynamics' trajectory."""

    dynamics: Dynamics
    problem: Problem
    weights: Weights
    clock: Clock
    random: Sequence[np.random.Generator]

    @property
    def fine(self) -> Clock:
        """The clock with the ends of pieces."""
        return in_pieces(self.dynamics, self.problem, self.weights, self.clock)

    def path(self, weights: Weights, fine: Clock) -> Iterator[tuple[int, bool, Weights]]:
        """The states at the times of a finer clock, which begins at one of the run's, from the weights there: each
        with its place in that clock, and whether the run asks for it."""
        asked = None if fine.step is None else np.isin(fine.step, self.clock.step)
        path = self.dynamics.trajectory(self.problem, weights, fine, self.random)
        for place, state in enumerate(path):
            yield place, asked is None or place >= len(asked) or bool(asked[place]), state

    def frames(self) -> Iterator[Weights]:
        """Its frames."""
        return (state for _, asked, state in self.path(self.weights, self.fine) if asked)

    def logged(self, log: Log) -> Iterator[Weights]:
        """Its frames: those of the log first. Then it goes on from the last state; a dynamics that cannot begins
        again, and what it has yielded before is passed over."""
        before = states(self.random)
        call = call_of(self.dynamics, self.problem, self.weights, self.clock, before)
        found, fine, state, count = log.found(call), self.fine, self.weights, 0
        for index in range(len(found.frames)):
            words, frame = log.frame_of(call, index)
            restore(self.random, words["random"] or before)
            state, count = placed(frame, self.weights), count + 1
            yield state
        if count == len(self.clock.time):
            return
        goes_on = self.dynamics.resumes()
        begins_inside, passed = bool(count and goes_on), 0 if goes_on else count
        if begins_inside:
            begin = int(np.flatnonzero(np.isin(fine.time, self.clock.time))[count - 1])
            if found.state is not None:
                words, frame = log.read(found.state)
                restore(self.random, words["random"] or before)
                state, begin = placed(frame, self.weights), int(np.searchsorted(fine.step, words["step"]))
            fine = Clock(fine.time[begin:], None if fine.step is None else fine.step[begin:])
        elif count:
            state = self.weights
            restore(self.random, before)
        going, inside = self, LoggedStates.of(log, call)
        if len(self.random) == 1:
            going = replace(self, dynamics=self.dynamics.with_states(inside))
        for place, asked, reached in going.path(state, fine):
            inside.frames = place + 1
            if begins_inside and place == 0:
                continue  # the state that it begins with
            if asked and passed:
                passed -= 1
                continue
            now = states(self.random)
            drawn = None if now == before else now
            if asked:
                log.frame(call, count, reached, drawn)
                count += 1
                yield reached
            elif goes_on:
                log.state(call, int(fine.step[place]), reached, drawn)


def seed_by_seed(call: TrajectoryCall, log: Log) -> Iterator[Weights]:
    """The frames of a trajectory whose seeds are moved one after another, on the host, each a call by itself."""
    data = call.problem.data.mapped(to_host)

    def path(seed: int) -> list[Weights]:
        chosen = np.asarray([seed])
        weights = Weights(call.weights.hidden[seed : seed + 1], call.weights.output[seed : seed + 1])
        problem = replace(call.problem, data=data.of_seeds(chosen))
        return list(
            replace(call, problem=problem, weights=weights, random=call.random[seed : seed + 1]).logged(log)
        )

    xp = array_namespace(call.weights.hidden)
    paths = over_seeds(path, len(call.random), call.problem.threads)
    for frames in zip(*paths, strict=True):
        hidden = xp.concat([one.hidden for one in frames])
        output = xp.concat([one.output for one in frames])
        stalls = tuple(stall for one in frames for stall in (one.stall or ("",)))
        yield FlowWeights(hidden, output, None, stalls) if any(stalls) else Weights(hidden, output)


@dataclass
class LoggedStates:
    """As `StateStore`: the states inside one call, in the log. budget: of a flow, as it was with the last of them."""

    log: Log
    call: str
    budget: Budget | None = None
    frames: int = 0
    """Of those that it has yielded; at first, before the state that is found."""
    found: State | None = None

    @classmethod
    def of(cls, log: Log, call: str, budget: Budget | None = None) -> LoggedStates:
        """With what the log has."""
        made, read = cls(log, call, budget), log.read_inside(call)
        if read is not None:
            made.frames, made.found = read[0]["frames"], read[1]
            if budget is not None:
                budget.go_on(read[0]["used"])
        return made

    def load(self) -> State | None:
        """As `StateStore.load`."""
        return self.found

    def offer(self, state: Callable[[], State]) -> None:
        """As `StateStore.offer`."""
        self.log.inside(self.call, self.frames, state, self.used)

    @property
    def used(self) -> list[float]:
        """Of the budget."""
        return [] if self.budget is None else self.budget.used()


def with_logged_flows(problem: Problem, log: Log) -> Problem:
    """The problem, whose flows of single seeds are in the log: frames, and the state of the integrator."""

    def flow_of_seed(
        seed: int,
        weights: Weights,
        times: Any,
        weight_decay: float,
        tolerance: tuple[float, float],
        resting: Any,
        budget: Budget | None = None,
        states: StateStore | None = None,
    ) -> Iterator[Any]:
        one = problem.data.of_seed(seed)
        settings = weight_decay, tolerance, resting, budget
        call = call_of(("flow", *settings), problem, weights, Clock(times), [], one)
        logged, used = len(log.found(call).frames), []
        for index in range(logged):
            words, frame = log.frame_of(call, index)
            used = words["used"]
            yield frame
        if logged == len(times):
            if budget is not None:
                budget.go_on(used)
            return
        inside = LoggedStates.of(log, call, budget)
        path = problem.flow_of_seed(seed, weights, times, *settings, states=inside)
        for frame in path:
            index, inside.frames = inside.frames, inside.frames + 1
            if index >= logged:
                log.frame(call, index, frame, used=inside.used)
                yield frame

    return problem.with_flows(flow_of_seed)


def call_of(
    dynamics: Any, problem: Problem, weights: Weights, clock: Clock, random: Any, data: Any = None
) -> str:
    """A hash of the arguments of a call, and of the dynamics and the problem that it is a method of."""
    words = [repr(dynamics), type(problem).__name__, problem.network.output, json.dumps(random)]
    found = hashlib.sha256("\n".join(words).encode())
    parts = [weights.hidden, weights.output, clock.time, *(weights.memory or {}).values()]
    parts += [part for part in (clock.step, weights.resting) if part is not None]
    parts += [values for _, values, _ in (data or problem.data).arrays().values()]
    for part in parts:
        array = np.ascontiguousarray(to_host(part))
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return found.hexdigest()[:32]
