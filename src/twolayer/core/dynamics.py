"""What a dynamics is, and the base classes of descents, flows and instant updates."""

from __future__ import annotations

import copy
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from twolayer.core.loss import Loss
from twolayer.core.network import Network, Weights
from twolayer.core.problem import Problem
from twolayer.core.problem_spec import ProblemSpec
from twolayer.core.saved_state import StateStore
from twolayer.core.times import Times
from twolayer.core.trajectory import Clock, FlowWeights, WeightsWithMemory
from twolayer.core.wording import counted
from twolayer.errors import PluginError, TrainingError

__all__ = ["Descent", "Dynamics", "Flow", "InstantUpdate", "WeightDecay", "check_steps"]


@dataclass(frozen=True)
class WeightDecay:
    """λ as a schedule: `values[i]` until time `until[i]`, the last value from then on."""

    values: list[float]
    until: list[float]

    def __post_init__(self) -> None:
        if len(self.until) != len(self.values) - 1:
            raise ValueError(
                f"until: {counted(len(self.values), 'value')}: one gives way to the next at "
                f"{counted(len(self.values) - 1, 'time')}, not {len(self.until)}"
            )
        if any(value < 0 for value in self.values):
            raise ValueError(f"values: weight decay is not negative, as in {self.values}")
        if list(self.until) != sorted(set(self.until)):
            raise ValueError(f"until: times must increase strictly, unlike {self.until}")

    @classmethod
    def of(cls, weight_decay: float | WeightDecay) -> WeightDecay:
        """A number or a schedule, as a schedule."""
        return weight_decay if isinstance(weight_decay, WeightDecay) else cls([float(weight_decay)], [])

    def at(self, time: float) -> float:
        """λ from a time on; at a time of change, the new value (also where step · step_size rounds to below it)."""
        return self.values[
            sum(time >= until or math.isclose(time, until, rel_tol=1e-12) for until in self.until)
        ]

    def up_to(self, time: float) -> float:
        """λ up to a time; at a time of change, the old value, which led to the weights there."""
        return self.values[
            sum(time > until and not math.isclose(time, until, rel_tol=1e-12) for until in self.until)
        ]

    @property
    def last_change(self) -> float:
        """The time of the last change; −∞ where there is none."""
        return self.until[-1] if self.until else -math.inf

    def pieces(self, start: float, stop: float) -> Iterator[tuple[float, float, float]]:
        """(start, stop, λ) over [start, stop], split where λ changes."""
        edges = [start, *(until for until in self.until if start < until < stop), stop]
        for begin, end in itertools.pairwise(edges):
            yield begin, end, self.at(begin)


class Dynamics(ABC):
    """How weights move: the fields of a dataclass are its config section, `trajectory` is its rule.

    Arrays of a device meet arrays of that device only: a trajectory takes and yields weights that lie where the
    problem's data lie. One that works on the host takes them there by `arrays.to_host`, and places its frames back by
    `arrays.placed_like`. Whatever looks at frames, here and in metrics, does so on the host.

    stays_in_span: whether each update is a combination of weights and gradients so far, with coefficients that no
    rotation of the features changes: on a teacher it is then run in min(d, m + k) coordinates.
    kinds: `descent`, `flow`, neither or both: what of the code that accelerates problems it runs.
    host_reason: why it is computed on the host under every backend; empty where it is not.
    instantaneous: whether it acts at once and takes no time.
    sequential: whether it runs other dynamics, one after another.
    """

    stays_in_span: ClassVar[bool] = False
    kinds: ClassVar[frozenset[str]] = frozenset()
    host_reason: ClassVar[str] = ""
    instantaneous: ClassVar[bool] = False
    sequential: ClassVar[bool] = False
    states: ClassVar[StateStore | None] = None
    """Where the state of a single seed is saved (`with_states`)."""

    def clock(self, times: Times) -> Clock:
        """The saved times of this dynamics for a `times` section."""
        return times.clock()

    def step_count(self, times: Times) -> int | None:
        """How many steps it takes, so that few of them are taken on the host; None where that is not known."""
        return None

    @property
    def most_seconds(self) -> float:
        """The time after which one seed ends with what it has; infinite without such a budget."""
        return math.inf

    @property
    def descent_step(self) -> float | None:
        """η of a descent, whose single steps are given by `steps`; None for any other dynamics."""
        return None

    @property
    def samples_per_step(self) -> int | None:
        """How many samples a step looks at; None for all of them."""
        return None

    @property
    def largest_rise(self) -> float | None:
        """By what share of it the objective may rise between two saved times without a note; None for a dynamics whose
        objective need not fall."""
        return None

    def weight_decay_at(self, time: float) -> float:
        """λ of the objective L + (λ/2)(|a|² + |W|²) for the weights at a time; 0 where nothing is added
        to the loss. Where λ changes it is the old value, which led there."""
        return 0.0

    @abstractmethod
    def trajectory(
        self, problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """The weights at each saved time, the start first, on the device of the data; `random`: one generator per
        seed."""

    def steps(
        self, problem: Problem, weights: Weights, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """The weights after step 1, 2, 3, … without end; memory between steps is a local variable."""
        raise TypeError(f"{type(self).__name__} must define steps(problem, weights, random)")

    def seed_by_seed(self, problem: Problem) -> bool:
        """Whether it moves one seed after another, on the host, so that each is kept when it is done."""
        return False

    def restarts(self) -> bool:
        """Whether weights and random generators are all its state, so that `trajectory` may be called again from the
        weights of a saved time, with a clock that begins there, for some of the seeds. Where not, as with memory
        between steps, each seed of a run with a stop rule is run by itself."""
        return False

    def resumes(self) -> bool:
        """Whether a training that was interrupted can go on from a saved time: weights, the `memory` that they have
        there (`trajectory.WeightsWithMemory`) and random generators are all its state, so that `trajectory` may be
        called again from them, with a clock that begins there. Where not, its trajectory begins again."""
        return self.restarts()

    def with_states(self, states: StateStore) -> Self:
        """The same, which saves the state of its next call of `trajectory`, of a single seed, in its `states`, and
        goes on from the one that it finds there: for a dynamics that carries more than memory from step to step. It
        yields all frames again, those before that state of any value: they are in the log. Most have none to save."""
        found = copy.copy(self)
        object.__setattr__(found, "states", states)
        return found

    def with_trajectories(
        self, trajectory_of: Callable[[Dynamics], Callable[..., Iterator[Weights]]]
    ) -> Self:
        """The same with another trajectory, made from it; of one that runs others, theirs."""
        found = copy.copy(self)
        object.__setattr__(found, "trajectory", trajectory_of(self))
        return found

    @property
    def settled_after(self) -> float:
        """The time after which its rule no longer changes: a stop rule is looked at later, never at it or before."""
        return -math.inf

    def check_clock(self, clock: Clock) -> Clock:
        """The times at which a stop rule is looked at: the saved ones, and those between them that are cheap."""
        return clock

    def last_problem(self, problem: Problem, weights: Weights) -> Problem:
        """The problem in whose trained parameters it ends: a stop rule takes its gradient."""
        return problem

    def checks_rounding(self, problem: Problem) -> bool:
        """Whether training says up to which time the path does not depend on rounding (`path_trusted_until`)."""
        return False

    def twin(
        self, problem: Any, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> tuple[Iterator[Weights], float] | None:
        """The frames of a second run that shares the path unless that depends on rounding, and the relative distance
        at which the two have parted; None where no second run is made. Arguments as of `trajectory`.

        Twins of descents are made by `training.chaos`.
        """
        return None

    def finer(self, factor: float, least: float) -> tuple[Dynamics, float] | None:
        """The same with its tolerance smaller by a factor, no smaller than the least, and by how much it is smaller;
        None for a dynamics without a tolerance."""
        return None

    def validate(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse, by a ValueError that begins with a key, what does not go with the problem or the network."""

    def validate_loss(self, loss: Loss, name: str, network: Network) -> None:
        """Refuse, by a ValueError, a loss of the problem, and its name, that it does not know."""

    def validate_last_stage(self, problem: ProblemSpec, network: Network) -> None:
        """Refuse what keeps a run that ends with it from ending at a minimum, such as a step that is too large."""


CHECK_EVERY, CHECK_SHARE = 1000, 20
"""A descent is checked every 1000 steps, later once for each twentieth of the steps so far."""


def check_steps(last: int) -> Any:
    """The steps at which a descent is checked before its last one, whatever times are saved: 1000, 2000, …, 20000,
    and each then a twentieth later than the one before. A check costs about as much as 1000 steps of one seed."""
    steps, step = [], CHECK_EVERY
    while step < last:
        steps.append(step)
        step += max(CHECK_EVERY, step // CHECK_SHARE)
    return np.asarray(steps, dtype=np.int64)


@dataclass(frozen=True)
class Descent(Dynamics):
    """Base of discrete dynamics. A subclass adds fields and writes `steps`; step k is at time step_size·k."""

    step_size: float

    kinds = frozenset({"descent"})

    def __post_init__(self) -> None:
        if not self.step_size > 0:
            raise ValueError(f"step_size: must be above 0, is {self.step_size!r}")

    def clock(self, times: Times) -> Clock:
        """Saved steps and their times."""
        return times.clock(self.step_size)

    def step_count(self, times: Times) -> int:
        """The number of the last saved step."""
        return int(self.clock(times).step[-1])

    @property
    def descent_step(self) -> float:
        """η."""
        return self.step_size

    def checks_rounding(self, problem: Problem) -> bool:
        """Always: steps that are too large make a path chaotic."""
        return True

    def check_clock(self, clock: Clock) -> Clock:
        """The saved steps, and `check_steps` between them."""
        step = np.union1d(clock.step, check_steps(int(clock.step[-1])))
        return Clock(self.step_size * step, step)

    def trajectory(
        self, problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """The states of `steps` at the saved steps."""
        steps, done = self.steps(problem, weights, random), int(clock.step[0])
        if not isinstance(steps, Iterator):
            raise PluginError(
                f"{type(self).__name__}.steps: returns {type(steps).__name__}; it must yield weights without end: "
                "`while True:` around its step"
            )
        for step in clock.step:
            for number in range(done + 1, int(step) + 1):
                moved = next(steps, None)
                if moved is None:
                    raise TrainingError(
                        f"{type(self).__name__}.steps: ended before step {number} of {int(clock.step[-1])}; it must "
                        "yield weights without end: `while True:` around its step"
                    )
                if not isinstance(moved, Weights):
                    raise PluginError(
                        f"{type(self).__name__}.steps: yields {type(moved).__name__}; must yield Weights(hidden, "
                        "output)"
                    )
                weights = problem.network.with_tied_outputs(moved)
                if moved.memory is not None:
                    weights = WeightsWithMemory(weights.hidden, weights.output, moved.memory)
            done = int(step)
            yield weights


@dataclass(frozen=True)
class Flow(Dynamics):
    """Base of continuous dynamics. A subclass adds fields and writes `trajectory`."""

    kinds = frozenset({"flow"})
    host_reason = "gradient flow is computed on the host"

    def checks_rounding(self, problem: Problem) -> bool:
        """On a teacher, where neurons that start small come close to each other."""
        return problem.on_population


@dataclass(frozen=True)
class InstantUpdate(Dynamics):
    """Base of what acts at once: the start at time 0, and from then on the weights that `update` makes of it."""

    instantaneous = True

    @property
    def settled_after(self) -> float:
        """Time 0, the weights before the update."""
        return 0.0

    def step_count(self, times: Times) -> int:
        """None."""
        return 0

    def update(self, problem: Problem, weights: Weights, random: Sequence[np.random.Generator]) -> Weights:
        """The weights after the update; `FlowWeights` with a message in `stall` for each seed that it could not bring
        to its end, or ""."""
        raise TypeError(f"{type(self).__name__} must define update(problem, weights, random)")

    def trajectory(
        self, problem: Problem, weights: Weights, clock: Clock, random: Sequence[np.random.Generator]
    ) -> Iterator[Weights]:
        """The start, then the updated weights at every later time."""
        yield weights
        updated = self.update(problem, weights, random)
        messages = updated.stall
        updated = problem.network.with_tied_outputs(updated)
        if messages:
            updated = FlowWeights(updated.hidden, updated.output, None, messages)
        for _ in clock.time[1:]:
            yield updated
